"""IANA time zones: which of them a phone number can be in, and what their clocks show when."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from itertools import count
from math import ceil, floor
from zoneinfo import ZoneInfo

#: calling codes whose one zone phonenumbers 9.0.43 has wrong, compared with zone.tab of tzdata 2026 -> the zones there
CORRECTED: dict[int, tuple[str, ...]] = {
    211: ("Africa/Juba",),  # South Sudan; not Africa/Nairobi, 1 h off since 2021
    212: ("Africa/Casablanca", "Africa/El_Aaiun"),  # Morocco, Western Sahara; not Atlantic/Canary, 1 h off in winter
    213: ("Africa/Algiers",),  # Algeria; not Europe/Paris, 1 h off in summer
    218: ("Africa/Tripoli",),  # Libya; not Europe/Bucharest, 1 h off in summer
    505: ("America/Managua",),  # Nicaragua; not America/Chicago, 1 h off in summer
}

#: (calling code, zone in phonenumbers' map) -> the zone that it stands for
MISPLACED: dict[tuple[int, str], str] = {
    (7, "Europe/Bucharest"): "Europe/Kaliningrad",  # no summer time since 2011
}

#: E.164 prefix -> zones where its numbers are used too, beside the ones in phonenumbers' map; longest prefix wins
ALSO: dict[str, tuple[str, ...]] = {
    "1423": ("America/New_York", "America/Chicago"),  # Chattanooga is Eastern, Marion County is Central
    "1448": ("America/New_York", "America/Chicago"),  # overlay of 850
    "1850": ("America/New_York", "America/Chicago"),  # Tallahassee is Eastern, Pensacola is Central
    "614": ("Australia/Darwin",),  # mobiles: the map has every other Australian zone
    "628": ("Asia/Makassar", "Asia/Jayapura"),  # Indonesian mobiles: the map has Asia/Jakarta only
    "6757": ("Pacific/Bougainville",),  # mobiles of Papua New Guinea: the map has Port Moresby only
    "6758": ("Pacific/Bougainville",),
}

#: old names in phonenumbers' map -> the names in zone.tab; both lie in tzdata's "backward" file
RENAMED: dict[str, str] = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Choibalsan": "Asia/Ulaanbaatar",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}

UNKNOWN = "Etc/Unknown"

DAY_MINUTES = 24 * 60
_DAY = timedelta(days=1)


# ZoneInfo keeps eight zones only, and a toll-free number has forty.
@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name, as tzdata lists and spells it.

    Raises ValueError for any other name, also for those that only some machines have, such as ``localtime``.
    """
    if name not in _names():
        raise ValueError(f"{name!r} is no IANA time zone; use a name such as 'Asia/Kolkata'")
    return ZoneInfo(name)


def contact_zones(explicit_timezone: str | None, number: str) -> tuple[str, ...]:
    """The zones to ask before dialling: the contact's own if it is known, else those that the number can be in.

    Raises ValueError if the explicit zone is no IANA name. Empty where nothing is known: do not dial.
    """
    if explicit_timezone:
        return (zone(explicit_timezone).key,)
    return zones_of(number)


def zones_of(number: str) -> tuple[str, ...]:
    """Every IANA zone that an E.164 number can be in, sorted; empty if that is unknown or the number is not valid.

    The map is that of phonenumbers, corrected by the tables above. It says where a number was issued: a number that
    was ported, or a mobile whose owner moved, rings elsewhere, so a contact's own zone is always better.
    """
    # Loaded here: a call whose contact has a zone of its own never needs it.
    from phonenumbers import NumberParseException, is_valid_number, parse
    from phonenumbers.timezone import time_zones_for_number

    try:
        parsed = parse(number)
    except NumberParseException:
        return ()
    if not is_valid_number(parsed):
        return ()
    code = parsed.country_code or 0
    found = CORRECTED.get(code) or tuple(time_zones_for_number(parsed))
    if UNKNOWN in found:
        return ()
    placed = (MISPLACED.get((code, name), name) for name in found)
    return tuple(sorted({RENAMED.get(name, name) for name in placed} | set(_also(number))))


def next_wall_time(at: datetime, minutes: Collection[int], zone_name: str) -> datetime:
    """The first instant from ``at`` on (aware, UTC) at which it is one of ``minutes`` (of the day, 0-1439) in a zone.

    Each happens once a day. One that the clock skips happens at the first instant after; one that it shows twice
    happens the first time; on a day that a zone leaves out (Samoa, 2011-12-30) there is none. Raises ValueError if
    there are no minutes, for one outside the day and for an unknown zone.
    """
    wrong = [minute for minute in minutes if not 0 <= minute < DAY_MINUTES]
    if wrong or not minutes:
        raise ValueError(f"minutes of the day run from 0 to {DAY_MINUTES - 1}, one at least; not {wrong or 'none'}")
    place = zone(zone_name)
    # From the day before, for a skipped time may happen on the day after its own (23:30 in Nuuk, in spring).
    day = at.astimezone(place).date() - _DAY
    for days in count():
        happens = (_first_instant(place, wall(day, days, minute)) for minute in minutes)
        if upcoming := [instant for instant in happens if instant is not None and instant >= at]:
            return min(upcoming)
    raise AssertionError("unreachable: the days do not end")


def offset_change(place: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The first instant in (after, until] at which a zone's offset changes; no zone changes it twice in 24 hours."""
    offset = after.astimezone(place).utcoffset()
    while after < until:
        probe = min(after + _DAY, until)
        if probe.astimezone(place).utcoffset() == offset:
            after = probe
            continue
        low, high = floor(after.timestamp()), ceil(probe.timestamp())
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, place).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)
    return None


def wall(day: date, days: int, minute: int) -> datetime:
    """The wall time (naive) at a minute of the day, some days after ``day``."""
    return datetime.combine(day, time.min) + timedelta(days=days, minutes=minute)


def _first_instant(place: ZoneInfo, wall: datetime) -> datetime | None:
    """The first UTC instant at which a zone shows a wall time, or the one at which it skips it; None on no such day."""
    instant = wall.replace(tzinfo=place).astimezone(UTC)
    if instant.astimezone(place).replace(tzinfo=None) == wall:
        return instant
    # Skipped (PEP 495): with the offset from before the gap it reads as after the change, with fold=1 as before it.
    before = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    return offset_change(place, before, instant) if instant - before < _DAY else None


def _also(number: str) -> tuple[str, ...]:
    digits = number.removeprefix("+")
    longest = max(map(len, ALSO))
    return next((ALSO[digits[:size]] for size in range(longest, 0, -1) if digits[:size] in ALSO), ())


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())
