"""The local hours in which a number may be called.

A window has weekly opening hours, less pauses, public holidays and closed dates. The clock on the recipient's wall
counts. At any UTC instant, each zone shows one weekday and one minute, and the window is open if that minute is open.
This rule also covers the days on which clocks change:

- Spring: the clock skips minutes. If an opening begins at a skipped minute, it begins at the first minute after the gap
  (02:30 becomes 03:00). An interval that lies wholly in the gap does not take place.
- Autumn: the clock shows minutes twice, and both times count. An opening begins at the first time that its minute is
  shown. If the clock then falls back to before the opening, the window is closed until the minute comes again. A pause
  holds both times.

A time of day is different: it happens once a day. See ``zones.next_wall_time``.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from chalicelib.domain import public_holidays
from chalicelib.domain.intervals import (
    WEEK,
    Interval,
    Weekday,
    interval,
    interval_of_minutes,
    minute_of_day,
    until_midnight,
)
from chalicelib.domain.work import Work
from chalicelib.domain.zones import DAY_MINUTES, Zone, offset_change, wall, zone

#: the timezone of a window that uses the zone, or zones, of the number that is called
RECIPIENT = "recipient"

#: how far next_opening() searches
HORIZON_DAYS = 62
_DAY = timedelta(days=1)


class _Day(NamedTuple):
    """A weekday with its open hours and pauses, including those from the day before."""

    hours: tuple[tuple[int, int], ...]
    #: the hours without those that began on the day before
    own_hours: tuple[tuple[int, int], ...]
    #: (first minute, end minute, the whole pause in words) of each pause on this day
    pauses: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The hours in which a number may be called.

    - ``timezone``: ``recipient`` or an IANA name.
    - ``open``: the opening hours of each weekday. Without it (None, or empty), every hour of the week is open. With it,
      a weekday that is absent or empty is closed. An interval belongs to the weekday on which it starts.
    - ``pause``: hours that are subtracted from ``open``.
    - ``holidays``: calendars of public holidays by their ISO codes (``IN``, ``US-FL``). ``closed``: single dates. Both
      are days off: all of that local day is closed, and also the hours past midnight that would have started on it.
    - ``eves``: the only hours that stay open on the day before a public holiday, if they are open anyway. None: an eve
      is a normal day.

    Overlapping intervals are merged on creation. Raises ValueError for an unknown zone or an unknown holiday calendar.
    """

    timezone: str = RECIPIENT
    open: Mapping[Weekday, tuple[Interval, ...]] | None = None
    pause: Mapping[Weekday, tuple[Interval, ...]] = field(default_factory=dict)
    holidays: tuple[str, ...] = ()
    closed: tuple[date, ...] = ()
    eves: tuple[Interval, ...] | None = None
    _week: tuple[_Day, ...] = field(init=False, repr=False, compare=False)
    _closed: frozenset[date] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timezone != RECIPIENT:
            zone(self.timezone)
        for code in self.holidays:
            public_holidays.check(code)
        opening = _merged_week(self.open) if self.open else None
        pause = _merged_week(self.pause)
        object.__setattr__(self, "_closed", frozenset(self.closed))
        object.__setattr__(self, "open", opening)
        object.__setattr__(self, "pause", pause)
        object.__setattr__(self, "_week", tuple(_day(opening, pause, weekday) for weekday in range(7)))


@dataclass(frozen=True, slots=True)
class Opening:
    """An instant (UTC) at which a window is open.

    ``steps`` are sentences that say how the search came from the first instant to this one.
    """

    at: datetime
    steps: tuple[str, ...] = ()


def never_opens(window: Window) -> bool:
    """Return whether no minute of the week is open, even without holidays."""
    return not any(day.hours for day in window._week)


def is_open(window: Window, at: datetime, zones: Sequence[str]) -> bool:
    """Return whether the window is open at ``at`` in every one of ``zones``.

    ``at`` is aware and in UTC, ``zones`` are IANA names. Return False if there are no zones. Raises ValueError for an
    unknown zone.
    """
    return bool(zones) and all(_is_open(window, at.astimezone(zone(name))) for name in zones)


def next_opening(
    window: Window, at: datetime, zones: Sequence[str], horizon_days: float = HORIZON_DAYS, work: Work | None = None
) -> Opening | None:
    """Return the first instant from ``at`` on at which the window is open everywhere.

    The window must be open in every one of ``zones``. ``at`` is aware and in UTC. If the window is open at ``at``,
    return ``at`` itself, to the microsecond; otherwise a whole minute. Return None if the window does not open within
    ``horizon_days``, or if there are no zones: then nobody knows the local time. Raises ValueError for an unknown zone,
    and TooComplex if the search takes more than ``work``.
    """
    work = work or Work()
    places = [zone(name) for name in zones]
    if not places or never_opens(window):
        return None
    last_at = at + timedelta(days=horizon_days)
    steps: list[str] = []
    while at <= last_at:
        # Zones with the same offset show the same time, so one of them is enough. The steps name the first one.
        by_offset: dict[timedelta | None, tuple[Zone, datetime]] = {}
        for place in places:
            local = at.astimezone(place)
            by_offset.setdefault(local.utcoffset(), (place, local))
        work.spend(len(by_offset))
        # A zone is closed until its next opening, so the search can go to the latest of these openings.
        hops = [hop for place, local in by_offset.values() if (hop := _hop(window, place, local, at))]
        if not hops:
            return Opening(at, tuple(steps))
        latest = max(hops, key=lambda hop: hop.until_at)
        steps.append(_step(window, latest, name_zone=len(places) > 1))
        at = latest.until_at
    return None


def next_closing(window: Window, at: datetime, zones: Sequence[str], limit: timedelta = _DAY) -> datetime:
    """Return the first instant after ``at`` at which the window is closed in any zone.

    The window must be open at ``at``. Return ``at + limit`` if it stays open that long.
    """
    last_at = at + limit
    while at < last_at and is_open(window, at, zones):
        at = min(last_at, *(_may_close(window, zone(name), at) for name in zones))
    return at


def _may_close(window: Window, place: Zone, at: datetime) -> datetime:
    """Return the end of the current hours, or an earlier change of the zone's offset."""
    local = at.astimezone(place)
    minute = local.hour * 60 + local.minute
    end = next(end for start, end in _hours(window, local.date()) if start <= minute < end)
    until_at = at + (wall(local.date(), 0, end) - local.replace(tzinfo=None))
    return offset_change(place, at, until_at) or until_at


class _Hop(NamedTuple):
    """A hop in a zone from a time at which the window is closed.

    ``local`` is that time in the zone. ``until_at`` is the next instant (UTC) at which the window may be open.
    """

    place: Zone
    local: datetime
    until_at: datetime


def _hop(window: Window, place: Zone, local: datetime, at: datetime) -> _Hop | None:
    """Return the hop from a closed instant to the next one that may be open in a zone.

    Return None if the window is open at ``at``. ``local`` is ``at`` in the zone. Wall time runs evenly between two
    changes of the zone's offset, so a hop stops at the next change.
    """
    here_at, here = at, local
    while (until := _closed_until(window, here)) is not None:
        until_at = here_at + (until - here.replace(tzinfo=None))
        change_at = offset_change(place, here_at, until_at)
        if change_at is None:
            return _Hop(place, local, until_at)
        here_at, here = change_at, change_at.astimezone(place)
    return _Hop(place, local, here_at) if here_at > at else None


def _is_open(window: Window, local: datetime) -> bool:
    return _within(_hours(window, local.date()), local.hour * 60 + local.minute)


def _hours(window: Window, day: date) -> tuple[tuple[int, int], ...]:
    today = window._week[day.weekday()]
    if not (window.holidays or window.closed):
        return today.hours
    if _day_off(window, day):
        return ()
    carried = today.hours != today.own_hours and _day_off(window, day - _DAY)
    hours = today.own_hours if carried else today.hours
    return common_hours(hours, _eve_hours(window)) if _is_eve(window, day) else hours


def _day_off(window: Window, day: date) -> str | None:
    """Return why a local day is off, in words; None if its weekly hours count."""
    if day in window._closed:
        return "is a closed day"
    code = _holiday_of(window, day)
    return f"is a holiday in {code}" if code else None


def _holiday_of(window: Window, day: date) -> str | None:
    return next((code for code in window.holidays if public_holidays.is_holiday(code, day)), None)


def _is_eve(window: Window, day: date) -> bool:
    return window.eves is not None and _holiday_of(window, day + _DAY) is not None


def _eve_hours(window: Window) -> tuple[tuple[int, int], ...]:
    return tuple((one.start_minute, one.end_minute) for one in window.eves or ())


def common_hours(some: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the stretches that lie in both inputs.

    Each input is sorted and has no overlaps.
    """
    others = tuple(others)
    both = ((max(start, begin), min(end, close)) for start, end in some for begin, close in others)
    return tuple((start, end) for start, end in both if start < end)


def _closed_until(window: Window, local: datetime) -> datetime | None:
    """Return the wall time of the next weekly hours; None if the window is open now.

    ``local`` is the local time now. The window must have an open minute in its week.
    """
    day, minute = local.date(), local.hour * 60 + local.minute
    hours = _hours(window, day)
    if _within(hours, minute):
        return None
    if _day_off(window, day):
        tomorrow = day + _DAY
        return _resumes(window, tomorrow, window._week[tomorrow.weekday()].own_hours, 0)
    return _resumes(window, day, hours, minute)


def _within(hours: Sequence[tuple[int, int]], minute: int) -> bool:
    found = _now_or_next(hours, minute)
    return found is not None and found[0] <= minute


def _now_or_next(hours: Sequence[tuple[int, int]], minute: int) -> tuple[int, int] | None:
    """Return the first hours that end after a minute, or None.

    ``hours`` are sorted and do not overlap.
    """
    index = bisect_right(hours, minute, key=itemgetter(1))
    return hours[index] if index < len(hours) else None


def _why_closed(window: Window, local: datetime) -> str:
    """Return why the window is closed at a local time, in words."""
    day, minute = local.date(), local.hour * 60 + local.minute
    day_off = _day_off(window, day)
    if day_off:
        return f"{day} {day_off}"
    today = window._week[day.weekday()]
    if _within(today.own_hours, minute):
        return f"{local:%H:%M} local, {day} is the eve of a holiday in {_holiday_of(window, day + _DAY)}"
    if _within(today.hours, minute):
        return f"{day - _DAY} {_day_off(window, day - _DAY) or 'is the eve of a holiday'}"
    return f"{local:%H:%M} local, {_weekly_reason(today, _hours(window, day), WEEK[day.weekday()], minute)}"


def _weekly_reason(today: _Day, hours: tuple[tuple[int, int], ...], weekday: Weekday, minute: int) -> str:
    for start, end, words in today.pauses:
        if start <= minute < end:
            return f"inside pause {words}"
    if not hours:
        return f"closed on {weekday}"
    if minute < hours[0][0]:
        return f"before the first opening of {weekday}"
    if minute >= hours[-1][1]:
        return f"after the last opening of {weekday}"
    return f"between the openings of {weekday}"


def _resumes(window: Window, day: date, hours: tuple[tuple[int, int], ...], minute: int) -> datetime:
    """Return the wall time of the first opening from ``minute`` of ``day`` on.

    ``hours`` are the open hours of ``day``. Later holidays are not considered. The week has an open minute, so an
    opening lies within the seven days after ``day``.
    """
    for days in range(8):
        found = _now_or_next(hours, minute)
        if found is not None:
            return wall(day, days, max(found[0], minute))
        hours, minute = window._week[(day.weekday() + days + 1) % 7].hours, 0
    raise AssertionError(f"{window} never opens")


def _step(window: Window, hop: _Hop, name_zone: bool) -> str:
    until = hop.until_at.astimezone(hop.place)
    arrival = f"{until:%H:%M}"
    if until.date() != hop.local.date():
        # A weekday alone would be read as a day of this week, so a hop of a week or more shows the date, too.
        which = "" if until.date() - hop.local.date() < timedelta(days=7) else f" {until.date()}"
        arrival = f"{WEEK[until.weekday()]}{which} {arrival}"
    return f"{f'{hop.place.key}: ' if name_zone else ''}{_why_closed(window, hop.local)} → {arrival}"


def _merged_week(week: Mapping[Weekday, Iterable[Interval]]) -> dict[Weekday, tuple[Interval, ...]]:
    return {Weekday(day): _merged(intervals) for day, intervals in week.items()}


def _merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    merged: list[Interval] = []
    for one in sorted(intervals):
        if merged and one.start_minute <= merged[-1].end_minute:
            merged[-1] = Interval(merged[-1].start_minute, max(merged[-1].end_minute, one.end_minute))
        else:
            merged.append(one)
    return tuple(merged)


def _day(
    opening: Mapping[Weekday, tuple[Interval, ...]] | None, pause: Mapping[Weekday, tuple[Interval, ...]], weekday: int
) -> _Day:
    pauses = sorted((*_starting(pause, weekday), *_reaching_in(pause, weekday)))
    own, carried = [(0, DAY_MINUTES, "")], []
    if opening is not None:
        own, carried = _starting(opening, weekday), _reaching_in(opening, weekday)
    return _Day(_less(own + carried, pauses), _less(own, pauses), tuple(pauses))


def week_hours(
    week: Mapping[Weekday, tuple[Interval, ...]], weekday: int
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Return the open minutes of a weekday: its own, and those from the day before.

    Monday is weekday 0.
    """
    own, late = _starting(week, weekday), _reaching_in(week, weekday)
    return tuple((start, end) for start, end, _ in own), tuple((start, end) for start, end, _ in late)


def _starting(week: Mapping[Weekday, tuple[Interval, ...]], weekday: int) -> list[tuple[int, int, str]]:
    today = [one for one in week.get(WEEK[weekday], ()) if one.start_minute < DAY_MINUTES]
    return [(one.start_minute, min(one.end_minute, DAY_MINUTES), str(one)) for one in today]


def _reaching_in(week: Mapping[Weekday, tuple[Interval, ...]], weekday: int) -> list[tuple[int, int, str]]:
    intervals = week.get(WEEK[weekday - 1], ())
    late = [one for one in intervals if one.end_minute > DAY_MINUTES]
    return [(max(0, one.start_minute - DAY_MINUTES), one.end_minute - DAY_MINUTES, str(one)) for one in late]


def _less(
    openings: Iterable[tuple[int, int, str]], pauses: Sequence[tuple[int, int, str]]
) -> tuple[tuple[int, int], ...]:
    """Return the stretches of a day that lie in an opening and in no pause.

    They are sorted and do not overlap. ``pauses`` must be sorted.
    """
    left: list[tuple[int, int]] = []
    done = 0
    for opens, closes, _ in sorted(openings):
        start = max(opens, done)
        done = max(done, closes)
        for pause_start, pause_end, _ in pauses:
            if start < pause_end and pause_start < closes:
                if start < pause_start:
                    left.append((start, pause_start))
                start = pause_end
        if start < closes:
            left.append((start, closes))
    return tuple(left)


__all__ = [
    "HORIZON_DAYS",
    "RECIPIENT",
    "WEEK",
    "Interval",
    "Opening",
    "Weekday",
    "Window",
    "common_hours",
    "interval",
    "interval_of_minutes",
    "is_open",
    "minute_of_day",
    "never_opens",
    "next_closing",
    "next_opening",
    "until_midnight",
    "week_hours",
]
