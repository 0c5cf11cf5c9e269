"""Time zones from the tzdata package, and the times that their clocks show.

``ZoneInfo(name)`` would first read ``/usr/share/zoneinfo`` of the computer, which may be years old. Only this module
may call ``ZoneInfo``; the linter enforces this.
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
    """Return the time zone of an IANA name, in the spelling of the tzdata package.

    Raises ValueError for any other name, also for a name that only some computers have, such as ``localtime``.
    """
    if name not in names():
        raise ValueError(f"{name!r} is not an IANA time zone; use a name such as 'Asia/Kolkata'")
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def names() -> frozenset[str]:
    """Return all names in the tzdata package."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


#: the day on which IANA published the pinned release
RELEASED_ON = date(2026, 10, 28)


@cache
def release() -> str:
    """Return the release of the zone rules in use, such as ``2026f``."""
    with resources.files("tzdata").joinpath("zoneinfo", "tzdata.zi").open(encoding="utf-8") as file:
        return file.readline().removeprefix("# version ").strip()


@cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    """Return the zones of each country by its ISO 3166 code.

    The source is the package's ``zone.tab``.
    """
    table = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    found: dict[str, tuple[str, ...]] = {}
    for country, _, name, *_ in rows:
        found[country] = (*found.get(country, ()), name)
    return found


def next_wall_time(at: datetime, minutes: Collection[int], zone_name: str) -> datetime:
    """Return the result of ``next_shared_time`` for a single zone."""
    return next_shared_time(at, minutes, (zone_name,))


def next_shared_time(at: datetime, minutes: Collection[int], zone_names: Sequence[str]) -> datetime:
    """Return the first instant from ``at`` on that shows one of ``minutes``.

    ``at`` is aware and in UTC; ``minutes`` are 0-1439. Each minute happens once a day, in the zone that reaches it
    first. A minute that the clock skips happens at the first instant after the gap. A minute that the clock shows twice
    happens at the first time. If a zone leaves out a day (Samoa, 2011-12-30), the minute does not happen on it. Raises
    ValueError if ``minutes`` is empty, for a minute outside the day and for an unknown zone.
    """
    wrong = [minute for minute in minutes if not 0 <= minute < DAY_MINUTES]
    if wrong or not minutes:
        raise ValueError(f"minutes of the day run from 0 to {DAY_MINUTES - 1}, one at least; not {wrong or 'none'}")
    upcoming: list[datetime] = []
    places = [zone(name) for name in dict.fromkeys(zone_names)]
    # The search begins on the day before, because a skipped time may happen on the next day (23:30 in Nuuk, in spring).
    # It ends one day after the last day that any zone shows, because a change of clocks may swap the order of zones.
    first_day = min(at.astimezone(place).date() for place in places) - _DAY
    last_day = max(at.astimezone(place).date() for place in places)
    for days in count():
        candidates = _first_on(places, wall(first_day, days, 0))
        happens = (_first_of(candidates, wall(first_day, days, minute)) for minute in minutes)
        upcoming += [instant for instant in happens if instant is not None and instant >= at]
        if upcoming and (len(places) == 1 or first_day + days * _DAY > last_day):
            return min(upcoming)
    raise AssertionError("unreachable: the days do not end")


def offset_change(place: Zone, after: datetime, until: datetime) -> datetime | None:
    """Return the first instant in (after, until] at which a zone's offset changes.

    Return None if it does not change. No zone changes its offset twice in 24 hours.
    """
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
    """Return the naive wall time at a minute of the day, ``days`` after ``day``."""
    return datetime.combine(day, time.min) + timedelta(days=days, minutes=minute)


def _first_on(places: Sequence[Zone], midnight: datetime) -> list[Zone]:
    """Return the zones of which one reaches each minute of a day first.

    ``midnight`` is the wall time at which the day begins. A zone that changes its offset on that day may be the first.
    Of the other zones, only the easternmost may.
    """
    changing: list[Zone] = []
    steady: list[tuple[datetime, Zone]] = []
    for place in places:
        begins_at = midnight.replace(tzinfo=place).astimezone(UTC)
        ends_at = (midnight + _DAY).replace(tzinfo=place).astimezone(UTC)
        if ends_at - begins_at == _DAY:
            steady.append((begins_at, place))
        else:
            changing.append(place)
    easternmost = min(steady, key=lambda each: each[0], default=None)
    return [*changing, easternmost[1]] if easternmost else changing


def _first_of(places: Sequence[Zone], wall: datetime) -> datetime | None:
    """Return the first instant at which one of the zones shows a wall time.

    Return None if no zone has such a day.
    """
    return min(filter(None, (_first_instant(place, wall) for place in places)), default=None)


def _first_instant(place: Zone, wall: datetime) -> datetime | None:
    """Return the first UTC instant at which a zone shows a wall time.

    If the zone skips that wall time, return the instant of the change. If it skips the whole day, return None.
    """
    instant = wall.replace(tzinfo=place).astimezone(UTC)
    if instant.astimezone(place).replace(tzinfo=None) == wall:
        return instant
    # The zone skips this time (PEP 495). fold=0 reads it with the offset from before the gap: an instant after the
    # change. fold=1 reads it with the offset from after the gap: an instant before the change.
    before = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    return offset_change(place, before, instant) if instant - before < _DAY else None
