"""Which zones a number can be in, and when a time of day comes there."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers.tzdata import TIMEZONE_DATA

from chalicelib.domain import zones
from chalicelib.domain.zones import contact_zones, next_wall_time, zone, zones_of


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+919876543210", ("Asia/Kolkata",)),
        ("+14155552671", ("America/Los_Angeles",)),
        ("+12085551234", ("America/Boise", "America/Los_Angeles")),
        ("+34612345678", ("Atlantic/Canary", "Europe/Madrid")),
        # the five countries that the map has wrong
        ("+212612345678", ("Africa/Casablanca", "Africa/El_Aaiun")),
        ("+213551234567", ("Africa/Algiers",)),
        ("+218912345678", ("Africa/Tripoli",)),
        ("+50581234567", ("America/Managua",)),
        ("+211977123456", ("Africa/Juba",)),
        ("+74012123456", ("Europe/Kaliningrad",)),
        # those that it gives too few zones
        ("+6281234567890", ("Asia/Jakarta", "Asia/Jayapura", "Asia/Makassar")),
        ("+62411123456", ("Asia/Makassar",)),
        ("+18502345678", ("America/Chicago", "America/New_York")),
        ("+14232345678", ("America/Chicago", "America/New_York")),
        ("+67570123456", ("Pacific/Bougainville", "Pacific/Port_Moresby")),
        # nothing is known
        ("+870773111632", ()),
        ("+15550001111", ()),
        ("+21261", ()),
        ("not a number", ()),
    ],
)
def test_a_number_has_every_zone_that_it_can_be_in(number: str, expected: tuple[str, ...]) -> None:
    assert zones_of(number) == expected


def test_a_mobile_of_a_wide_country_is_in_all_of_its_zones() -> None:
    assert {"Australia/Darwin", "Australia/Perth", "Australia/Sydney"} < set(zones_of("+61412345678"))
    russian = zones_of("+79161234567")
    assert {"Europe/Kaliningrad", "Asia/Kamchatka"} < set(russian)
    assert "Europe/Bucharest" not in russian


def test_the_contacts_own_zone_wins_over_its_number() -> None:
    assert contact_zones("Europe/Paris", "+919876543210") == ("Europe/Paris",)
    assert contact_zones(None, "+919876543210") == ("Asia/Kolkata",)
    assert contact_zones("", "+919876543210") == ("Asia/Kolkata",)


@pytest.mark.parametrize("name", ["Mars/Olympus", "asia/kolkata", "America", "localtime", "", "../etc/passwd"])
def test_a_zone_is_known_by_its_name_in_tzdata_and_by_no_other(name: str) -> None:
    with pytest.raises(ValueError, match="is no IANA time zone; use a name such as 'Asia/Kolkata'"):
        zone(name)


def test_every_zone_of_the_map_and_of_the_tables_is_one_that_tzdata_has() -> None:
    mapped = {name for names in TIMEZONE_DATA.values() for name in names}
    tables = {name for names in (*zones.CORRECTED.values(), *zones.ALSO.values()) for name in names}
    for name in {zones.RENAMED.get(one, one) for one in mapped | tables | set(zones.MISPLACED.values())}:
        assert zone(name).key == name
    assert set(zones.RENAMED) <= mapped


def test_a_renamed_zone_shows_the_same_time() -> None:
    for old, new in zones.RENAMED.items():
        for year in range(2016, 2037):
            for month in (1, 4, 7, 10):
                instant = datetime(year, month, 1, tzinfo=UTC)
                assert instant.astimezone(ZoneInfo(old)).utcoffset() == instant.astimezone(zone(new)).utcoffset()


@pytest.mark.parametrize(
    ("due", "minutes", "name", "expected"),
    [
        ("2026-01-26T04:30:00", [600, 840], "Asia/Kolkata", "2026-01-26T04:30:00"),
        ("2026-01-26T04:30:01", [600, 840], "Asia/Kolkata", "2026-01-26T08:30:00"),
        ("2026-01-26T08:30:01", [600, 840], "Asia/Kolkata", "2026-01-27T04:30:00"),
        # skipped in New York on 2026-03-08: happens at 03:00, once
        ("2026-03-08T05:00:00", [150], "America/New_York", "2026-03-08T07:00:00"),
        ("2026-03-08T07:00:00", [150], "America/New_York", "2026-03-08T07:00:00"),
        ("2026-03-08T07:00:01", [150], "America/New_York", "2026-03-09T06:30:00"),
        # shown twice there on 2026-11-01: happens the first time
        ("2026-11-01T05:00:00", [90], "America/New_York", "2026-11-01T05:30:00"),
        ("2026-11-01T05:30:01", [90], "America/New_York", "2026-11-02T06:30:00"),
        # skipped in Nuuk on 2026-03-28 from 23:00: happens as the 29th begins
        ("2026-03-29T00:00:00", [1410], "America/Nuuk", "2026-03-29T01:00:00"),
        ("2026-03-29T01:00:00", [1410], "America/Nuuk", "2026-03-29T01:00:00"),
        # Samoa had no 2011-12-30
        ("2011-12-30T06:00:00", [540], "Pacific/Apia", "2011-12-30T19:00:00"),
    ],
)
def test_a_time_of_day_comes_once_a_day(due: str, minutes: list[int], name: str, expected: str) -> None:
    instant = datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert next_wall_time(instant, minutes, name) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("minutes", [[], [-1], [1440], [600, 2000]])
def test_a_time_outside_the_day_is_refused(minutes: list[int]) -> None:
    with pytest.raises(ValueError, match="minutes of the day run from 0 to 1439, one at least"):
        next_wall_time(datetime(2026, 1, 26, tzinfo=UTC), minutes, "Asia/Kolkata")


CHANGES = {
    "Africa/Casablanca": (datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 3, 22, tzinfo=UTC)),
    "America/New_York": (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)),
    "America/Nuuk": (datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)),
    "Australia/Lord_Howe": (datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)),
}


@given(
    st.sampled_from([(name, day) for name, days in CHANGES.items() for day in days]),
    st.integers(-1440, 2880),
    st.sets(st.one_of(st.integers(0, 1439), st.integers(60, 180)), min_size=1, max_size=3),
)
@settings(max_examples=100, deadline=None)
def test_no_minute_before_the_next_time_of_day_shows_or_skips_it(
    change: tuple[str, datetime], minutes_on: int, minutes: set[int]
) -> None:
    name, day = change
    due = day + timedelta(minutes=minutes_on)
    place = ZoneInfo(name)

    def happens(instant: datetime) -> bool:
        wall = instant.astimezone(place)
        before = (instant - timedelta(minutes=1)).astimezone(place).replace(tzinfo=None)
        skipped = before + timedelta(minutes=1)
        while skipped < wall.replace(tzinfo=None):
            if skipped.hour * 60 + skipped.minute in minutes:
                return True
            skipped += timedelta(minutes=1)
        return wall.fold == 0 and wall.hour * 60 + wall.minute in minutes

    instant = due
    while not happens(instant):
        instant += timedelta(minutes=1)
    assert next_wall_time(due, minutes, name) == instant
