"""Simulate all of Redial under faults, in virtual time.

    python -m ops.simulate --seed 1 --calls 100 --faults heavy

The same seed gives the same run. If an invariant does not hold, the exit status is 1, and the command searches for the
smallest run that shows the violation and prints that run.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ops.simulate.evidence import Plan
from ops.simulate.faults import Level
from ops.simulate.focus import FOCI
from ops.simulate.invariants import judge, violations_of
from ops.simulate.report import Counts, print_counts, print_run, print_smallest, watching
from ops.simulate.shrink import Smallest, shrink
from ops.simulate.world import simulate

PLAIN_WIDTH = 120
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one seed's run, which one process can send to another."""

    seed: int
    counts: Counts
    seconds: float
    wrong: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one seed or several. Return 1 if an invariant does not hold, else 0."""
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    seeds = options.seeds if options.seeds else [options.seed]
    chosen: dict[str, Any] = {"calls": options.calls, "level": Level(options.faults)}
    chosen |= {"rush": options.rush, "focus": options.focus}
    if len(seeds) == 1:
        return _one(console, Plan(seeds[0], **chosen), smaller=not options.as_is)
    return _many(console, [Plan(seed, **chosen) for seed in seeds])


def _one(console: Console, plan: Plan, *, smaller: bool) -> int:
    began = time.monotonic()
    with watching(console, f"seed {plan.seed}: calls that have ended") as progress:
        evidence = simulate(plan, progress)
    verdicts = judge(evidence)
    print_run(console, evidence, verdicts)
    wrong = violations_of(verdicts)
    for violation in wrong:
        console.print(f"  {violation.invariant}: call {violation.call}: {violation.text}", style="red", markup=False)
    console.print(
        f"violations: {len(wrong)}   seed: {plan.seed}   calls: {plan.calls}   faults: {plan.level}"
        f"   {time.monotonic() - began:.0f} s"
    )
    if wrong and smaller:
        with console.status("searching for a smaller run") as status:

            def report(found: Smallest) -> None:
                size = f"{len(found.evidence.call_requests)} calls, {len(found.evidence.injected)} faults"
                status.update(f"searching for a smaller run: {size}")

            found = shrink(evidence, wrong[0], report)
        print_smallest(console, found)
    return 1 if wrong else 0


def _many(console: Console, plans: Sequence[Plan]) -> int:
    table = Table("seed", "calls", "attempts", "faults", "seconds", "violations", box=SIMPLE_HEAD)
    summaries: list[Summary] = []
    with ProcessPoolExecutor(PROCESSES) as pool, watching(console, "seeds") as progress:
        for done, summary in enumerate(pool.map(_summary, plans), 1):
            progress(done, len(plans))
            counts, wrong = summary.counts, len(summary.wrong)
            figures = (counts.done["calls"], counts.done["attempts"], counts.faults.total(), round(summary.seconds, 1))
            table.add_row(str(summary.seed), *map(str, figures), str(wrong), style="red" if wrong else "")
            for text in summary.wrong:
                console.print(f"  seed {summary.seed}: {text}", style="red", markup=False)
            summaries.append(summary)
    first, *others = [summary.counts for summary in summaries]
    total = sum(others, start=first)
    print_counts(console, total)
    console.print(table)
    violated = total.violated.total()
    console.print(
        f"violations: {violated}   seeds: {len(plans)}   calls: {total.done['calls']}"
        f"   attempts: {total.done['attempts']}   faults: {total.faults.total()}"
    )
    return 1 if violated else 0


def _summary(plan: Plan) -> Summary:
    began = time.monotonic()
    evidence = simulate(plan)
    verdicts = judge(evidence)
    wrong = tuple(f"{v.invariant}: call {v.call}: {v.text}" for v in violations_of(verdicts))
    return Summary(plan.seed, Counts.of(evidence, verdicts), time.monotonic() - began, wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the seed of all random choices (1)")
    parser.add_argument("--seeds", type=_seeds, help="a range of seeds, for example 1-20, run in two processes")
    parser.add_argument("--calls", type=int, default=100, help="how many calls to request (100)")
    parser.add_argument("--faults", choices=[str(level) for level in Level], default=str(Level.HEAVY))
    parser.add_argument("--rush", action="store_true", help="request all calls in a few bursts")
    parser.add_argument("--focus", choices=list(FOCI), help="raise the odds of one situation")
    parser.add_argument("--as-is", action="store_true", help="do not search for a smaller run that shows the violation")
    return parser


def _seeds(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of seeds (example: 1-20)")
    return list(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main())
