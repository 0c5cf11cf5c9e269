"""How long to wait before the next attempt, or until when: one frozen value and one rule for each strategy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.zones import next_shared_time, next_wall_time, zone

#: the local hours that ``vary`` knows: a retry in the morning comes no earlier than at MORNING_STARTS
MORNING_STARTS, NOON = 9, 12


@dataclass(frozen=True, slots=True)
class NoRetry:
    """One attempt, whatever comes of it."""

    type: Literal["none"] = "none"


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait before every retry, in minutes from the end of the attempt before.

    With ``vary`` a retry falls in the other half of the local day than the attempt before it; so in the next two.
    """

    wait_minutes: float
    vary: bool = False
    type: Literal["fixed"] = "fixed"


@dataclass(frozen=True, slots=True)
class Intervals:
    """A wait for each retry, in minutes; the last one repeats."""

    minutes: tuple[float, ...]
    vary: bool = False
    type: Literal["intervals"] = "intervals"


@dataclass(frozen=True, slots=True)
class Exponential:
    """``first_minutes`` before the first retry, then ``factor`` times as long each time, up to ``max_minutes``."""

    first_minutes: float
    factor: float = 2.0
    max_minutes: float = 24 * 60
    vary: bool = False
    type: Literal["exponential"] = "exponential"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Fixed dates, in UTC and in order; one that is past when its turn comes is skipped."""

    at: tuple[datetime, ...]
    type: Literal["scheduled"] = "scheduled"


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """Local times of the day, in minutes since midnight; the next one at least ``min_gap_minutes`` after an attempt."""

    times: tuple[int, ...]
    min_gap_minutes: float = 60
    type: Literal["time_of_day"] = "time_of_day"


Strategy = NoRetry | Fixed | Intervals | Exponential | Scheduled | TimeOfDay


@dataclass(frozen=True, slots=True)
class Proposal:
    """When a strategy would dial next, and how it came to that."""

    at: datetime
    step: str


def needs_zones(strategy: Strategy) -> bool:
    """Return whether a strategy depends on the local time of the number."""
    return isinstance(strategy, TimeOfDay) or varies(strategy)


def varies(strategy: Strategy) -> bool:
    """Return whether a strategy retries in the other half of the day."""
    return isinstance(strategy, Fixed | Intervals | Exponential) and strategy.vary


def propose(strategy: Strategy, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    """When to dial after the last of ``attempts``, by the strategy alone; None where it has no further time."""
    proposal = _RULES[strategy.type](strategy, attempts, zones)
    return _other_half(proposal, attempts[-1], zones[0]) if proposal and varies(strategy) and zones else proposal


def after_wait(wait_minutes: float, last: PastAttempt) -> Proposal:
    """Return so many minutes after the end of an attempt, and never the minute in which the attempt began."""
    at = max(last.ended_at + timedelta(minutes=wait_minutes), _next_minute(last))
    return Proposal(at, f"+{wait_minutes:g} min after {last.outcome}")


def _next_minute(last: PastAttempt) -> datetime:
    return last.started_at.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _other_half(proposal: Proposal, last: PastAttempt, zone_name: str) -> Proposal:
    """Return a proposal that falls in the other half of the local day than the attempt before it.

    After a morning that is noon at the earliest, and after an afternoon MORNING_STARTS of the next day.
    """
    before = _local_hour(last.started_at, zone_name)
    if (_local_hour(proposal.at, zone_name) < NOON) != (before < NOON):
        return proposal
    wanted, half = (NOON, "afternoon") if before < NOON else (MORNING_STARTS, "morning")
    at = next_wall_time(proposal.at, (wanted * 60,), zone_name)
    return Proposal(at, f"{proposal.step}, then to the next {half} in {zone_name}, for vary")


def _local_hour(at: datetime, zone_name: str) -> int:
    return at.astimezone(zone(zone_name)).hour


def _fixed(strategy: Fixed, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    return after_wait(strategy.wait_minutes, attempts[-1])


def _intervals(strategy: Intervals, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    retry = len(attempts) - 1
    return after_wait(strategy.minutes[min(retry, len(strategy.minutes) - 1)], attempts[-1])


def _exponential(strategy: Exponential, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    # A thousandth power would overflow long after max_minutes has been reached.
    retry = min(len(attempts) - 1, 64)
    try:
        minutes = min(strategy.first_minutes * strategy.factor**retry, strategy.max_minutes)
    except OverflowError:
        minutes = strategy.max_minutes
    return after_wait(minutes, attempts[-1])


def _scheduled(strategy: Scheduled, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    last = attempts[-1]
    # A date that an attempt was made at has been used, even where the attempt ended in the same instant.
    left = [at for at in strategy.at if at > last.started_at and at >= last.ended_at]
    if not left:
        return None
    skipped = f", {len(strategy.at) - len(left)} of {len(strategy.at)} dates used or past"
    return Proposal(left[0], f"on the date {left[0]:%Y-%m-%dT%H:%MZ}{skipped}")


def _time_of_day(strategy: TimeOfDay, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    last = attempts[-1]
    # A time of day lasts a minute, and an attempt that ends within it has used it.
    earliest = max(last.ended_at + timedelta(minutes=strategy.min_gap_minutes), _next_minute(last))
    if not zones:
        return None
    # Each time is used once a day, in the zone that comes to it first; the window asks all the zones.
    at = next_shared_time(earliest, strategy.times, zones)
    return Proposal(at, f"the next time of day at least {strategy.min_gap_minutes:g} min after {last.outcome}")


_RULES: dict[str, Callable[[Any, Sequence[PastAttempt], Sequence[str]], Proposal | None]] = {
    "none": lambda strategy, attempts, zones: None,
    "fixed": _fixed,
    "intervals": _intervals,
    "exponential": _exponential,
    "scheduled": _scheduled,
    "time_of_day": _time_of_day,
}
