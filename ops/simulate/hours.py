"""The times at which a policy allows a dial, computed without the code under test."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.domain.zones import zone as zone_of

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def is_open(window: Mapping[str, Any], recipient_zone: str, at: datetime) -> bool:
    """Return True if the window of a request is open at a time.

    A window is open if one of its openings covers the local time and none of its pauses does.
    """
    name = window["timezone"]
    local = at.astimezone(zone_of(recipient_zone if name == "recipient" else name))
    openings = window.get("open")
    covered = openings is None or _covers(openings, local)
    return covered and not _covers(window.get("pause") or {}, local)


def is_open_some_time(window: Mapping[str, Any], zone: str, first: datetime, last: datetime) -> bool:
    """Return True if a window is open at some second from ``first`` to ``last``."""
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
    # An opening that began yesterday and ends after midnight
    return any(_minutes(end) <= _minutes(start) and minute < _minutes(end) for start, end in week.get(yesterday, ()))


def _minutes(wall: str) -> int:
    hour, minute = wall.split(":")
    return int(hour) * 60 + int(minute)


def counted_at_least(
    cap: Mapping[str, Any], zone: str, at: datetime, made: Sequence[datetime], slack: timedelta
) -> int:
    """Count the attempts before ``at`` that a cap counts without doubt.

    It leaves out attempts that are within ``slack`` of the border of the cap's period.
    """
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
    """Parse a time of the table or of a request, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
