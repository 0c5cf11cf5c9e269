"""Caps: the most attempts to a number in a stretch of time.

A cap counts the attempts that were really made, by every call to the number.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from chalicelib.domain.zones import zone as zone_of


@dataclass(frozen=True, slots=True)
class Cap:
    """A cap: at most ``max_attempts`` to a number in any ``per_hours`` hours.

    If ``per`` is ``day``, the cap counts local days instead. A stretch of hours is half-open: an attempt stops counting
    exactly ``per_hours`` after it was made. ``is_default`` is True for the cap that the deployment adds to a policy
    without caps.
    """

    max_attempts: int
    per_hours: float = 24
    per: Literal["hours", "day"] = "hours"
    is_default: bool = False

    @property
    def reach(self) -> timedelta:
        """The time back from now in which an attempt can count."""
        return timedelta(hours=self.per_hours) if self.per == "hours" else timedelta(hours=49)

    def __str__(self) -> str:
        span = f"{self.per_hours:g} h" if self.per == "hours" else "a local day"
        return f"{self.max_attempts} in {span}{' (default)' if self.is_default else ''}"

    def covers(self, other: "Cap") -> bool:
        """Return whether this cap allows nothing that the other cap forbids.

        Only caps in hours are compared. With a daily cap on either side, return False.
        """
        if self.per == "day" or other.per == "day":
            return False
        return self.max_attempts <= other.max_attempts and self.per_hours >= other.per_hours


#: the cap of a policy without caps, if the deployment sets no other (``DEFAULT_CAP``)
DEFAULT_CAP = Cap(5, 24, is_default=True)
NO_CAP = "off"
_CAP_TEXT = re.compile(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})h")
MAX_CAP_ATTEMPTS, MAX_CAP_HOURS = 100, 24 * 30


def read_default_cap(text: str) -> Cap | None:
    """Return the default cap of a text such as ``5/24h``; None for ``off``.

    Raises ValueError for any other text. The message says what is right.
    """
    if text == NO_CAP:
        return None
    found = _CAP_TEXT.fullmatch(text)
    if found is None or int(found[1]) > MAX_CAP_ATTEMPTS or int(found[2]) > MAX_CAP_HOURS:
        raise ValueError(
            f"it must be attempts per hours, such as 5/24h (at most {MAX_CAP_ATTEMPTS}/{MAX_CAP_HOURS}h), or {NO_CAP}"
        )
    return Cap(int(found[1]), int(found[2]), is_default=True)


@dataclass(frozen=True, slots=True)
class CapVerdict:
    """The answer of a cap about a dial: ``used`` attempts count against the cap.

    ``clears_at`` is the first time at which the cap allows the dial.
    """

    cap: Cap
    used: int
    clears_at: datetime


def check(cap: Cap, at: datetime, made: Sequence[datetime], zones: Sequence[str]) -> CapVerdict:
    """Return what a cap says about a dial at ``at``, after the attempts ``made``.

    ``made`` is sorted. A daily cap counts the local day in every one of ``zones``, and the strictest zone decides.
    """
    return _rolling(cap, at, made) if cap.per == "hours" else _daily(cap, at, made, zones)


def _rolling(cap: Cap, at: datetime, made: Sequence[datetime]) -> CapVerdict:
    span = timedelta(hours=cap.per_hours)
    before = bisect_right(made, at)
    used = before - bisect_right(made, at - span)
    if used < cap.max_attempts:
        return CapVerdict(cap, used, at)
    return CapVerdict(cap, used, made[before - cap.max_attempts] + span)


def _daily(cap: Cap, at: datetime, made: Sequence[datetime], zones: Sequence[str]) -> CapVerdict:
    most_used, clears_at = 0, at
    for zone in zones:
        midnight = _midnight(at, zone)
        used = bisect_right(made, at) - bisect_left(made, midnight)
        most_used = max(most_used, used)
        if used >= cap.max_attempts:
            clears_at = max(clears_at, _midnight(at, zone, days=1))
    return CapVerdict(cap, most_used, clears_at)


def _midnight(at: datetime, zone: str, days: int = 0) -> datetime:
    """Return the start (UTC) of the local day of ``at``, or of the day ``days`` later.

    If the clock skips midnight, datetime reads midnight with the offset from before the change. The result is the
    instant of the change. If the clock shows midnight twice, the day begins at the first one.
    """
    local = at.astimezone(zone_of(zone))
    day = local.date() + timedelta(days=days)
    return datetime(day.year, day.month, day.day, tzinfo=zone_of(zone)).astimezone(UTC)
