"""Change every call to a number that may still be dialled."""

from collections.abc import Callable

from chalicelib.domain.call import CallRecord
from chalicelib.domain.transition import Transition
from chalicelib.errors import Unreadable
from chalicelib.runtime.log import warn
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.ports import Ports


def change_calls(
    ports: Ports, workspace: str, number: str, compute: Callable[[CallRecord], Transition]
) -> list[Transition]:
    """Apply ``compute`` to each call of the number, and return the transitions.

    Ended calls that a late callback could reopen are included. A call that cannot be read cannot be dialled either: it
    is logged, and the others are changed.
    """
    changed = []
    for call_id in ports.numbers.calls(workspace, number):
        try:
            changed.append(change(ports, call_id, compute))
        except Unreadable as error:
            warn("item-unreadable", item=f"call {call_id}", error=str(error))
    return changed
