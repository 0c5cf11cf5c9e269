"""The customer called back: what was going to be redialled is not, or not yet."""

from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord, CallState
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.domain.transition import Effect, Transition
from chalicelib.log import log
from chalicelib.usecases.of_a_number import change_live_calls
from chalicelib.usecases.ports import Ports


def contacted(ports: Ports, workspace: str, number: str, put_off_until: datetime | None) -> int:
    """End the pending redials of a number, or put them off until a time. Returns how many calls that changed.

    A call whose attempt is out just now goes on: the provider has it.
    """
    now = ports.clock.now()
    changed = change_live_calls(ports, workspace, number, lambda record: _contacted(record, put_off_until, now))
    log("contacted", workspace=workspace, changed=changed)
    return changed


def _contacted(record: CallRecord, put_off_until: datetime | None, now: datetime) -> Transition:
    call = record.call
    if call.state is not CallState.SCHEDULED or call.due_at is None:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    step = f"the customer called back at {now:%Y-%m-%dT%H:%M:%SZ}"
    if put_off_until is None:
        return lifecycle.decided(record, _over(step), now)
    if put_off_until <= call.due_at:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    if put_off_until > call.expires_at:
        late = f"put off until {put_off_until:%Y-%m-%dT%H:%MZ}, after the policy ends"
        return lifecycle.decided(record, _over(step, late), now)
    until = f"put off until {put_off_until:%Y-%m-%dT%H:%MZ}"
    return lifecycle.decided(record, Decision(Reason.CONTACTED, (step, until), retry_at=put_off_until), now)


def _over(*steps: str) -> Decision:
    return Decision(Reason.CONTACTED, steps, summary_status=SummaryStatus.CANCELED)
