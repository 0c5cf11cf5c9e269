"""Cancel a call: dial it no more, and hang up its attempt if the provider can."""

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, CallRecord
from chalicelib.domain.transition import Effect
from chalicelib.errors import RedialError
from chalicelib.runtime.log import log, warn
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.ports import Ports


def cancel_call(ports: Ports, call_id: str) -> CallRecord:
    """End a call as ``canceled``, hang up its live attempt, and return its record.

    A call that has ended already keeps its end. The cancel is committed before Redial asks the provider to hang up:
    from that moment no claim of the call can succeed. Raises NotFound, and TooBusy if the call keeps changing.
    """
    transition = change(ports, call_id, lambda record: lifecycle.cancel(record, ports.clock.now()))
    if transition.effect is not Effect.NOTHING:
        log("canceled", call=call_id)
    record = transition.after
    _hang_up_live(ports, record)
    return record


def hang_up_canceled(ports: Ports, call_id: str, number: int) -> None:
    """Hang up an attempt whose call was canceled while the attempt was being placed.

    Do nothing if the call is not canceled, or if ``number`` is not its latest attempt. The cancel could not hang up:
    the provider's id of the call was not known yet. The code that records the placement calls this function.
    """
    record = ports.calls.load(call_id)
    if record is not None and record.call.canceled_at is not None and record.call.attempt == number:
        _hang_up_live(ports, record)


def _hang_up_live(ports: Ports, record: CallRecord) -> None:
    live = record.attempt(record.call.attempt)
    if live is not None and live.outcome is None and live.provider_call_id is not None:
        log("hung-up" if _hang_up(ports, live) else "not-hung-up", call=record.call.id, attempt=live.number)


def _hang_up(ports: Ports, live: Attempt) -> bool:
    """Ask the provider to end the live attempt. Return True if the provider confirms."""
    try:
        return ports.provider(live.provider).hang_up(live.provider_call_id or "")
    except RedialError as error:  # no answer, or the provider is not set up any more: the call stays canceled
        warn("not-hung-up", call=live.call_id, attempt=live.number, error=str(error))
        return False
