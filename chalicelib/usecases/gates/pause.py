"""Pause and resume dialling: of a workspace, or of the whole deployment.

If a pause and a claim are made at the same time, the first commit wins.
"""

from datetime import datetime, timedelta
from itertools import takewhile

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain import lifecycle
from chalicelib.errors import RedialError
from chalicelib.runtime.log import log, warn
from chalicelib.storage.gates import Closed, Gate
from chalicelib.storage.items import FRESH, RETRY
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls.schedule import bring_forward
from chalicelib.usecases.gates.admission import PAUSED_FOR, resumed
from chalicelib.usecases.gates.breaker import MAX_PAUSE
from chalicelib.usecases.ports import Ports

#: A resume brings calls forward for at most this long, then it is answered.
MAX_WAKING = timedelta(seconds=5)


def pause(ports: Ports, scope: str, reason: str, until: datetime | None) -> Gate:
    """Stop all claims of the scope until ``until``, or until somebody resumes it.

    Attempts in flight continue. Once this function returns, no attempt of the scope can be claimed. A call that falls
    due meanwhile is postponed by some minutes at a time and uses up no attempt. Its decisions say ``paused``, once for
    each pause. Raises TooBusy.
    """
    gate = Gate(
        scope=scope,
        closed=Closed.BY_HAND,
        reason=reason,
        closed_at=ports.clock.now(),
        until=until,
    )
    ports.gates.close(gate)
    warn("paused", scope=scope, reason=reason, until=until)
    return gate


def resume(ports: Ports, scope: str) -> bool:
    """Resume a scope, and bring its waiting calls forward. Return False if not paused.

    The waiting calls get the first minutes that have room. A call for which this function has no time comes back by
    itself within five minutes or, behind a pause of the breaker, at the time when that pause would have ended. Raises
    TooBusy.
    """
    was_paused = paused(ports, scope) is not None
    ports.gates.open(scope)
    if was_paused:
        log("resumed", scope=scope, woken=_wake_calls(ports, scope))
    return was_paused


def _wake_calls(ports: Ports, scope: str) -> int:
    """Bring forward the calls that wait for the scope's resume. Return how many."""
    stop_at = ports.clock.now() + MAX_WAKING
    before = ports.clock.now() + max(PAUSED_FOR, MAX_PAUSE)
    due = (each for kind in (RETRY, FRESH) for batch in ports.calls.due(kind, before) for each in batch)
    return sum(_wake_call(ports, scope, each) for each in takewhile(lambda _: ports.clock.now() < stop_at, due))


def _wake_call(ports: Ports, scope: str, call_id: str) -> bool:
    try:
        record = ports.calls.load(call_id)
        if record is None or not (record.call.waits_for or "").startswith(resumed(scope)):
            return False
        return bring_forward(ports, lifecycle.wake(record, ports.clock.now())) is not None
    except (RedialError, StaleWrite, ClientError, BotoCoreError) as error:  # the other calls continue
        warn("call-not-woken", call=call_id, error=str(error))
        return False


def paused(ports: Ports, scope: str) -> Gate | None:
    """Return the pause of a scope now; None if it has none."""
    gate = next(iter(ports.gates.closed([scope])), None)
    return None if gate is None or gate.is_over(ports.clock.now()) else gate
