"""Zone names as users write them."""

import re

import pytest

from chalicelib.domain.zone_names import LIKELY, REGIONS, user_zone
from chalicelib.domain.zones import names


@pytest.mark.parametrize("name", ["Asia/Kolkata", "America/Argentina/Buenos_Aires", "Pacific/Easter", "UTC"])
def test_a_region_and_city_or_utc_is_taken(name: str) -> None:
    assert user_zone(name) == name


def test_the_servers_name_of_utc_is_taken_for_utc() -> None:
    assert user_zone("Etc/UTC") == "UTC"


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("EST", "America/New_York"),
        ("MST", "America/Denver"),
        ("HST", "Pacific/Honolulu"),
        ("MET", "Europe/Paris"),
        ("PST8PDT", "America/Los_Angeles"),
        ("GMT", "UTC"),
        ("Zulu", "UTC"),
        ("Etc/GMT+5", "America/New_York"),
        ("Etc/Zulu", "UTC"),
        ("US/Pacific", "America/Los_Angeles"),
        ("us/pacific", "America/Los_Angeles"),
        ("Canada/Saskatchewan", "America/Regina"),
        ("IST", "Asia/Kolkata"),
        ("asia/kolkata", "Asia/Kolkata"),
        ("ASIA/KOLKATA", "Asia/Kolkata"),
        ("America/New York", "America/New_York"),
        ("Kolkata", "Asia/Kolkata"),
        ("utc", "UTC"),
        ("Europe/Berln", "Europe/Berlin"),
    ],
)
def test_any_other_name_is_refused_with_the_likely_zone(name: str, likely: str) -> None:
    with pytest.raises(ValueError, match=rf"^'{re.escape(name)}' is not .*; did you mean '{likely}'\?$"):
        user_zone(name)


@pytest.mark.parametrize("name", ["Factory", "localtime", "", "America", "../etc/passwd", "Mars/Olympus", "+05:30"])
def test_a_name_like_no_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match=r"use a name such as 'Asia/Kolkata'$"):
        user_zone(name)


def test_every_name_of_the_package_without_a_region_has_a_likely_zone() -> None:
    old = {name for name in names() if name.partition("/")[0] not in REGIONS or "/" not in name} - {
        "UTC",
        "Etc/UTC",
        "Factory",
    }
    assert {name for name in old if name.lower() not in LIKELY} - {"Etc/GMT+12"} == set()
    for likely in LIKELY.values():
        assert user_zone(likely) == likely
