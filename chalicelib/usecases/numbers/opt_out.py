"""Do not call: a number opts out, or back in.

Once the opt-out is answered, no dial to the number can be claimed any more.
"""

from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord
from chalicelib.domain.decide import Reason
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.domain.transition import Effect, Transition
from chalicelib.runtime.log import log
from chalicelib.storage.numbers import Number
from chalicelib.usecases.numbers.calls_of_number import change_calls
from chalicelib.usecases.ports import Ports


def opt_out(ports: Ports, workspace: str, number: str, reason: str | None) -> tuple[Number, int]:
    """Opt a number out and end its calls. Return the number and how many calls ended.

    The number's own item is written first: from then on every claim of the number fails, also a concurrent one.
    """
    known = ports.numbers.set_opt_out(workspace, number, ports.clock.now(), reason)
    transitions = change_calls(ports, workspace, number, lambda record: _end(record, ports.clock.now()))
    ended = sum(transition.effect is not Effect.NOTHING for transition in transitions)
    log("opted-out", workspace=workspace, ended=ended)
    return known, ended


def opt_in(ports: Ports, workspace: str, number: str) -> Number:
    """Undo an opt-out, and return the number. Calls that it ended stay ended."""
    known = ports.numbers.set_opt_out(workspace, number, None, None)
    log("opted-in", workspace=workspace)
    return known


def _end(record: CallRecord, now: datetime) -> Transition:
    return lifecycle.end(
        record,
        summary=SummaryStatus.BLOCKED,
        reason=Reason.OPTED_OUT,
        step=f"the number opted out at {now:%Y-%m-%dT%H:%M:%SZ}",
        now=now,
    )
