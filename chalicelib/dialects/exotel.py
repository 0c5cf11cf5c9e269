"""Exotel's campaign request, with its ``retry`` and ``schedule``, as a Policy.

The vendor's page on auto-retry leaves these cases open, or has two answers:

    open                               decision                        reason
    ``max_attempts``                   retries after the first dial    "Maximum number of additional attempts"
    ``failed`` in ``retry_on``         retried at most once            "Yes (once)"; its code returns at the second
    ``error``                          as ``failed``                   the page has no other word for a technical fault
    ``retry_on`` missing               busy, no-answer, failed         the page's table of triggers
    ``interval_minutes`` missing       60                              the page's example, and the most it recommends
    ``retry`` missing                  no retries                      the user must enable auto-retry
    ``schedule`` missing               any hour                        the page has hours as a setting, not as a default
    one of the two hours missing       09:00 or 21:00                  the page's recommended window
    whose hours                        the recipient's                 TRAI's 9-21 rule protects the recipient
    ``mechanism: Exponential``         doubles                         the vendor's campaign page
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from chalicelib.dialects.common import (
    AGENT,
    MAX_DAYS,
    NO_MEANING,
    START,
    At,
    MaxRetries,
    OutcomeWord,
    ProviderName,
    Strict,
    VendorRetry,
    WaitMinutes,
    Word,
    doc,
)
from chalicelib.dialects.narrowing import NarrowingIn
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Exponential, Fixed, NoRetry, OutcomeRule, Policy
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import Weekday, Window, interval, minute_of_day

DEFAULT_RETRY_ON = ("busy", "no-answer", "failed")
DEFAULT_INTERVAL_MINUTES = 60.0
DEFAULT_START, DEFAULT_END = "09:00", "21:00"
#: outcome -> the most retries after it, even if ``max_attempts`` is higher
ONCE = {Outcome.FAILED: 1, Outcome.ERROR: 1}
SUPPORTED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.ERROR)
MAX_NUMBERS = 100
MAX_SPAN = timedelta(days=MAX_DAYS)


class RetryIn(VendorRetry):
    """Exotel's ``retry``."""

    max_attempts: MaxRetries = doc("Retries after the first attempt: Exotel's additional attempts.", 3, 0)
    interval_minutes: WaitMinutes = doc("Minutes before a retry.", 60, DEFAULT_INTERVAL_MINUTES)
    retry_on: Annotated[list[OutcomeWord], Field(max_length=len(SUPPORTED) * 2)] = doc(
        f"The outcomes that are retried: any of {', '.join(SUPPORTED)}. `failed` is retried once.",
        ["busy", "no-answer", "failed"],
        list(DEFAULT_RETRY_ON),
    )
    mechanism: Literal["Linear", "Exponential"] = doc(
        "'Exponential' doubles the wait before each further retry.", "Linear", "Linear"
    )

    def strategy(self) -> Exponential | Fixed:
        """Return the strategy of ``mechanism``: doubling waits or a fixed wait."""
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
    """Exotel's ``schedule``: daily hours, and the start and the end of the campaign.

    Each field is optional. The hours are local to the recipient. ``preset``, ``holidays`` and ``closed`` are Redial's
    additions.
    """

    daily_start: Word | None = doc(
        f"No call before this time of the recipient's day; {DEFAULT_START} if only the end is given.", "09:00", None
    )
    daily_end: Word | None = doc(
        f"No call at or after this time of the recipient's day; {DEFAULT_END} if only the start is given.",
        "21:00",
        None,
    )
    send_at: At | None = doc(START, "2026-01-27T04:00:00Z", None)
    end_at: At | None = doc(
        f"No attempt at or after this time, which is at most {MAX_DAYS} days after the start.",
        "2026-01-29T12:00:00Z",
        None,
    )

    def rules(self) -> Rules:
        """Return the rules of the two hours, the presets and the days off.

        The result is empty if the request has none of them.
        """
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
        if self.send_at is not None and self.end_at is not None and self.end_at > self.send_at + MAX_SPAN:
            raise ValueError(f"end_at lies more than {MAX_DAYS} days after send_at; no further can be planned ahead")
        return self


class ExotelPolicyIn(Strict):
    """Exotel's ``retry`` and ``schedule``: the value of ``exotel`` in a request."""

    retry: RetryIn | None = doc("When to retry. Left out, there are no retries.", {"max_attempts": 3}, None)
    schedule: ScheduleIn | None = doc(
        "The hours of the day, the start and the end. Left out, any hour.", {"daily_start": "09:00"}, None
    )

    def policy(self) -> Policy:
        """Return the policy that the request asks for.

        If the request has ``end_at`` and no ``send_at``, use ``policy_from``, which knows the start.
        """
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
        """Return the policy of a campaign that starts at ``start_at``.

        The policy ends at ``end_at`` if the request has ``end_at``. Raises ValueError if ``end_at`` is not after the
        start, or more than MAX_DAYS days after it: the timing wheel reaches no further.
        """
        end_at = self.schedule.end_at if self.schedule else None
        if end_at is None:
            return self.policy()
        if not start_at < end_at <= start_at + MAX_SPAN:
            when = f"between {start_at:%Y-%m-%dT%H:%M:%SZ}, when the campaign starts, and {MAX_DAYS} days after that"
            raise ValueError(f"end_at {end_at:%Y-%m-%dT%H:%M:%SZ} must lie {when}")
        return replace(self.policy(), expires_after_hours=(end_at - start_at) / timedelta(hours=1))

    @property
    def _ends_sharp(self) -> bool:
        # The user chose the exact end, so Redial does not extend it to the next open hour.
        return self.schedule is not None and self.schedule.end_at is not None

    def _expires_after_hours(self) -> float:
        if self.schedule is None or self.schedule.end_at is None or self.schedule.send_at is None:
            return 72
        return (self.schedule.end_at - self.schedule.send_at) / timedelta(hours=1)


class CampaignIn(ExotelPolicyIn):
    """The body of ``POST /v1/Accounts/{sid}/Campaigns``, as Exotel documents it.

    ``provider`` is Redial's addition. The fields from ``custom_field`` on are accepted and not used.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)] = doc(
        "The campaign's name; each of its calls has it in `metadata`.", "Payment_Reminders"
    )
    provider: ProviderName | None = doc(
        "The provider to dial through. Left out, Exotel if Exotel is set up, otherwise DEFAULT_PROVIDER.",
        "exotel",
        None,
    )
    caller_id: Word = doc("The number to call from, in E.164 or in India's national form.", "+918047112233")
    call_flow_id: Annotated[str, Field(min_length=1, max_length=256)] | None = doc(AGENT, "flow-7", None)
    numbers: Annotated[list[Word], Field(min_length=1, max_length=MAX_NUMBERS)] = doc(
        "The numbers to call, each once, in E.164 or in India's national form.", ["+919876543210", "+919876543211"]
    )
    custom_field: Any = doc(NO_MEANING, "order-7", None)
    type: Any = doc(NO_MEANING, "trans", None)
    campaign_type: Any = doc(NO_MEANING, "static", None)
    flow_type: Any = doc(NO_MEANING, "ivr", None)
    url: Any = doc(NO_MEANING, "https://my.exotel.com/acme1/exoml/start_voice/7", None)
    read_via_text: Any = doc(NO_MEANING, "Hello", None)
    repeat_menu_attempts: Any = doc(NO_MEANING, 2, None)
    call_duplicate_numbers: Any = doc(NO_MEANING, False, None)
    mode: Any = doc(NO_MEANING, "auto", None)
    throttle: Any = doc(NO_MEANING, 30, None)
    call_status_callback: Any = doc(NO_MEANING, "https://example.com/call", None)
    call_schedule_callback: Any = doc(NO_MEANING, "https://example.com/number", None)
    status_callback: Any = doc(NO_MEANING, "https://example.com/campaign", None)


def _rules(words: Any) -> dict[Outcome, OutcomeRule]:
    outcomes = [Outcome.parse(word) for word in words]
    if Outcome.FAILED in outcomes and Outcome.ERROR not in outcomes:
        outcomes.append(Outcome.ERROR)
    return {outcome: OutcomeRule(retry=True, max_retries=ONCE.get(outcome)) for outcome in outcomes}
