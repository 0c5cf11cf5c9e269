"""The shrinking of a run that goes wrong.

It leaves out calls, then kinds of fault, then single faults.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ops.simulate.evidence import Evidence, Plan
from ops.simulate.faults import KINDS
from ops.simulate.invariants import judge, violations_of
from ops.simulate.tally import Violation
from ops.simulate.world import simulate

Part = TypeVar("Part")

#: The shrinking repeats a run at most this many times.
MAX_RUNS = 120


@dataclass(slots=True)
class Smallest:
    """The smallest run found so far that still goes wrong in the same way."""

    plan: Plan
    evidence: Evidence
    violation: Violation
    runs: int = 0


def shrink(
    evidence: Evidence, violation: Violation, report: Callable[[Smallest], None] = lambda found: None
) -> Smallest:
    """Remove all parts of a run that a violation of the same invariant does not need.

    It calls ``report`` after each smaller run.
    """
    found = Smallest(evidence.plan, evidence, violation)

    def fails(plan: Plan) -> bool:
        if found.runs >= MAX_RUNS:
            return False
        found.runs += 1
        again = simulate(plan)
        wrong = violations_of(judge(again, [violation.invariant]))
        if wrong:
            found.plan, found.evidence, found.violation = plan, again, wrong[0]
        report(found)
        return bool(wrong)

    base = found.plan
    kept = sorted(base.kept if base.kept is not None else evidence.call_requests)
    if violation.call in kept and fails(replace(base, kept=frozenset({violation.call}))):
        kept = [violation.call]
    else:
        kept = least(kept, lambda calls: fails(replace(base, kept=frozenset(calls))))
    base = replace(base, kept=frozenset(kept))
    kinds = sorted({fault.kind for fault in found.evidence.injected})
    needed = least(kinds, lambda some: fails(replace(base, muted=frozenset(KINDS) - frozenset(some))))
    base = replace(base, muted=frozenset(KINDS) - frozenset(needed))
    single = sorted(fault.id for fault in found.evidence.injected)
    least(single, lambda some: fails(replace(base, muted=base.muted | (frozenset(single) - frozenset(some)))))
    return found


def least(parts: Sequence[Part], fails: Callable[[Sequence[Part]], bool]) -> list[Part]:
    """Return a minimal part of ``parts`` that still fails.

    No piece of the result can be left out (ddmin, Zeller and Hildebrandt 2002). The caller knows that ``parts`` as a
    whole fail.
    """
    kept = list(parts)
    if fails([]):
        return []
    pieces = 2
    while len(kept) >= 2:
        size = -(-len(kept) // pieces)
        chunks = [kept[at : at + size] for at in range(0, len(kept), size)]
        for number in range(len(chunks)):
            rest = [part for other, chunk in enumerate(chunks) if other != number for part in chunk]
            if fails(rest):
                kept, pieces = rest, max(pieces - 1, 2)
                break
        else:
            if pieces >= len(kept):
                break
            pieces = min(pieces * 2, len(kept))
    return kept
