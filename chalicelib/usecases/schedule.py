"""Change a call: compute a transition from what is stored, arm the wheel for its retry, commit, or start over."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from chalicelib.domain.call import Call, CallRecord, CallState
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import NotFound, TooBusy
from chalicelib.log import warn
from chalicelib.storage.gates import workspace_scope
from chalicelib.storage.transact import StaleWrite, Write
from chalicelib.storage.wakes import Reservation
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import AlarmNotSet, plan

#: Each lost race means that somebody else's change was committed, so this many losses in a row is no accident.
CHANGE_TRIES = 8
#: An account and a workspace agree on a minute after two or three of these, unless others take it meanwhile.
MEETING_TRIES = 30


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

    The end of an attempt gives its slots back, and takes it off its number's list where it was never made.
    """
    ended = transition.ended_attempt
    released = ports.slots.releasing(ended) if ended else []
    if ended and (transition.dropped or not ended.was_made):
        # The number may have been erased meanwhile: then there is nothing to take it back from.
        released = [*released, ports.numbers.taking_back(transition.call, ended.id)]
        released += ports.budgets.giving_back(transition.call.workspace, ended)
    if ports.limits_of(transition.call.workspace).daily_minutes is not None:
        also = [*also, *ports.budgets.adding_minutes(transition)]
    if not _schedules(transition):
        ports.calls.commit(transition, also, released)
        measure.committed(transition)
        return transition
    planned = transition.booked(book_minute(ports, transition.call))
    try:
        ports.calls.commit(planned, also, released)
    except StaleWrite:
        if planned.call.due_at is not None:
            for scope, _ in _room(ports, planned.call):
                ports.wakes.release(scope, planned.call.due_at)
        raise
    measure.committed(planned)
    return planned


def book_minute(ports: Ports, call: Call) -> Call:
    """The call moved to a minute with room for its dial, and an alarm set for that minute.

    The alarm comes before the state: an alarm with nothing due does no harm, a due call without one waits for the
    sweep. It does so where the alarm could not be set, too: the schedule in the table is what counts.
    """
    if call.due_at is None:
        raise ValueError(f"{call.id} is due at no time")
    now, lead = ports.clock.now(), ports.wake_lead
    wanted = plan.first_minute(call.due_at, now, lead)
    booked = _reserve(ports, call, wanted)
    wake = plan.wake_for(booked.minute, now, lead)
    if plan.stamp(wake) not in booked.armed and set_alarm(ports, wake):
        ports.wakes.mark_armed(call.account, booked.minute, {plan.stamp(wake)})
    return replace(call, due_at=booked.minute)


def _reserve(ports: Ports, call: Call, wanted: datetime) -> Reservation:
    """A place in the first minute that has one with the account and, where it has a pace, with the workspace."""
    for _ in range(MEETING_TRIES):
        places = [(scope, ports.wakes.reserve(scope, wanted, room)) for scope, room in _room(ports, call)]
        wanted = max(place.minute for _, place in places)
        if all(place.minute == wanted for _, place in places):
            break
        for scope, place in places:
            ports.wakes.release(scope, place.minute)
    else:
        raise TooBusy(f"no minute up to {wanted:%Y-%m-%dT%H:%MZ} has room; try again in a moment")
    return places[0][1]


def _room(ports: Ports, call: Call) -> list[tuple[str, int]]:
    """How many dials a minute takes: of the call's account and, where a pace is set for it, of its workspace."""
    account = call.account, ports.minute_capacity(call.provider)
    pace = ports.workspace_pace(call.workspace)
    return [account, (workspace_scope(call.workspace), pace.a_minute)] if pace else [account]


def set_alarm(ports: Ports, wake: datetime) -> bool:
    """Set an alarm; False, and a line in the log, where that failed: the sweep dials in its place."""
    try:
        ports.alarms.arm(wake)
    except AlarmNotSet as error:
        warn("alarm-not-set", wake=plan.wake_text(wake), error=str(error))
        return False
    return True


def _schedules(transition: Transition) -> bool:
    call, before = transition.call, transition.before.call
    newly: datetime | None = call.due_at if call.due_at != before.due_at else None
    return call.state is CallState.SCHEDULED and newly is not None
