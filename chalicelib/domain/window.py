"""The local hours in which a number may be called: weekly openings, less pauses and public holidays.

What counts is the reading of the clock on the recipient's wall. At any UTC instant each zone shows one weekday and one
minute, and the window is open where that minute is. So it is defined on the days when clocks change, too:

- Spring: minutes that are skipped never come. An opening among them begins at the first minute that does (02:30 at
  03:00), and an interval that lies wholly among them does not take place.
- Autumn: minutes that are shown twice count both times. An opening begins the first time that its minute is shown; if
  the clock then falls back to before the opening, it is closed until the minute comes again. Pauses hold both times.

A time of day, in contrast to a stretch of hours, happens once a day: see ``zones.next_wall_time``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
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

#: a window's timezone that stands for the zone, or zones, of whoever is called
RECIPIENT = "recipient"

HORIZON_DAYS = 62
_DAY = timedelta(days=1)


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
    ``pause`` is subtracted. A day off closes all of that local day, and the hours past midnight that would have started
    on it: a public holiday of one of the calendars ``holidays`` (ISO: ``IN``, ``US-FL``), or one of the dates
    ``closed``. ``eves`` are the only hours, of those that are open anyway, on the day before a public holiday; None for
    no difference. Overlapping intervals are merged on creation.

    Raises ValueError for an unknown zone and for holidays that are not known.
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
    if not (window.holidays or window.closed):
        return today.hours
    if _day_off(window, day):
        return ()
    carried = today.hours != today.own_hours and _day_off(window, day - _DAY)
    hours = today.own_hours if carried else today.hours
    return common_hours(hours, _eve_hours(window)) if _is_eve(window, day) else hours


def _day_off(window: Window, day: date) -> str | None:
    """Return why nobody is called on a local day, in words; None where the weekly hours count."""
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
    """Return the stretches that lie in both; each of the two is in order and apart."""
    others = tuple(others)
    both = ((max(start, begin), min(end, close)) for start, end in some for begin, close in others)
    return tuple((start, end) for start, end in both if start < end)


def _closure(window: Window, local: datetime) -> _Closure | None:
    """Why a window that opens some time is closed at a local time; None if it is open then."""
    day, minute = local.date(), local.hour * 60 + local.minute
    hours = _hours(window, day)
    if _within(hours, minute):
        return None
    day_off = _day_off(window, day)
    if day_off:
        tomorrow = day + _DAY
        until = _resumes(window, tomorrow, window._week[tomorrow.weekday()].own_hours, 0)
        return _Closure(f"{day} {day_off}", until)
    today = window._week[day.weekday()]
    if _within(today.own_hours, minute):
        why = f"{local:%H:%M} local, {day} is the eve of a holiday in {_holiday_of(window, day + _DAY)}"
    elif _within(today.hours, minute):
        why = f"{day - _DAY} {_day_off(window, day - _DAY) or 'is the eve of a holiday'}"
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
    """Return the minutes of a weekday (0 is Monday) in which a week is open: those of its own, and the day before's."""
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
