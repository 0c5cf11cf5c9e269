"""Claim an attempt: check at the last moment whether its number may be dialled.

If it may, the claim reserves the attempt in the table before Redial asks the provider.
"""

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

#: A dial is answered and recorded within this time. An attempt that is not has lost its dialer.
DIAL_LIMIT = timedelta(seconds=60)
#: A retry that waits for a slot keeps its place if it tries again at most this late.
ASKING_GRACE = timedelta(minutes=2)
#: A retry waits in line only if it tries again within this time. Its next try may be much later, when its window opens
#: again, and until then it would keep all slots empty.
MAX_IN_LINE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Considered:
    """The result of trying to claim a due call: claimed, rescheduled or ended.

    ``also`` has the writes that make the claim fail if something that it depends on has changed since it was read: the
    number's opt-out and attempts, the gates, the slots. ``in_line_for`` is the scope whose slots a retry waits for.
    """

    transition: Transition
    also: Sequence[Write] = ()
    in_line_for: str | None = None

    @property
    def may_dial(self) -> bool:
        """The claim's success: True if the attempt may be dialled after the commit."""
        return self.transition.attempt is not None


def consider(ports: Ports, record: CallRecord, number: Number | None = None) -> Considered:
    """Return the result of trying to claim a call that is due now, and write nothing.

    ``number`` is the number's item, if the caller has read it already.
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
    """Commit the result of trying to claim a due call. Raises StaleWrite.

    AWS may answer the commit with an error, or not at all, and still have written the claim. No other claim has the
    same token. So if the table has this token, the attempt is ours to dial.
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
    """Put a retry that got no slot in line, if it tries again soon.

    Fresh calls take no slot of the scope until the retry has tried again in its own minute.
    """
    call = settled.call
    if considered.in_line_for is None or call.due_at is None:
        return
    if call.due_at <= settled.at + MAX_IN_LINE:
        attempt_id = f"{call.id}-{call.attempt + 1}"
        ports.slots.let_retry_wait(considered.in_line_for, attempt_id, call.due_at + ASKING_GRACE, settled.at)


def opted_out(number: Number) -> Decision | None:
    """Return the decision about a number that opted out; None if it did not."""
    if number.opted_out_at is None:
        return None
    step = f"the number opted out at {number.opted_out_at:%Y-%m-%dT%H:%M:%SZ}"
    return Decision(Reason.OPTED_OUT, (step,), summary_status=SummaryStatus.BLOCKED)
