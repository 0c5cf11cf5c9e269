"""The one place that makes a time zone, from the tzdata package, and the times that its clock shows.

``ZoneInfo(name)`` would read the machine's own ``/usr/share/zoneinfo`` first, which may be years old. No other module
may call it: the linter forbids it.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from itertools import count
from math import ceil, floor
from zoneinfo import ZoneInfo

#: the type of a time zone, for annotations
Zone = ZoneInfo

DAY_MINUTES = 24 * 60
_DAY = timedelta(days=1)


@cache
def zone(name: str) -> Zone:
    """Return the time zone of an IANA name, as the tzdata package lists and spells it.

    Raise ValueError for any other name, also for those that only some machines have, such as ``localtime``.
    """
    if name not in names():
        raise ValueError(f"{name!r} is not an IANA time zone; use a name such as 'Asia/Kolkata'")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def names() -> frozenset[str]:
    """Return every name that the tzdata package has."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


#: the day on which the pinned release came out
RELEASED_ON = date(2026, 10, 28)


@cache
def release() -> str:
    """Return the release of the zone rules in use, such as ``2026f``."""
    with resources.files("tzdata").joinpath("zoneinfo", "tzdata.zi").open(encoding="utf-8") as file:
        return file.readline().removeprefix("# version ").strip()


@cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    """Return ISO 3166 country codes -> the zones of the country, from the package's ``zone.tab``."""
    table = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    found: dict[str, tuple[str, ...]] = {}
    for country, _, name, *_ in rows:
        found[country] = (*found.get(country, ()), name)
    return found


def next_wall_time(at: datetime, minutes: Collection[int], zone_name: str) -> datetime:
    """Return what ``next_shared_time`` does, for one zone."""
    return next_shared_time(at, minutes, (zone_name,))


def next_shared_time(at: datetime, minutes: Collection[int], zone_names: Sequence[str]) -> datetime:
    """Return the first instant from ``at`` on (aware, UTC) at which it is one of ``minutes`` (of the day, 0-1439).

    Each happens once a day, in the zone that comes to that day's first. One that the clock skips happens at the first
    instant after; one that it shows twice happens the first time; on a day that a zone leaves out (Samoa, 2011-12-30)
    there is none. Raise ValueError if there are no minutes, for one outside the day and for an unknown zone.
    """
    wrong = [minute for minute in minutes if not 0 <= minute < DAY_MINUTES]
    if wrong or not minutes:
        raise ValueError(f"minutes of the day run from 0 to {DAY_MINUTES - 1}, one at least; not {wrong or 'none'}")
    upcoming: list[datetime] = []
    places = [zone(name) for name in dict.fromkeys(zone_names)]
    # From the day before, for a skipped time may happen on the day after its own (23:30 in Nuuk, in spring); and one
    # day beyond the last that some zone shows, for a change of clocks may swap which zone comes to a time first.
    first_day = min(at.astimezone(place).date() for place in places) - _DAY
    last_day = max(at.astimezone(place).date() for place in places)
    for days in count():
        happens = (_first_of(places, wall(first_day, days, minute)) for minute in minutes)
        upcoming += [instant for instant in happens if instant is not None and instant >= at]
        if upcoming and (len(places) == 1 or first_day + days * _DAY > last_day):
            return min(upcoming)
    raise AssertionError("unreachable: the days do not end")


def offset_change(place: Zone, after: datetime, until: datetime) -> datetime | None:
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


def _first_of(places: Sequence[Zone], wall: datetime) -> datetime | None:
    """Return the first instant at which one of the zones shows a wall time; None where none has such a day."""
    return min(filter(None, (_first_instant(place, wall) for place in places)), default=None)


def _first_instant(place: Zone, wall: datetime) -> datetime | None:
    """The first UTC instant at which a zone shows a wall time, or the one at which it skips it; None on no such day."""
    instant = wall.replace(tzinfo=place).astimezone(UTC)
    if instant.astimezone(place).replace(tzinfo=None) == wall:
        return instant
    # Skipped (PEP 495): with the offset from before the gap it reads as after the change, with fold=1 as before it.
    before = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    return offset_change(place, before, instant) if instant - before < _DAY else None
