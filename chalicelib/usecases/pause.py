"""Pause and resume dialling: a workspace's, or everybody's. Whoever commits first wins, the pause or a claim."""

from datetime import datetime

from chalicelib.log import log, warn
from chalicelib.storage.gates import Closed, Gate
from chalicelib.usecases.ports import Ports


def pause(ports: Ports, scope: str, reason: str, until: datetime | None) -> Gate:
    """Let no further attempt of the scope be claimed, until then or until it is resumed; attempts that are out go on.

    Once this returns none can be. A call that falls due meanwhile is put off by minutes at a time, uses up no attempt,
    and says ``paused`` in its decisions. Raises TooBusy.
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
    """Dial again: what was put off comes back within five minutes. False where nothing was paused. Raises TooBusy."""
    was_paused = paused(ports, scope) is not None
    ports.gates.open(scope)
    if was_paused:
        log("resumed", scope=scope)
    return was_paused


def paused(ports: Ports, scope: str) -> Gate | None:
    """The pause that holds a scope now; None where there is none."""
    gate = next(iter(ports.gates.closed([scope])), None)
    return None if gate is None or gate.is_over(ports.clock.now()) else gate
