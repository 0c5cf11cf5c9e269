"""The import of a do-not-call list: ``python -m ops opt-outs import numbers.csv``.

The command opts every number of the list out of a workspace.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from chalicelib.domain.numbers import e164
from chalicelib.errors import RedialError
from chalicelib.usecases.numbers.opt_out import opt_out
from chalicelib.usecases.ports import Ports
from ops.data.workspaces import workspace_name
from ops.ports import ports_of

#: the column of the numbers, in a file with a header
NUMBER_COLUMN = "number"
REASON_COLUMN = "reason"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the list. Its ``number`` is the text of the file, unchecked."""

    row: int
    number: str
    reason: str | None

    @property
    def wrong(self) -> str | None:
        """The API's error about the number; None if the number is E.164."""
        try:
            e164(self.number)
        except ValueError as error:
            return f"number {error}"
        return None


def read_list(lines: Iterable[str]) -> Iterator[Line]:
    """Yield the lines of a CSV file.

    If the file has a header, its columns ``number`` and ``reason`` count; if not, the first two columns.
    """
    columns = [NUMBER_COLUMN, REASON_COLUMN]
    for row, cells in enumerate(csv.reader(lines), 1):
        cells = [cell.strip() for cell in cells]
        if row == 1 and NUMBER_COLUMN in (lowered := [cell.lower().lstrip("\ufeff") for cell in cells]):
            columns = lowered
            continue
        if any(cells):
            named = dict(zip(columns, cells, strict=False))
            yield Line(row, named.get(NUMBER_COLUMN, "").lstrip("\ufeff"), named.get(REASON_COLUMN) or None)


def take_over(ports: Ports, workspace: str, lines: Iterable[Line]) -> int:
    """Opt every number out, and end its calls. Return how many calls ended.

    A second run changes nothing.
    """
    return sum(opt_out(ports, workspace, line.number, line.reason)[1] for line in lines)


def add_parser(subparsers: Any) -> None:
    """Register ``opt-outs import``."""
    parser = subparsers.add_parser("opt-outs", help="import a do-not-call list")
    actions = parser.add_subparsers(dest="action", required=True)
    importing = actions.add_parser("import", help="opt out every number of a CSV file; safe to repeat")
    importing.add_argument("file", type=Path, help="one E.164 number a line, or a header with number and reason")
    importing.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    importing.add_argument(
        "--workspace", required=True, type=workspace_name, help="the workspace that may no longer call the numbers"
    )
    importing.set_defaults(run=_import)


def _read_file(path: Path) -> list[Line]:
    """Return the lines of a CSV file. Raise RedialError if it is not CSV in UTF-8."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(read_list(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise RedialError(f"{path} is not a CSV file in UTF-8: {error}") from error


def _import(args: argparse.Namespace) -> int:
    console = Console(stderr=True)
    lines = _read_file(args.file)
    wrong = [line for line in lines if line.wrong]
    if wrong:
        # All or nothing: a user can correct a list, but would not notice that a part of it was left out.
        for line in wrong[:20]:
            console.print(f"line {line.row}: {line.wrong}", markup=False, soft_wrap=True)
        console.print(f"{len(wrong)} of {len(lines)} lines are wrong; nothing was taken over", style="red")
        return 1
    ports = ports_of(args.stage)
    shown = track(lines, description="opting out", console=console, disable=not console.is_terminal)
    ended = take_over(ports, args.workspace, shown)
    print(f"{len(lines)} numbers opted out of {args.workspace}; {ended} pending calls ended", file=sys.stdout)
    return 0
