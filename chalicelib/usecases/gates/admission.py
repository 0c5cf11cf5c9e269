"""Admission: check whether the gates and the slots allow an attempt now.

A gate may close, or a slot may be taken, before the claim commits. So admission also returns the writes that make the
claim fail then.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from chalicelib.domain.call import Call
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.deciding import postponed
from chalicelib.errors import RedialError, Unavailable
from chalicelib.runtime.log import warn
from chalicelib.storage.gates import Closed, Gate, account_scope, scopes_of, workspace_scope
from chalicelib.storage.slots import SMALL, Limit, Slots
from chalicelib.storage.transact import Write
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports

#: A call behind a gate that a person closed tries again after this time.
PAUSED_FOR = timedelta(minutes=5)
#: A call that got no slot tries again after this time.
NO_SLOT_FOR = timedelta(minutes=1)
#: A tripped breaker lets one attempt through. The provider may take this long to answer it.
PROBE_LIMIT = timedelta(minutes=2)
#: The step of a call that waits until the secrets of its provider can be read again.
UNREADABLE = "the secrets of {provider} cannot be read at the moment; the deployment's log says why"


@dataclass(frozen=True, slots=True)
class Admission:
    """An attempt that may be made, in these slots, if ``also`` commits with its claim."""

    slots: tuple[str, ...]
    also: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Deferred:
    """An attempt that may not be made now.

    ``in_line_for`` is the scope whose slots a retry waits for; None if it waits for something else. ``waits_for`` names
    an obstacle that may last: the call's history gets one decision about it, not one for each try.
    """

    decision: Decision
    in_line_for: str | None = None
    waits_for: str | None = None


def admit(ports: Ports, call: Call, now: datetime) -> Admission | Deferred:
    """Allow the call's next attempt, or decide how long to defer it.

    A deferral uses up no attempt.
    """
    stopped = _deferred_while_stopped(ports, call, now) or _deferred_without_provider(ports, call, now)
    if stopped is not None:
        return stopped
    gates, looks = _look(ports, call, now)
    gated = _check_gates(ports, call, gates, now)
    if isinstance(gated, Deferred):
        return gated
    picked = _pick_slots(ports, call, looks, now)
    if isinstance(picked, Deferred):
        return picked
    return Admission(picked.slots, (*gated.also, *picked.also))


def _look(ports: Ports, call: Call, now: datetime) -> tuple[list[Gate], dict[Limit, Iterator[Slots]]]:
    """Return the closed gates of a call, and what its claim sees of the slots.

    One request reads both.
    """
    keys = {limit: ports.slots.first_keys(limit) for limit in limits(ports, call)}
    gates, found = ports.gates.closed_and(scopes_of(call), list(chain.from_iterable(keys.values())))
    return gates, {limit: ports.slots.looks(limit, each, found, now) for limit, each in keys.items()}


def _check_gates(ports: Ports, call: Call, gates: Sequence[Gate], now: datetime) -> Admission | Deferred:
    attempt_id = _next_attempt_id(call)
    probed = None
    for gate in gates:
        if gate.is_over(now):
            continue  # if somebody extends the pause meanwhile, the claim's own check of the gate fails
        if not _may_probe(ports, gate, attempt_id, now):
            return _deferred_by_gate(call, gate, now)
        probed = gate
    return Admission((), tuple(ports.gates.checks(call, probed, attempt_id, now)))


def _pick_slots(
    ports: Ports, call: Call, looks: Mapping[Limit, Iterator[Slots]], now: datetime
) -> Admission | Deferred:
    attempt_id, is_retry, first = _next_attempt_id(call), call.attempt > 0, ports.settings.retries_first
    slots: list[str] = []
    line_writes: list[Write] = []
    for limit, seen in looks.items():
        found, slot = _pick(seen, attempt_id, is_retry=is_retry, retries_first=first)
        _measure_slots(ports, found, now)
        if slot is None:
            step = f"{found.tried} slots of {limit.scope} are taken"
            decision = postponed(call, Reason.NO_SLOT, step, now + NO_SLOT_FOR)
            return Deferred(decision, in_line_for=limit.scope if is_retry and first else None)
        slots.append(slot)
        if found.first_in_line == attempt_id:
            line_writes.append(ports.slots.leave_line(limit.scope, attempt_id))
    leases = ports.slots.taking(slots, attempt_id, now + ports.lease, now)
    return Admission(tuple(slots), (*leases, *line_writes))


def _pick(looks: Iterator[Slots], attempt_id: str, *, is_retry: bool, retries_first: bool) -> tuple[Slots, str | None]:
    """Look at slots until one can be picked.

    Returns the slots that were seen last, and the pick.
    """
    found = next(looks)
    while (slot := found.pick(attempt_id, is_retry=is_retry, retries_first=retries_first)) is None:
        if found.retries_wait_until is not None and retries_first and not is_retry:
            break  # all slots are kept for retries
        if (more := next(looks, None)) is None:
            break
        found = more
    return found, slot


def _measure_slots(ports: Ports, found: Slots, now: datetime) -> None:
    """Measure how many slots are taken.

    To count the slots of a large limit costs much, so only a few of its claims do that. The mean cost is small.
    """
    limit = found.limit
    if found.seen is None:
        measure.slots_in_use(limit.scope, len(found.taken))
    elif random.random() < SMALL / limit.most:  # noqa: S311 - a sample, hides nothing
        measure.slots_in_use(limit.scope, ports.slots.count(limit, now))


def _next_attempt_id(call: Call) -> str:
    return f"{call.id}-{call.attempt + 1}"


def limits(ports: Ports, call: Call) -> list[Limit]:
    """Return the concurrency limits of a call: its account's and its workspace's."""
    account = ports.settings.max_concurrent_calls(call.provider)
    own = ports.workspaces.load(call.workspace).max_concurrent_calls
    workspace = own or ports.settings.workspace_max_concurrent_calls
    found = [(account_scope(call.account), account), (workspace_scope(call.workspace), workspace)]
    return [Limit(scope, most) for scope, most in found if most is not None]


def _may_probe(ports: Ports, gate: Gate, attempt_id: str, now: datetime) -> bool:
    if gate.closed is not Closed.BY_BREAKER or gate.until is None or gate.until > now:
        return False
    return ports.gates.begin_probe(gate, attempt_id, now + PROBE_LIMIT, now)


def _deferred_while_stopped(ports: Ports, call: Call, now: datetime) -> Deferred | None:
    """Defer every call while the deployment's emergency stop is set.

    Return None if it is not. A deferral uses up no attempt.
    """
    if ports.settings.dialing:
        return None
    step = "everything is stopped: the environment variable DIALING is off"
    return Deferred(postponed(call, Reason.PAUSED, step, now + PAUSED_FOR), waits_for="DIALING is on")


def _deferred_without_provider(ports: Ports, call: Call, now: datetime) -> Deferred | None:
    """Defer a call whose provider cannot be loaded.

    The provider is not set up any more, or its secret cannot be read. Return None if the provider is ready. A deferral
    uses up no attempt.
    """
    try:
        ports.provider(call.provider)
    except RedialError as error:
        warn("provider-not-set-up", call=call.id, provider=call.provider, error=str(error))
        # Users read the step, and only the log may show the text of AWS: it can name the AWS account.
        step = UNREADABLE.format(provider=call.provider) if isinstance(error, Unavailable) else str(error)
        decision = postponed(call, Reason.PROVIDER_NOT_SET_UP, step, now + PAUSED_FOR)
        return Deferred(decision, waits_for=f"{call.provider} is set up")
    return None


def _deferred_by_gate(call: Call, gate: Gate, now: datetime) -> Deferred:
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
    """Return the first words of ``waits_for`` of a call that waits for a resume."""
    return f"{scope} is resumed"
