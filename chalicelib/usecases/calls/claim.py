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
from chalicelib.usecases.calls.schedule import settle
from chalicelib.usecases.gates.admission import Deferred, admit
from chalicelib.usecases.gates.limits import destination_refused, within_budget
from chalicelib.usecases.numbers.quiet import quiet_of
from chalicelib.usecases.ports import Ports

#: A dial is answered and recorded within this; an attempt that is not by then has lost its dialer.
DIAL_LIMIT = timedelta(seconds=60)
#: A retry that waits for a slot may come this late to try again.
ASKING_GRACE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Considered:
    """What a call that is due comes to: claimed, moved to a later time, or ended.

    ``also`` holds the writes that make the claim fail if anything that it rests on has changed since it was looked at:
    the number's opt-out and attempts, the gates, the slots. ``in_line_for`` is the scope whose slots a retry waits for.
    """

    transition: Transition
    also: Sequence[Write] = ()
    in_line_for: str | None = None

    @property
    def may_dial(self) -> bool:
        """True where the attempt is taken, once this is committed."""
        return self.transition.attempt is not None


def consider(ports: Ports, record: CallRecord, number: Number | None = None) -> Considered:
    """Return what is to be done with a call that is due now; nothing is written yet.

    ``number`` is what is known of its number, where that has been read already.
    """
    number = number or ports.numbers.load(record.call.workspace, record.call.to_number)
    now = ports.clock.now()
    call = record.call
    others_made = number.dialed_by_others(call.id, now - call.policy.reach) if call.policy.caps else ()
    quiet = quiet_of(ports, call, number, now)
    record = lifecycle.with_other_attempts(record, others_made, quiet.until)
    situation = record.situation
    decision = opted_out(number) or destination_refused(ports, call) or may_dial(call.policy, situation, now)
    if decision.reason is not Reason.DUE:
        return Considered(lifecycle.decided(record, decision, now))
    budgeted = within_budget(ports, call, now)
    if isinstance(budgeted, Decision):
        return Considered(lifecycle.decided(record, budgeted, now))
    admitted = admit(ports, call, now)
    if isinstance(admitted, Deferred):
        deferred = lifecycle.decided(record, admitted.decision, now, admitted.waits_for)
        return Considered(deferred, in_line_for=admitted.in_line_for)
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
    return Considered(
        transition, [ports.numbers.adding(number, attempt_id, now), *quiet.also, *admitted.also, *budgeted.also]
    )


def commit(ports: Ports, considered: Considered) -> Transition:
    """Commit what a call that is due comes to. Raises StaleWrite.

    A claim whose commit was answered with an error, or not at all, may have been written all the same. Its token is
    nobody else's, so if it stands in the table the attempt is ours to dial.
    """
    try:
        settled = settle(ports, considered.transition, considered.also)
    except (StaleWrite, ClientError, BotoCoreError):
        if considered.may_dial and ports.calls.holds(considered.transition):
            return considered.transition
        raise
    _keep_in_line(ports, considered, settled)
    return settled


def _keep_in_line(ports: Ports, considered: Considered, settled: Transition) -> None:
    """Keep fresh calls off the slots until a retry that got none has asked again in its own minute."""
    call = settled.call
    if considered.in_line_for is not None and call.due_at is not None:
        attempt_id = f"{call.id}-{call.attempt + 1}"
        ports.slots.let_retry_wait(considered.in_line_for, attempt_id, call.due_at + ASKING_GRACE, settled.at)


def opted_out(number: Number) -> Decision | None:
    """The decision about a number that wants no calls; None where it has not said so."""
    if number.opted_out_at is None:
        return None
    step = f"the number opted out at {number.opted_out_at:%Y-%m-%dT%H:%M:%SZ}"
    return Decision(Reason.OPTED_OUT, (step,), summary_status=SummaryStatus.BLOCKED)
