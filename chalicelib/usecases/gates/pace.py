"""Pace: wait for the moment at which the account, and the workspace, may start one more call."""

from collections.abc import Callable

from chalicelib.domain.call import Call
from chalicelib.storage.gates import workspace_scope
from chalicelib.storage.pace import Pace
from chalicelib.usecases.ports import Ports


class OutOfPace(Exception):
    """So many calls were started that this one would have to wait longer than it may. Its text says of whom."""


class InPace:
    """Keeps the pace of one dial once, however often its claim has to be repeated.

    ``may_wait`` is asked before each wait with its seconds, so it must bound the waits as a whole.
    """

    def __init__(self, ports: Ports, may_wait: Callable[[float], bool]) -> None:
        self._ports = ports
        self._may_wait = may_wait
        self._kept = False

    def keep(self, call: Call) -> bool:
        """Count the dial, once it may start; True where that took a wait. Raises OutOfPace."""
        if self._kept:
            return False
        waited_sec = keep_pace(self._ports, call, self._may_wait)
        self._kept = True
        return waited_sec > 0


def keep_pace(ports: Ports, call: Call, may_wait: Callable[[float], bool]) -> float:
    """Wait until one more call may be started, and count it. Returns the seconds that were waited.

    Raises OutOfPace where ``may_wait``, asked with the seconds of each further wait, says no: nothing is counted then.
    Where the deployment names no pace the provider keeps it: some queue what is too fast, the others turn it away
    until later.
    """
    waited_sec = 0.0
    while (held := _start(ports, call)) is not None:
        scope, wait_sec = held
        if not may_wait(wait_sec):
            raise OutOfPace(f"{scope} starts as many calls as it may")
        ports.clock.sleep(wait_sec)
        waited_sec += wait_sec
    return waited_sec


def _start(ports: Ports, call: Call) -> tuple[str, float] | None:
    """Count the call with its workspace and its account; or with neither, and who holds it up for how many seconds."""
    now = ports.clock.now()
    counted: list[tuple[str, Pace]] = []
    for scope, pace in _paces(ports, call):
        if wait_sec := ports.pace.start(scope, pace, now):
            for earlier in counted:
                ports.pace.give_back(*earlier, now)
            return scope, wait_sec
        counted.append((scope, pace))
    return None


def _paces(ports: Ports, call: Call) -> list[tuple[str, Pace]]:
    workspace = workspace_scope(call.workspace), ports.workspace_pace(call.workspace)
    found = [workspace, (call.account, ports.pace_of(call.provider))]
    return [(scope, pace) for scope, pace in found if pace is not None]
