"""Cancel a call: no further attempt, and the live one hung up where the provider can."""

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, CallRecord
from chalicelib.domain.transition import Effect
from chalicelib.errors import RedialError
from chalicelib.runtime.log import log, warn
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.ports import Ports


def cancel_call(ports: Ports, call_id: str) -> CallRecord:
    """End a call as ``canceled``; one that has ended already stays as it ended. Raises NotFound, TooBusy.

    The cancel is committed before the provider is asked to hang up: from that moment no claim can succeed.
    """
    transition = change(ports, call_id, lambda record: lifecycle.cancel(record, ports.clock.now()))
    if transition.effect is not Effect.NOTHING:
        log("canceled", call=call_id)
    record = transition.after
    _hang_up_live(ports, record)
    return record


def hang_up_canceled(ports: Ports, call_id: str, number: int) -> None:
    """End the attempt of a call that was canceled while the attempt was being placed; others go on.

    The cancel could not do it: nobody knew the provider's id yet. Whoever records the placement later does it.
    """
    record = ports.calls.load(call_id)
    if record is not None and record.call.canceled_at is not None and record.call.attempt == number:
        _hang_up_live(ports, record)


def _hang_up_live(ports: Ports, record: CallRecord) -> None:
    live = record.attempt(record.call.attempt)
    if live is not None and live.outcome is None and live.provider_call_id is not None:
        log("hung-up" if _hung_up(ports, live) else "not-hung-up", call=record.call.id, attempt=live.number)


def _hung_up(ports: Ports, live: Attempt) -> bool:
    """True where the provider said that it ends the live attempt."""
    try:
        return ports.provider(live.provider).hang_up(live.provider_call_id or "")
    except RedialError as error:  # it did not answer, or is not set up any more: the call is canceled all the same
        warn("not-hung-up", call=live.call_id, attempt=live.number, error=str(error))
        return False
