"""The rate limits: wait until the account and the workspace may start a call."""

from collections.abc import Callable

from chalicelib.domain.call import Call
from chalicelib.storage.gates import workspace_scope
from chalicelib.storage.pace import Pace
from chalicelib.usecases.ports import Ports


class RateLimitReached(Exception):
    """A dial would have to wait for a rate limit longer than it may.

    The text names the scope of the limit: a workspace or an account.
    """


class DialRateLimits:
    """The rate limits of one dial.

    They count the dial once, even if its claim is tried several times. ``may_wait`` is called before each wait with its
    seconds. It must limit the sum of the waits.
    """

    def __init__(self, ports: Ports, may_wait: Callable[[float], bool]) -> None:
        self._ports = ports
        self._may_wait = may_wait
        self._is_counted = False

    def wait(self, call: Call) -> bool:
        """Wait until the dial may start, and count it. Return True if it had to wait.

        Raises RateLimitReached.
        """
        if self._is_counted:
            return False
        waited_sec = wait_for_rate_limits(self._ports, call, self._may_wait)
        self._is_counted = True
        return waited_sec > 0


def wait_for_rate_limits(ports: Ports, call: Call, may_wait: Callable[[float], bool]) -> float:
    """Wait until one more call may start, and count it. Return the seconds waited.

    Raises RateLimitReached, and counts nothing, if ``may_wait`` returns False for the seconds of the next wait. If the
    deployment sets no rate limit, the provider's own applies: some providers queue calls that come too fast, the others
    reject them until later.
    """
    waited_sec = 0.0
    while (limited := _count_or_wait(ports, call)) is not None:
        scope, wait_sec = limited
        if not may_wait(wait_sec):
            raise RateLimitReached(f"{scope} starts as many calls as it may")
        ports.clock.sleep(wait_sec)
        waited_sec += wait_sec
    return waited_sec


def _count_or_wait(ports: Ports, call: Call) -> tuple[str, float] | None:
    """Count the call with its workspace and its account, or with neither.

    Return None if it was counted, else the scope whose limit is reached and the seconds to wait.
    """
    now = ports.clock.now()
    counted: list[tuple[str, Pace]] = []
    for scope, pace in _rate_limits(ports, call):
        if wait_sec := ports.pace.start(scope, pace, now):
            for earlier in counted:
                ports.pace.give_back(*earlier, now)
            return scope, wait_sec
        counted.append((scope, pace))
    return None


def _rate_limits(ports: Ports, call: Call) -> list[tuple[str, Pace]]:
    workspace = workspace_scope(call.workspace), ports.workspace_pace(call.workspace)
    found = [workspace, (call.account, ports.pace_of(call.provider))]
    return [(scope, pace) for scope, pace in found if pace is not None]
