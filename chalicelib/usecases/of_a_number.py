"""Change every call to a number that has not ended yet."""

from collections.abc import Callable

from chalicelib.domain.call import CallRecord, CallState
from chalicelib.domain.transition import Effect, Transition
from chalicelib.log import broken
from chalicelib.storage.reading import UNREADABLE
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.schedule import change


def change_live_calls(ports: Ports, workspace: str, number: str, compute: Callable[[CallRecord], Transition]) -> int:
    """Apply ``compute`` to each call of the number that has not ended. Return how many it changed.

    A call that cannot be read cannot be dialled either: it is a line in the log, and the others are changed.
    """

    def live_only(record: CallRecord) -> Transition:
        if record.call.state is CallState.FINAL:
            return Transition(record, record.call, None, Effect.NOTHING, at=ports.clock.now())
        return compute(record)

    changed = 0
    for call_id in ports.numbers.calls(workspace, number):
        try:
            changed += change(ports, call_id, live_only).effect is not Effect.NOTHING
        except UNREADABLE as error:
            broken("call-not-changed", error, call=call_id)
    return changed
