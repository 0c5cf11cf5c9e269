"""Weekdays, times of the day and the intervals between them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.zones import DAY_MINUTES

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
    """A half-open stretch of a day, in minutes since local midnight; what is past 1440 lies on the day after.

    A start past 1440 is what is left of hours that began on the day, see ``narrowing.py``.
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


def _clock(minute: int) -> str:
    """A minute of this day or the next as HH:MM, the end of the day as 24:00."""
    shown = minute if minute <= DAY_MINUTES else minute - DAY_MINUTES
    return f"{shown // 60:02}:{shown % 60:02}"
