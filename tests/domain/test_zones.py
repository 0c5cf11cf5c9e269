"""Zones come from the tzdata package; and when a time of day comes in a zone."""

import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from importlib import metadata, resources
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.zones import RELEASED_ON, names, next_shared_time, next_wall_time, release, zone

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["Mars/Olympus", "asia/kolkata", "America", "localtime", "", "../etc/passwd"])
def test_a_zone_is_known_by_its_name_in_tzdata_and_by_no_other(name: str) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone; use a name such as 'Asia/Kolkata'"):
        zone(name)


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
    place = zone(name)

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


@given(
    st.sampled_from([day for days in CHANGES.values() for day in days]),
    st.lists(st.sampled_from([*CHANGES, "Asia/Kolkata", "Europe/Paris"]), min_size=2, max_size=4, unique=True),
    st.integers(-1440, 2880),
    st.sets(st.one_of(st.integers(0, 1439), st.integers(60, 180)), min_size=1, max_size=3),
)
@settings(max_examples=20, deadline=None)
def test_each_minute_of_a_day_happens_once_in_the_first_of_the_zones(
    day: datetime, zone_names: list[str], minutes_on: int, minutes: set[int]
) -> None:
    due = day + timedelta(minutes=minutes_on)
    instant = due - timedelta(days=1)
    shown = {name: instant.astimezone(zone(name)).replace(tzinfo=None) for name in zone_names}
    happened: set[datetime] = set()
    found: datetime | None = None
    while found is None:
        instant += timedelta(minutes=1)
        for name in zone_names:
            wall = instant.astimezone(zone(name)).replace(tzinfo=None)
            while shown[name] < wall:
                shown[name] += timedelta(minutes=1)
                if shown[name].hour * 60 + shown[name].minute in minutes and shown[name] not in happened:
                    happened.add(shown[name])
                    found = instant if instant >= due else found
    assert next_shared_time(due, minutes, zone_names) == found


def _rules_of_the_package(name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


@pytest.mark.parametrize("machine", ["old", "absent", "as it is"])
def test_every_zone_comes_from_the_package_on_any_machine(machine: str, tmp_path: Path) -> None:
    # Given a machine without zone tables, or with tables that are wrong for every name
    environment = dict(os.environ)
    if machine != "as it is":
        environment["PYTHONTZPATH"] = str(tmp_path)
    if machine == "old":
        for name in names():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(_rules_of_the_package("Asia/Kathmandu"))
    # When a new process computes the offsets of every zone
    program = (
        "import json; from datetime import UTC, datetime, timedelta;"
        "from chalicelib.domain.zones import names, zone;"
        "days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=7 * n) for n in range(60)];"
        "print(json.dumps({n: [d.astimezone(zone(n)).utcoffset().total_seconds() for d in days] for n in names()}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, check=True, text=True
    )
    # Then they are those of the package
    shown = json.loads(run.stdout)
    days = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=7 * n) for n in range(60)]
    for name in names():
        place = ZoneInfo.from_file(io.BytesIO(_rules_of_the_package(name)))
        offsets = [at.astimezone(place).utcoffset() for at in days]
        assert shown[name] == [offset.total_seconds() for offset in offsets if offset is not None], name


def test_a_zone_is_made_once_and_knows_its_name() -> None:
    assert zone("Asia/Kolkata") is zone("Asia/Kolkata")
    assert zone("Asia/Kolkata").key == str(zone("Asia/Kolkata")) == "Asia/Kolkata"


def test_only_the_loader_makes_zones_from_names() -> None:
    sources = [ROOT / "app.py", *(p for d in ("chalicelib", "ops", "tests") for p in (ROOT / d).rglob("*.py"))]
    allowed = {"chalicelib/domain/zones.py", "tests/domain/test_zones.py"}
    found = {
        str(path.relative_to(ROOT))
        for path in sources
        if re.search(r"^\s*(from|import) (zoneinfo|pytz|dateutil\.tz)\b|\bZoneInfo\(", path.read_text(), re.MULTILINE)
    }
    assert found <= allowed


def test_the_day_of_release_is_that_of_the_pinned_package() -> None:
    # A new pin needs the package's release day: `pip download tzdata`, then the time stamps in the wheel.
    assert (metadata.version("tzdata"), release(), RELEASED_ON) == ("2026.6", "2026f", date(2026, 10, 28))
