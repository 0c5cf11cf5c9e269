"""The rows of the presets as a table of first and last minutes."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Policy
from chalicelib.domain.presets import PRESETS, preset, rules_for
from chalicelib.domain.window import RECIPIENT, Window, is_open, never_opens
from chalicelib.domain.zones import zone as zone_of

#: zones that several rows share
ZONES = {
    "US": "New_York Chicago Denver Phoenix Los_Angeles Anchorage Adak Puerto_Rico Indiana/Indianapolis Boise Detroit",
    "CA": "St_Johns Halifax Toronto Winnipeg Regina Edmonton Vancouver Whitehorse Rankin_Inlet Atikokan",
    "AU": "Sydney Melbourne Brisbane Adelaide Darwin Perth Hobart Eucla Lord_Howe Broken_Hill",
}
#: preset, its zones, and its hours on a working day, a Saturday and a Sunday
EDGES = """
us-federal          US                                        08:00-21:00               08:00-21:00   08:00-21:00
us                  US                                        08:00-21:00               08:00-21:00   08:00-21:00
us-reg-f            US                                        08:00-21:00               08:00-21:00   08:00-21:00
us-alabama          America/Chicago                           08:00-20:00               08:00-20:00   -
us-connecticut      America/New_York                          09:00-20:00               09:00-20:00   09:00-20:00
us-florida          America/New_York,America/Chicago          08:00-20:00               08:00-20:00   08:00-20:00
us-kentucky         America/Kentucky/Louisville,America/Chicago 10:00-21:00             10:00-21:00   10:00-21:00
us-louisiana        America/Chicago                           08:00-20:00               08:00-20:00   -
us-maryland         America/New_York                          08:00-20:00               08:00-20:00   08:00-20:00
us-massachusetts    America/New_York                          08:00-20:00               08:00-20:00   08:00-20:00
us-michigan         America/Detroit,America/Menominee         09:00-21:00               09:00-21:00   09:00-21:00
us-minnesota        America/Chicago                           09:00-21:00               09:00-21:00   09:00-21:00
us-mississippi      America/Chicago                           08:00-20:00               08:00-20:00   -
us-nevada           America/Los_Angeles,America/Boise         09:00-20:00               09:00-20:00   09:00-20:00
us-new-mexico       America/Denver                            09:00-21:00               09:00-21:00   09:00-21:00
us-oklahoma         America/Chicago                           08:00-20:00               08:00-20:00   08:00-20:00
us-oregon           America/Los_Angeles,America/Boise         08:00-20:00               08:00-20:00   08:00-20:00
us-pennsylvania     America/New_York                          08:00-21:00               08:00-21:00   08:00-21:00
us-rhode-island     America/New_York                          09:00-18:00               10:00-17:00   -
us-south-dakota     America/Chicago,America/Denver            09:00-21:00               -             -
us-texas            America/Chicago,America/Denver            09:00-21:00               09:00-21:00   12:00-21:00
us-utah             America/Denver                            08:00-21:00               08:00-21:00   -
us-washington       America/Los_Angeles                       08:00-20:00               08:00-20:00   08:00-20:00
us-wyoming          America/Denver                            08:00-20:00               08:00-20:00   08:00-20:00
in-trai             Asia/Kolkata                              09:00-21:00               09:00-21:00   09:00-21:00
in-rbi-recovery     Asia/Kolkata                              08:00-19:00               08:00-19:00   08:00-19:00
fr                  Europe/Paris,Indian/Reunion,America/Guadeloupe 10:00-13:00,14:00-20:00 -          -
es                  Europe/Madrid,Atlantic/Canary,Africa/Ceuta 09:00-21:00              -             -
it                  Europe/Rome                               09:00-20:00               10:00-19:00   -
uk-guidance         Europe/London                             08:00-21:00               09:00-21:00   -
uk-england-wales    Europe/London                             08:00-21:00               09:00-21:00   -
uk-scotland         Europe/London                             08:00-21:00               09:00-21:00   -
uk-northern-ireland Europe/London                             08:00-21:00               09:00-21:00   -
ca                  CA                                        09:00-21:30               10:00-18:00   10:00-18:00
au                  AU                                        09:00-20:00               09:00-17:00   -
au-research         AU                                        09:00-20:30               09:00-17:00   09:00-17:00
"""
ROWS = {line.split()[0]: line.split()[1:] for line in EDGES.strip().split("\n")}
#: a working day, a Saturday and a Sunday that are not a holiday or an eve in any of the calendars
DAYS = (date(2026, 2, 3), date(2026, 2, 7), date(2026, 2, 8))


def zones_of(text: str) -> list[str]:
    region = "Australia" if text == "AU" else "America"
    return [f"{region}/{city}" for city in ZONES[text].split()] if text in ZONES else text.split(",")


def at(day: date, minutes: int, zone: str) -> datetime:
    local = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)
    return local.replace(tzinfo=zone_of(zone)).astimezone(UTC)


def changes_of(window: Window, day: date, zone: str) -> str:
    """Return when a window opens and closes on a day.

    It checks every half hour and the minute before it.
    """
    found, was_open = [], False
    for minute in (m for half in range(0, 1441, 30) for m in (half - 1, half)):
        open_now = 0 <= minute < 1440 and is_open(window, at(day, minute, zone), (zone,))
        if open_now != was_open:
            found.append(f"{minute // 60:02}:{minute % 60:02}")
        was_open = open_now
    return ",".join("-".join(found[i : i + 2]) for i in range(0, len(found), 2)) or "-"


def test_every_preset_opens_and_closes_at_its_minutes_in_each_of_its_zones() -> None:
    wrong = [
        (name, zone, day, got, expected)
        for name, (zones, *hours) in ROWS.items()
        for zone in zones_of(zones)
        for day, expected in zip(DAYS, hours, strict=True)
        if (got := changes_of(preset(name).window(), day, zone)) != expected
    ]
    assert wrong == []
    assert ROWS.keys() == PRESETS.keys()


@pytest.mark.parametrize(
    ("name", "holiday"),
    [
        ("us-alabama", "2026-04-27"),
        ("us-louisiana", "2026-02-17"),
        ("us-pennsylvania", "2026-11-11"),
        ("us-rhode-island", "2026-08-10"),
        ("us-utah", "2026-07-24"),
        ("fr", "2026-07-14"),
        ("es", "2026-10-12"),
        ("it", "2026-06-02"),
        ("au", "2026-01-26"),
        ("au-research", "2026-01-26"),
        ("uk-england-wales", "2026-04-06"),
        ("uk-scotland", "2026-11-30"),
        ("uk-northern-ireland", "2026-03-17"),
    ],
)
def test_a_preset_is_closed_on_public_holidays(name: str, holiday: str) -> None:
    zone, day, window = zones_of(ROWS[name][0])[0], date.fromisoformat(holiday), preset(name).window()
    assert not is_open(window, at(day, 12 * 60, zone), (zone,))
    assert is_open(window, at(day + timedelta(days=7), 12 * 60, zone), (zone,))


def test_italy_keeps_saturdays_hours_on_the_eve_of_a_holiday() -> None:
    assert changes_of(preset("it").window(), date(2026, 6, 1), "Europe/Rome") == "10:00-19:00"
    assert changes_of(preset("it").window(), date(2026, 6, 3), "Europe/Rome") == "09:00-20:00"


THREE_A_DAY = (Cap(3, 24),)


def test_the_caps_and_the_quiet_are_those_of_the_sources() -> None:
    assert {name: row.caps for name, row in PRESETS.items() if row.caps} == {
        "us-florida": THREE_A_DAY,
        "us-maryland": THREE_A_DAY,
        "us-oklahoma": THREE_A_DAY,
        "us-oregon": THREE_A_DAY,
        "us-reg-f": (Cap(7, 168),),
        "fr": (Cap(4, 720),),
    }
    assert {name: row.quiet_after for name, row in PRESETS.items() if row.quiet_after} == {
        "us-reg-f": {Outcome.COMPLETED: 168}
    }


#: rows whose text nobody has read, or that are not law
NOT_LAW = {
    *("us-michigan", "in-trai", "it", "uk-guidance", "uk-england-wales", "uk-scotland", "uk-northern-ireland"),
}


def test_every_row_says_where_it_comes_from_and_whether_it_is_law() -> None:
    assert {name for name, row in PRESETS.items() if not row.law} == NOT_LAW
    for name, row in PRESETS.items():
        assert row.name == name
        assert row.source
        assert row.lacks
        assert row.as_of >= date(2026, 1, 1)
        assert row.window().timezone == RECIPIENT
        assert not never_opens(row.window())


def test_the_docs_list_every_row_as_it_is() -> None:
    page = (Path(__file__).parents[2] / "docs/policies.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.split("\n") if line.startswith("| `")]
    listed = {row[0].strip("`"): row for row in rows if row[0].strip("`") in PRESETS}
    assert listed.keys() == PRESETS.keys()
    for name, row in PRESETS.items():
        _, hours, _, law, looked_up, source, lacks = (cell.strip() for cell in listed[name])
        assert (law, looked_up) == ("yes" if row.law else "no", f"{row.as_of}"), name
        assert (source, lacks) == (row.source, row.lacks), name
        assert (hours == "by state") == (name == "us")
        assert ("not on holidays" in hours) == bool(row.holidays or name == "uk-guidance"), name


def test_an_unknown_preset_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(ValueError, match="'us-guam' is not a preset; use one of au, au-research, ca, es, fr, "):
        preset("us-guam")


@pytest.mark.parametrize(
    ("number", "presets", "hours", "sunday", "caps"),
    [
        ("+13055550100", ("us-federal", "us-florida"), "08:00-20:00", "08:00-20:00", THREE_A_DAY),
        ("+14155550100", ("us-federal",), "08:00-21:00", "08:00-21:00", ()),
        ("+14015550100", ("us-federal", "us-rhode-island"), "09:00-18:00", "-", ()),
        ("+12145550100", ("us-federal", "us-texas"), "09:00-21:00", "12:00-21:00", ()),
        ("+17875550100", ("us-federal",), "08:00-21:00", "08:00-21:00", ()),
    ],
)
def test_us_holds_the_rules_of_the_state_of_the_area_code(
    number: str, presets: tuple[str, ...], hours: str, sunday: str, caps: tuple[Cap, ...]
) -> None:
    rules = rules_for(("us",), number)
    assert (rules.presets, rules.caps) == (presets, caps)
    assert rules.window is not None
    assert changes_of(rules.window, DAYS[0], "America/Chicago") == hours
    assert changes_of(rules.window, DAYS[2], "America/Chicago") == sunday


@pytest.mark.parametrize("number", ["+18005550100", "+14165550100", "+442079460000", ""])
def test_us_holds_the_strictest_rules_of_all_for_a_number_of_no_state(number: str) -> None:
    rules = rules_for(("us",), number)
    assert rules.presets[0] == "us-federal"
    assert set(rules.presets) == {name for name in PRESETS if name.startswith("us-")} - {"us-reg-f"}
    assert rules.caps == THREE_A_DAY
    assert rules.window is not None
    assert [changes_of(rules.window, day, "America/Chicago") for day in DAYS] == ["10:00-18:00", "-", "-"]
    assert set(rules.window.holidays) == {"US-AL", "US-LA", "US-PA", "US-RI", "US-UT"}


@pytest.mark.parametrize(
    ("number", "nations"),
    [
        ("+442079460000", ("uk-england-wales",)),
        ("+442920460000", ("uk-england-wales",)),
        ("+441314960000", ("uk-scotland",)),
        ("+441463960000", ("uk-scotland",)),
        ("+441289960000", ("uk-england-wales", "uk-scotland")),
        ("+442890180000", ("uk-northern-ireland",)),
        *((number, ("uk-england-wales", "uk-scotland", "uk-northern-ireland")) for number in ("+447700900000", "")),
        ("+441534960000", ("uk-england-wales", "uk-scotland", "uk-northern-ireland")),
    ],
)
def test_uk_guidance_keeps_the_holidays_of_the_numbers_nation(number: str, nations: tuple[str, ...]) -> None:
    assert rules_for(("uk-guidance",), number).presets == nations


def test_a_policy_is_held_to_the_presets_of_its_number_once() -> None:
    policy = Policy().with_rules(preset("us").rules().narrowed_by(preset("fr").rules()))
    held = policy.held_to("+13055550100", None)
    assert held.presets == ("us-federal", "us-florida", "fr")
    assert held.caps == (Cap(4, 720), Cap(3, 24))
    assert held.held_to("+14015550100", None) == held
