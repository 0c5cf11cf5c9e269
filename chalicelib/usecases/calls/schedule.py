"""Change a call: compute a transition from the stored record, and commit it.

Before the commit, the wheel is armed for a retry. If somebody else changed the call meanwhile, the change starts over.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call, CallRecord, CallState
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import NotFound, TooBusy
from chalicelib.runtime.log import warn
from chalicelib.storage.gates import workspace_scope
from chalicelib.storage.transact import StaleWrite, Write
from chalicelib.storage.wakes import Reservation
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import WakeNotSet, plan

#: Each lost race means that another change was committed, so this many losses in a row are no accident.
CHANGE_TRIES = 8
#: An account and a workspace agree on a minute after two or three tries, unless others take the minute meanwhile.
MEETING_TRIES = 30
#: If the policy does not allow a booked minute, Redial books the next one that it allows. Two or three tries find one.
BOOKING_TRIES = 16


def change(ports: Ports, call_id: str, compute: Callable[[CallRecord], Transition]) -> Transition:
    """Apply ``compute`` to the call's current record, and commit the transition.

    Read and compute again if another change was committed first. Raises NotFound, and TooBusy if the call keeps
    changing.
    """
    for _ in range(CHANGE_TRIES):
        record = ports.calls.load(call_id)
        if record is None:
            raise NotFound(f"there is no call {call_id}")
        transition = compute(record)
        if transition.effect is Effect.NOTHING:
            return transition
        try:
            return settle(ports, transition)
        except StaleWrite:
            continue
    raise TooBusy(f"call {call_id} keeps changing; try again in a moment")


def settle(ports: Ports, transition: Transition, also: Sequence[Write] = ()) -> Transition:
    """Commit a transition and the writes ``also``. Raises StaleWrite.

    If the transition schedules a dial, its minute is booked and its wake armed first. The same transaction releases the
    slots of an attempt that ends, and the place in the wheel of a due time that is dropped. It also removes an attempt
    that was never made from its number's list.
    """
    schedules = _schedules_dial(transition)
    return _commit(ports, book(ports, transition) if schedules else transition, also, schedules=schedules)


def bring_forward(ports: Ports, transition: Transition) -> Transition | None:
    """Commit a transition that gives a waiting call an earlier due time.

    Return None, with nothing changed, if no earlier minute has room. Raises StaleWrite.
    """
    planned, due_at = book(ports, transition), transition.before.call.due_at
    if planned.call.due_at is None or due_at is None or planned.call.due_at >= due_at:
        unbook(ports, planned.call)
        return None
    return _commit(ports, planned, (), schedules=True)


def _commit(ports: Ports, planned: Transition, also: Sequence[Write], *, schedules: bool) -> Transition:
    """Commit a transition. If it ``schedules`` a dial, the dial is booked already.

    A failed commit gives the booked places back.
    """
    optional = {**_end_writes(ports, planned), **_release_writes(ports, planned, schedules=schedules)}
    if ports.limits_of(planned.call.workspace).daily_minutes is not None:
        also = [*also, *ports.budgets.adding_minutes(planned)]
    try:
        ports.calls.commit(planned, also, optional)
    except (StaleWrite, TooBusy):
        if schedules:
            unbook(ports, planned.call)
        raise
    measure.committed(planned)
    return planned


def _end_writes(ports: Ports, transition: Transition) -> dict[str, Write]:
    """Return the writes for the end of an attempt, by name.

    An attempt that was dropped, or never made, is also removed from its number's list and its budget. An attempt that
    proves to be made after all is counted there again.
    """
    ended, made = transition.ended_attempt, transition.made_after_all
    if made is not None:
        counted = ports.budgets.counting_again(transition.call.workspace, made)
        return {"number": ports.numbers.counting_again(transition.call, made), **named("budget", counted)}
    if ended is None:
        return {}
    writes = dict(zip(ended.slots, ports.slots.releasing(ended), strict=True))
    if transition.dropped or not ended.was_made:
        # The number's item may be erased meanwhile: then there is no list to remove the attempt from.
        writes["number"] = ports.numbers.taking_back(transition.call, ended.id)
        writes |= named("budget", ports.budgets.giving_back(transition.call.workspace, ended))
    return writes


def named(kind: str, writes: Sequence[Write]) -> dict[str, Write]:
    """Return the writes under names of their own, for transact()."""
    return {f"{kind} {place}": write for place, write in enumerate(writes)}


def _release_writes(ports: Ports, transition: Transition, *, schedules: bool) -> dict[str, Write]:
    """Return the writes that give back the places of a due time that is dropped.

    There are none for a claim, which has used its place, and none for a minute that is past.
    """
    before = transition.before.call
    drops_due_time = schedules or transition.call.state is CallState.FINAL
    this_minute = ports.clock.now().replace(second=0, microsecond=0)
    if before.due_at is None or before.due_at < this_minute or not drops_due_time:
        return {}
    return {f"place {scope}": ports.wakes.giving_back(scope, before.due_at) for scope in before.places}


def book(ports: Ports, transition: Transition) -> Transition:
    """Return the transition with its dial booked in a minute that its policy allows.

    The transition ends the call if the policy allows no minute. Raises TooBusy if no allowed minute has room.
    """
    for _ in range(BOOKING_TRIES):
        call = transition.call
        if call.due_at is None:
            return transition
        wanted = plan.first_minute(call.due_at, ports.clock.now(), ports.wake_lead)
        checked = lifecycle.in_minute(transition, wanted)
        if checked is transition:
            booked = book_minute(ports, call)
            checked = lifecycle.in_minute(transition, booked.due_at or wanted)
            if checked is transition:
                return transition.booked(booked)
            unbook(ports, booked)
        transition = checked
    raise TooBusy(f"no minute that the policy of {transition.call.id} allows has room; it is safe to retry")


def book_minute(ports: Ports, call: Call) -> Call:
    """Return the call with its dial booked, and arm the wake of that minute.

    The minute is the first one with room. The trigger is set before the state is written: a trigger with no due call
    does no harm, but a due call without a trigger waits for the sweep. If the trigger cannot be set, the sweep dials
    the call, because the due time in the table is what counts. Raises TooBusy if no minute has room, ValueError if the
    call has no due time.
    """
    if call.due_at is None:
        raise ValueError(f"{call.id} is due at no time")
    now, lead = ports.clock.now(), ports.wake_lead
    wanted = plan.first_minute(call.due_at, now, lead)
    capacities = _minute_capacities(ports, call)
    booked = _reserve(ports, capacities, wanted)
    wake = plan.wake_for(booked.minute, now, lead)
    if plan.stamp(wake) not in booked.armed and set_trigger(ports, wake):
        remember_armed(ports, call.account, booked.minute, wake)
    return replace(call, due_at=booked.minute, places=tuple(scope for scope, _ in capacities))


def unbook(ports: Ports, call: Call) -> None:
    """Give back the places of a call that was booked and not written."""
    for scope in call.places if call.due_at else ():
        ports.wakes.release(scope, call.due_at or ports.clock.now())


def _reserve(ports: Ports, capacities: Sequence[tuple[str, int]], wanted: datetime) -> Reservation:
    """Reserve a place in the first minute that has room in every scope.

    The scopes are the account and, if it has a rate limit, the workspace.
    """
    for _ in range(MEETING_TRIES):
        places: list[tuple[str, Reservation]] = []
        try:
            for scope, capacity in capacities:
                places.append((scope, ports.wakes.reserve(scope, wanted, capacity)))
        except TooBusy:
            _release(ports, places)
            raise
        wanted = max(place.minute for _, place in places)
        if all(place.minute == wanted for _, place in places):
            return places[0][1]
        _release(ports, places)
    raise TooBusy(f"no minute up to {wanted:%Y-%m-%dT%H:%MZ} has room; try again in a moment")


def _release(ports: Ports, places: Sequence[tuple[str, Reservation]]) -> None:
    for scope, place in places:
        ports.wakes.release(scope, place.minute)


def _minute_capacities(ports: Ports, call: Call) -> list[tuple[str, int]]:
    """Return the scopes that limit a call's minute, each with its dials per minute.

    The scopes are the account and, if it has a rate limit, the workspace.
    """
    account = call.account, ports.minute_capacity(call.provider)
    pace = ports.workspace_pace(call.workspace)
    return [account, (workspace_scope(call.workspace), pace.a_minute)] if pace else [account]


def set_trigger(ports: Ports, wake: datetime) -> bool:
    """Set the trigger of a wake. Return False, and log a warning, if that fails.

    The sweep then dials the wake's calls.
    """
    try:
        ports.triggers.arm(wake)
    except WakeNotSet as error:
        warn("wake-not-set", wake=plan.wake_text(wake), error=str(error))
        measure.wake_not_set()
        return False
    return True


def remember_armed(ports: Ports, account: str, minute: datetime, wake: datetime) -> None:
    """Record that a wake has its trigger.

    If the write fails, the next booking of the hour sets the same trigger once more.
    """
    try:
        ports.wakes.mark_armed(account, minute, {plan.stamp(wake)})
    except (ClientError, BotoCoreError, TooBusy) as error:
        warn("wake-not-noted", wake=plan.wake_text(wake), error=str(error))


def _schedules_dial(transition: Transition) -> bool:
    call, before = transition.call, transition.before.call
    newly: datetime | None = call.due_at if call.due_at != before.due_at else None
    return call.state is CallState.SCHEDULED and newly is not None
