"""The circuit breaker of a provider account: stop asking a provider that cannot place calls, and try it again gently.

An account at fault (no funds, wrong credentials) closes the account's gate at once, unless other calls of the last
minutes went through; so does a provider that answers most requests badly, or not at all. While the gate is closed its
calls are put off and use up no attempt. Once the pause is over one attempt may pass as a probe: if it is answered well
the gate opens, else the next pause is twice as long.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.lifecycle import NO_CONNECTION
from chalicelib.log import log, warn
from chalicelib.providers import DialResult, Placed, PlacementUnknown, PutOff, Refused
from chalicelib.storage.gates import Closed, Gate, account_scope
from chalicelib.storage.health import Answered, Health
from chalicelib.usecases.ports import Ports

#: The failure rate is taken over this long.
WINDOW = timedelta(minutes=5)
#: Of fewer answers no rate is taken.
LEAST_ANSWERS = 10
#: The breaker trips when so much of the answers are bad.
MOST_BAD = 0.5
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=30)
#: A reason that grows with every pause is cut here, in characters.
MOST_TEXT = 200


def answered(result: DialResult) -> Answered | None:
    """What an answer to a request for a call says of the provider; None where it says nothing (a question of pace)."""
    match result:
        case Placed() | Refused():
            return Answered.WELL
        case PutOff(fault=True):
            return Answered.FAULT
        case PlacementUnknown():
            return Answered.BADLY
        case PutOff(cause=cause) if cause == NO_CONNECTION:
            return Answered.BADLY
    return None


def report(ports: Ports, account: str, attempt_id: str, said: Answered | None, cause: str) -> None:
    """Count how a provider answered, and close or open the account's gate where that calls for it."""
    if said is None:
        return
    now, scope = ports.clock.now(), account_scope(account)
    ports.health.count(account, said, now)
    gate = next(iter(ports.gates.closed([scope])), None)
    if gate is not None:
        if gate.closed is Closed.BY_BREAKER and gate.probe == attempt_id:
            _probed(ports, gate, said, cause, now)
    elif said is not Answered.WELL and (why := _trips(ports.health.load(account, now - WINDOW), said, cause)):
        _pause(ports, Gate(scope=scope, closed=Closed.BY_BREAKER, reason=why, closed_at=now), now)


def _probed(ports: Ports, gate: Gate, said: Answered, cause: str, now: datetime) -> None:
    if said is Answered.WELL:
        ports.gates.open(gate.scope)
        log("provider-resumed", scope=gate.scope, trips=gate.trips)
    else:
        _pause(ports, replace(gate, trips=gate.trips + 1, reason=f"{gate.reason}; again {cause}"[:MOST_TEXT]), now)


def _trips(health: Health, said: Answered, cause: str) -> str | None:
    """Why the breaker trips; None where it does not."""
    if said is Answered.FAULT and health.well == 0:
        return f"the account is at fault ({cause})"
    bad, total = health.badly + health.fault, health.well + health.badly + health.fault
    if total >= LEAST_ANSWERS and bad >= total * MOST_BAD:
        return f"{bad} of the last {total} requests for calls failed ({cause})"
    return None


def _pause(ports: Ports, gate: Gate, now: datetime) -> None:
    pause = min(FIRST_PAUSE * 2 ** (gate.trips - 1), LONGEST_PAUSE)
    ports.gates.close(replace(gate, until=now + pause, probe=None))
    warn("provider-paused", scope=gate.scope, reason=gate.reason, minutes=pause.total_seconds() / 60, trips=gate.trips)
