"""Pause and resume dialling: a workspace's, or everybody's. Whoever commits first wins, the pause or a claim."""

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

#: A resume wakes calls for this long before it is answered.
MAX_WAKING = timedelta(seconds=5)


def pause(ports: Ports, scope: str, reason: str, until: datetime | None) -> Gate:
    """Let no further attempt of the scope be claimed, until then or until it is resumed; attempts in flight go on.

    Once this returns none can be. A call that falls due meanwhile is postponed by minutes at a time, uses up no
    attempt, and says ``paused`` in its decisions, once a pause. Raises TooBusy.
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
    """Dial again, and wake what waits. False where nothing was paused. Raises TooBusy.

    What waits is brought forward to the first minutes that have room. What this has no time for comes back by itself,
    within five minutes or, behind a pause of the breaker, when that would have ended.
    """
    was_paused = paused(ports, scope) is not None
    ports.gates.open(scope)
    if was_paused:
        log("resumed", scope=scope, woken=_wake(ports, scope))
    return was_paused


def _wake(ports: Ports, scope: str) -> int:
    """Bring forward the calls that wait until the scope is resumed. Returns how many."""
    stop_at = ports.clock.now() + MAX_WAKING
    before = ports.clock.now() + max(PAUSED_FOR, MAX_PAUSE)
    due = (each for kind in (RETRY, FRESH) for together in ports.calls.due(kind, before) for each in together)
    return sum(_woken(ports, scope, each) for each in takewhile(lambda _: ports.clock.now() < stop_at, due))


def _woken(ports: Ports, scope: str, call_id: str) -> bool:
    try:
        record = ports.calls.load(call_id)
        if record is None or not (record.call.waits_for or "").startswith(resumed(scope)):
            return False
        return bring_forward(ports, lifecycle.wake(record, ports.clock.now())) is not None
    except (RedialError, StaleWrite, ClientError, BotoCoreError) as error:  # the others must not wait for it
        warn("call-not-woken", call=call_id, error=str(error))
        return False


def paused(ports: Ports, scope: str) -> Gate | None:
    """The pause that holds a scope now; None where there is none."""
    gate = next(iter(ports.gates.closed([scope])), None)
    return None if gate is None or gate.is_over(ports.clock.now()) else gate
