"""Gomobile's ``retryStrategy`` and ``pauseWindows`` as a Policy.

The vendor's guide leaves these cases open, or has two answers:

    open                               decision                    reason
    which outcomes                     busy, no-answer, failed     "Busy: yes, likely", "No Answer: yes", "Network
                                       and error                   Error: yes, usually temporary"
    ``rejected``                       ``retryOnRejected``, off    "Maybe, depends on reason": a person said no
    ``voicemail``                      ``retryOnVoicemail``, off   "Depends on goal"; the example leaves a message
    ``maxRetries`` with ``scheduled``  one for each date           the strategy has no such field
    ``maxRetries`` missing             3                           the reference: 3 retries make 4 attempts
    whose hours                        the recipient's             "Respect recipient time"
    a pause that ends at 23:59         ends at midnight            {hour, minute} has no later time than 23:59
    only pauses                        open at all other times     a pause only takes hours away
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from chalicelib.dialects.common import (
    MAX_DAYS,
    MAX_INTERVALS,
    MAX_TIMES,
    At,
    Flag,
    MaxRetries,
    Strict,
    VendorRetry,
    WaitMinutes,
    doc,
    retried,
)
from chalicelib.dialects.narrowing import NarrowingIn
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Fixed, NoRetry, OutcomeRule, Policy, Scheduled, Strategy
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import Interval, Weekday, Window, interval_of_minutes, until_midnight

RETRIED = ("busy", "no-answer", "failed", "error")
DEFAULT_MAX_RETRIES = 3


class SwitchesIn(VendorRetry):
    """Redial's additions to the vendor's strategies: outcomes to retry on request."""

    retryOnRejected: Flag = doc("Retry after a person rejected the call.", True, False)
    retryOnVoicemail: Flag = doc("Retry after a voicemail.", True, False)


KIND = "The kind of strategy."


class NoneIn(VendorRetry):
    """A policy without retries."""

    type: Literal["none"] = doc(KIND, "none")


class FixedDelayIn(SwitchesIn):
    """The same wait before every retry."""

    type: Literal["fixed_delay"] = doc(KIND, "fixed_delay")
    delayMinutes: WaitMinutes = doc("Minutes from the end of an attempt to the next.", 30)
    maxRetries: MaxRetries = doc("Retries after the first attempt.", 3, DEFAULT_MAX_RETRIES)


class RetryDatesIn(SwitchesIn):
    """Retries at fixed dates and times."""

    type: Literal["scheduled"] = doc(KIND, "scheduled")
    retryDates: Annotated[list[At], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        "When to retry; a past time is skipped.", ["2026-01-27T10:00:00Z"]
    )


RetryStrategyIn = Annotated[NoneIn | FixedDelayIn | RetryDatesIn, Field(discriminator="type")]


class ClockIn(Strict):
    """A local time of the day: ``{"hour": 12, "minute": 0}``."""

    hour: Annotated[int, Field(ge=0, le=23, strict=True)] = doc("The hour of the recipient's day.", 12)
    minute: Annotated[int, Field(ge=0, le=59, strict=True)] = doc("The minute of that hour.", 30, 0)

    @property
    def minutes(self) -> int:
        """The minutes since local midnight."""
        return self.hour * 60 + self.minute


class PauseIn(Strict):
    """One pause. A pause may cross midnight."""

    startAt: ClockIn = doc("When the pause begins.", {"hour": 12, "minute": 0})
    endAt: ClockIn = doc("When the pause ends; 23:59 is midnight.", {"hour": 14, "minute": 0})

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        self.interval()
        return self

    def interval(self) -> Interval:
        """Return the pause as an interval; an end of 23:59 means midnight.

        Raises ValueError if the interval is empty.
        """
        return interval_of_minutes(self.startAt.minutes, until_midnight(self.endAt.minutes))


Pauses = Annotated[list[PauseIn], Field(max_length=MAX_INTERVALS)]


def _pauses(day: Weekday) -> Any:
    pause = {"startAt": {"hour": 12, "minute": 0}, "endAt": {"hour": 14, "minute": 0}}
    return doc(f"The pauses of each {day.title()}, in the recipient's time.", [pause], [])


class PauseWindowsIn(NarrowingIn):
    """Gomobile's ``pauseWindows``: the pauses of each weekday.

    ``preset``, ``holidays`` and ``closed`` are Redial's additions.
    """

    monday: Pauses = _pauses(Weekday.MONDAY)
    tuesday: Pauses = _pauses(Weekday.TUESDAY)
    wednesday: Pauses = _pauses(Weekday.WEDNESDAY)
    thursday: Pauses = _pauses(Weekday.THURSDAY)
    friday: Pauses = _pauses(Weekday.FRIDAY)
    saturday: Pauses = _pauses(Weekday.SATURDAY)
    sunday: Pauses = _pauses(Weekday.SUNDAY)

    @model_validator(mode="after")
    def _opens(self) -> Self:
        self.rules()
        return self

    def rules(self) -> Rules:
        """Return the rules of the pauses, the presets and the days off."""
        pauses = {day: tuple(pause.interval() for pause in getattr(self, day)) for day in Weekday}
        return self.narrowed(Window(pause={day: found for day, found in pauses.items() if found}))


class GomobilePolicyIn(Strict):
    """Gomobile's ``retryStrategy`` and ``pauseWindows``: the value of ``gomobile``."""

    retryStrategy: RetryStrategyIn = doc("When to retry.", {"type": "fixed_delay", "delayMinutes": 30})
    pauseWindows: PauseWindowsIn | None = doc("When not to call. Left out, there are no pauses.", {"monday": []}, None)

    def policy(self) -> Policy:
        """Return the policy that the request asks for."""
        strategy, max_retries = self._strategy()
        policy = Policy(
            max_retries=max_retries,
            strategy=strategy,
            on=self._rules(),
            # Dates can lie weeks ahead, and for the vendor a call ends only after its last date.
            expires_after_hours=MAX_DAYS * 24 if isinstance(strategy, Scheduled) else 72,
        )
        return policy.with_rules(self.pauseWindows.rules()) if self.pauseWindows else policy

    def _rules(self) -> dict[Outcome, OutcomeRule]:
        asked = self.retryStrategy
        if isinstance(asked, NoneIn):
            return retried(RETRIED, voicemail=False)
        rejected = ("rejected",) if asked.retryOnRejected else ()
        return retried((*RETRIED, *rejected), voicemail=asked.retryOnVoicemail)

    def _strategy(self) -> tuple[Strategy, int]:
        match self.retryStrategy:
            case FixedDelayIn(delayMinutes=minutes, maxRetries=max_retries):
                return Fixed(minutes), max_retries
            case RetryDatesIn(retryDates=dates):
                at = tuple(sorted(set(dates)))
                return Scheduled(at), len(at)
            case _:
                return NoRetry(), 0
