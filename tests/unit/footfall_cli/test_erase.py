"""`footfall erase` on a root without DVC: who is meant, what is printed, and looking again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from footfall.contracts import EVENTS, C
from footfall.paths import Paths
from footfall.pseudonyms import pseudonym, write_key
from footfall.store import events, open_store
from footfall_cli.main import app

KEY = b"key"
OCTOBER = datetime(2017, 10, 1, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("{}\n")
    monkeypatch.setenv("FOOTFALL_ROOT", str(tmp_path))
    write_key(Paths(tmp_path).key, KEY)
    plain = {C.ITEM_ID: "i", C.EVENT_TYPE: "view", C.OCCURRED_AT: OCTOBER, C.RECEIVED_AT: OCTOBER, C.ORIGIN: "shop"}
    rows = [plain | {C.EVENT_ID: f"e{n}", C.USER_ID: pseudonym(f"shop-{n}", KEY)} for n in range(4)]
    engine = open_store(f"sqlite:///{Paths(tmp_path).store}")
    events.append(engine, pa.Table.from_pylist(rows, EVENTS.schema))
    engine.dispose()
    return tmp_path


def erase(*arguments: str, text: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["erase", *arguments], input=text)
    return done.exit_code, done.output


def stored(root: Path) -> int:
    engine = open_store(f"sqlite:///{Paths(root).store}")
    try:
        return events.count(engine)
    finally:
        engine.dispose()


def test_a_user_is_erased_by_the_shops_own_id_which_is_never_shown(root: Path) -> None:
    code, said = erase("shop-1")
    assert code == 0
    assert stored(root) == 3
    assert "shop-1" not in said
    assert pseudonym("shop-1", KEY) not in said
    (certificate,) = (Paths(root).reports / "erasures").glob("*.json")
    assert str(certificate) in said
    assert not {"shop-1", pseudonym("shop-1", KEY)} & set(certificate.read_text().replace('"', " ").split())
    for asked in ("shop-1", str(certificate), certificate.stem):
        assert "clean" in erase("--verify", asked)[1]


def test_looking_for_somebody_who_is_here_is_a_refusal_that_says_where(root: Path) -> None:
    code, said = erase("--verify", "shop-1")
    assert code == 1
    assert "1 in store events" in said
    code, said = erase("--verify", "shop-1", "--json")
    assert (code, json.loads(said)["clean"], json.loads(said)["left"]["store events"]) == (1, False, 1)


def test_a_pseudonym_a_file_and_standard_input_do_as_well(root: Path, tmp_path: Path) -> None:
    code, said = erase("--pseudonym", pseudonym("shop-0", KEY), "--json")
    assert (code, json.loads(said)["schema"], stored(root)) == (0, "footfall.erasure/1", 3)
    names = tmp_path / "names.txt"
    names.write_text("shop-1\n\nshop-2\n")
    assert len(json.loads(erase("--file", str(names), "--json")[1])) == 2
    assert erase("--file", "-", text="shop-3\n")[0] == 0
    assert stored(root) == 0
    assert json.loads(erase("--recorded", "--json")[1]) == []


def test_erasures_come_back_from_their_certificates_when_the_store_has_forgotten_them(root: Path) -> None:
    erase("shop-1")
    Paths(root).store.unlink()
    for beside in Paths(root).state.glob("store.db-*"):
        beside.unlink()
    engine = open_store(f"sqlite:///{Paths(root).store}")
    plain = {C.ITEM_ID: "i", C.EVENT_TYPE: "view", C.OCCURRED_AT: OCTOBER, C.RECEIVED_AT: OCTOBER, C.ORIGIN: "shop"}
    rows = [plain | {C.EVENT_ID: f"e{n}", C.USER_ID: pseudonym(f"shop-{n}", KEY)} for n in range(4)]
    events.append(engine, pa.Table.from_pylist(rows, EVENTS.schema))
    engine.dispose()
    assert erase("--recorded")[0] == 0
    assert stored(root) == 3


def test_without_the_key_nobody_is_guessed(root: Path) -> None:
    Paths(root).key.unlink()
    code, said = erase("shop-1")
    assert (code, stored(root)) == (1, 4)
    assert "--pseudonym" in said
    assert not Paths(root).key.exists()


def test_exactly_one_way_to_name_a_user_is_wanted(root: Path) -> None:
    assert erase()[0] == 2
    assert erase("shop-1", "--recorded")[0] == 2
