"""Contact: the customer called back, so planned redials are ended or postponed."""

from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.transition import Effect
from chalicelib.runtime.log import log
from chalicelib.usecases.numbers.calls_of_number import change_calls
from chalicelib.usecases.ports import Ports


def contacted(ports: Ports, workspace: str, number: str, not_before: datetime | None) -> int:
    """End the redials of a number, or postpone them. Return how many calls changed.

    Without ``not_before`` the redials end. An attempt in flight continues, because the provider has it. Its call
    records the contact, and so does an ended call that a late callback could reopen.
    """
    now = ports.clock.now()
    transitions = change_calls(ports, workspace, number, lambda record: lifecycle.contacted(record, not_before, now))
    changed = sum(transition.effect is Effect.DECIDED for transition in transitions)
    log("contacted", workspace=workspace, changed=changed)
    return changed
