"""The rows of the presets, as a table of first and last minutes."""

from datetime import UTC, date, datetime, timedelta

import pytest

from chalicelib.domain.presets import PRESETS, PresetCap, preset
from chalicelib.domain.window import RECIPIENT, is_open, never_opens
from chalicelib.domain.zones import zone as zone_of

PARIS, LONDON, SYDNEY, TORONTO = "Europe/Paris", "Europe/London", "Australia/Sydney", "America/Toronto"


@pytest.mark.parametrize(
    ("name", "zone", "local", "expected"),
    [
        ("us-federal", "America/New_York", "2026-01-25T08:00", True),
        ("us-federal", "America/New_York", "2026-01-25T20:59", True),
        ("us-federal", "America/New_York", "2026-01-25T21:00", False),
        ("us-florida", "America/New_York", "2026-01-25T07:59", False),
        ("us-florida", "America/New_York", "2026-01-25T20:00", False),
        ("in-trai", "Asia/Kolkata", "2026-01-26T08:59", False),
        ("in-trai", "Asia/Kolkata", "2026-01-26T20:59", True),
        ("in-trai", "Asia/Kolkata", "2026-01-26T21:00", False),
        ("fr", PARIS, "2026-01-26T10:00", True),
        ("fr", PARIS, "2026-01-26T13:00", False),
        ("fr", PARIS, "2026-01-26T19:59", True),
        ("fr", PARIS, "2026-01-31T11:00", False),
        ("fr", PARIS, "2026-07-14T11:00", False),
        ("uk-guidance", LONDON, "2026-01-26T08:00", True),
        ("uk-guidance", LONDON, "2026-01-31T08:59", False),
        ("uk-guidance", LONDON, "2026-01-31T20:59", True),
        ("uk-guidance", LONDON, "2026-02-01T12:00", False),
        ("uk-guidance", LONDON, "2026-04-06T12:00", False),
        ("ca", TORONTO, "2026-01-26T21:29", True),
        ("ca", TORONTO, "2026-01-26T21:30", False),
        ("ca", TORONTO, "2026-02-01T10:00", True),
        ("ca", TORONTO, "2026-02-01T18:00", False),
        ("au", SYDNEY, "2026-01-27T19:59", True),
        ("au", SYDNEY, "2026-01-26T12:00", False),
        ("au", SYDNEY, "2026-01-31T17:00", False),
        ("au", SYDNEY, "2026-02-01T12:00", False),
    ],
)
def test_a_preset_is_open_in_the_hours_of_its_source(name: str, zone: str, local: str, expected: bool) -> None:
    instant = datetime.fromisoformat(local).replace(tzinfo=zone_of(zone)).astimezone(UTC)
    assert is_open(preset(name).window, instant, (zone,)) is expected


#: preset -> a zone of its own, then for a working day, a Saturday and a Sunday the first and the last minute, if open
EDGES = {
    "us-oklahoma": ("America/Chicago", "08:00 19:59", "08:00 19:59", "08:00 19:59"),
    "us-washington": ("America/Los_Angeles", "08:00 19:59", "08:00 19:59", "08:00 19:59"),
    "us-maryland": ("America/New_York", "08:00 19:59", "08:00 19:59", "08:00 19:59"),
    "us-connecticut": ("America/New_York", "09:00 19:59", "09:00 19:59", "09:00 19:59"),
    "us-reg-f": ("America/Denver", "08:00 20:59", "08:00 20:59", "08:00 20:59"),
    "in-rbi-recovery": ("Asia/Kolkata", "08:00 18:59", "08:00 18:59", "08:00 18:59"),
    "es": ("Atlantic/Canary", "09:00 20:59", "", ""),
    "it": ("Europe/Rome", "09:00 19:59", "10:00 18:59", ""),
    "au-research": ("Australia/Perth", "09:00 20:29", "09:00 16:59", "09:00 16:59"),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_preset_opens_and_closes_at_its_minutes(name: str) -> None:
    zone, *days = EDGES[name]
    for day, edges in zip(("2026-02-03", "2026-02-07", "2026-02-08"), days, strict=True):
        midnight = datetime.fromisoformat(day).replace(tzinfo=zone_of(zone)).astimezone(UTC)
        minutes = [midnight + timedelta(minutes=minute) for minute in range(24 * 60)]
        is_it = [at.astimezone(zone_of(zone)) for at in minutes if is_open(preset(name).window, at, (zone,))]
        assert " ".join(f"{at:%H:%M}" for at in (is_it[:1] + is_it[-1:])) == edges


@pytest.mark.parametrize(
    ("name", "holiday"), [("es", "2026-10-12"), ("it", "2026-06-02"), ("au-research", "2026-01-26")]
)
def test_a_preset_is_closed_on_public_holidays(name: str, holiday: str) -> None:
    zone = EDGES[name][0]
    noon = datetime.fromisoformat(f"{holiday}T12:00").replace(tzinfo=zone_of(zone)).astimezone(UTC)
    assert not is_open(preset(name).window, noon, (zone,))
    assert is_open(preset(name).window, noon + timedelta(days=7), (zone,))


def test_the_caps_are_those_of_the_sources() -> None:
    assert {name: row.caps for name, row in PRESETS.items() if row.caps} == {
        "us-florida": (PresetCap(max_attempts=3, per_hours=24),),
        "us-oklahoma": (PresetCap(max_attempts=3, per_hours=24),),
        "us-maryland": (PresetCap(max_attempts=3, per_hours=24),),
        "us-reg-f": (PresetCap(max_attempts=7, per_hours=168),),
        "fr": (PresetCap(max_attempts=4, per_hours=720),),
    }


def test_every_row_says_where_it_comes_from_and_whether_it_is_law() -> None:
    assert {name: row.law for name, row in PRESETS.items()} == {
        "us-federal": True,
        "us-florida": True,
        "in-trai": False,
        "fr": True,
        "uk-guidance": False,
        "ca": True,
        "au": True,
        "us-oklahoma": False,
        "us-washington": False,
        "us-maryland": False,
        "us-connecticut": False,
        "us-reg-f": False,
        "in-rbi-recovery": False,
        "es": False,
        "it": False,
        "au-research": False,
    }
    for name, row in PRESETS.items():
        assert row.name == name
        assert row.source
        assert row.as_of >= date(2026, 1, 1)
        assert row.window.timezone == RECIPIENT
        assert not never_opens(row.window)


def test_an_unknown_preset_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match="'us-texas' is no preset; use one of us-federal, us-florida, in-trai, fr"):
        preset("us-texas")
