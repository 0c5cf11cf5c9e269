"""The circuit breaker of an account: it pauses an account that cannot dial.

A fault of the account (no funds, wrong credentials) closes the account's gate at once, unless other calls of the last
minutes were placed. A provider that answers most requests badly, or not at all, closes the gate too. While the gate is
closed, the account's calls are postponed and use up no attempt. When the pause is over, one attempt may pass as a
probe. If the provider answers it well, the gate opens. Otherwise the next pause is twice as long.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import NO_CONNECTION
from chalicelib.providers import DeferredByProvider, DialResult, Placed, PlacementUnknown, Refused
from chalicelib.runtime.log import log, warn
from chalicelib.storage.gates import Closed, Gate, account_scope
from chalicelib.storage.health import Answered, Health
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports

#: The share of bad answers is computed over this time.
WINDOW = timedelta(minutes=5)
#: With fewer answers than this, no share is computed.
MIN_ANSWERS = 10
#: The breaker trips when at least this share of the answers is bad.
MAX_BAD_SHARE = 0.5
FIRST_PAUSE = timedelta(minutes=1)
MAX_PAUSE = timedelta(minutes=30)
#: The reason grows with every pause. It is cut at this length, in characters.
MAX_TEXT_CHARS = 200


def answered(result: DialResult) -> Answered | None:
    """Return what a dial's result says about the provider's health.

    Return None if it says nothing, for example if a rate limit was reached.
    """
    match result:
        case Placed() | Refused():
            return Answered.WELL
        case DeferredByProvider(fault=True):
            return Answered.FAULT
        case PlacementUnknown():
            return Answered.BADLY
        case DeferredByProvider(cause=cause) if cause == NO_CONNECTION:
            return Answered.BADLY
    return None


def report(ports: Ports, account: str, attempt_id: str, answer: Answered | None, cause: str) -> None:
    """Count a provider's answer, and close or open the account's gate if needed."""
    if answer is None:
        return
    now, scope = ports.clock.now(), account_scope(account)
    ports.health.count(account, answer, now)
    gate = next(iter(ports.gates.closed([scope])), None)
    if gate is not None and not gate.is_over(now):
        if gate.closed is Closed.BY_BREAKER and gate.probe == attempt_id:
            _end_probe(ports, gate, answer, cause, now)
    elif answer is not Answered.WELL:
        _trip(ports, account, gate, answer, cause)


def _trip(ports: Ports, account: str, read_gate: Gate | None, answer: Answered, cause: str) -> None:
    """Close the account's gate if its latest answers require it."""
    now, scope = ports.clock.now(), account_scope(account)
    reason = _trip_reason(ports.health.load(account, now - WINDOW), answer, cause)
    if reason is None:
        return
    tripped = Gate(scope=scope, closed=Closed.BY_BREAKER, reason=reason, closed_at=now)
    if _pause(ports, read_gate, tripped, now):
        measure.breaker_opened(scope)


def report_fault(ports: Ports, call: Call, attempt: Attempt, event: CallEvent) -> None:
    """Report a fault of the account that ended an attempt after it was placed.

    A callback or a look-up brought the fault.
    """
    provider, fault, cause = attempt.provider, event.fault, event.cause
    warn("account-fault", call=call.id, attempt=attempt.number, provider=provider, fault=fault, cause=cause)
    report(ports, call.account, attempt.id, Answered.FAULT, event.cause or event.fault or "")


def _end_probe(ports: Ports, gate: Gate, answer: Answered, cause: str, now: datetime) -> None:
    if answer is Answered.WELL:
        if not ports.gates.open_if_still(gate):
            return  # meanwhile a person paused or resumed the account
        measure.breaker_closed(gate.scope)
        log("provider-resumed", scope=gate.scope, trips=gate.trips)
    else:
        reason = f"{gate.reason}; again {cause}"[:MAX_TEXT_CHARS]
        _pause(ports, gate, replace(gate, trips=gate.trips + 1, reason=reason), now)


def _trip_reason(health: Health, answer: Answered, cause: str) -> str | None:
    """Return the reason why the breaker trips; None if it does not."""
    if answer is Answered.FAULT and health.well == 0:
        return f"the account is at fault ({cause})"
    bad, total = health.badly + health.fault, health.well + health.badly + health.fault
    if total >= MIN_ANSWERS and bad >= total * MAX_BAD_SHARE:
        return f"{bad} of the last {total} requests for calls failed ({cause})"
    return None


def _pause(ports: Ports, read_gate: Gate | None, gate: Gate, now: datetime) -> bool:
    """Close the account's gate for the next pause.

    Return False if the gate has changed since it was read.
    """
    pause = min(FIRST_PAUSE * 2 ** (gate.trips - 1), MAX_PAUSE)
    if not ports.gates.close_instead_of(read_gate, replace(gate, until=now + pause, probe=None)):
        return False
    warn("provider-paused", scope=gate.scope, reason=gate.reason, minutes=pause.total_seconds() / 60, trips=gate.trips)
    return True
