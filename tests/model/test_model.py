"""The state machine breaks no promise, and its model detects each planted fault."""

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import NUMBERS, WRITES, RedialMachine
from tests.simulate.mutants import MUTANTS

SMALL = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # shrinking a history takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
def test_no_history_breaks_what_was_answered() -> None:
    run_state_machine_as_test(RedialMachine, settings=SMALL)  # type: ignore[no-untyped-call]


def extend_a_pause(machine: RedialMachine) -> None:
    machine.extend_a_pause_as_it_ends(number=NUMBERS[2], at_request=WRITES)


def lose_the_callback_of_a_fault(machine: RedialMachine) -> None:
    ring = machine.redial.carrier.rings[0]
    machine.end(ring, "fault")
    machine.cancel(machine.model.calls[ring.call_id])


def cancel_what_waits(machine: RedialMachine) -> None:
    machine.cancel(machine.place(number=NUMBERS[2], wait_minutes=31))


def call_back_while_it_rings(machine: RedialMachine) -> None:
    ring = machine.redial.carrier.rings[0]
    machine.contacted(machine.model.calls[ring.call_id], for_hours=None)
    machine.end(ring, "busy")
    machine.told(ring, "end")


def lower_the_limit(machine: RedialMachine) -> None:
    machine.place(number=NUMBERS[2], wait_minutes=0)
    machine.limit_calls_in_flight(most=1)
    for ring in list(machine.redial.carrier.rings):
        machine.end(ring, "busy")
        machine.told(ring, "end")
        machine.place(number=NUMBERS[2], wait_minutes=0)


#: name of a mutant -> a history that shows its fault
STORIES: dict[str, Callable[[RedialMachine], None]] = {
    "opened-when-over": extend_a_pause,
    "fault-goes-on": lose_the_callback_of_a_fault,
    "places-kept": cancel_what_waits,
    "contact-forgotten": call_back_while_it_rings,
    "lowered-limit-not-kept": lower_the_limit,
}


def happen(story: Callable[[RedialMachine], None]) -> None:
    """Let a story happen to two ringing calls, and check it as the state machine does."""
    machine = RedialMachine()
    with closing(machine):
        machine.begin()
        story(machine)
        machine.no_phone_rings_that_must_not()
        machine.places_are_those_of_the_calls_that_wait()
        machine.let_everything_end()


@pytest.mark.slow
@pytest.mark.parametrize("name", STORIES)
def test_a_planted_fault_is_found(name: str) -> None:
    happen(STORIES[name])
    with MUTANTS[name].at_work(), pytest.raises(AssertionError):
        happen(STORIES[name])
