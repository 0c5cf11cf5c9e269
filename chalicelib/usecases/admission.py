"""Admission: whether an attempt may be made now as far as others are concerned, by the gates and the slots.

What it finds open may close before the claim commits, so it also gives the writes that make the claim fail then.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.call import Call
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.lifecycle import postponed
from chalicelib.storage.gates import Closed, Gate, account_scope, scopes_of, workspace_scope
from chalicelib.storage.slots import Limit, Slots
from chalicelib.storage.transact import Write
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports

#: A call behind a gate that somebody closed asks again after this.
PAUSED_FOR = timedelta(minutes=5)
#: A call without a slot asks again after this.
NO_SLOT_FOR = timedelta(minutes=1)
#: A retry that waits for a slot may come this late to ask again.
ASKING_GRACE = timedelta(minutes=2)
#: How long the one attempt that a tripped breaker lets through may take to be answered.
PROBE_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Admission:
    """An attempt may be made, in these slots, if ``also`` commits with its claim."""

    slots: tuple[str, ...]
    also: tuple[Write, ...]


def admit(ports: Ports, call: Call, now: datetime) -> Admission | Decision:
    """Let the call's next attempt in, or decide how long it is put off: that uses up no attempt."""
    attempt_id = f"{call.id}-{call.attempt + 1}"
    probed = None
    for gate in ports.gates.closed(scopes_of(call)):
        if gate.is_over(now):
            ports.gates.open(gate.scope)
        elif _may_probe(ports, gate, attempt_id, now):
            probed = gate
        else:
            return _shut_out(call, gate, now)
    slots: list[str] = []
    for limit in limits(ports, call):
        slots_of_limit = ports.slots.load(limit, now)
        measure.slots_in_use(limit.scope, len(slots_of_limit.taken))
        slot = _slot(ports, call, slots_of_limit, now)
        if slot is None:
            step = f"all {limit.most} slots of {limit.scope} are taken"
            return postponed(call, Reason.NO_SLOT, step, now + NO_SLOT_FOR)
        slots.append(slot)
    leases = ports.slots.taking(slots, attempt_id, now + ports.lease, now)
    return Admission(tuple(slots), (*ports.gates.checks(call, probed, attempt_id), *leases))


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


def _shut_out(call: Call, gate: Gate, now: datetime) -> Decision:
    since = f"since {gate.closed_at:%Y-%m-%dT%H:%M:%SZ}: {gate.reason}"
    if gate.closed is Closed.BY_BREAKER:
        until = max(gate.until or now, now + timedelta(minutes=1))
        return postponed(call, Reason.PROVIDER_PAUSED, f"{call.account} is paused {since}", until)
    until = min(gate.until or now + PAUSED_FOR, now + PAUSED_FOR)
    return postponed(call, Reason.PAUSED, f"{gate.scope} is paused {since}", until)


def _slot(ports: Ports, call: Call, slots: Slots, now: datetime) -> str | None:
    """A free slot; a fresh call leaves it to the retries that wait for one, if the settings say so."""
    is_retry = call.attempt > 0
    if not ports.settings.retries_first:
        return slots.pick()
    if not is_retry and slots.retries_wait_until is not None:
        return None
    slot = slots.pick()
    if slot is None and is_retry:
        ports.slots.let_retries_wait(slots.limit, now + NO_SLOT_FOR + ASKING_GRACE)
    return slot
