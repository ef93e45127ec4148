"""manifest.json: one flipped byte, one file too few or too many, and nothing of the folder is used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import SourceError
from footfall.manifest import MANIFEST, check_manifest, digest_of, file_digest, write_manifest

MEND = "mend it"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, one below a folder, and their manifest."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "rows").write_bytes(b"apples")
    (tmp_path / "parts" / "one").write_bytes(b"pears")
    write_manifest(tmp_path)
    return tmp_path


def test_the_manifest_holds_the_sha256_of_every_file_by_its_relative_name(folder: Path) -> None:
    assert json.loads((folder / MANIFEST).read_text()) == {
        "schema": "footfall.files/1",
        "files": {"parts/one": hashlib.sha256(b"pears").hexdigest(), "rows": hashlib.sha256(b"apples").hexdigest()},
    }
    before = (folder / MANIFEST).read_bytes()
    write_manifest(folder)
    assert (folder / MANIFEST).read_bytes() == before
    check_manifest(folder, next_step=MEND)


def test_a_file_and_its_bytes_have_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(range(256)) * 5000)

    assert file_digest(tmp_path / "big") == digest_of((tmp_path / "big").read_bytes())


def test_a_damaged_file_is_named_with_both_digests_and_the_next_move(folder: Path) -> None:
    (folder / "rows").write_bytes(b"applez")

    with pytest.raises(SourceError, match="damaged") as caught:
        check_manifest(folder, next_step=MEND)

    assert (caught.value.where, caught.value.next_step) == (str(folder / "rows"), MEND)
    assert caught.value.expected == f"sha256 {hashlib.sha256(b'apples').hexdigest()}"
    assert caught.value.found == f"sha256 {hashlib.sha256(b'applez').hexdigest()}"


def test_a_read_only_file_that_was_damaged_is_caught_all_the_same(folder: Path) -> None:
    (folder / "rows").write_bytes(b"applez")
    (folder / "rows").chmod(0o444)

    with pytest.raises(SourceError, match="damaged"):
        check_manifest(folder, ["rows"], next_step=MEND)


def test_only_the_files_that_are_asked_for_are_looked_at(folder: Path) -> None:
    (folder / "rows").write_bytes(b"applez")

    check_manifest(folder, ["parts/one"], next_step=MEND)
    with pytest.raises(SourceError, match="not in the manifest"):
        check_manifest(folder, ["parts/two"], next_step=MEND)


@pytest.mark.parametrize("name", ["rows", MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(SourceError) as caught:
        check_manifest(folder, next_step=MEND)

    assert caught.value.where == str(folder / name)


def test_a_file_that_nobody_wrote_down_is_named_but_not_a_half_written_one(folder: Path) -> None:
    (folder / ".rows.tmp").write_bytes(b"app")
    check_manifest(folder, next_step=MEND)

    (folder / "rowt").write_bytes(b"apples")
    with pytest.raises(SourceError, match="not in the manifest") as caught:
        check_manifest(folder, next_step=MEND)

    assert caught.value.where == str(folder / "rowt")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"files": {}}', '{"schema": "footfall.files/2", "files": {}}', '{"schema": "footfall.files/1", "files": 3}']
)
def test_a_manifest_of_another_form_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)

    with pytest.raises(SourceError, match="manifest is damaged"):
        check_manifest(folder, next_step=MEND)


@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_no_flipped_bit_of_the_manifest_itself_goes_unseen(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "rows").write_bytes(b"apples")
    write_manifest(folder)
    content = bytearray((folder / MANIFEST).read_bytes())
    content[place % len(content)] ^= 1 << bit
    (folder / MANIFEST).write_bytes(content)

    if json.loads(_whole(folder)) != _parsed(content):  # white space apart, every bit counts
        with pytest.raises(SourceError):
            check_manifest(folder, next_step=MEND)


def _whole(folder: Path) -> str:
    write_again = folder.parent / f"{folder.name}-again"
    write_again.mkdir()
    (write_again / "rows").write_bytes(b"apples")
    write_manifest(write_again)
    return (write_again / MANIFEST).read_text()


def _parsed(content: bytearray) -> object:
    try:
        return json.loads(bytes(content))
    except ValueError:
        return None
