"""Claim an attempt: ask at the last moment whether the number may be dialled now, and take the attempt if so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import ids
from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord
from chalicelib.domain.decide import Decision, Reason, may_dial
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.domain.transition import Transition
from chalicelib.storage.numbers import Number
from chalicelib.storage.transact import StaleWrite, Write
from chalicelib.usecases.admission import admit
from chalicelib.usecases.limits import destination_refused, within_budget
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.schedule import settle

#: A dial is answered and written down within this; an attempt that is not by then has lost its dialer.
DIAL_LIMIT = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call that is due comes to: claimed, moved to a later time, or ended.

    ``also`` holds the writes that make the claim fail if anything that it rests on has changed since it was looked at:
    the number's opt-out and attempts, the gates, the slots.
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
    decision = opted_out(number) or destination_refused(ports, call) or may_dial(call.policy, situation, now)
    if decision.reason is not Reason.DUE:
        return Claim(lifecycle.decided(record, decision, now))
    budgeted = within_budget(ports, call, now)
    if isinstance(budgeted, Decision):
        return Claim(lifecycle.decided(record, budgeted, now))
    admitted = admit(ports, call, now)
    if isinstance(admitted, Decision):
        return Claim(lifecycle.decided(record, admitted, now))
    transition = lifecycle.claim(
        record,
        token=ids.callback_token(call.id, call.attempt + 1),
        now=now,
        deadline_at=now + DIAL_LIMIT,
        others_made=others_made,
        slots=admitted.slots,
        budget=budgeted.name,
    )
    attempt_id = f"{call.id}-{transition.call.attempt}"
    return Claim(transition, [ports.numbers.adding(number, attempt_id, now), *admitted.also, *budgeted.also])


def commit(ports: Ports, claimed: Claim) -> Transition:
    """Commit what a call that is due comes to. Raises StaleWrite.

    A claim whose commit was answered with an error, or not at all, may have been written all the same. Its token is
    nobody else's, so if it stands in the table the attempt is ours to dial.
    """
    try:
        return settle(ports, claimed.transition, claimed.also)
    except (StaleWrite, ClientError, BotoCoreError):
        if claimed.may_dial and ports.calls.holds(claimed.transition):
            return claimed.transition
        raise


def opted_out(number: Number) -> Decision | None:
    """The decision about a number that wants no calls; None where it has not said so."""
    if number.opted_out_at is None:
        return None
    step = f"the number opted out at {number.opted_out_at:%Y-%m-%dT%H:%M:%SZ}"
    return Decision(Reason.OPTED_OUT, (step,), summary_status=SummaryStatus.BLOCKED)
