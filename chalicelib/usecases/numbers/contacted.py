"""The customer called back: what was going to be redialled is not, or not yet."""

from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.transition import Effect
from chalicelib.runtime.log import log
from chalicelib.usecases.numbers.calls_of_number import change_calls
from chalicelib.usecases.ports import Ports


def contacted(ports: Ports, workspace: str, number: str, not_before: datetime | None) -> int:
    """End the redials of a number, or postpone them until a time. Returns of how many calls that changed the plan.

    An attempt that is in flight goes on, for the provider has it; its call remembers the contact, and so does a call
    that has ended and that a late callback could reopen.
    """
    now = ports.clock.now()
    transitions = change_calls(ports, workspace, number, lambda record: lifecycle.contacted(record, not_before, now))
    changed = sum(transition.effect is Effect.DECIDED for transition in transitions)
    log("contacted", workspace=workspace, changed=changed)
    return changed
