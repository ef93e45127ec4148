"""What the ingest flow owes its sources: it goes on where it was killed, and brings users' newest word to the next training."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from flows import ingest as ingest_module
from flows.ingest import ingest
from footfall.contracts import C
from footfall.documents import Verdict
from footfall.paths import Paths
from footfall.sources import landing
from footfall.sources.landing import Batch
from footfall.store import consent, open_store
from footfall.tables import read_parquet
from tests.flow.two_items import NOVEMBER, USER, TwoItems, event

OCTOBER = datetime(2017, 10, 1, tzinfo=UTC)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> TwoItems:
    """Twenty purchases in each of two months."""
    source = TwoItems([event(f"e{month}{day:02d}", datetime(2017, month, day, tzinfo=UTC)) for month in (9, 10) for day in range(1, 21)])
    monkeypatch.setattr(ingest_module, "open_source", lambda _name, _key: source)
    return source


def test_after_a_kill_the_next_ingest_asks_for_what_follows_the_last_month_that_passed(
    root: Path, shop: TwoItems, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = landing.accept

    def die(paths: Paths, batch: Batch, good: pa.Table, verdict: Verdict) -> Path:
        if batch.batch_id == "two_items-2017-10":
            raise KeyboardInterrupt
        return accept(paths, batch, good, verdict)

    with monkeypatch.context() as patch:
        patch.setattr(landing, "accept", die)
        with pytest.raises(KeyboardInterrupt):
            ingest(source="two_items", until=NOVEMBER)
    done = ingest(source="two_items", until=NOVEMBER)
    assert shop.asked == [None, OCTOBER]
    assert done["rows"]["events"] == 20
    assert len(landing.list_batches(Paths(root), "events")) == 2


def test_a_word_at_support_reaches_data_raw_with_the_next_ingest_and_tonights_feed_does_not_undo_it(root: Path, shop: TwoItems) -> None:
    ingest(source="two_items", until=NOVEMBER)
    engine = open_store(f"sqlite:///{Paths(root).store}")
    consent.say(engine, USER, {"personalise": False}, recorded_at=datetime(2017, 11, 2, tzinfo=UTC), source="support")
    later = datetime(2017, 11, 5, tzinfo=UTC)
    assert ingest(until=later)["batches"] == ["users/two_items-2017-11-01.consent-0001"]
    (*_, last) = landing.list_batches(Paths(root), "users")
    assert read_parquet(last / landing.ROWS).column(C.CONSENT).to_pylist() == ['{"personalise": false}']
    assert ingest(source="two_items", until=later)["batches"] == []
    assert consent.refusals(engine, "personalise") == {USER}
    engine.dispose()
