"""Claim an attempt: ask at the last moment whether the number may be dialled now, and take the attempt if so."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord
from chalicelib.domain.decide import Decision, Reason, may_dial
from chalicelib.domain.lifecycle import Transition
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.storage.calls import Write
from chalicelib.storage.numbers import Number
from chalicelib.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call that is due comes to: claimed, moved to a later time, or ended.

    ``also`` holds the write that makes the claim fail if the number was opted out, or called by somebody else, since
    it was looked at.
    """

    transition: Transition
    also: Sequence[Write] = ()

    @property
    def may_dial(self) -> bool:
        """True where the attempt is taken, once this is committed."""
        return self.transition.attempt is not None


def claim(ports: Ports, record: CallRecord) -> Claim:
    """What is to be done with a call that is due now. Nothing is written yet."""
    return claim_with(ports, record, ports.numbers.load(record.call.workspace, record.call.to_number))


def claim_with(ports: Ports, record: CallRecord, number: Number) -> Claim:
    """As claim(), for a number that has been looked at already."""
    now = ports.clock.now()
    call = record.call
    others_made = number.made_by_others(call.id, now - call.policy.reach) if call.policy.caps else ()
    situation = lifecycle.having_made(record, others_made).situation
    decision = opted_out(number) or may_dial(call.policy, situation, now)
    if decision.reason is not Reason.DUE:
        return Claim(lifecycle.decided(record, decision, now))
    transition = lifecycle.claim(
        record,
        token=ids.callback_token(call.id, call.attempt + 1),
        now=now,
        deadline_at=now + ports.attempt_limit,
        others_made=others_made,
    )
    attempt_id = f"{call.id}-{transition.call.attempt}"
    return Claim(transition, [ports.numbers.adding(number, attempt_id, now)])


def opted_out(number: Number) -> Decision | None:
    """The decision about a number that wants no calls; None where it has not said so."""
    if number.opted_out_at is None:
        return None
    step = f"the number opted out at {number.opted_out_at:%Y-%m-%dT%H:%M:%SZ}"
    return Decision(Reason.OPTED_OUT, (step,), summary_status=SummaryStatus.BLOCKED)
