"""The circuit breaker of a provider account: stop asking a provider that cannot place calls, and try it again gently.

An account at fault (no funds, wrong credentials) closes the account's gate at once, unless other calls of the last
minutes went through; so does a provider that answers most requests badly, or not at all. While the gate is closed its
calls are postponed and use up no attempt. Once the pause is over one attempt may pass as a probe: if it is answered
well the gate opens, else the next pause is twice as long.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import NO_CONNECTION
from chalicelib.providers import DialResult, Placed, PlacementUnknown, PutOff, Refused
from chalicelib.runtime.log import log, warn
from chalicelib.storage.gates import Closed, Gate, account_scope
from chalicelib.storage.health import Answered, Health
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports

#: The failure rate is taken over this long.
WINDOW = timedelta(minutes=5)
#: Of fewer answers no rate is taken.
MIN_ANSWERS = 10
#: The breaker trips when so much of the answers are bad.
MAX_BAD_SHARE = 0.5
FIRST_PAUSE = timedelta(minutes=1)
MAX_PAUSE = timedelta(minutes=30)
#: A reason that grows with every pause is cut here, in characters.
MAX_TEXT_CHARS = 200


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
    if gate is not None and not gate.is_over(now):
        if gate.closed is Closed.BY_BREAKER and gate.probe == attempt_id:
            _probed(ports, gate, said, cause, now)
    elif said is not Answered.WELL:
        _trip(ports, account, gate, said, cause)


def _trip(ports: Ports, account: str, seen: Gate | None, said: Answered, cause: str) -> None:
    """Close the account's gate where its latest answers call for it."""
    now, scope = ports.clock.now(), account_scope(account)
    why = _trips(ports.health.load(account, now - WINDOW), said, cause)
    if why is None:
        return
    tripped = Gate(scope=scope, closed=Closed.BY_BREAKER, reason=why, closed_at=now)
    if _pause(ports, seen, tripped, now):
        measure.breaker_opened(scope)


def report_fault(ports: Ports, call: Call, attempt: Attempt, event: CallEvent) -> None:
    """Tell of a fault of the account that ended an attempt after it was placed, by a callback or a look-up."""
    warn("account-fault", call=call.id, attempt=attempt.number, fault=event.fault, cause=event.cause)
    report(ports, call.account, attempt.id, Answered.FAULT, event.cause or event.fault or "")


def _probed(ports: Ports, gate: Gate, said: Answered, cause: str, now: datetime) -> None:
    if said is Answered.WELL:
        if not ports.gates.open_if_still(gate):
            return  # somebody paused the account by hand meanwhile, or resumed it
        measure.breaker_closed(gate.scope)
        log("provider-resumed", scope=gate.scope, trips=gate.trips)
    else:
        reason = f"{gate.reason}; again {cause}"[:MAX_TEXT_CHARS]
        _pause(ports, gate, replace(gate, trips=gate.trips + 1, reason=reason), now)


def _trips(health: Health, said: Answered, cause: str) -> str | None:
    """Why the breaker trips; None where it does not."""
    if said is Answered.FAULT and health.well == 0:
        return f"the account is at fault ({cause})"
    bad, total = health.badly + health.fault, health.well + health.badly + health.fault
    if total >= MIN_ANSWERS and bad >= total * MAX_BAD_SHARE:
        return f"{bad} of the last {total} requests for calls failed ({cause})"
    return None


def _pause(ports: Ports, seen: Gate | None, gate: Gate, now: datetime) -> bool:
    """Close the account's gate, in the place of the one that was read; False where it changed meanwhile."""
    pause = min(FIRST_PAUSE * 2 ** (gate.trips - 1), MAX_PAUSE)
    if not ports.gates.close_instead_of(seen, replace(gate, until=now + pause, probe=None)):
        return False
    warn("provider-paused", scope=gate.scope, reason=gate.reason, minutes=pause.total_seconds() / 60, trips=gate.trips)
    return True
