"""The committed counts: the usage of each kind of event, and the bytes of a call.

A test counts again and compares. So a change that costs more, or less, shows in the review as a change of counts.json.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ops.benchmarks import page, stored
from ops.benchmarks.events import LOADS, Counted, Kind, count

PATH = Path(__file__).with_name("counts.json")
#: The command that writes the committed counts again.
COMMAND = "python -m ops.bench --write"


def count_all() -> list[Counted]:
    """Return the counts under each load. This takes about half a minute."""
    return [count(load) for load in LOADS]


def as_json(counted: Iterable[Counted], bytes_of_a_call: Mapping[int, Mapping[str, int]]) -> dict[str, Any]:
    """Return counts in the form of counts.json: by kind of event, then by load."""
    counted = list(counted)
    return {
        "events": {kind: {str(each.load): each.usage[kind].counted() for each in counted} for kind in Kind},
        "stored_bytes": {_attempts(number): dict(kinds) for number, kinds in bytes_of_a_call.items()},
    }


def write() -> None:
    """Count everything, and write counts.json and the tables of docs/costs.md."""
    found = as_json(count_all(), stored.bytes_of_a_call())
    PATH.write_text(json.dumps(found, indent=2) + "\n")
    page.write(found)


def committed() -> dict[str, Any]:
    """Return the committed counts."""
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def differences(now: Mapping[str, Any], then: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """Yield a line for each count of ``now`` that is not the same in ``then``.

    A count that only ``then`` has is left out, except below the same event and load.
    """
    for name, value in now.items():
        where = f"{place}: {name}" if place else name
        before = then.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            yield from differences(value, before, where)
            if name == "requests":
                yield from (f"{where}: {gone} was {before[gone]}, is 0" for gone in before if gone not in value)
        elif value != before:
            yield f"{where} was {before}, is {value}"


def _attempts(number: int) -> str:
    return f"{number} attempt" if number == 1 else f"{number} attempts"
