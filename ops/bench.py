"""`make bench`: what each kind of event costs, and how long the hot paths take.

    python -m ops.bench            print the tables
    python -m ops.bench --json     print the same as JSON
    python -m ops.bench --write    write the committed counts: counts.json and docs/costs.md

Requests, units and bytes are counted on the real handlers: they are the same in each run. Times hold only for this
computer on this day.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from chalicelib.providers import REGISTRY
from ops.benchmarks import cold_start, costs, counts, decide_times, page, prices, stored, tables
from ops.benchmarks.events import Counted, count

#: The tables need so many columns.
MIN_WIDTH = 132


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all benchmarks. The first of ``counted`` is under the base load."""

    counted: Sequence[Counted]
    bytes_of_a_call: Mapping[int, Mapping[str, int]]
    decide_micros: Mapping[str, float]
    starts_ms: Mapping[str, float]

    def bills(self) -> dict[str, list[costs.Line]]:
        """Return the bills, by title."""
        return {
            f"a million redialled attempts, prices of {prices.READ_ON} in us-east-1": list(
                costs.of_a_million(self.counted[0])
            ),
            "a month without calls, with 1 provider": list(costs.of_a_month(1)),
            f"a month without calls, with {len(REGISTRY)} providers": list(costs.of_a_month(len(REGISTRY))),
        }

    def as_json(self) -> dict[str, Any]:
        """Return all results as JSON."""
        base = self.counted[0]
        return {
            **counts.as_json(self.counted, self.bytes_of_a_call),
            "cpu_ms": {kind: round(usage.cpu_ms, 2) for kind, usage in base.usage.items()},
            "log_bytes": {kind: round(usage.log_bytes) for kind, usage in base.usage.items()},
            "dollars": {title: [asdict(line) for line in lines] for title, lines in self.bills().items()},
            "decide_micros": {what: round(micros, 2) for what, micros in self.decide_micros.items()},
            "cold_start_ms": {what: round(ms, 1) for what, ms in self.starts_ms.items()},
        }

    def as_tables(self) -> Iterator[Table | str]:
        """Yield the tables to print."""
        yield tables.by_load(self.counted)
        yield tables.by_operation(self.counted[0])
        yield tables.notes(self.counted)
        yield tables.stored(self.bytes_of_a_call)
        yield from (tables.bill(title, lines) for title, lines in self.bills().items())
        yield tables.by_memory(self.counted[0].dial_cpu_ms)
        yield tables.times("decide()", "µs", self.decide_micros, digits=1)
        yield tables.times("cold start, in a fresh process", "ms", self.starts_ms)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks, print their results, and return 0."""
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="Run the benchmarks of Redial.")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON in place of tables")
    output.add_argument("--write", action="store_true", help="count only, and write the committed counts")
    options = parser.parse_args(arguments)
    progress = Console(stderr=True)
    if options.write:
        with progress.status("counting"):
            counts.write()
        print(f"wrote {counts.PATH} and {page.PATH}")
        return 0
    results = _run(progress)
    if options.json:
        print(json.dumps(results.as_json(), indent=2))
        return 0
    console = Console()
    if console.width < MIN_WIDTH:
        console = Console(width=MIN_WIDTH)
    for each in results.as_tables():
        console.print(each)
    return 0


def _run(progress: Console) -> Results:
    with progress.status("counting what each event uses"):
        count()  # warms the process, so that the CPU time is that of a warm Lambda
        counted, bytes_of_a_call = counts.count_all(), stored.bytes_of_a_call()
    with progress.status("measuring decide()"):
        micros = {what: decide_times.best_micros(work) for what, work in decide_times.cases().items()}
    with progress.status(f"measuring cold starts, {cold_start.RUNS} of each"):
        return Results(counted, bytes_of_a_call, micros, cold_start.medians_ms(cold_start.cases()))


if __name__ == "__main__":
    sys.exit(main())
