"""The simulator finds each mutant, and finds nothing wrong in the real code."""

from contextlib import ExitStack

import pytest

from ops.simulate.evidence import Plan
from ops.simulate.faults import Level
from ops.simulate.focus import FOCI
from ops.simulate.invariants import judge, violations_of
from ops.simulate.tally import Violation
from ops.simulate.world import simulate
from tests.simulate.mutants import MUTANTS, few_slots_read

pytestmark = pytest.mark.e2e

CALLS = 12
#: A focus makes a situation happen among few calls that otherwise needs dozens of calls.
FOCUSED_CALLS = 6
MAX_SEEDS = 8


def violations(
    seed: int, *, rush: bool = False, calls: int = CALLS, level: Level = Level.HEAVY, focus: str | None = None
) -> list[Violation]:
    return violations_of(judge(simulate(Plan(seed, calls, level, rush=rush, focus=focus))))


@pytest.mark.parametrize("rush", [False, True], ids=["", "rush"])
@pytest.mark.parametrize("seed", range(1, MAX_SEEDS + 1))
def test_the_code_as_it_is_breaks_nothing(seed: int, rush: bool) -> None:
    assert violations(seed, rush=rush) == []


@pytest.mark.parametrize("focus", FOCI)
def test_no_focus_makes_the_code_as_it_is_break_anything(focus: str) -> None:
    assert violations(1, calls=FOCUSED_CALLS, focus=focus) == []


@pytest.mark.parametrize("focus", ["limits", "line", None])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_claims_that_read_few_slots_break_nothing(seed: int, focus: str | None) -> None:
    with ExitStack() as stack:
        for each in few_slots_read():
            stack.enter_context(each)
        assert violations(seed, rush=True, calls=24, level=Level.NONE if focus else Level.HEAVY, focus=focus) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_by_an_invariant_of_its_own(name: str) -> None:
    mutant = MUTANTS[name]
    with mutant.at_work():
        found: set[str] = set()
        for seed in range(mutant.first, mutant.first + mutant.seeds):
            wrong = violations(seed, rush=mutant.rush, calls=mutant.calls, level=mutant.level, focus=mutant.focus)
            found |= {violation.invariant for violation in wrong}
            if found & set(mutant.found_by):
                break
    assert found & set(mutant.found_by), f"{mutant.what}: not found in {mutant.seeds} runs, only {found}"
