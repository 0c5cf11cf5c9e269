"""The output of the demo: a table that fills up in a terminal, else lines of text."""

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.local.demo_story import SeenAttempt, SeenCall, Snapshot

#: The width of lines without a terminal, in characters: they have room for the whole table.
PLAIN_WIDTH = 110
#: the width of the picture, in characters; a page on GitHub shows no more, so the table leaves DISPENSABLE out
PICTURE_WIDTH = 94

#: column -> width in characters; the widths are fixed, so that nothing moves while the table fills up
COLUMNS = {
    "Call": 4,
    "Number": 12,
    "Attempt": 7,
    "The line": 17,
    "Dialled": 8,
    "Waited": 7,
    "Outcome": 11,
    "Decision": 18,
}
#: The column that a narrow terminal leaves out.
DISPENSABLE = "The line"
NUMERIC = ("Attempt", "Waited")

OUTCOME_STYLE = {"completed": "green", "voicemail": "magenta", "busy": "yellow", "no-answer": "yellow"}
#: Short forms of statuses that do not fit their column. ``placement-unknown`` means that the answer was lost, so nobody
#: knows whether the provider placed the call.
SHORT_STATUS = {"placement-unknown": "placed?"}

Show = Callable[[Snapshot], None]


def new_console() -> Console:
    """Return a console for the output of this process."""
    console = Console(highlight=False)
    if not _draws(console) and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def _draws(console: Console) -> bool:
    # With FORCE_COLOR, which build servers set, rich believes that every output is a terminal.
    return console.is_interactive and console.file.isatty()


@contextmanager
def following(console: Console) -> Iterator[Show]:
    """Show each snapshot that is passed to the yielded function.

    A terminal shows a table that fills up. Other outputs get a line for each change.
    """
    if not _draws(console):
        yield _Lines(console).show
        return
    latest = Snapshot()

    def show(snapshot: Snapshot) -> None:
        nonlocal latest
        latest = snapshot

    def picture() -> Group:
        now = datetime.now(UTC)
        return Group("", calls_table(latest, console.width, now), "", *waiting_for(latest, now))

    # The live table disappears at the end (transient), and print_history prints the final one.
    with Live(console=console, get_renderable=picture, refresh_per_second=4, transient=True):
        yield show


def print_history(console: Console, snapshot: Snapshot) -> None:
    """Print every attempt of every call, then the one-shot rules that dialled them."""
    console.print()
    console.print(calls_table(snapshot, console.width, datetime.now(UTC)))
    console.print("\n[bold]One-shot rules[/]")
    for rule in snapshot.rules:
        until = f"gone by {rule.gone_at:%H:%M:%S}" if rule.gone_at else "[red]still there[/]"
        console.print(f"  {rule.name}  [dim]armed by {rule.since_at:%H:%M:%S},[/] {until}")
    if not snapshot.rules:
        console.print("  none was seen")


def print_verdict(console: Console, snapshot: Snapshot, wrong: Sequence[Sequence[str]], left: Sequence[str]) -> None:
    """Print a line for each call with its summary status, then what went wrong.

    ``wrong`` has the differences of each call from its script. ``left`` is what the demo still waited for at its end.
    """
    console.print("\n[bold]Calls[/]")
    for call, differences in zip(snapshot.calls, wrong, strict=True):
        mark = "[red]✗[/]" if differences else "[green]✓[/]"
        asked = "as scripted, each dialled once" if not differences else "[red]not as scripted[/]"
        status = call.summary_status or call.state
        console.print(f"  {mark} {call.scripted.name} {call.scripted.number}  {status:<22} [dim]{asked}[/]")
    complaints = [line for differences in wrong for line in differences]
    for line in [f"still waiting for {wait}" for wait in left] + complaints:
        console.print(f"  {line}", style="red", markup=False, soft_wrap=True)


def picture(snapshot: Snapshot, wrong: Sequence[Sequence[str]], left: Sequence[str]) -> str:
    """Return the demo's final output as an SVG that loads no font from elsewhere."""
    console = Console(record=True, file=StringIO(), force_terminal=True, width=PICTURE_WIDTH, highlight=False)
    console.print("[bold green]$[/] make demo")
    print_history(console, snapshot)
    print_verdict(console, snapshot, wrong, left)
    svg = console.export_svg(title="make demo", unique_id="demo")
    return re.sub(r"@font-face {.*?}\n", "", svg, flags=re.DOTALL)


def calls_table(snapshot: Snapshot, width: int, now: datetime) -> Table:
    """Return a table with a row for each attempt: made, waited for, or only scripted."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    wide_enough = width >= sum(COLUMNS.values()) + 2 * (len(COLUMNS) - 1)
    shown = [name for name in COLUMNS if wide_enough or name != DISPENSABLE]
    for name in shown:
        table.add_column(name, width=COLUMNS[name], no_wrap=True, justify="right" if name in NUMERIC else "left")
    for call in snapshot.calls:
        for number in range(1, max(len(call.scripted.attempts), len(call.attempts), call.next_number or 0) + 1):
            cells = _row(call, number, now)
            table.add_row(*(cells[name] for name in shown))
    return table


def _row(call: SeenCall, number: int, now: datetime) -> dict[str, Text]:
    attempt = call.attempt(number)
    scripted = call.scripted.attempts[number - 1 : number]
    first = number == 1
    return {
        "Call": Text(call.scripted.name if first else "", "bold"),
        "Number": Text(call.scripted.number if first else ""),
        "Attempt": Text(str(number), "" if attempt else "dim"),
        "The line": Text(scripted[0].line if scripted else "not scripted", "dim" if scripted else "red"),
        "Dialled": Text(f"{attempt.called_at:%H:%M:%S}" if attempt else ""),
        "Waited": _waited(call, number, now),
        "Outcome": _outcome(attempt),
        "Decision": _decision(call, number),
    }


def _waited(call: SeenCall, number: int, now: datetime) -> Text:
    attempt, before = call.attempt(number), call.attempt(number - 1)
    if attempt:
        waited = attempt.called_at - before.ended_at if before and before.ended_at else None
        return Text(f"{waited.total_seconds():.1f} s" if waited is not None else "", "dim")
    due_at = call.due_at.get(number) if number == call.next_number else None
    return Text(f"in {_seconds_left(due_at, now)} s" if due_at else "", "cyan")


def _outcome(attempt: SeenAttempt | None) -> Text:
    if attempt is None:
        return Text("")
    if attempt.outcome is None:
        return Text(SHORT_STATUS.get(attempt.status, attempt.status), "cyan")
    return Text(attempt.outcome, OUTCOME_STYLE.get(attempt.outcome, "red"))


def _decision(call: SeenCall, number: int) -> Text:
    attempt = call.attempt(number)
    if attempt is None or attempt.outcome is None:
        return Text("")
    due_at = call.due_at.get(number + 1)
    if due_at:
        return Text(f"retry at {due_at:%H:%M:%S}")
    if number == len(call.attempts):
        return Text(call.reason or "", "bold")
    return Text("retry")


def waiting_for(snapshot: Snapshot, now: datetime) -> tuple[Text, Text]:
    """Return what the demo waits for.

    It is always two lines, so that the height of the screen stays the same.
    """
    live = [call.scripted.name for call in snapshot.calls if call.state not in ("scheduled", "final")]
    if live:
        return Text(f"On the line: {_calls(live)}", "cyan"), Text(
            "The mock carrier will post how each call ended", "dim"
        )
    due = [
        (call.due_at[n], call.scripted.name) for call in snapshot.calls if (n := call.next_number) and n in call.due_at
    ]
    if not due:
        return Text(""), Text("")
    next_at = min(at for at, _ in due)
    names = [name for at, name in due if at == next_at]
    return (
        Text(f"{next_at:%H:%M:%S}, {_what_will_dial(snapshot, next_at, now)}", "cyan"),
        Text(f"Then Redial dials again: {_calls(names)}", "dim"),
    )


def _what_will_dial(snapshot: Snapshot, due_at: datetime, now: datetime) -> str:
    if due_at <= now:
        return "which is now"
    rule = next((rule.name for rule in snapshot.armed if rule.name.endswith(f"{due_at:-%Y%m%d%H%M}")), None)
    how = f"the rule {rule} will fire" if rule else "no rule is there for it"
    return f"in {_seconds_left(due_at, now)} s: {how}"


def _calls(names: Sequence[str]) -> str:
    return ("call " if len(names) == 1 else "calls ") + ", ".join(names)


def _seconds_left(at: datetime, now: datetime) -> int:
    return max(0, math.ceil((at - now).total_seconds()))


class _Lines:
    """A printer of one line for each change from one snapshot to the next."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()

    def show(self, snapshot: Snapshot) -> None:
        now = datetime.now(UTC)
        for line in [line for call in snapshot.calls for line in _call_lines(call)] + _rule_lines(snapshot):
            if line not in self._printed:
                self._printed.add(line)
                self._console.print(f"{now:%H:%M:%S}  {line}", markup=False, soft_wrap=True)


def _call_lines(call: SeenCall) -> Iterator[str]:
    for attempt in call.attempts:
        name = f"call {call.scripted.name} ({call.scripted.number}), attempt {attempt.number}"
        yield f"{name}: dialled at {attempt.called_at:%H:%M:%S}"
        decision = _decision(call, attempt.number).plain
        if attempt.outcome and decision:
            yield f"{name}: {attempt.outcome}; {decision}"
    if call.summary_status:
        yield f"call {call.scripted.name} ({call.scripted.number}) is final: {call.summary_status}"


def _rule_lines(snapshot: Snapshot) -> list[str]:
    return [f"rule {rule.name} {'is gone' if rule.gone_at else 'is set'}" for rule in snapshot.rules]
