"""Bolna's ``POST /call`` and ``retry_config`` as a Policy, and its retry state.

The vendor's page on auto-retry leaves these cases open:

    open                                   decision              reason
    ``retry_config`` missing               no retries            "enabled: false" is the page's default
    more retries than intervals            last one repeats      the page says only "before each retry attempt"
    fewer retries than intervals           other ones unused     the page calls ``max_retries`` "Maximum retry attempts"
    ``error`` not in the list              not retried           the default list has no-answer, busy and failed
    a retry_on_statuses beyond the four    422                   without an error the user would miss the retries
"""

from datetime import UTC
from typing import Annotated, Any

from pydantic import Field, field_validator

from chalicelib.dialects.common import (
    AGENT,
    MAX_TIMES,
    NO_MEANING,
    START,
    At,
    Flag,
    Kept,
    OutcomeWord,
    ProviderName,
    Strict,
    VendorRetry,
    WaitMinutes,
    Word,
    doc,
    retried,
)
from chalicelib.domain.call import CallRecord, CallState
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Intervals, NoRetry, Policy

DEFAULT_STATUSES = ("no-answer", "busy", "failed")
DEFAULT_MINUTES = (30.0, 60.0, 120.0)
DEFAULT_MAX_RETRIES = 3
#: "Supported Retry Statuses" of the vendor's page
STATUSES = (Outcome.NO_ANSWER, Outcome.BUSY, Outcome.FAILED, Outcome.ERROR)


class RetryConfigIn(VendorRetry):
    """Bolna's ``retry_config``."""

    enabled: Flag = doc("Whether there are retries at all.", True, False)
    max_retries: Annotated[int, Field(ge=1, le=3, strict=True)] = doc(
        "Retries after the first attempt.", 3, DEFAULT_MAX_RETRIES
    )
    retry_on_statuses: Annotated[list[OutcomeWord], Field(max_length=len(STATUSES) * 2)] = doc(
        f"The outcomes that are retried: any of {', '.join(STATUSES)}.", ["busy"], list(DEFAULT_STATUSES)
    )
    retry_on_voicemail: Flag = doc("Retry after a voicemail.", True, False)
    retry_intervals_minutes: Annotated[list[WaitMinutes], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        "Minutes before each retry; the last one repeats.", [30, 60, 120], list(DEFAULT_MINUTES)
    )

    @field_validator("retry_on_statuses")
    @classmethod
    def _supported(cls, words: list[str]) -> list[str]:
        for word in words:
            if word not in STATUSES:
                raise ValueError(f"{word!r} cannot be retried on; use {', '.join(STATUSES)}, or retry_on_voicemail")
        return words

    def policy(self) -> Policy:
        """Return the policy that the request asks for."""
        rules = retried(self.retry_on_statuses, voicemail=self.retry_on_voicemail)
        if not self.enabled:
            return Policy(max_retries=0, strategy=NoRetry(), on=rules)
        return Policy(max_retries=self.max_retries, strategy=Intervals(tuple(self.retry_intervals_minutes)), on=rules)


class BolnaCallIn(Strict):
    """The body of ``POST /call`` as Bolna documents it, plus ``provider``.

    Two of Bolna's fields are accepted and not used.
    """

    agent_id: Annotated[str, Field(min_length=1, max_length=256)] = doc(AGENT, "av_01hx")
    provider: ProviderName | None = doc(
        "The provider to dial through. Left out, Bolna if Bolna is set up, otherwise DEFAULT_PROVIDER.", "bolna", None
    )
    recipient_phone_number: Word = doc("The number to call, in E.164.", "+16505550199")
    from_phone_number: Word | None = doc(
        "The number to call from, in E.164. Left out, DEFAULT_FROM_NUMBER.", "+14155550100", None
    )
    scheduled_at: At | None = doc(START, "2026-01-27T10:00:00Z", None)
    user_data: Kept = doc("Data for the agent; texts, numbers and booleans become its variables.", {"name": "Ada"}, {})
    retry_config: RetryConfigIn = doc(
        "When to retry. Left out, there are no retries.", {"enabled": True}, RetryConfigIn()
    )
    bypass_call_guardrails: Flag | None = doc(f"{NO_MEANING} Redial never dials outside the window.", True, None)
    agent_data: Any = doc(NO_MEANING, {"voice_id": "v1"}, None)


def accepted(record: CallRecord) -> dict[str, Any]:
    """Return Bolna's answer to ``POST /call``, plus the provider that dials the call."""
    return {
        "message": "done",
        "status": _status(record, started="queued"),
        "execution_id": record.call.id,
        "provider": record.call.provider,
    }


def retry_state(record: CallRecord) -> dict[str, Any]:
    """Return a call as Bolna's webhook shows it during retries.

    ``status`` is ``scheduled`` while a retry is pending. ``retry_history`` has the attempts that have ended; ``at`` is
    the time at which an attempt was made. ``scheduled_at`` is there only while an attempt is scheduled. Times are UTC.
    """
    call = record.call
    ended = [attempt for attempt in record.attempts if attempt.outcome is not None]
    retrying = call.state is CallState.SCHEDULED and bool(ended)
    state: dict[str, Any] = {
        "id": call.id,
        "status": _status(record, started="initiated"),
        "retry_count": max(0, len(record.attempts) - 1) + (1 if retrying else 0),
        "retry_config": {"enabled": call.policy.max_retries > 0, "max_retries": call.policy.max_retries},
        "retry_history": [
            {"attempt": attempt.number, "status": attempt.outcome, "at": _zulu(attempt.claimed_at)}
            for attempt in (ended if retrying or not record.attempts else ended[:-1])
        ],
    }
    if call.state is CallState.SCHEDULED and call.due_at is not None:
        state["scheduled_at"] = _zulu(call.due_at)
    return state


def _status(record: CallRecord, *, started: str) -> str:
    """Return the status of a call in Bolna's words.

    It is ``scheduled`` while an attempt is scheduled, otherwise the outcome or the progress of the last attempt.
    ``started`` is the word for a call that is being dialled.
    """
    call = record.call
    if call.state is CallState.SCHEDULED:
        return "scheduled"
    if not record.attempts:
        return "canceled" if call.state is CallState.FINAL else started
    last = record.attempts[-1]
    if last.outcome is None:
        return last.progress or started
    # Bolna has no word for these two outcomes. For Bolna a voicemail is completed, and a rejected call is no-answer.
    return {Outcome.VOICEMAIL: "completed", Outcome.REJECTED: "no-answer"}.get(last.outcome, last.outcome)


def _zulu(at: Any) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
