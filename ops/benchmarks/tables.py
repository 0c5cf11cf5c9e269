"""The tables that ``make bench`` prints."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from ops.benchmarks import costs, prices
from ops.benchmarks.events import WAKE_SHARE, Counted, Kind
from ops.benchmarks.usage import Usage

#: two counts differ by more than rounding if they differ by more than this
MIN_GROWTH = 0.01


def by_load(counted: Sequence[Counted]) -> Table:
    """Tabulate each kind of event under each load.

    A cell has ``=`` if it is as under the first load.
    """
    title = "an event: requests to AWS/write units/read units"
    table = Table("event", *("\n".join(each.load.parts) for each in counted), "growth", title=title)
    for column in table.columns[:-1]:
        column.no_wrap = True
    for kind in Kind:
        usages = [each.usage[kind] for each in counted]
        base, *others = map(_figures, usages)
        table.add_row(kind, base, *("=" if each == base else each for each in others), growth(usages))
    return table


def growth(usages: Sequence[Usage]) -> str:
    """Return ``flat`` if all usages are like the first.

    If not, return the largest change of each count.
    """
    counts = {
        "requests": [each.total_requests for each in usages],
        "writes": [each.write_units for each in usages],
        "reads": [each.read_units for each in usages],
    }
    grown = {what: max(found, key=lambda count: abs(count - found[0])) - found[0] for what, found in counts.items()}
    return ", ".join(f"{by:+.3g} {what}" for what, by in grown.items() if abs(by) > MIN_GROWTH) or "flat"


def by_operation(counted: Counted) -> Table:
    """Tabulate the requests of each kind of event by operation, and what was measured."""
    title = f"an event: requests to AWS by operation, with {counted.load}"
    table = Table("event", "requests", "CPU ms", "log bytes", title=title)
    for kind, usage in ((kind, counted.usage[kind]) for kind in Kind):
        requests = usage.counted()["requests"]
        text = ", ".join(f"{count:g} {operation}" for operation, count in requests.items())
        table.add_row(kind, text, f"{usage.cpu_ms:.1f}", f"{usage.log_bytes:.0f}")
    return table


def stored(bytes_of_a_call: Mapping[int, Mapping[str, int]]) -> Table:
    """Tabulate the bytes that a call keeps in the table after some attempts."""
    table = Table(
        "item",
        *(f"{number} attempt{'s' * (number > 1)}" for number in bytes_of_a_call),
        title="bytes that a call keeps",
    )
    for kind in next(iter(bytes_of_a_call.values())):
        table.add_row(kind, *(f"{kinds[kind]:,}" for kinds in bytes_of_a_call.values()))
    return table


def bill(title: str, lines: Iterable[costs.Line]) -> Table:
    """Tabulate a bill and its sum."""
    rows = list(lines)
    table = Table("what", "$", title=title)
    for row in rows:
        table.add_row(row.what, f"{row.dollars:.2f}")
    table.add_row("together", f"{sum(row.dollars for row in rows):.2f}")
    return table


def by_memory(cpu_ms: float) -> Table:
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


def times(title: str, unit: str, measured: Mapping[str, float], digits: int = 0) -> Table:
    """Tabulate times, each also as a multiple of the first."""
    first = next(iter(measured.values()))
    table = Table("what", unit, "of the first", title=title)
    for what, value in measured.items():
        table.add_row(what, f"{value:.{digits}f}", f"{value / first:.2f}")
    return table


def notes(counted: Sequence[Counted]) -> str:
    """Return what a reader must know to read the tables."""
    return (
        "The calls of one minute share the wake, so it has a line of its own. "
        f"A redialled attempt has {WAKE_SHARE:.0%} of a wake, and {counted[0].callbacks} callbacks. "
        "Half of the account's slots are free. "
        "CPU and log bytes are measured, less TLS; all else is counted and is the same in each run."
    )


def _figures(usage: Usage) -> str:
    return f"{usage.total_requests:.3g}/{usage.write_units:.3g}/{usage.read_units:.3g}"
