"""Admission: whether an attempt may be made now as far as others are concerned, by the gates and the slots.

What it finds open may close before the claim commits, so it also gives the writes that make the claim fail then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.call import Call
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.deciding import postponed
from chalicelib.errors import RedialError
from chalicelib.runtime.log import warn
from chalicelib.storage.gates import Closed, Gate, account_scope, scopes_of, workspace_scope
from chalicelib.storage.slots import Limit
from chalicelib.storage.transact import Write
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports

#: A call behind a gate that somebody closed asks again after this.
PAUSED_FOR = timedelta(minutes=5)
#: A call without a slot asks again after this.
NO_SLOT_FOR = timedelta(minutes=1)
#: How long the one attempt that a tripped breaker lets through may take to be answered.
PROBE_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Admission:
    """An attempt may be made, in these slots, if ``also`` commits with its claim."""

    slots: tuple[str, ...]
    also: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """An attempt may not be made now.

    ``in_line_for`` is the scope whose slots a retry waits for, if that is why. ``waits_for`` names an obstacle that may
    last, and of which one decision is enough.
    """

    decision: Decision
    in_line_for: str | None = None
    waits_for: str | None = None


def admit(ports: Ports, call: Call, now: datetime) -> Admission | Deferred:
    """Let the call's next attempt in, or decide how long it is deferred: that uses up no attempt."""
    passed = _stopped(ports, call, now) or _not_set_up(ports, call, now) or _through_gates(ports, call, now)
    if isinstance(passed, Deferred):
        return passed
    slotted = _slots(ports, call, now)
    if isinstance(slotted, Deferred):
        return slotted
    return Admission(slotted.slots, (*passed.also, *slotted.also))


def _through_gates(ports: Ports, call: Call, now: datetime) -> Admission | Deferred:
    attempt_id = _next_attempt(call)
    probed = None
    for gate in ports.gates.closed(scopes_of(call)):
        if gate.is_over(now):
            continue  # should somebody extend the pause just now, the claim's own check of the gate fails
        if not _may_probe(ports, gate, attempt_id, now):
            return _shut_out(call, gate, now)
        probed = gate
    return Admission((), tuple(ports.gates.checks(call, probed, attempt_id, now)))


def _slots(ports: Ports, call: Call, now: datetime) -> Admission | Deferred:
    attempt_id, is_retry, first = _next_attempt(call), call.attempt > 0, ports.settings.retries_first
    slots: list[str] = []
    leaving: list[Write] = []
    for limit in limits(ports, call):
        found = ports.slots.load(limit, now)
        measure.slots_in_use(limit.scope, len(found.taken))
        slot = found.pick(attempt_id, is_retry=is_retry, retries_first=first)
        if slot is None:
            step = f"all {limit.most} slots of {limit.scope} are taken"
            decision = postponed(call, Reason.NO_SLOT, step, now + NO_SLOT_FOR)
            return Deferred(decision, in_line_for=limit.scope if is_retry and first else None)
        slots.append(slot)
        if found.first_in_line == attempt_id:
            leaving.append(ports.slots.leave_line(limit.scope, attempt_id))
    leases = ports.slots.taking(slots, attempt_id, now + ports.lease, now)
    return Admission(tuple(slots), (*leases, *leaving))


def _next_attempt(call: Call) -> str:
    return f"{call.id}-{call.attempt + 1}"


def limits(ports: Ports, call: Call) -> list[Limit]:
    """The limits on calls in flight that a call is under: its account's and its workspace's."""
    account = ports.settings.max_concurrent_calls(call.provider)
    own = ports.workspaces.load(call.workspace).max_concurrent_calls
    workspace = own or ports.settings.workspace_max_concurrent_calls
    found = [(account_scope(call.account), account), (workspace_scope(call.workspace), workspace)]
    return [Limit(scope, most) for scope, most in found if most is not None]


def _may_probe(ports: Ports, gate: Gate, attempt_id: str, now: datetime) -> bool:
    if gate.closed is not Closed.BY_BREAKER or gate.until is None or gate.until > now:
        return False
    return ports.gates.begin_probe(gate, attempt_id, now + PROBE_LIMIT, now)


def _stopped(ports: Ports, call: Call, now: datetime) -> Deferred | None:
    """Defer every call while the deployment's emergency stop is set: that costs no attempt."""
    if ports.settings.dialing:
        return None
    step = "everything is stopped: the environment variable DIALING is off"
    return Deferred(postponed(call, Reason.PAUSED, step, now + PAUSED_FOR), waits_for="DIALING is on")


def _not_set_up(ports: Ports, call: Call, now: datetime) -> Deferred | None:
    """Defer a call whose provider is not set up any more, or whose secret cannot be read: that costs no attempt."""
    try:
        ports.provider(call.provider)
    except RedialError as error:
        warn("provider-not-set-up", call=call.id, provider=call.provider, error=str(error))
        decision = postponed(call, Reason.PROVIDER_NOT_SET_UP, str(error), now + PAUSED_FOR)
        return Deferred(decision, waits_for=f"{call.provider} is set up")
    return None


def _shut_out(call: Call, gate: Gate, now: datetime) -> Deferred:
    since = f"since {gate.closed_at:%Y-%m-%dT%H:%M:%SZ}: {gate.reason}"
    waits_for = f"{resumed(gate.scope)}, {gate.closed_at.isoformat()}"
    if gate.closed is Closed.BY_BREAKER:
        until = max(gate.until or now, now + timedelta(minutes=1))
        decision = postponed(call, Reason.PROVIDER_PAUSED, f"{call.account} is paused {since}", until)
        return Deferred(decision, waits_for=waits_for)
    until = min(gate.until or now + PAUSED_FOR, now + PAUSED_FOR)
    decision = postponed(call, Reason.PAUSED, f"{gate.scope} is paused {since}", until)
    return Deferred(decision, waits_for=waits_for)


def resumed(scope: str) -> str:
    """Return how ``waits_for`` begins for the calls that wait until a scope is resumed."""
    return f"{scope} is resumed"
