"""The opening of windows: usual cases, clock changes, and a slow oracle."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from chalicelib.domain.window import (
    WEEK,
    Interval,
    Opening,
    Weekday,
    Window,
    interval,
    interval_of_minutes,
    is_open,
    never_opens,
    next_opening,
    until_midnight,
)
from chalicelib.domain.zones import zone as zone_of

KOLKATA = ("Asia/Kolkata",)
NEW_YORK = ("America/New_York",)
NINE_TO_NINE = Window(open={day: (interval("09:00", "21:00"),) for day in WEEK})
LUNCH = Window(
    pause={Weekday.MONDAY: (interval("12:00", "14:00"), interval_of_minutes(18 * 60, until_midnight(23 * 60 + 59)))}
)
LATE_FRIDAY = Window(open={Weekday.FRIDAY: (interval("19:00", "02:00"),)})


def at(text: str, zone: str = "UTC") -> datetime:
    """Return a time. 2026-01-26 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=zone_of(zone)).astimezone(UTC)


def daily(start: str, end: str) -> Window:
    return Window(open={day: (interval(start, end),) for day in WEEK})


@pytest.mark.parametrize(
    ("window", "due", "opens", "steps"),
    [
        (LUNCH, "2026-01-26T12:10", "2026-01-26T14:00", ("12:10 local, inside pause 12:00-14:00 → 14:00",)),
        (LUNCH, "2026-01-26T18:30", "2026-01-27T00:00", ("18:30 local, inside pause 18:00-24:00 → tuesday 00:00",)),
        (LUNCH, "2026-01-26T23:59:30", "2026-01-27T00:00", ("23:59 local, inside pause 18:00-24:00 → tuesday 00:00",)),
        (LUNCH, "2026-01-26T11:59:59.5", "2026-01-26T11:59:59.5", ()),
        (
            NINE_TO_NINE,
            "2026-01-26T21:30",
            "2026-01-27T09:00",
            ("21:30 local, after the last opening of monday → tuesday 09:00",),
        ),
        (
            NINE_TO_NINE,
            "2026-01-26T04:00",
            "2026-01-26T09:00",
            ("04:00 local, before the first opening of monday → 09:00",),
        ),
        (
            Window(open={Weekday.MONDAY: (interval("10:00", "13:00"), interval("14:00", "20:00"))}),
            "2026-01-26T13:00",
            "2026-01-26T14:00",
            ("13:00 local, between the openings of monday → 14:00",),
        ),
        (
            Window(open={Weekday.MONDAY: (interval("10:00", "13:00"),)}),
            "2026-01-26T13:00",
            "2026-02-02T10:00",
            ("13:00 local, after the last opening of monday → monday 2026-02-02 10:00",),
        ),
        (
            LATE_FRIDAY,
            "2026-01-29T20:00",
            "2026-01-30T19:00",
            ("20:00 local, closed on thursday → friday 19:00",),
        ),
        (
            Window(pause={Weekday.SUNDAY: (interval("22:00", "06:00"),)}),
            "2026-01-26T05:00",
            "2026-01-26T06:00",
            ("05:00 local, inside pause 22:00-06:00 → 06:00",),
        ),
        (
            Window(open={day: (interval("20:00", "04:00"),) for day in WEEK}, holidays=("IN",)),
            "2026-01-27T01:00",
            "2026-01-27T20:00",
            ("2026-01-26 is a holiday in IN → 20:00",),
        ),
        (
            Window(open=NINE_TO_NINE.open, holidays=("IN",)),
            "2026-01-25T21:30",
            "2026-01-27T09:00",
            (
                "21:30 local, after the last opening of sunday → monday 09:00",
                "2026-01-26 is a holiday in IN → tuesday 09:00",
            ),
        ),
    ],
)
def test_a_retry_in_closed_hours_is_rescheduled_to_the_next_opening(
    window: Window, due: str, opens: str, steps: tuple[str, ...]
) -> None:
    assert next_opening(window, at(due, *KOLKATA), KOLKATA) == Opening(at(opens, *KOLKATA), steps)


@pytest.mark.parametrize(
    ("window", "local", "expected"),
    [
        (NINE_TO_NINE, "2026-01-26T08:59:59.999999", False),
        (NINE_TO_NINE, "2026-01-26T09:00", True),
        (NINE_TO_NINE, "2026-01-26T20:59:59", True),
        (NINE_TO_NINE, "2026-01-26T21:00", False),
        (LATE_FRIDAY, "2026-01-30T01:00", False),
        (LATE_FRIDAY, "2026-01-30T23:59:59", True),
        (LATE_FRIDAY, "2026-01-31T01:00", True),
        (LATE_FRIDAY, "2026-01-31T02:00", False),
        (LATE_FRIDAY, "2026-01-31T19:00", False),
        (Window(), "2026-01-26T03:00", True),
        (Window(open={}), "2026-01-26T03:00", True),
        (Window(open={Weekday.MONDAY: ()}), "2026-01-26T12:00", False),
        (Window(holidays=("IN",)), "2026-01-26T12:00", False),
        # 2026-12-25 is a Friday: its evening is closed, also after midnight
        (Window(open=LATE_FRIDAY.open, holidays=("US",)), "2026-12-26T01:00", False),
        # 2027-01-01 is a Friday too. The Thursday before is not a holiday, so its hours end at midnight.
        (Window(open={Weekday.THURSDAY: (interval("19:00", "02:00"),)}, holidays=("US",)), "2026-12-31T23:59", True),
        (Window(open={Weekday.THURSDAY: (interval("19:00", "02:00"),)}, holidays=("US",)), "2027-01-01T00:00", False),
    ],
)
def test_a_window_is_open_by_local_time_until_before_its_last_minute(
    window: Window, local: str, expected: bool
) -> None:
    assert is_open(window, at(local, *KOLKATA), KOLKATA) is expected


def test_a_window_in_several_zones_opens_with_the_last_zone() -> None:
    zones = ("Australia/Perth", "Australia/Sydney")
    assert next_opening(NINE_TO_NINE, at("2026-07-06T22:30", "Australia/Sydney"), zones) == Opening(
        at("2026-07-07T09:00", "Australia/Perth"),
        (
            "Australia/Sydney: 22:30 local, after the last opening of monday → tuesday 09:00",
            "Australia/Perth: 07:00 local, before the first opening of tuesday → 09:00",
        ),
    )


def test_a_window_with_an_unknown_zone_is_never_open() -> None:
    assert not is_open(Window(), at("2026-01-26T12:00"), ())
    assert next_opening(Window(), at("2026-01-26T12:00"), ()) is None


def test_zones_without_a_common_hour_have_no_opening() -> None:
    morning = daily("09:00", "10:00")
    assert next_opening(morning, at("2026-01-26T12:00"), ("Asia/Kolkata", "America/New_York")) is None


def test_an_opening_past_the_horizon_is_none() -> None:
    due = at("2026-01-24T20:00")
    assert next_opening(LATE_FRIDAY, due, ("UTC",), horizon_days=5) is None
    assert next_opening(LATE_FRIDAY, due, ("UTC",), horizon_days=6) is not None


@pytest.mark.parametrize(
    ("window", "due", "zone", "opens"),
    [
        # New York, 2026-03-08: 02:00 becomes 03:00 at 07:00 UTC
        (daily("02:30", "05:00"), "2026-03-08T05:00", "America/New_York", "2026-03-08T07:00"),
        (daily("02:15", "02:45"), "2026-03-08T05:00", "America/New_York", "2026-03-09T06:15"),
        (daily("09:00", "21:00"), "2026-03-08T02:30", "America/New_York", "2026-03-08T13:00"),
        # New York, 2026-11-01: 02:00 becomes 01:00 at 06:00 UTC; the first 01:30 is at 05:30 UTC, the second at 06:30
        (daily("01:30", "05:00"), "2026-11-01T04:00", "America/New_York", "2026-11-01T05:30"),
        (daily("01:30", "05:00"), "2026-11-01T06:10", "America/New_York", "2026-11-01T06:30"),
        (daily("01:15", "01:40"), "2026-11-01T05:45", "America/New_York", "2026-11-01T06:15"),
        # Paris, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC; 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC
        (daily("02:30", "05:00"), "2026-03-29T00:00", "Europe/Paris", "2026-03-29T01:00"),
        (daily("02:30", "05:00"), "2026-10-24T23:00", "Europe/Paris", "2026-10-25T00:30"),
        # Lord Howe changes by 30 min: 2026-10-04, 02:00 becomes 02:30 at 15:30 UTC; 2026-04-05, 01:30 at 15:00 UTC
        (daily("02:10", "04:00"), "2026-10-03T15:00", "Australia/Lord_Howe", "2026-10-03T15:30"),
        (daily("01:45", "04:00"), "2026-04-04T14:00", "Australia/Lord_Howe", "2026-04-04T14:45"),
        (daily("01:45", "04:00"), "2026-04-04T15:05", "Australia/Lord_Howe", "2026-04-04T15:15"),
        (daily("09:00", "21:00"), "2026-01-26T00:00", "Asia/Kathmandu", "2026-01-26T03:15"),
        # Samoa had no 30 December 2011: Thursday the 29th (UTC-10) was followed by Saturday the 31st (UTC+14)
        (daily("09:00", "17:00"), "2011-12-30T06:00", "Pacific/Apia", "2011-12-30T19:00"),
    ],
)
def test_on_the_days_when_clocks_change_it_opens_by_what_they_show(
    window: Window, due: str, zone: str, opens: str
) -> None:
    opening = next_opening(window, at(due), (zone,))
    assert opening is not None
    assert opening.at == at(opens)


def test_the_steps_show_a_skipped_opening() -> None:
    opening = next_opening(daily("02:30", "05:00"), at("2026-03-08T05:00"), NEW_YORK)
    assert opening is not None
    assert opening.steps == ("00:00 local, before the first opening of sunday → 03:00",)


@pytest.mark.parametrize(
    ("window", "never"),
    [
        (Window(), False),
        (NINE_TO_NINE, False),
        (Window(open={Weekday.MONDAY: ()}), True),
        (Window(pause={day: (interval("00:00", "24:00"),) for day in WEEK}), True),
        (Window(pause={day: (interval("09:00", "08:59"),) for day in WEEK}), False),
        (Window(open=NINE_TO_NINE.open, pause={day: (interval("21:00", "09:01"),) for day in WEEK}), False),
        (Window(open=NINE_TO_NINE.open, pause={day: (interval("08:00", "21:00"),) for day in WEEK}), True),
        (Window(open=LATE_FRIDAY.open, pause=LATE_FRIDAY.open or {}), True),
    ],
)
def test_a_window_that_its_pauses_leave_nothing_of_is_known_never_to_open(window: Window, never: bool) -> None:
    assert never_opens(window) is never
    assert (next_opening(window, at("2026-01-26T12:00"), KOLKATA) is None) is never


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("09:00", "21:00", Interval(540, 1260)),
        ("9:05", "24:00", Interval(545, 1440)),
        ("19:00", "02:00", Interval(1140, 1560)),
        ("22:00", "00:00", Interval(1320, 1440)),
        ("00:00", "24:00", Interval(0, 1440)),
    ],
)
def test_an_interval_is_read_from_wall_times(start: str, end: str, expected: Interval) -> None:
    assert interval(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        ("09:00", "09:00", "09:00-09:00 is empty; end it later, or use 00:00-24:00 for a whole day"),
        ("25:00", "21:00", "'25:00' is not a time of day; use HH:MM on the 24-hour clock, such as '09:00' or '21:30'"),
        ("9am", "21:00", "'9am' is not a time of day; use HH:MM on the 24-hour clock, such as '09:00' or '21:30'"),
        ("09:60", "21:00", "'09:60' is not a time of day; use HH:MM on the 24-hour clock, such as '09:00' or '21:30'"),
        ("24:00", "06:00", "24:00 can only be an end; start at 00:00 of the day after"),
    ],
)
def test_a_bad_interval_is_named_with_what_would_be_right(start: str, end: str, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        interval(start, end)
    assert str(error.value) == message


def test_overlapping_intervals_are_merged_and_a_window_says_it_once() -> None:
    window = Window(open={Weekday.MONDAY: (interval("12:00", "14:00"), interval("09:00", "13:00"))})
    assert window.open == {Weekday.MONDAY: (Interval(540, 840),)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is not an IANA time zone; use a name such as 'Asia/Kolkata'"),
        (
            {"holidays": ["US", "US-ZZ"]},
            "no public holidays are known for 'US-ZZ'; use an ISO code such as 'IN', 'US'",
        ),
        ({"holidays": ["usa"]}, "no public holidays are known for 'usa'"),
        (
            {"open": {"monday": [{"start_minute": 2880, "end_minute": 2881}]}},
            "start_minute 2880 is not within two",
        ),
        ({"open": {"monday": [{"start_minute": 600, "end_minute": 540}]}}, "end_minute 540 must lie after"),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_the_reason(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Window).validate_python(fields)
    assert message in str(error.value)


ZONES = (
    "Africa/Casablanca",
    "America/New_York",
    "America/Nuuk",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Europe/Paris",
    "Pacific/Apia",
)
FIRST_AT = datetime(2018, 1, 1, tzinfo=UTC)
TEN_YEARS_MINUTES = 3652 * 1440
SCAN_DAYS = 3


def changes() -> list[datetime]:
    """Return the days in ten years on which one of the zones changes its clocks."""
    found = []
    for name in ZONES:
        days = [FIRST_AT + timedelta(days=n) for n in range(3652)]
        shown = [day.astimezone(zone_of(name)).utcoffset() for day in days]
        found += [day for day, now, then in zip(days, shown, shown[1:], strict=False) if now != then]
    return found


moments = st.one_of(
    st.integers(0, TEN_YEARS_MINUTES * 60).map(lambda seconds: FIRST_AT + timedelta(seconds=seconds)),
    st.builds(
        lambda day, minutes: day + timedelta(minutes=minutes), st.sampled_from(changes()), st.integers(-600, 2880)
    ),
)
intervals = st.builds(
    lambda start, minutes: Interval(start, start + minutes),
    st.one_of(st.integers(0, 1439), st.integers(60, 200)),
    st.one_of(st.integers(1, 1440), st.integers(1, 90)),
)
weeks = st.dictionaries(st.sampled_from(WEEK), st.lists(intervals, max_size=3).map(tuple))
windows = st.builds(
    Window,
    open=st.none() | weeks,
    pause=weeks,
    holidays=st.sampled_from([(), (), (), ("US",), ("FR", "US")]),
    closed=st.sampled_from([(), (), (date(2019, 3, 31), date(2026, 10, 25))]),
    eves=st.sampled_from([None, None, (Interval(600, 1140),)]),
)
places = st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True).map(tuple)


@lru_cache
def days_off(country: str, year: int) -> frozenset[object]:
    return frozenset(holidays.country_holidays(country, years=year))


def oracle(window: Window, instant: datetime, zones: tuple[str, ...]) -> bool:
    """Return True if the window is open, by a slow and simple check.

    It reads the local time and examines all openings of that day and of the day before.
    """

    def runs(week: Mapping[Weekday, tuple[Interval, ...]], starts_count: bool) -> bool:
        for age in (0, 1):
            began = wall.date() - timedelta(days=age)
            if starts_count and off(began):
                continue
            minute = wall.hour * 60 + wall.minute + 1440 * age
            if any(minute in range(one.start_minute, one.end_minute) for one in week.get(WEEK[began.weekday()], ())):
                return True
        return False

    def holiday(day: date) -> bool:
        return any(day in days_off(code, day.year) for code in window.holidays)

    def off(day: date) -> bool:
        return holiday(day) or day in window.closed

    for name in zones:
        wall = instant.astimezone(zone_of(name))
        if window.eves is not None and holiday(wall.date() + timedelta(days=1)):
            minute = wall.hour * 60 + wall.minute
            if not any(one.start_minute <= minute < one.end_minute for one in window.eves):
                return False
        if off(wall.date()) or (window.open and not runs(window.open, True)) or runs(window.pause, False):
            return False
    return True


@pytest.mark.slow
@given(windows, moments, places)
@settings(max_examples=150, deadline=None)
def test_the_next_opening_is_the_first_open_minute_in_every_zone(
    window: Window, due: datetime, zones: tuple[str, ...]
) -> None:
    opening = next_opening(window, due, zones, horizon_days=SCAN_DAYS)

    assert opening == next_opening(window, due, zones, horizon_days=SCAN_DAYS)
    assert is_open(window, due, zones) == oracle(window, due, zones)
    if oracle(window, due, zones):
        assert opening == Opening(due)
        return
    end = opening.at if opening else due + timedelta(days=SCAN_DAYS, seconds=1)
    assert opening is None or (
        due < opening.at <= due + timedelta(days=SCAN_DAYS) and oracle(window, opening.at, zones)
    )
    assert opening is None or opening.at.second == opening.at.microsecond == 0
    minute = due.replace(second=0) + timedelta(minutes=1)
    while minute < end:
        assert not oracle(window, minute, zones), f"open at {minute} already"
        minute += timedelta(minutes=1)


@given(windows, st.sampled_from(changes()), places)
@settings(max_examples=40, deadline=None)
def test_is_open_matches_the_oracle_around_each_clock_change(
    window: Window, day: datetime, zones: tuple[str, ...]
) -> None:
    for minutes in range(-120, 1560):
        instant = day + timedelta(minutes=minutes)
        assert is_open(window, instant, zones) == oracle(window, instant, zones), instant


@given(windows)
def test_a_window_survives_its_snapshot(window: Window) -> None:
    adapter = TypeAdapter(Window)
    assert adapter.validate_python(adapter.dump_python(window, mode="json")) == window
    assert adapter.validate_json(adapter.dump_json(window)) == window
