"""The local hours in which a number may be called: weekly openings, less pauses and public holidays.

What counts is the reading of the clock on the recipient's wall. At any UTC instant each zone shows one weekday and one
minute, and the window is open where that minute is. So it is defined on the days when clocks change, too:

- Spring: minutes that are skipped never come. An opening among them begins at the first minute that does (02:30 at
  03:00), and an interval that lies wholly among them does not take place.
- Autumn: minutes that are shown twice count both times. An opening begins the first time that its minute is shown; if
  the clock then falls back to before the opening, it is closed until the minute comes again. Pauses hold both times.

A time of day, in contrast to a stretch of hours, happens once a day: see ``zones.next_wall_time``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from chalicelib.domain import public_holidays
from chalicelib.domain.work import Work
from chalicelib.domain.zones import DAY_MINUTES, Zone, offset_change, wall, zone

#: a window's timezone that stands for the zone, or zones, of whoever is called
RECIPIENT = "recipient"

HORIZON_DAYS = 62
_DAY = timedelta(days=1)
_WALL_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")


class Weekday(StrEnum):
    """The days of the week; ``tuple(Weekday)[day.weekday()]`` is the one of a date."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


WEEK = tuple(Weekday)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open stretch of a day, in minutes since local midnight; an end past 1440 lies on the day after."""

    start_minute: int
    end_minute: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_minute < DAY_MINUTES:
            raise ValueError(f"start_minute {self.start_minute} is not within a day; use 0 to {DAY_MINUTES - 1}")
        if not self.start_minute < self.end_minute <= 2 * DAY_MINUTES:
            raise ValueError(
                f"end_minute {self.end_minute} must lie after start_minute {self.start_minute}, by the end of the next"
                f" day: add {DAY_MINUTES} to an end after midnight"
            )

    def __str__(self) -> str:
        return f"{_clock(self.start_minute)}-{_clock(self.end_minute)}"


def interval(start: str, end: str) -> Interval:
    """An interval from wall times such as ``09:00`` and ``21:00``; ``24:00`` may be an end.

    An end at or before the start is on the day after. Raises ValueError for anything that is no wall time and for an
    interval that would be empty.
    """
    start_minute = minute_of_day(start)
    if start_minute == DAY_MINUTES:
        raise ValueError("24:00 can only be an end; start at 00:00 of the day after")
    return interval_of_minutes(start_minute, minute_of_day(end))


def interval_of_minutes(start_minute: int, end_minute: int) -> Interval:
    """An interval from two minutes of the day (0 to 1440), the end on the day after if it is not past the start.

    Raises ValueError if the two are the same minute or lie outside the day.
    """
    if not 0 <= end_minute <= DAY_MINUTES:
        raise ValueError(f"end minute {end_minute} is not within a day; use 0 to {DAY_MINUTES}")
    if start_minute == end_minute:
        raise ValueError(
            f"{_clock(start_minute)}-{_clock(end_minute)} is empty; end it later, or use 00:00-24:00 for a whole day"
        )
    return Interval(start_minute, end_minute if end_minute > start_minute else end_minute + DAY_MINUTES)


def minute_of_day(wall_time: str) -> int:
    """Minutes since midnight of a wall time on the 24-hour clock, ``00:00`` to ``24:00``; else ValueError."""
    if not _WALL_TIME.fullmatch(wall_time):
        raise ValueError(f"{wall_time!r} is no time of day; use HH:MM on the 24-hour clock, such as '09:00' or '21:30'")
    hour, minute = wall_time.split(":")
    return int(hour) * 60 + int(minute)


def until_midnight(end_minute: int) -> int:
    """An end as those mean it who cannot write 24:00: the last minute of the day (23:59) stands for its end."""
    return DAY_MINUTES if end_minute == DAY_MINUTES - 1 else end_minute


class _Day(NamedTuple):
    """One weekday worked out: when it is open, and its pauses, with what reaches in from the day before."""

    hours: tuple[tuple[int, int], ...]
    #: without what began on the day before
    own_hours: tuple[tuple[int, int], ...]
    #: the first and last minute on this day, and the whole pause in words
    pauses: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Window:
    """When a number may be called.

    ``timezone`` is ``recipient`` or an IANA name. Without ``open`` (None, or empty) every hour of the week is open;
    with it, a weekday that is absent or empty is closed. An interval belongs to the weekday on which it starts.
    ``pause`` is subtracted. ``holidays`` (ISO: ``IN``, ``US-FL``) closes all of such a local day, and the hours past
    midnight that would have started on it. Overlapping intervals are merged on creation.

    Raises ValueError for an unknown zone and for holidays that are not known.
    """

    timezone: str = RECIPIENT
    open: Mapping[Weekday, tuple[Interval, ...]] | None = None
    pause: Mapping[Weekday, tuple[Interval, ...]] = field(default_factory=dict)
    holidays: str | None = None
    _week: tuple[_Day, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.timezone != RECIPIENT:
            zone(self.timezone)
        if self.holidays is not None:
            public_holidays.check(self.holidays)
        opening = _merged_week(self.open) if self.open else None
        pause = _merged_week(self.pause)
        object.__setattr__(self, "open", opening)
        object.__setattr__(self, "pause", pause)
        object.__setattr__(self, "_week", tuple(_day(opening, pause, weekday) for weekday in range(7)))


@dataclass(frozen=True, slots=True)
class Opening:
    """The instant (UTC) at which a window is open, and the hops from the instant asked about, in words."""

    at: datetime
    steps: tuple[str, ...] = ()


def never_opens(window: Window) -> bool:
    """Whether pauses and closed days leave no minute of the week open, holidays aside."""
    return not any(day.hours for day in window._week)


def is_open(window: Window, at: datetime, zones: Sequence[str]) -> bool:
    """Whether ``at`` (aware, UTC) lies in the window in every one of ``zones`` (IANA names); never if there are none.

    Raises ValueError for an unknown zone.
    """
    return bool(zones) and all(_is_open(window, at.astimezone(zone(name))) for name in zones)


def next_opening(
    window: Window, at: datetime, zones: Sequence[str], horizon_days: float = HORIZON_DAYS, work: Work | None = None
) -> Opening | None:
    """The first instant from ``at`` on (aware, UTC) at which the window is open in every one of ``zones``.

    That is ``at`` itself, to the microsecond, if it is open then, else a whole minute. None if there is none within
    ``horizon_days``, or if there are no zones: nobody knows what the clock shows there. Raises ValueError for an
    unknown zone, and TooComplex where that takes more than ``work``.
    """
    work = work or Work()
    places = [zone(name) for name in zones]
    if not places or never_opens(window):
        return None
    last_at = at + timedelta(days=horizon_days)
    steps: list[str] = []
    while at <= last_at:
        # Zones of one offset show the same time now, so one of them speaks for all; the first is named in the steps.
        apart = {at.astimezone(place).utcoffset(): place for place in reversed(places)}
        work.spend(len(apart))
        # Before its next opening a zone is closed, so nothing is missed by going to the latest of them.
        hops = [hop for place in places if place in apart.values() and (hop := _hop(window, place, at))]
        if not hops:
            return Opening(at, tuple(steps))
        latest = max(hops, key=lambda hop: hop.until_at)
        steps.append(_told(latest, at, name_zone=len(places) > 1))
        at = latest.until_at
    return None


def next_closing(window: Window, at: datetime, zones: Sequence[str], limit: timedelta = _DAY) -> datetime:
    """Return the first instant after ``at`` at which a window that is open at ``at`` is closed in one of ``zones``.

    Return ``at + limit`` where the window is open as long as that.
    """
    last_at = at + limit
    while at < last_at and is_open(window, at, zones):
        at = min(last_at, *(_may_close(window, zone(name), at) for name in zones))
    return at


def _may_close(window: Window, place: Zone, at: datetime) -> datetime:
    """Return the end of the hours around an instant, or the change of the zone's offset before it."""
    local = at.astimezone(place)
    minute = local.hour * 60 + local.minute
    end = next(end for start, end in _hours(window, local.date()) if start <= minute < end)
    until_at = at + (wall(local.date(), 0, end) - local.replace(tzinfo=None))
    return offset_change(place, at, until_at) or until_at


class _Closure(NamedTuple):
    """Why a window is closed, and the wall time at which its weekly hours go on."""

    why: str
    until: datetime


class _Hop(NamedTuple):
    why: str
    place: Zone
    until_at: datetime


def _hop(window: Window, place: Zone, at: datetime) -> _Hop | None:
    """From a closed instant to the next that may be open in this zone; None if it is open now.

    Wall time runs evenly between two changes of the zone's offset, so a hop goes no further than the next change.
    """
    local = at.astimezone(place)
    closure = _closure(window, local)
    if closure is None:
        return None
    why = closure.why
    while closure is not None:
        until_at = at + (closure.until - local.replace(tzinfo=None))
        change_at = offset_change(place, at, until_at)
        if change_at is None:
            return _Hop(why, place, until_at)
        at, local = change_at, change_at.astimezone(place)
        closure = _closure(window, local)
    return _Hop(why, place, at)


def _is_open(window: Window, local: datetime) -> bool:
    return _within(_hours(window, local.date()), local.hour * 60 + local.minute)


def _hours(window: Window, day: date) -> tuple[tuple[int, int], ...]:
    today = window._week[day.weekday()]
    if window.holidays is None:
        return today.hours
    if public_holidays.is_holiday(window.holidays, day):
        return ()
    if today.hours != today.own_hours and public_holidays.is_holiday(window.holidays, day - _DAY):
        return today.own_hours
    return today.hours


def _closure(window: Window, local: datetime) -> _Closure | None:
    """Why a window that opens some time is closed at a local time; None if it is open then."""
    day, minute = local.date(), local.hour * 60 + local.minute
    hours = _hours(window, day)
    if _within(hours, minute):
        return None
    if window.holidays is not None and public_holidays.is_holiday(window.holidays, day):
        tomorrow = day + _DAY
        until = _resumes(window, tomorrow, window._week[tomorrow.weekday()].own_hours, 0)
        return _Closure(f"{day} is a holiday in {window.holidays}", until)
    today = window._week[day.weekday()]
    if _within(today.hours, minute):
        why = f"{day - _DAY} is a holiday in {window.holidays}"
    else:
        why = f"{local:%H:%M} local, {_why_closed(today, hours, WEEK[day.weekday()], minute)}"
    return _Closure(why, _resumes(window, day, hours, minute))


def _within(ranges: Iterable[tuple[int, int]], minute: int) -> bool:
    return any(start <= minute < end for start, end in ranges)


def _why_closed(today: _Day, hours: tuple[tuple[int, int], ...], weekday: Weekday, minute: int) -> str:
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
    """The wall time of the first opening from ``minute`` of ``day`` on, which has these hours; later holidays aside.

    The window opens some time in the week, so it does in the seven days after ``day``.
    """
    for days in range(8):
        for start, end in hours:
            if end > minute:
                return wall(day, days, max(start, minute))
        hours, minute = window._week[(day.weekday() + days + 1) % 7].hours, 0
    raise AssertionError(f"{window} never opens")


def _told(hop: _Hop, at: datetime, name_zone: bool) -> str:
    started, until = at.astimezone(hop.place), hop.until_at.astimezone(hop.place)
    arrival = f"{until:%H:%M}"
    if until.date() != started.date():
        # A week on, the weekday alone would be taken for today.
        which = "" if until.date() - started.date() < timedelta(days=7) else f" {until.date()}"
        arrival = f"{WEEK[until.weekday()]}{which} {arrival}"
    return f"{f'{hop.place.key}: ' if name_zone else ''}{hop.why} → {arrival}"


def _clock(minute: int) -> str:
    """A minute of this day or the next as HH:MM, the end of the day as 24:00."""
    shown = minute if minute <= DAY_MINUTES else minute - DAY_MINUTES
    return f"{shown // 60:02}:{shown % 60:02}"


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


def _starting(week: Mapping[Weekday, tuple[Interval, ...]], weekday: int) -> list[tuple[int, int, str]]:
    intervals = week.get(WEEK[weekday], ())
    return [(one.start_minute, min(one.end_minute, DAY_MINUTES), str(one)) for one in intervals]


def _reaching_in(week: Mapping[Weekday, tuple[Interval, ...]], weekday: int) -> list[tuple[int, int, str]]:
    intervals = week.get(WEEK[weekday - 1], ())
    return [(0, one.end_minute - DAY_MINUTES, str(one)) for one in intervals if one.end_minute > DAY_MINUTES]


def _less(
    openings: Iterable[tuple[int, int, str]], pauses: Sequence[tuple[int, int, str]]
) -> tuple[tuple[int, int], ...]:
    """The stretches of a day that lie in an opening and in no pause, in order and apart; ``pauses`` are sorted."""
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
