"""Gomobile's ``retryStrategy`` and ``pauseWindows``: to a Policy.

Where the vendor's guide leaves something open or speaks twice:

    open                               decided                     because
    which outcomes                     busy, no-answer, failed     "Busy: yes, likely", "No Answer: yes", "Network
                                       and error                   Error: yes, usually temporary"
    ``rejected``                       ``retryOnRejected``, off    "Maybe, depends on reason": a person said no
    ``voicemail``                      ``retryOnVoicemail``, off   "Depends on goal"; its example leaves a message
    ``maxRetries`` with ``scheduled``  one for each date           the strategy has no such field
    ``maxRetries`` missing             3                           its reference: 3 retries make 4 attempts
    whose hours                        the recipient's             "Respect recipient time"
    a pause that ends at 23:59         ends at midnight            23:59 is the latest that {hour, minute} can say
    pauses alone                       open at all other times     they are what is taken away
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
    """Redial's addition to the vendor's strategies: outcomes that are retried only where the user says so."""

    retryOnRejected: Flag = doc("Retry after a person rejected the call.", True, False)
    retryOnVoicemail: Flag = doc("Retry after a voicemail.", True, False)


KIND = "Which strategy this is."


class NoneIn(VendorRetry):
    """No retries."""

    type: Literal["none"] = doc(KIND, "none")


class FixedDelayIn(SwitchesIn):
    """The same wait before every retry."""

    type: Literal["fixed_delay"] = doc(KIND, "fixed_delay")
    delayMinutes: WaitMinutes = doc("Minutes from the end of an attempt to the next.", 30)
    maxRetries: MaxRetries = doc("Retries after the first attempt.", 3, DEFAULT_MAX_RETRIES)


class RetryDatesIn(SwitchesIn):
    """Retries at fixed times."""

    type: Literal["scheduled"] = doc(KIND, "scheduled")
    retryDates: Annotated[list[At], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        "When to retry; a past time is skipped.", ["2026-01-27T10:00:00Z"]
    )


RetryStrategyIn = Annotated[NoneIn | FixedDelayIn | RetryDatesIn, Field(discriminator="type")]


class ClockIn(Strict):
    """``{"hour": 12, "minute": 0}``, local."""

    hour: Annotated[int, Field(ge=0, le=23, strict=True)] = doc("The hour of the recipient's day.", 12)
    minute: Annotated[int, Field(ge=0, le=59, strict=True)] = doc("The minute of that hour.", 30, 0)

    @property
    def minutes(self) -> int:
        return self.hour * 60 + self.minute


class PauseIn(Strict):
    """One pause; it may cross midnight."""

    startAt: ClockIn = doc("When the pause begins.", {"hour": 12, "minute": 0})
    endAt: ClockIn = doc("When the pause ends; 23:59 is midnight.", {"hour": 14, "minute": 0})

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        self.interval()
        return self

    def interval(self) -> Interval:
        """The pause as an interval, an end of 23:59 taken for midnight. Raises ValueError where it is empty."""
        return interval_of_minutes(self.startAt.minutes, until_midnight(self.endAt.minutes))


Pauses = Annotated[list[PauseIn], Field(max_length=MAX_INTERVALS)]


def _pauses(day: Weekday) -> Any:
    pause = {"startAt": {"hour": 12, "minute": 0}, "endAt": {"hour": 14, "minute": 0}}
    return doc(f"The pauses of each {day.title()}, in the recipient's time.", [pause], [])


class PauseWindowsIn(NarrowingIn):
    """``pauseWindows``: the pauses of each weekday. ``preset``, ``holidays`` and ``closed`` are Redial's addition."""

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
        """Return the window that these pauses leave open, with all that narrows it."""
        pauses = {day: tuple(pause.interval() for pause in getattr(self, day)) for day in Weekday}
        return self.narrowed(Window(pause={day: found for day, found in pauses.items() if found}))


class GomobilePolicyIn(Strict):
    """The two together, as ``POST /policies/preview`` takes them under ``gomobile``."""

    retryStrategy: RetryStrategyIn = doc("When to retry.", {"type": "fixed_delay", "delayMinutes": 30})
    pauseWindows: PauseWindowsIn | None = doc("When not to call. Left out, there are no pauses.", {"monday": []}, None)

    def policy(self) -> Policy:
        """The policy that this asks for."""
        strategy, max_retries = self._strategy()
        policy = Policy(
            max_retries=max_retries,
            strategy=strategy,
            on=self._rules(),
            # Dates may lie weeks ahead, and the vendor knows no end but the last of them.
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
