"""Pace: wait for the moment at which the account may start one more call."""

from collections.abc import Callable

from chalicelib.domain.call import Call
from chalicelib.usecases.ports import Ports


def keep_pace(ports: Ports, call: Call, may_wait: Callable[[float], bool]) -> float | None:
    """Wait until the call's account may start one more call, and count it. Returns the seconds that were waited.

    None where ``may_wait``, asked with the seconds of each further wait, says no: nothing is counted then. Where the
    deployment names no pace the provider keeps it: some queue what is too fast, the others turn it away until later.
    """
    pace = ports.pace_of(call.provider)
    waited_sec = 0.0
    while pace and (wait_sec := ports.pace.start(call.account, pace, ports.clock.now())):
        if not may_wait(wait_sec):
            return None
        ports.clock.sleep(wait_sec)
        waited_sec += wait_sec
    return waited_sec
