"""What a change of a call is: from one record to the next, with the decision and the event in it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.call import Attempt, Call, CallRecord, CallState
from chalicelib.domain.decide import Decision
from chalicelib.domain.events import CallEvent


class Effect(StrEnum):
    """What an event did to a record."""

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
    changed = replace(call, version=call.version + 1, due_at=None, deadline_at=None, put_offs=0)
    if decision.retry_at is not None:
        return replace(
            changed,
            state=CallState.SCHEDULED,
            due_at=max(decision.retry_at, now),
            summary_status=None,
            reason=None,
            ended_at=None,
        )
    return replace(
        changed,
        state=CallState.FINAL,
        summary_status=decision.summary_status,
        reason=decision.reason,
        ended_at=now,
    )


def enriched(record: CallRecord, call: Call, attempt: Attempt, event: CallEvent, now: datetime) -> Transition:
    return Transition(
        record,
        replace(call, version=call.version + 1),
        replace(attempt, version=attempt.version + 1),
        Effect.ENRICHED,
        event=event,
        at=now,
    )
