"""How a simulation is told: a row for each invariant, what was injected, what was mended, and the smallest trace."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from statistics import median, quantiles

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ops.simulate.carrier import Replied
from ops.simulate.evidence import Evidence
from ops.simulate.faults import KINDS
from ops.simulate.invariants import Verdict
from ops.simulate.shrink import Smallest
from ops.simulate.world import Watcher

#: Why a dial that is due is put off by others than the call's own policy
PUT_OFF = ("no-slot", "paced", "paused", "provider-paused", "put-off-by-provider", "never-placed")
#: No trace is shown longer than this.
MOST_LINES = 120


@contextmanager
def watching(console: Console, what: str) -> Iterator[Watcher]:
    """A bar that fills up as the calls of a run end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done, of: progress.update(task, completed=done, total=of)


def print_run(console: Console, evidence: Evidence, verdicts: Sequence[Verdict]) -> None:
    """Everything about one run."""
    console.print(_invariants(verdicts))
    console.print(_faults(Counter(fault.kind for fault in evidence.injected)))
    console.print(_work(evidence))


def print_smallest(console: Console, found: Smallest) -> None:
    """The smallest run that still goes wrong, line by line."""
    plan = found.plan
    calls = sorted(found.evidence.asked)
    console.print(f"\n[bold]Smallest run found[/] ({found.runs} tries): calls {calls} of seed {plan.seed}")
    console.print(Text(f"{found.violation.invariant}: {found.violation.text}", "red"))
    concerned = found.violation.call
    lines = [said for said in found.evidence.trace if said.call in (None, concerned)]
    for index in calls[:3]:
        console.print(Text(f"call {index}: {found.evidence.asked[index].body}", "dim"), soft_wrap=True)
    for said in lines[:MOST_LINES]:
        console.print(Text(f"  {said.at:%d %H:%M:%S.%f}"[:-3] + f"  {said.text}"), soft_wrap=True)
    if len(lines) > MOST_LINES:
        console.print(f"  and {len(lines) - MOST_LINES} more lines")


def _invariants(verdicts: Sequence[Verdict]) -> Table:
    table = Table("invariant", "what must be true", box=SIMPLE_HEAD)
    table.add_column("checked", justify="right")
    table.add_column("violations", justify="right")
    for verdict in verdicts:
        style = "red" if verdict.violations else "green"
        count = Text(str(len(verdict.violations)), style)
        table.add_row(verdict.name, verdict.what, str(verdict.checked), count)
    return table


def _faults(counted: Counter[str]) -> Table:
    table = Table("fault injected", "what happens", box=SIMPLE_HEAD)
    table.add_column("times", justify="right")
    for kind, described in KINDS.items():
        if counted[kind]:
            table.add_row(kind, described.what, str(counted[kind]))
    if not counted:
        table.add_row("none", "", "0")
    return table


def _work(evidence: Evidence) -> Table:
    table = Table("done", box=SIMPLE_HEAD)
    table.add_column("", justify="right")
    span = (evidence.ended_at or evidence.trace[0].at) - evidence.trace[0].at if evidence.trace else timedelta()
    dialled = {leg.token for leg in evidence.legs}
    dead = [row for rows in evidence.attempts.values() for row in rows if row["token"] not in dialled]
    endings = Counter(str(call.get("summary_status")) for call in evidence.calls.values())
    late = sorted((w.at - w.due_at).total_seconds() for w in evidence.waited if w.became == "dialing")
    rows = {
        "virtual time": f"{span / timedelta(hours=1):.1f} h",
        "calls": len(evidence.calls),
        "attempts": sum(len(rows) for rows in evidence.attempts.values()),
        "retries": sum(max(0, len(rows) - 1) for rows in evidence.attempts.values()),
        "phones that rang": sum(1 for leg in evidence.legs if leg.made is not None),
        "answers to create-calls that told nothing": sum(1 for g in evidence.legs if g.replied is Replied.UNCLEAR),
        "claims that were never dialled": len(dead),
        "endings": _pairs(endings),
        "put off": _pairs(_put_offs(evidence)),
        "pauses of the breaker": sum(1 for gate in evidence.gates if gate.closed == "by-breaker"),
        "answered acts": _pairs(Counter(answered.act.kind for answered in evidence.answered)),
        "dialled by the rules": _pairs(evidence.redialed),
        "mended by the sweep": _pairs(evidence.swept),
        "invocations and requests that failed": _pairs(evidence.failed),
        "calls of AWS": sum(evidence.aws_calls.values()),
        "dials later than due (median, 99 of 100, most)": _spread(late),
        "trace": evidence.digest[:16],
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _put_offs(evidence: Evidence) -> Counter[str]:
    """How often a dial was put off, by why."""
    reasons = (decision["reason"] for made in evidence.decisions.values() for decision in made)
    return Counter(reason for reason in reasons if reason in PUT_OFF)


def _spread(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "-"
    return f"{median(seconds):.0f} s, {quantiles(seconds, n=100)[-1]:.0f} s, {seconds[-1]:.0f} s"


def _pairs(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items())) or "-"
