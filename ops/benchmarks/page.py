"""The tables of the committed counts in docs/costs.md."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.benchmarks.events import LOADS
from ops.benchmarks.tables import growth
from ops.benchmarks.usage import Usage

PATH = Path(__file__).parents[2] / "docs" / "costs.md"
BEGIN, END = "<!-- written by python -m ops.bench --write -->\n\n", "\n<!-- until here -->"


def markdown(counts: Mapping[str, Any]) -> str:
    """Return the tables of counts in the form of counts.json."""
    return "\n".join([*_events(counts["events"]), "", *_bytes(counts["stored_bytes"])]) + "\n"


def write(counts: Mapping[str, Any]) -> None:
    """Write the tables into the page, between BEGIN and END.

    Raises ValueError if the page has no such place.
    """
    before, begin, rest = PATH.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PATH} has no lines {BEGIN.strip()!r} and {END.strip()!r} around its tables")
    PATH.write_text(before + begin + markdown(counts) + end + after)


def _events(events: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    yield "| event | requests to AWS | write units | read units | under larger loads |"
    yield "|---|---|---|---|---|"
    for kind, by_load in events.items():
        usages = [Usage(**by_load[str(load)]) for load in LOADS if str(load) in by_load]
        base = usages[0]
        figures = (base.total_requests, base.write_units, base.read_units)
        yield f"| {kind} | {' | '.join(f'{figure:.4g}' for figure in figures)} | {growth(usages)} |"


def _bytes(by_attempts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    yield f"| bytes that a call keeps | {' | '.join(by_attempts)} |"
    yield "|---" * (1 + len(by_attempts)) + "|"
    for kind in next(iter(by_attempts.values())):
        yield f"| {kind} | {' | '.join(f'{kinds[kind]:,}' for kinds in by_attempts.values())} |"
