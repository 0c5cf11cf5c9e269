"""`python -m ops.simulate --seed 1 --calls 100 --faults heavy`: the whole of Redial under faults, in virtual time.

The same seed gives the same run. Exit status 1 where an invariant does not hold; the smallest run that shows it is
then looked for and printed.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from ops.simulate.evidence import Plan
from ops.simulate.faults import Level
from ops.simulate.invariants import judge, violations_of
from ops.simulate.report import print_run, print_smallest, watching
from ops.simulate.shrink import Smallest, shrink
from ops.simulate.world import simulate

PLAIN_WIDTH = 120
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class Summary:
    """One seed's run in a line: figures that can be sent from process to process."""

    seed: int
    calls: int
    dials: int
    faults: int
    seconds: float
    wrong: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    seeds = options.seeds if options.seeds else [options.seed]
    if len(seeds) == 1:
        return _one(
            console, Plan(seeds[0], options.calls, Level(options.faults), rush=options.rush), smaller=not options.as_is
        )
    return _many(console, [Plan(seed, options.calls, Level(options.faults), rush=options.rush) for seed in seeds])


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
        with console.status("looking for a smaller run") as status:

            def tell(found: Smallest) -> None:
                size = f"{len(found.evidence.asked)} calls, {len(found.evidence.injected)} faults"
                status.update(f"looking for a smaller run: {size}")

            found = shrink(evidence, wrong[0], tell)
        print_smallest(console, found)
    return 1 if wrong else 0


def _many(console: Console, plans: Sequence[Plan]) -> int:
    table = Table("seed", "calls", "dials", "faults", "seconds", "violations")
    totals: Counter[str] = Counter()
    with ProcessPoolExecutor(PROCESSES) as pool, watching(console, "seeds") as progress:
        for done, summary in enumerate(pool.map(_summary, plans), 1):
            progress(done, len(plans))
            figures = (summary.seed, summary.calls, summary.dials, summary.faults, round(summary.seconds, 1))
            table.add_row(*map(str, figures), str(len(summary.wrong)), style="red" if summary.wrong else "")
            for text in summary.wrong:
                console.print(f"  seed {summary.seed}: {text}", style="red", markup=False)
            totals.update(
                violations=len(summary.wrong), calls=summary.calls, dials=summary.dials, faults=summary.faults
            )
    console.print(table)
    console.print(
        f"violations: {totals['violations']}   seeds: {len(plans)}   calls: {totals['calls']}"
        f"   dials: {totals['dials']}   faults: {totals['faults']}"
    )
    return 1 if totals["violations"] else 0


def _summary(plan: Plan) -> Summary:
    began = time.monotonic()
    evidence = simulate(plan)
    wrong = tuple(f"{v.invariant}: call {v.call}: {v.text}" for v in violations_of(judge(evidence)))
    seconds = time.monotonic() - began
    return Summary(plan.seed, len(evidence.calls), len(evidence.legs), len(evidence.injected), seconds, wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ops.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what chance is made of (1)")
    parser.add_argument("--seeds", type=_seeds, help="several, as in 1-20, in two processes; sums up")
    parser.add_argument("--calls", type=int, default=100, help="how many calls are asked for (100)")
    parser.add_argument("--faults", choices=[str(level) for level in Level], default=str(Level.HEAVY))
    parser.add_argument("--rush", action="store_true", help="all calls come at the same few moments")
    parser.add_argument("--as-is", action="store_true", help="do not look for a smaller run that goes wrong")
    return parser


def _seeds(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds; use 1-20")
    return list(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main())
