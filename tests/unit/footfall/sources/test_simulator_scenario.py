"""The word that opens a simulated shop: options, drifts, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.errors import SourceError
from footfall.pseudonyms import DEMO_KEY
from footfall.sources import open_source
from footfall.sources.simulator import Scenario, read_scenario
from footfall.sources.simulator.scenario import DRIFTS, Drift


def test_options_stand_behind_a_colon() -> None:
    word = "simulator:users=20000,seed=3,drift=taste_shift@2021-05-01,start=2021-02-01,drift=price_rise@2021-06-01,faults=0.01"

    scenario = read_scenario(word)

    assert scenario == Scenario(
        seed=3,
        users=20000,
        start=date(2021, 2, 1),
        faults=0.01,
        drifts=(Drift("taste_shift", date(2021, 5, 1)), Drift("price_rise", date(2021, 6, 1))),
    )


def test_without_options_it_is_the_scenario_of_the_defaults() -> None:
    assert read_scenario("simulator") == read_scenario("simulator:") == Scenario()


@given(
    st.builds(
        Scenario,
        seed=st.integers(0, 2**62),
        users=st.integers(10, 10**6),
        items=st.integers(120, 10**6),
        start=st.dates(date(1990, 1, 1), date(2050, 1, 1)),
        end=st.dates(date(2050, 1, 2), date(2100, 1, 1)),
        faults=st.floats(0, 0.5),
        drifts=st.lists(st.builds(Drift, st.sampled_from(sorted(DRIFTS)), st.dates()), unique_by=lambda drift: drift.name).map(tuple),
    )
)
def test_the_text_of_a_scenario_opens_it_again(scenario: Scenario) -> None:
    assert read_scenario(scenario.text()) == scenario


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("users=many", "a number"),
        ("users=3", "10 to 1000000"),
        ("items=50", "120 to 1000000"),
        ("seed=-1", "0 or more"),
        ("faults=0.9", "0 to 0.5"),
        ("start=tomorrow", "a date as YYYY-MM-DD"),
        ("end=2020-12-31", "after 2021-01-01"),
        ("colour=red", "once each: seed, users"),
        ("users=100,users=200", "once each: seed, users"),
        ("drift=taste_shift", "NAME@YYYY-MM-DD"),
        ("drift=earthquake@2021-05-01", "taste_shift, assortment_change"),
        ("drift=price_rise@2021-05-01,drift=price_rise@2021-06-01", "each drift once"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_what_would_be_right(option: str, says: str) -> None:
    with pytest.raises(SourceError, match="option of the simulator cannot be used") as refused:
        open_source(f"simulator:{option}", DEMO_KEY)

    assert says in str(refused.value.expected)
