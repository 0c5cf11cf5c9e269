"""Weekdays, times of the day, and intervals."""

import re
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.zones import DAY_MINUTES

_WALL_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)|24:00")


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


#: ``WEEK[date.weekday()]`` is the weekday of a date
WEEK = tuple(Weekday)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """A half-open stretch of a day, in minutes since local midnight.

    Minutes past 1440 lie on the next day. A start past 1440 is the rest of hours that began on the day: see
    ``narrowing.py``.
    """

    start_minute: int
    end_minute: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_minute < 2 * DAY_MINUTES:
            raise ValueError(f"start_minute {self.start_minute} is not within two days; use 0 to {2 * DAY_MINUTES - 1}")
        if not self.start_minute < self.end_minute <= 2 * DAY_MINUTES:
            raise ValueError(
                f"end_minute {self.end_minute} must lie after start_minute {self.start_minute}, by the end of the next"
                f" day: add {DAY_MINUTES} to an end after midnight"
            )

    def __str__(self) -> str:
        return f"{_clock(self.start_minute)}-{_clock(self.end_minute)}"


def interval(start: str, end: str) -> Interval:
    """Return an interval from wall times such as ``09:00`` and ``21:00``.

    ``24:00`` may be an end. An end before the start is on the next day. Raises ValueError for a text that is not
    a wall time, and for an empty interval.
    """
    start_minute = minute_of_day(start)
    if start_minute == DAY_MINUTES:
        raise ValueError("24:00 can only be an end; start at 00:00 of the day after")
    return interval_of_minutes(start_minute, minute_of_day(end))


def interval_of_minutes(start_minute: int, end_minute: int) -> Interval:
    """Return an interval from two minutes of the day (0 to 1440).

    If the end is not after the start, it is on the next day. Raises ValueError if the two are equal or lie outside the
    day.
    """
    if not 0 <= end_minute <= DAY_MINUTES:
        raise ValueError(f"end minute {end_minute} is not within a day; use 0 to {DAY_MINUTES}")
    if start_minute == end_minute:
        raise ValueError(
            f"{_clock(start_minute)}-{_clock(end_minute)} is empty; end it later, or use 00:00-24:00 for a whole day"
        )
    return Interval(start_minute, end_minute if end_minute > start_minute else end_minute + DAY_MINUTES)


def minute_of_day(wall_time: str) -> int:
    """Return the minutes since midnight of a wall time, ``00:00`` to ``24:00``.

    Raises ValueError for any other text.
    """
    if not _WALL_TIME.fullmatch(wall_time):
        raise ValueError(
            f"{wall_time!r} is not a time of day; use HH:MM on the 24-hour clock, such as '09:00' or '21:30'"
        )
    hour, minute = wall_time.split(":")
    return int(hour) * 60 + int(minute)


def until_midnight(end_minute: int) -> int:
    """Return the end of a day for 23:59, else the minute itself.

    Some APIs cannot express 24:00, and their users write 23:59 for it.
    """
    return DAY_MINUTES if end_minute == DAY_MINUTES - 1 else end_minute


def _clock(minute: int) -> str:
    """Return a minute of this day or the next as HH:MM, the end of the day as 24:00."""
    shown = minute if minute <= DAY_MINUTES else minute - DAY_MINUTES
    return f"{shown // 60:02}:{shown % 60:02}"
