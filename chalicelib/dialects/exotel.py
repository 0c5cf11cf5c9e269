"""Exotel's campaign request, its ``retry`` and ``schedule``: to a Policy.

Where the vendor's page on auto-retry leaves something open or speaks twice:

    open                               decided                         because
    ``max_attempts``                   retries after the first dial    "Maximum number of additional attempts"
    ``failed`` in ``retry_on``         retried once at most            "Yes (once)", and its code returns at the second
    ``error``                          as ``failed``                   its page has no other word for a technical fault
    ``retry_on`` missing               busy, no-answer, failed         its table of triggers
    ``interval_minutes`` missing       60                              its example, and the most it recommends
    ``retry`` missing                  no retries                      auto retry is to be enabled
    ``schedule`` missing               any hour                        hours are a setting, not a default
    one of the two hours missing       09:00 or 21:00                  its recommended window
    whose hours                        the recipient's                 what TRAI's 9-21 protects
    ``mechanism: Exponential``         doubles                         its campaign page
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from chalicelib.dialects.common import (
    MOST_DAYS,
    At,
    MaxRetries,
    OutcomeWord,
    ProviderName,
    Strict,
    VendorRetry,
    WaitMinutes,
    Word,
)
from chalicelib.dialects.narrowing import NarrowingIn
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Exponential, Fixed, NoRetry, OutcomeRule, Policy
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import Weekday, Window, interval, minute_of_day

DEFAULT_RETRY_ON = ("busy", "no-answer", "failed")
DEFAULT_INTERVAL_MINUTES = 60.0
DEFAULT_START, DEFAULT_END = "09:00", "21:00"
#: outcome -> most retries after it, whatever ``max_attempts`` says
ONCE = {Outcome.FAILED: 1, Outcome.ERROR: 1}
SUPPORTED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.ERROR)
MOST_NUMBERS = 100
MOST_SPAN = timedelta(days=MOST_DAYS)


class RetryIn(VendorRetry):
    """Exotel's ``retry``."""

    max_attempts: MaxRetries = 0
    interval_minutes: WaitMinutes = DEFAULT_INTERVAL_MINUTES
    retry_on: list[OutcomeWord] = Field(default=list(DEFAULT_RETRY_ON), max_length=len(SUPPORTED) * 2)
    mechanism: Literal["Linear", "Exponential"] = "Linear"

    def strategy(self) -> Exponential | Fixed:
        """The waits that this asks for."""
        if self.mechanism == "Exponential":
            return Exponential(first_minutes=self.interval_minutes)
        return Fixed(self.interval_minutes)

    @field_validator("retry_on")
    @classmethod
    def _supported(cls, words: list[str]) -> list[str]:
        for word in words:
            if word not in SUPPORTED:
                raise ValueError(f"{word!r} cannot be retried on; use {', '.join(SUPPORTED)}")
        return words


class ScheduleIn(NarrowingIn, VendorRetry):
    """Exotel's ``schedule``: local hours of every day, and optionally when the campaign begins and ends.

    ``preset``, ``holidays`` and ``closed`` are Redial's addition.
    """

    daily_start: Word | None = None
    daily_end: Word | None = None
    send_at: At | None = None
    end_at: At | None = None

    def rules(self) -> Rules:
        """Return the window that the two hours and what narrows them make; none where nothing is given."""
        if self.daily_start is None and self.daily_end is None:
            return self.narrowed(Window()) if self.narrows else Rules()
        hours = (interval(self.daily_start or DEFAULT_START, self.daily_end or DEFAULT_END),)
        return self.narrowed(Window(open=dict.fromkeys(Weekday, hours)))

    @field_validator("daily_start", "daily_end")
    @classmethod
    def _clock_time(cls, text: str | None) -> str | None:
        if text is not None:
            minute_of_day(text)
        return text

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        self.rules()
        if self.send_at is not None and self.end_at is not None and self.end_at <= self.send_at:
            raise ValueError("end_at must come after send_at")
        if self.send_at is not None and self.end_at is not None and self.end_at > self.send_at + MOST_SPAN:
            raise ValueError(f"end_at lies more than {MOST_DAYS} days after send_at; no further can be planned ahead")
        return self


class ExotelPolicyIn(Strict):
    """The two together, as ``POST /policies/preview`` takes them under ``exotel``."""

    retry: RetryIn | None = None
    schedule: ScheduleIn | None = None

    def policy(self) -> Policy:
        """The policy that this asks for."""
        asked = self.retry if self.retry is not None and self.retry.max_attempts else None
        policy = Policy(
            max_retries=asked.max_attempts if asked else 0,
            strategy=asked.strategy() if asked else NoRetry(),
            on=_rules(asked.retry_on if asked else DEFAULT_RETRY_ON),
            expires_after_hours=self._expires_after_hours(),
            ends_sharp=self._ends_sharp,
        )
        return policy.with_rules(self.schedule.rules()) if self.schedule else policy

    def policy_from(self, start_at: datetime) -> Policy:
        """Return the policy of a campaign that starts then: it ends at ``end_at``, whatever else is given.

        Raise ValueError where that lies before the start, or beyond the reach of the timing wheel.
        """
        end_at = self.schedule.end_at if self.schedule else None
        if end_at is None:
            return self.policy()
        if not start_at < end_at <= start_at + MOST_SPAN:
            when = f"between {start_at:%Y-%m-%dT%H:%M:%SZ}, when the campaign starts, and {MOST_DAYS} days after that"
            raise ValueError(f"end_at {end_at:%Y-%m-%dT%H:%M:%SZ} must lie {when}")
        return replace(self.policy(), expires_after_hours=(end_at - start_at) / timedelta(hours=1))

    @property
    def _ends_sharp(self) -> bool:
        # The user named the moment of the end, so no opening may follow it.
        return self.schedule is not None and self.schedule.end_at is not None

    def _expires_after_hours(self) -> float:
        if self.schedule is None or self.schedule.end_at is None or self.schedule.send_at is None:
            return 72
        return (self.schedule.end_at - self.schedule.send_at) / timedelta(hours=1)


class CampaignIn(ExotelPolicyIn):
    """``POST /v1/Accounts/{sid}/Campaigns`` as Exotel documents it, with ``provider`` beside it.

    The fields from ``custom_field`` on are Exotel's, and mean nothing here.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)]
    provider: ProviderName | None = None
    caller_id: Word
    call_flow_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    numbers: Annotated[list[Word], Field(min_length=1, max_length=MOST_NUMBERS)]
    custom_field: Any = None
    type: Any = None
    campaign_type: Any = None
    flow_type: Any = None
    url: Any = None
    read_via_text: Any = None
    repeat_menu_attempts: Any = None
    call_duplicate_numbers: Any = None
    mode: Any = None
    throttle: Any = None
    call_status_callback: Any = None
    call_schedule_callback: Any = None
    status_callback: Any = None


def _rules(words: Any) -> dict[Outcome, OutcomeRule]:
    outcomes = [Outcome.parse(word) for word in words]
    if Outcome.FAILED in outcomes and Outcome.ERROR not in outcomes:
        outcomes.append(Outcome.ERROR)
    return {outcome: OutcomeRule(retry=True, max_retries=ONCE.get(outcome)) for outcome in outcomes}
