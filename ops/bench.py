"""`make bench`: the cost of the hot paths, as ratios and counts.

Absolute times hold only for this computer on this day.
"""

import sys
import timeit
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.table import Table

from chalicelib.dialects.dialnexa import RetryIn
from chalicelib.domain.decide import Situation, decide
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.providers import REGISTRY
from ops.benchmarks import cold_start, costs, prices
from ops.benchmarks import story as bench_story

START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
RETRY = {
    "max_retries": 3,
    "strategy": {"type": "fixed", "wait_minutes": 30},
    "on": {"busy": True, "no-answer": {"wait_minutes": 20}, "failed": {"max_retries": 1}, "voicemail": False},
    "window": {"open": {day: [["09:00", "21:00"]] for day in WEEK}, "pause": {"monday": [["12:00", "14:00"]]}},
    "expires_after_hours": 72,
}
CAPPED = {**RETRY, "caps": [{"max_attempts": 4, "per_hours": 24}]}
REPEATS = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table: the microseconds of one run, the best of several rounds."""

    what: str
    micros: float


def best_micros(work: Callable[[], object]) -> float:
    """Return the microseconds of one run of ``work``, the best of several rounds.

    A round has as many runs as take a tenth of a second.
    """
    timer = timeit.Timer(work)
    runs, seconds = timer.autorange()
    runs = max(1, round(runs * 0.1 / max(seconds, 1e-6)))
    return min(timer.repeat(REPEATS, runs)) / runs * 1e6


def cases() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name. The others are compared with the first."""
    plain, capped = RetryIn.model_validate(RETRY).policy(), RetryIn.model_validate(CAPPED).policy()
    zone = ("Asia/Kolkata",)
    inside = PastAttempt(1, Outcome.BUSY, START, START)
    evening = START + timedelta(hours=5, minutes=20)
    outside = PastAttempt(1, Outcome.BUSY, evening, evening)
    expires_at = START + timedelta(hours=72)
    many = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
    return {
        "parse the policy with pydantic": lambda: RetryIn.model_validate(RETRY).policy(),
        "decide: fixed, window, inside it": lambda: decide(plain, Situation(expires_at, zone, (inside,))),
        "decide: fixed, window, rescheduled to the next day": lambda: decide(
            plain, Situation(expires_at, zone, (outside,))
        ),
        "decide: the same with a cap": lambda: decide(capped, Situation(expires_at, zone, (inside,), (START,))),
        "decide: fixed, window, four zones": lambda: decide(plain, Situation(expires_at, many, (inside,))),
    }


def main() -> int:
    """Measure everything, print the tables, and return 0."""
    console = Console()
    measured = []
    for what, work in cases().items():
        with console.status(f"measuring: {what}"):
            measured.append(Measured(what, best_micros(work)))
    table = Table("what", "µs", "of parsing", title="decide()")
    for row in measured:
        table.add_row(row.what, f"{row.micros:.1f}", f"{row.micros / measured[0].micros:.2f}")
    console.print(table)
    with console.status(f"measuring: cold starts, {cold_start.RUNS} of each"):
        starts_ms = cold_start.medians_ms(cold_start.cases())
    floor_ms = next(iter(starts_ms.values()))
    table = Table("what", "ms", "of the floor", title="cold start, in a fresh process")
    for what, ms in starts_ms.items():
        table.add_row(what, f"{ms:.0f}", f"{ms / floor_ms:.2f}")
    console.print(table)
    _show_costs(console)
    return 0


def _show_costs(console: Console) -> None:
    with console.status("counting what an attempt takes"):
        counted = bench_story.count()
    console.print(
        f"counted: {counted.write_units:.1f} write units, {counted.read_units:.1f} read units and "
        f"{counted.aws_requests:.1f} requests to AWS for a redialled attempt with {counted.callbacks:.0f} callbacks; "
        f"measured: {counted.dial_cpu_ms:.1f} ms of CPU a dial, {counted.callback_cpu_ms:.1f} ms a callback, less TLS"
    )
    for title, lines in (
        (f"a million attempts, prices of {prices.READ_ON} in us-east-1", costs.of_a_million(counted)),
        ("a month without calls, with 1 provider", costs.of_a_month(1)),
        (f"a month without calls, with {len(REGISTRY)} providers", costs.of_a_month(len(REGISTRY))),
    ):
        rows = list(lines)
        table = Table("what", "$", title=title)
        for row in rows:
            table.add_row(row.what, f"{row.dollars:.2f}")
        table.add_row("together", f"{sum(row.dollars for row in rows):.2f}")
        console.print(table)
    console.print(_by_memory(counted.dial_cpu_ms))


def _by_memory(cpu_ms: float) -> Table:
    """Tabulate the dials a second of one redial Lambda, and their cost, by memory."""
    waits = costs.dials_per_second_of_waits()
    title = f"one redial Lambda by memory, {costs.DIALS_AT_ONCE} dials at a time, a vCPU as fast as this core"
    table = Table("MB", "of a vCPU", "dials/s by CPU", "dials/s by waits", "$ per million dials", title=title)
    for memory_mb in costs.MEMORIES_MB:
        by_cpu = costs.dials_per_second_of_cpu(memory_mb, cpu_ms)
        dollars = memory_mb / 1024 / min(by_cpu, waits) * prices.GB_SECOND["x86_64"] * costs.MILLION
        cells = (f"{costs.share(memory_mb):.2f}", f"{by_cpu:.1f}", f"{waits:.1f}", f"{dollars:.2f}")
        table.add_row(str(memory_mb), *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
