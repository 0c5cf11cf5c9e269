"""When a policy allows a dial, worked out anew from what was asked for: not by the code that is judged."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.domain.zones import zone as zone_of

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def is_open(window: Mapping[str, Any], recipient_zone: str, at: datetime) -> bool:
    """Whether a window, as in a request, is open at a time: some opening covers the wall clock and no pause does."""
    name = window["timezone"]
    local = at.astimezone(zone_of(recipient_zone if name == "recipient" else name))
    openings = window.get("open")
    covered = openings is None or _covers(openings, local)
    return covered and not _covers(window.get("pause") or {}, local)


def is_open_some_time(window: Mapping[str, Any], zone: str, first: datetime, last: datetime) -> bool:
    """Whether a window is open at some second from ``first`` to ``last``."""
    at = first
    while at <= last:
        if is_open(window, zone, at):
            return True
        at += timedelta(seconds=1)
    return False


def _covers(week: Mapping[str, Sequence[Sequence[str]]], local: datetime) -> bool:
    minute = local.hour * 60 + local.minute
    today = WEEK[local.weekday()]
    yesterday = WEEK[(local.weekday() - 1) % 7]
    for start, end in week.get(today, ()):
        begins, ends = _minutes(start), _minutes(end)
        if begins <= minute < (ends if ends > begins else 24 * 60):
            return True
    # What began yesterday and goes on past midnight
    return any(_minutes(end) <= _minutes(start) and minute < _minutes(end) for start, end in week.get(yesterday, ()))


def _minutes(wall: str) -> int:
    hour, minute = wall.split(":")
    return int(hour) * 60 + int(minute)


def surely_counted(cap: Mapping[str, Any], zone: str, at: datetime, made: Sequence[datetime], slack: timedelta) -> int:
    """How many of the attempts made before ``at`` a cap counts, leaving out those that are within ``slack`` of not."""
    if cap.get("per") == "day":
        place = zone_of(zone)
        days = {(at + off).astimezone(place).date() for off in (-slack, slack)}
        if len(days) > 1:
            return 0
        return sum(
            1 for was in made if was < at and {(was + off).astimezone(place).date() for off in (-slack, slack)} == days
        )
    span = timedelta(hours=cap.get("per_hours") or 24)
    return sum(1 for was in made if at - span + slack < was < at)


def utc(text: str) -> datetime:
    """A time of the table or of a request, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
