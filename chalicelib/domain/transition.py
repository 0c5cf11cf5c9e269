"""What a change of a call is: from one record to the next, with the decision and the event in it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.call import Attempt, Call, CallRecord, CallState
from chalicelib.domain.decide import Decision
from chalicelib.domain.events import CallEvent


class Effect(StrEnum):
    """What an event did to a record."""

    CLAIMED = "claimed"
    DECIDED = "decided"
    ENRICHED = "enriched"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of a record: what it was, what it becomes, and the decision in it, if any.

    ``attempt`` is the one attempt that changed; ``dropped`` is True where it is taken back as never made.
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
        """The attempt whose end, or undoing, this is; None for a change that ends none."""
        if self.attempt is None:
            return None
        stored = self.before.attempt(self.attempt.number)
        lived = stored is not None and stored.outcome is None
        return self.attempt if lived and (self.dropped or self.attempt.outcome is not None) else None

    @property
    def made_after_all(self) -> Attempt | None:
        """The attempt that was taken for never placed until this change says that it was; else None."""
        stored = self.before.attempt(self.attempt.number) if self.attempt else None
        return self.attempt if stored and self.attempt and not stored.was_made and self.attempt.was_made else None

    @property
    def after(self) -> CallRecord:
        if self.attempt is None:
            return CallRecord(self.call, self.before.attempts)
        if self.dropped:
            kept = tuple(a for a in self.before.attempts if a.number != self.attempt.number)
            return CallRecord(self.call, kept)
        if self.before.attempt(self.attempt.number) is None:
            return CallRecord(self.call, (*self.before.attempts, self.attempt))
        return CallRecord(self.call, self.before.replacing(self.attempt))

    def until(self, deadline_at: datetime) -> "Transition":
        """The same transition with the attempt's end waited for until then."""
        return replace(self, call=replace(self.call, deadline_at=deadline_at))

    def booked(self, call: Call) -> "Transition":
        """The same transition with the call in the minute that the wheel had room in."""
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
    """Return the change of a record to this call and attempt. Here, and nowhere else, versions rise."""
    raised = replace(call, version=record.call.version + 1)
    stored = record.attempt(attempt.number) if attempt else None
    if attempt is not None and stored is not None:
        attempt = replace(attempt, version=stored.version + 1)
    return Transition(record, raised, attempt, effect, at, decision, event, dropped)


def unchanged(record: CallRecord, at: datetime) -> Transition:
    """Return the change that changes nothing, and is not written."""
    return Transition(record, record.call, None, Effect.NOTHING, at)


def failed_over(call: Call) -> Call:
    """The call with its policy's second provider, if there is one: the first one's network could not connect it.

    Never after an ambiguous placement, of which nobody knows whether the phone rang.
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
    """Return the call as a decision leaves it. A call that had ended, and stays so, keeps the time of its end."""
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
