"""Change a call: compute a transition from what is stored, arm the wheel for its retry, commit, or start over."""

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

#: Each lost race means that somebody else's change was committed, so this many losses in a row is no accident.
CHANGE_TRIES = 8
#: An account and a workspace agree on a minute after two or three of these, unless others take it meanwhile.
MEETING_TRIES = 30
#: A booked minute that the policy does not allow leads to the next one that it does; two or three of these settle it.
BOOKING_TRIES = 16


def change(ports: Ports, call_id: str, compute: Callable[[CallRecord], Transition]) -> Transition:
    """Apply ``compute`` to the call as it is now, as often as it takes to commit. Raises NotFound, TooBusy."""
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
    """Commit a transition and ``also``, with the wheel armed first where it schedules a dial. Raises StaleWrite.

    In the same transaction go back: the slots of an attempt that ends, its entry in its number's list where it was
    never made, and the place in the wheel of a due time that goes.
    """
    schedules = _schedules(transition)
    return _written(ports, book(ports, transition) if schedules else transition, also, schedules=schedules)


def bring_forward(ports: Ports, transition: Transition) -> Transition | None:
    """Commit a transition that gives a waiting call an earlier due time, where an earlier minute has room.

    Return None, with nothing changed, where none has. Raises StaleWrite.
    """
    planned, due_at = book(ports, transition), transition.before.call.due_at
    if planned.call.due_at is None or due_at is None or planned.call.due_at >= due_at:
        unbook(ports, planned.call)
        return None
    return _written(ports, planned, (), schedules=True)


def _written(ports: Ports, planned: Transition, also: Sequence[Write], *, schedules: bool) -> Transition:
    """Commit a transition whose dial, where it ``schedules`` one, is booked."""
    optional = {**_ending(ports, planned), **_giving_back(ports, planned, schedules=schedules)}
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


def _ending(ports: Ports, transition: Transition) -> dict[str, Write]:
    """The writes that go with the end of an attempt, with its undoing, or with the proof that it was made after all."""
    ended, made = transition.ended_attempt, transition.made_after_all
    if made is not None:
        counted = ports.budgets.counting_again(transition.call.workspace, made)
        return {"number": ports.numbers.counting_again(transition.call, made), **named("budget", counted)}
    if ended is None:
        return {}
    writes = dict(zip(ended.slots, ports.slots.releasing(ended), strict=True))
    if transition.dropped or not ended.was_made:
        # The number may have been erased meanwhile: then there is nothing to take it back from.
        writes["number"] = ports.numbers.taking_back(transition.call, ended.id)
        writes |= named("budget", ports.budgets.giving_back(transition.call.workspace, ended))
    return writes


def named(kind: str, writes: Sequence[Write]) -> dict[str, Write]:
    """Give each of some writes a name of its own, for transact()."""
    return {f"{kind} {place}": write for place, write in enumerate(writes)}


def _giving_back(ports: Ports, transition: Transition, *, schedules: bool) -> dict[str, Write]:
    """The writes that give back the places of a due time that goes. A claim has used its own; a past minute is over."""
    before = transition.before.call
    goes = schedules or transition.call.state is CallState.FINAL
    this_minute = ports.clock.now().replace(second=0, microsecond=0)
    if before.due_at is None or before.due_at < this_minute or not goes:
        return {}
    return {f"place {scope}": ports.wakes.giving_back(scope, before.due_at) for scope in before.places}


def book(ports: Ports, transition: Transition) -> Transition:
    """Return the transition with its dial booked in a minute that its policy allows; or ended, where there is none.

    Raises TooBusy where no such minute has room.
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
    """The call moved to a minute with room for its dial, and an alarm set for that minute.

    The alarm comes before the state: an alarm with nothing due does no harm, a due call without one waits for the
    sweep. It does so where the alarm could not be set, too: the schedule in the table is what counts.
    """
    if call.due_at is None:
        raise ValueError(f"{call.id} is due at no time")
    now, lead = ports.clock.now(), ports.wake_lead
    wanted = plan.first_minute(call.due_at, now, lead)
    room = _room(ports, call)
    booked = _reserve(ports, room, wanted)
    wake = plan.wake_for(booked.minute, now, lead)
    if plan.stamp(wake) not in booked.armed and set_trigger(ports, wake):
        remember_armed(ports, call.account, booked.minute, wake)
    return replace(call, due_at=booked.minute, places=tuple(scope for scope, _ in room))


def unbook(ports: Ports, call: Call) -> None:
    """Give back the places of a call that was booked and not written."""
    for scope in call.places if call.due_at else ():
        ports.wakes.release(scope, call.due_at or ports.clock.now())


def _reserve(ports: Ports, room: Sequence[tuple[str, int]], wanted: datetime) -> Reservation:
    """A place in the first minute that has one with the account and, where it has a pace, with the workspace."""
    for _ in range(MEETING_TRIES):
        places: list[tuple[str, Reservation]] = []
        try:
            for scope, capacity in room:
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


def _room(ports: Ports, call: Call) -> list[tuple[str, int]]:
    """How many dials a minute takes: of the call's account and, where a pace is set for it, of its workspace."""
    account = call.account, ports.minute_capacity(call.provider)
    pace = ports.workspace_pace(call.workspace)
    return [account, (workspace_scope(call.workspace), pace.a_minute)] if pace else [account]


def set_trigger(ports: Ports, wake: datetime) -> bool:
    """Set an alarm; False, and a line in the log, where that failed: the sweep dials in its place."""
    try:
        ports.triggers.arm(wake)
    except WakeNotSet as error:
        warn("wake-not-set", wake=plan.wake_text(wake), error=str(error))
        measure.wake_not_set()
        return False
    return True


def remember_armed(ports: Ports, account: str, minute: datetime, wake: datetime) -> None:
    """Note that a wake has its alarm. Where that fails, the next booking of the hour sets the same alarm once more."""
    try:
        ports.wakes.mark_armed(account, minute, {plan.stamp(wake)})
    except (ClientError, BotoCoreError, TooBusy) as error:
        warn("wake-not-noted", wake=plan.wake_text(wake), error=str(error))


def _schedules(transition: Transition) -> bool:
    call, before = transition.call, transition.before.call
    newly: datetime | None = call.due_at if call.due_at != before.due_at else None
    return call.state is CallState.SCHEDULED and newly is not None
