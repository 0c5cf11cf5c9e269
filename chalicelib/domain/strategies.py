"""Strategies: each one is a frozen value, and a rule for the next dial."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.zones import next_shared_time, next_wall_time, zone

#: local hours: ``vary`` puts a retry at MORNING_STARTS or later in the morning, and at NOON or later in the afternoon
MORNING_STARTS, NOON = 9, 12


@dataclass(frozen=True, slots=True)
class NoRetry:
    """A single attempt, without any retry."""

    type: Literal["none"] = "none"


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait before every retry, in minutes from the end of the attempt before.

    With ``vary``, a retry falls in the other half of the local day than the attempt before it. ``Intervals`` and
    ``Exponential`` have the same option.
    """

    wait_minutes: float
    vary: bool = False
    type: Literal["fixed"] = "fixed"


@dataclass(frozen=True, slots=True)
class Intervals:
    """A list of waits, one for each retry, in minutes. The last wait repeats."""

    minutes: tuple[float, ...]
    vary: bool = False
    type: Literal["intervals"] = "intervals"


@dataclass(frozen=True, slots=True)
class Exponential:
    """An exponential wait: ``first_minutes`` before the first retry, then growing.

    Each wait is ``factor`` times as long as the one before, up to ``max_minutes``.
    """

    first_minutes: float
    factor: float = 2.0
    max_minutes: float = 24 * 60
    vary: bool = False
    type: Literal["exponential"] = "exponential"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Fixed dates, in UTC and sorted. A date that has passed is skipped."""

    at: tuple[datetime, ...]
    type: Literal["scheduled"] = "scheduled"


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """Local times of the day, in minutes since midnight.

    The next attempt comes at least ``min_gap_minutes`` after the end of the last one.
    """

    times: tuple[int, ...]
    min_gap_minutes: float = 60
    type: Literal["time_of_day"] = "time_of_day"


Strategy = NoRetry | Fixed | Intervals | Exponential | Scheduled | TimeOfDay


@dataclass(frozen=True, slots=True)
class Proposal:
    """The time that a strategy proposes for the next dial, and the step that says why."""

    at: datetime
    step: str


def needs_zones(strategy: Strategy) -> bool:
    """Return whether a strategy depends on the local time of the number."""
    return isinstance(strategy, TimeOfDay) or varies(strategy)


def varies(strategy: Strategy) -> bool:
    """Return whether a strategy retries in the other half of the day."""
    return isinstance(strategy, Fixed | Intervals | Exponential) and strategy.vary


def propose(strategy: Strategy, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    """Return the time of the next dial by the strategy alone; None if it has none.

    ``attempts`` has at least one attempt, and the last one has ended.
    """
    proposal = _RULES[strategy.type](strategy, attempts, zones)
    return _other_half(proposal, attempts[-1], zones[0]) if proposal and varies(strategy) and zones else proposal


def after_wait(wait_minutes: float, last: PastAttempt) -> Proposal:
    """Return a proposal so many minutes after the end of the last attempt.

    The proposal is never in the minute in which that attempt began.
    """
    at = max(last.ended_at + timedelta(minutes=wait_minutes), _next_minute(last))
    return Proposal(at, f"+{wait_minutes:g} min after {last.outcome}")


def _next_minute(last: PastAttempt) -> datetime:
    return last.started_at.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _other_half(proposal: Proposal, last: PastAttempt, zone_name: str) -> Proposal:
    """Return the proposal, moved to the other half of the local day if necessary.

    After an attempt in the morning, the earliest time is noon. After an attempt in the afternoon, it is MORNING_STARTS
    of the next day.
    """
    before = _local_hour(last.started_at, zone_name)
    if (_local_hour(proposal.at, zone_name) < NOON) != (before < NOON):
        return proposal
    wanted, half = (NOON, "afternoon") if before < NOON else (MORNING_STARTS, "morning")
    at = next_wall_time(proposal.at, (wanted * 60,), zone_name)
    return Proposal(at, f"{proposal.step}, then vary: the next {half} in {zone_name}")


def _local_hour(at: datetime, zone_name: str) -> int:
    return at.astimezone(zone(zone_name)).hour


def _fixed(strategy: Fixed, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    return after_wait(strategy.wait_minutes, attempts[-1])


def _intervals(strategy: Intervals, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    retry = len(attempts) - 1
    return after_wait(strategy.minutes[min(retry, len(strategy.minutes) - 1)], attempts[-1])


def _exponential(strategy: Exponential, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal:
    # A large power overflows, and max_minutes has been reached long before.
    retry = min(len(attempts) - 1, 64)
    try:
        minutes = min(strategy.first_minutes * strategy.factor**retry, strategy.max_minutes)
    except OverflowError:
        minutes = strategy.max_minutes
    return after_wait(minutes, attempts[-1])


def _scheduled(strategy: Scheduled, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    last = attempts[-1]
    # An attempt uses its date, even if the attempt ended in the same instant.
    left = [at for at in strategy.at if at > last.started_at and at >= last.ended_at]
    if not left:
        return None
    skipped = f", {len(strategy.at) - len(left)} of {len(strategy.at)} dates used or past"
    return Proposal(left[0], f"on the date {left[0]:%Y-%m-%dT%H:%MZ}{skipped}")


def _time_of_day(strategy: TimeOfDay, attempts: Sequence[PastAttempt], zones: Sequence[str]) -> Proposal | None:
    last = attempts[-1]
    # A time of day lasts one minute. An attempt in that minute uses it, even if the attempt ends within the minute.
    earliest = max(last.ended_at + timedelta(minutes=strategy.min_gap_minutes), _next_minute(last))
    if not zones:
        return None
    # Each time is used once a day, in the zone that reaches it first. The window checks all zones later.
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
