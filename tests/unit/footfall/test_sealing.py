"""Sealed files: what is sealed comes back with its key and with no other, and no changed byte goes unseen."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.contracts import C
from footfall.documents import Verdict
from footfall.errors import SealError, SettingsError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.sealing import CHUNK, VARIABLE, SealedSink, is_sealed, key_id, keys_in, open_sealed, seal, unseal
from footfall.settings import load_settings
from footfall.sources import landing, quarantine
from footfall.stages import events as stage
from footfall.tables import read_parquet, read_text, write_parquet, write_text
from tests.unit.rows import catalogue, day, events, user, users

KEY, OTHER = b"k" * 32, b"o" * 32
CANARY = b"a-word-that-nobody-else-may-read"


def as_text(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, as_text(KEY))


@given(st.binary(max_size=5000))
def test_what_is_sealed_is_unsealed_and_shows_nothing(data: bytes) -> None:
    sealed = seal(data, (KEY,))

    assert unseal(sealed, (OTHER, KEY)) == data
    assert len(data) < 8 or data not in sealed[33:]
    assert seal(data, (KEY,)) == sealed


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_every_size_around_a_chunk_comes_back(size: int) -> None:
    data = bytes(size)

    assert unseal(seal(data, (KEY,)), (KEY,)) == data
    sink = io.BytesIO()
    with SealedSink(sink, (KEY,)) as file:
        for start in range(0, size, 700_001):
            file.write(data[start : start + 700_001])
    sink.seek(0)
    assert open_sealed(sink, (KEY,)).read() == data


def test_other_content_another_key_and_another_stream_have_other_salts() -> None:
    streams = []
    for _ in range(2):
        sink = io.BytesIO()
        with SealedSink(sink, (KEY,)) as file:
            file.write(b"same")
        streams.append(sink.getvalue())

    salts = [sealed[17:33] for sealed in (seal(b"same", (KEY,)), seal(b"sane", (KEY,)), seal(b"same", (OTHER,)), *streams)]

    assert len(set(salts)) == 5


@given(st.data())
def test_no_flipped_byte_and_no_cut_is_read(data: st.DataObject) -> None:
    sealed = seal(CANARY * 9, (KEY,))
    position = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[position] ^= data.draw(st.integers(1, 255))

    for damaged in (bytes(flipped), sealed[:position], sealed + b"x"):
        with pytest.raises(SealError):
            unseal(damaged, (KEY,))


def test_chunks_cannot_be_swapped_left_out_or_repeated() -> None:
    sealed = seal(bytes(CHUNK) + b"1" * CHUNK + b"2" * CHUNK, (KEY,))
    size = 5 + CHUNK + 16
    head, first, second, last = sealed[:33], sealed[33 : 33 + size], sealed[33 + size : 33 + 2 * size], sealed[33 + 2 * size :]
    assert unseal(head + first + second + last, (KEY,))

    for order in (
        (second, first, last),
        (first, last),
        (first, second),
        (first, second, second, last),
        (last,),
        (first, second, b"\1" + last[1:] * 2),
    ):
        with pytest.raises(SealError, match="damaged"):
            unseal(head + b"".join(order), (KEY,))


def test_a_stream_that_failed_is_not_taken_for_a_whole_one() -> None:
    sink = io.BytesIO()

    def write_and_fail() -> None:
        with SealedSink(sink, (KEY,)) as file:
            file.write(bytes(CHUNK + 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    sink.seek(0)
    with pytest.raises(SealError, match="damaged"):
        open_sealed(sink, (KEY,)).read()


def test_the_wrong_key_and_no_key_are_told_apart_and_no_key_is_shown() -> None:
    sealed = seal(CANARY, (KEY,))

    with pytest.raises(SealError) as none:
        unseal(sealed, ())
    with pytest.raises(SealError) as wrong:
        unseal(sealed, (OTHER,))

    assert (none.value.expected, none.value.found) == (f"key {key_id(KEY)}", f"no {VARIABLE}")
    assert (wrong.value.expected, wrong.value.found) == (f"key {key_id(KEY)}", f"key {key_id(OTHER)}")
    assert as_text(KEY) not in str(wrong.value) + str(none.value)


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old = seal(CANARY, (KEY,))

    assert unseal(old, (OTHER, KEY)) == unseal(seal(CANARY, (OTHER, KEY)), (OTHER,)) == CANARY


def test_keys_come_from_the_environment_and_hide_themselves() -> None:
    settings = load_settings({VARIABLE: f" {as_text(KEY)} , {as_text(OTHER)},", "FOOTFALL_API_KEYS": "hush", "FOOTFALL_PSEUDONYM_KEY": "whisper"})

    assert settings.encryption_keys == (KEY, OTHER)
    assert keys_in({}) == ()
    assert not [secret for secret in ("kkkk", "hush", "whisper") if secret in repr(settings)]


@pytest.mark.parametrize("text", ["secret", as_text(b"short"), as_text(KEY) + "," + as_text(KEY + b"k")])
def test_an_unusable_key_is_refused_with_the_way_to_make_one(text: str) -> None:
    with pytest.raises(SettingsError, match="openssl rand") as caught:
        load_settings({VARIABLE: text})

    assert text not in str(caught.value)


@pytest.mark.usefixtures("with_key")
def test_only_what_is_asked_for_is_sealed(tmp_path: Path) -> None:
    table = pa.table({"text": [CANARY.decode()]})
    for name, sealed in (("open", False), ("shut", True)):
        write_parquet(tmp_path / f"{name}.parquet", table, sealed=sealed)
        write_text(tmp_path / f"{name}.json", CANARY.decode(), sealed=sealed)

    assert [is_sealed(tmp_path / name) for name in ("open.parquet", "open.json", "shut.parquet", "shut.json", "none")] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert all(read_parquet(path).equals(table) for path in tmp_path.glob("*.parquet"))
    assert {read_text(path) for path in tmp_path.glob("*.json")} == {CANARY.decode()}


def fill(paths: Paths) -> None:
    """Accept, quarantine, hold and land rows that bear the canary."""
    word = CANARY.decode()
    rows = events({"user_id": user("bob"), "query": word}, {"query": word, "item_id": word}, {"query": word, "quantity": -1})
    bad = rows.slice(2).append_column(C.REASON, pa.array(["quantity_not_positive"]))
    batch = landing.land(paths, "events", "shop-2017-03", rows)
    verdict = Verdict("shop-2017-03", "events", "pass", 3, {"quantity_not_positive": 1}, [])
    quarantine.set_aside(paths, batch, bad, verdict)
    landing.accept(paths, batch, rows.slice(0, 2), verdict)
    for contract, table in (("catalogue", catalogue("apple")), ("users", users(user("ann")))):
        landing.accept(paths, landing.land(paths, contract, "shop-2017-03-31", table), table, Verdict("shop-2017-03-31", contract, "pass", 1, {}, []))
    landing.hold(paths, landing.land(paths, "events", "shop-2017-04", rows), Verdict("shop-2017-04", "events", "hold", 3, {}, []))
    landing.land(paths, "events", "shop-2017-05", rows)


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_with_a_key_no_row_lies_readable_and_the_tables_are_the_same(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = load_params(checkout / "params.yaml")
    params = replace(params, data=replace(params.data, as_of=day(100)))
    plain, shut = Paths(tmp_path / "plain"), Paths(tmp_path / "shut")
    fill(plain)
    stage.make_tables(plain, params)
    monkeypatch.setenv(VARIABLE, as_text(KEY))
    fill(shut)
    stage.make_tables(shut, params)

    assert sum(CANARY in data for data in files(plain.root).values()) > 4
    assert [name for name, data in files(shut.root).items() if CANARY in data] == ["data/tables/events.parquet"]
    assert files(shut.tables) == files(plain.tables)
    assert quarantine.read(shut, "shop-2017-03").equals(quarantine.read(plain, "shop-2017-03"))
    assert quarantine.summary(shut) == {"quantity_not_positive": 1}
    assert landing.known_items(shut) == ["apple"]
    assert landing.land(shut, "events", "shop-2017-03", quarantine_free(shut)).landed


def quarantine_free(paths: Paths) -> pa.Table:
    """The rows as they were landed: the candidate of the next month has the same."""
    return read_parquet(paths.landing / "events" / "shop-2017-05" / landing.ROWS)


def test_the_same_rows_under_the_same_key_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, as_text(KEY))
    fill(Paths(tmp_path / "one"))
    fill(Paths(tmp_path / "two"))

    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_sealed_rows_that_are_damaged_or_lack_their_key_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(tmp_path)
    monkeypatch.setenv(VARIABLE, as_text(KEY))
    fill(paths)
    rows = paths.quarantine / "rows" / "events" / "shop-2017-03.parquet"
    monkeypatch.setenv(VARIABLE, as_text(OTHER))
    with pytest.raises(SealError, match="key that is not here") as caught:
        quarantine.read(paths, "shop-2017-03")
    assert caught.value.where == str(rows)

    monkeypatch.setenv(VARIABLE, as_text(OTHER, KEY))
    quarantine.drop(paths, "shop-2017-03", datetime(2021, 1, 1, tzinfo=UTC))
    rows = paths.raw / "events" / "shop-2017-03" / landing.ROWS
    rows.write_bytes(rows.read_bytes()[:-1])
    with pytest.raises(SealError, match="damaged") as caught:
        read_parquet(rows)
    assert caught.value.where == str(rows)
