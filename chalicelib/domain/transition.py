"""A transition: one change of a call's record, with its decision and its event."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.call import Attempt, Call, CallRecord, CallState
from chalicelib.domain.decide import Decision
from chalicelib.domain.events import CallEvent


class Effect(StrEnum):
    """The kind of a change."""

    CLAIMED = "claimed"  # the next attempt was claimed
    DECIDED = "decided"  # Redial decided about the call, and the history gets the decision
    ENRICHED = "enriched"  # the record changed without a decision
    NOTHING = "nothing"  # nothing changed, so nothing is written


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a record: the record before, the call after, and the decision.

    ``decision`` is None if nothing was decided. ``attempt`` is the one attempt that changed. ``dropped`` is True if
    that attempt is taken back as never made.
    """

    before: CallRecord
    call: Call
    attempt: Attempt | None
    effect: Effect
    at: datetime
    decision: Decision | None = None
    event: CallEvent | None = None
    dropped: bool = False

    @property
    def ended_attempt(self) -> Attempt | None:
        """The attempt that this change ends or takes back, else None."""
        if self.attempt is None:
            return None
        stored = self.before.attempt(self.attempt.number)
        was_live = stored is not None and stored.outcome is None
        return self.attempt if was_live and (self.dropped or self.attempt.outcome is not None) else None

    @property
    def made_after_all(self) -> Attempt | None:
        """The attempt that was in fact placed, although Redial took it for never placed.

        None if this change shows nothing like that.
        """
        stored = self.before.attempt(self.attempt.number) if self.attempt else None
        return self.attempt if stored and self.attempt and not stored.was_made and self.attempt.was_made else None

    @property
    def after(self) -> CallRecord:
        """The record after the change."""
        if self.attempt is None:
            return CallRecord(self.call, self.before.attempts)
        if self.dropped:
            kept = tuple(a for a in self.before.attempts if a.number != self.attempt.number)
            return CallRecord(self.call, kept)
        if self.before.attempt(self.attempt.number) is None:
            return CallRecord(self.call, (*self.before.attempts, self.attempt))
        return CallRecord(self.call, self.before.replacing(self.attempt))

    def until(self, deadline_at: datetime) -> "Transition":
        """Return the same transition with this deadline for the attempt's end."""
        return replace(self, call=replace(self.call, deadline_at=deadline_at))

    def booked(self, call: Call) -> "Transition":
        """Return the same transition with ``call``, due in the minute that was booked."""
        return replace(self, call=call)


def becoming(
    record: CallRecord,
    call: Call,
    attempt: Attempt | None = None,
    *,
    effect: Effect,
    at: datetime,
    decision: Decision | None = None,
    event: CallEvent | None = None,
    dropped: bool = False,
) -> Transition:
    """Return the change of a record to this call and attempt, with raised versions.

    No other function raises a version.
    """
    raised = replace(call, version=record.call.version + 1)
    stored = record.attempt(attempt.number) if attempt else None
    if attempt is not None and stored is not None:
        attempt = replace(attempt, version=stored.version + 1)
    return Transition(record, raised, attempt, effect, at, decision, event, dropped)


def unchanged(record: CallRecord, at: datetime) -> Transition:
    """Return the transition that changes nothing. It is not written."""
    return Transition(record, record.call, None, Effect.NOTHING, at)


def failed_over(call: Call) -> Call:
    """Return the call with its policy's second provider, if the policy has one.

    For a call that the first provider's network could not connect. Do not use it if Redial does not know whether the
    provider placed the call: the phone may have rung.
    """
    failover = call.policy.failover
    if failover is None or call.failover_account is None or call.provider == failover.provider:
        return call
    return replace(
        call,
        provider=failover.provider,
        account=call.failover_account,
        from_number=failover.from_number or call.from_number,
        target_url=failover.target_url,
    )


def apply(call: Call, decision: Decision, now: datetime) -> Call:
    """Return the call after a decision.

    If the call had ended and stays final, it keeps the time of its end.
    """
    cleared = replace(call, due_at=None, places=(), deadline_at=None, deferrals=0, waits_for=None)
    if decision.retry_at is not None:
        return replace(
            cleared,
            state=CallState.SCHEDULED,
            due_at=max(decision.retry_at, now),
            summary_status=None,
            reason=None,
            ended_at=None,
        )
    return replace(
        cleared,
        state=CallState.FINAL,
        summary_status=decision.summary_status,
        reason=decision.reason,
        ended_at=call.ended_at or now,
    )
