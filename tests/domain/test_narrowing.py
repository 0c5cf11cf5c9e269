"""Combined windows and rules, never wider than one of them, and area codes."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from phonenumbers.geodata import GEOCODE_DATA

from chalicelib.domain.caps import Cap
from chalicelib.domain.narrowing import narrowed
from chalicelib.domain.number_zone_tables import OVERLAYS
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.rules import Rules
from chalicelib.domain.us_states import states_by_area_code
from chalicelib.domain.window import WEEK, Interval, Weekday, Window, interval, is_open, never_opens, next_opening
from tests.domain.test_window import moments, places, windows

NIGHT = Window(open={day: (interval("20:00", "10:00"),) for day in WEEK})
DAY = Window(open={day: (interval("08:00", "21:00"),) for day in WEEK})


@given(windows, windows, moments, places)
@settings(max_examples=100, deadline=None)
def test_both_windows_are_open_in_each_minute_of_the_narrowed_one(
    one: Window, other: Window, start: datetime, zones: tuple[str, ...]
) -> None:
    both = narrowed(one, other)
    # A day off of one window is a day off in the other window too, with its eve and with the night that follows it.
    exact = [replace(window, holidays=both.holidays, closed=both.closed) for window in (one, other)]
    for minutes in range(0, 3 * 1440, 47):
        at = start + timedelta(minutes=minutes)
        shown = is_open(both, at, zones)
        assert shown == all(is_open(window, at, zones) for window in exact)
        assert shown <= all(is_open(window, at, zones) for window in (one, other))
        if one.holidays == other.holidays and one.closed == other.closed:
            assert shown == all(is_open(window, at, zones) for window in (one, other))


def test_hours_past_midnight_stay_those_of_the_day_that_they_began_on() -> None:
    both = narrowed(NIGHT, narrowed(DAY, Window(closed=(date(2026, 2, 3),))))
    shown = [is_open(both, datetime(2026, 2, day, 9, tzinfo=UTC), ("UTC",)) for day in (2, 3, 4, 5)]
    assert shown == [True, False, False, True]  # on the 4th the hours would have begun on the 3rd


def test_windows_without_a_common_minute_never_open() -> None:
    both = narrowed(DAY, Window(open={Weekday.MONDAY: (interval("06:00", "07:00"),)}))
    assert never_opens(both)
    assert next_opening(both, datetime(2026, 2, 3, tzinfo=UTC), ("UTC",)) is None


def test_windows_of_two_zones_are_not_combined() -> None:
    with pytest.raises(ValueError, match="'recipient' and 'Europe/Paris' cannot be combined; give both"):
        narrowed(DAY, Window("Europe/Paris"))


def test_rules_keep_all_caps_all_days_off_and_the_longer_quiet() -> None:
    one = Rules(
        Window(holidays=("FR",), closed=(date(2026, 12, 24),), eves=(Interval(600, 1140),)),
        (Cap(3, 24),),
        {Outcome.COMPLETED: 168},
        ("fr",),
    )
    other = Rules(Window(holidays=("DE", "FR")), (Cap(3, 24), Cap(1, 2)), {Outcome.COMPLETED: 2, Outcome.BUSY: 1})
    assert one.narrowed_by(other) == Rules(
        Window(holidays=("FR", "DE"), closed=(date(2026, 12, 24),), eves=(Interval(600, 1140),)),
        (Cap(3, 24), Cap(1, 2)),
        {Outcome.BUSY: 1, Outcome.COMPLETED: 168},
        ("fr",),
    )


#: the geocoder's name of a state, if it names a town of the state or spells it differently
SPELLED = {
    "Chicago, IL": "Illinois",
    "Los Angeles, CA": "California",
    "New York, NY": "New York",
    "Palm Beach, FL": "Florida",
    "Philadelphia, PA": "Pennsylvania",
    "San Antonio, TX": "Texas",
    "Washington D.C.": "District of Columbia",
    "Washington State": "Washington",
}
CANADA = "Alberta|British|Manitoba|QC|Brunswick|Labrador|Territories|Scotia|Ontario|Quebec|Saskatchewan|ON"


def test_an_area_code_is_in_the_state_that_the_geocoder_names() -> None:
    named = {code[1:]: name["en"] for code, name in GEOCODE_DATA.items() if len(code) == 4 and code[0] == "1"}
    american = {
        code: SPELLED.get(name, name).lower().replace(" ", "-")
        for code, name in named.items()
        if not re.search(CANADA, name)
    }
    table = states_by_area_code()
    assert len(american) > 350
    assert {code: table.get(code) for code in american} == {code: (state,) for code, state in american.items()}
    for code, parents in OVERLAYS.items():
        assert table.get(code) == table.get(parents[0]), code
