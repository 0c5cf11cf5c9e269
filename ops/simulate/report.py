"""The report of a simulation: invariants, faults, work done, the smallest trace."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from types import MappingProxyType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ops.simulate.carrier import Replied
from ops.simulate.evidence import Evidence
from ops.simulate.faults import KINDS
from ops.simulate.invariants import INVARIANTS, Verdict
from ops.simulate.shrink import Smallest
from ops.simulate.world import Watcher

#: the reasons that defer a due dial and that are not in the call's own policy
DEFERRED = (
    "no-slot",
    "rate-limited",
    "paused",
    "provider-paused",
    "over-budget",
    "deferred-by-provider",
    "never-placed",
)
#: The report shows at most this many lines of a trace.
MAX_LINES = 120


@contextmanager
def watching(console: Console, what: str) -> Iterator[Watcher]:
    """Show a bar that fills up as the calls of a run end."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done, of: progress.update(task, completed=done, total=of)


@dataclass(frozen=True, slots=True)
class Counts:
    """The figures of one run, or the sums of several runs.

    ``by_kind`` holds figures that have a count for each kind.
    """

    checked: Counter[str]
    violated: Counter[str]
    faults: Counter[str]
    done: Counter[str]
    by_kind: Mapping[str, Counter[str]]

    @classmethod
    def of(cls, evidence: Evidence, verdicts: Sequence[Verdict]) -> "Counts":
        """Count the figures of one run."""
        dialled = {leg.token for leg in evidence.legs}
        attempts = [row for rows in evidence.attempts.values() for row in rows]
        done = {
            "calls": len(evidence.calls),
            "attempts": len(attempts),
            "retries": sum(max(0, len(rows) - 1) for rows in evidence.attempts.values()),
            "phones that rang": sum(1 for leg in evidence.legs if leg.made is not None),
            "answers to create-calls that were unclear": sum(1 for g in evidence.legs if g.replied is Replied.UNCLEAR),
            "claims that were never dialled": sum(1 for row in attempts if row["token"] not in dialled),
            "pauses of the breaker": sum(1 for gate in evidence.gates if gate.closed == "by-breaker"),
            "calls of AWS": sum(evidence.aws_calls.values()),
        }
        by_kind = {
            "endings": Counter(str(call.get("summary_status")) for call in evidence.calls.values()),
            "deferred": _deferred(evidence),
            "answered acts": Counter(answered.act.kind for answered in evidence.answered_acts),
            "dialled by the rules": evidence.redialed,
            "repaired by the sweep": evidence.swept,
            "invocations and requests that failed": evidence.failed,
        }
        return cls(
            checked=Counter({verdict.name: verdict.checked for verdict in verdicts}),
            violated=Counter({verdict.name: len(verdict.violations) for verdict in verdicts}),
            faults=Counter(fault.kind for fault in evidence.injected),
            done=Counter(done),
            by_kind=by_kind,
        )

    def __add__(self, other: "Counts") -> "Counts":
        kinds = {**self.by_kind, **other.by_kind}
        none: Counter[str] = Counter()
        return Counts(
            checked=self.checked + other.checked,
            violated=self.violated + other.violated,
            faults=self.faults + other.faults,
            done=self.done + other.done,
            by_kind={kind: self.by_kind.get(kind, none) + other.by_kind.get(kind, none) for kind in kinds},
        )


def print_run(console: Console, evidence: Evidence, verdicts: Sequence[Verdict]) -> None:
    """Print all figures of one run."""
    span = (evidence.ended_at or evidence.trace[0].at) - evidence.trace[0].at if evidence.trace else timedelta()
    late = sorted((w.at - w.due_at).total_seconds() for w in evidence.waited if w.became == "dialing")
    of_this_run = {
        "virtual time": f"{span / timedelta(hours=1):.1f} h",
        "dials later than due (median, 99 of 100, most)": _spread(late),
        "trace": evidence.digest[:16],
    }
    print_counts(console, Counts.of(evidence, verdicts), of_this_run)


def print_counts(console: Console, counts: Counts, more: Mapping[str, str] = MappingProxyType({})) -> None:
    """Print the checks, the faults and the work of one run or of several."""
    console.print(_invariants(counts))
    console.print(_faults(counts.faults))
    console.print(_work(counts, more))


def print_smallest(console: Console, found: Smallest) -> None:
    """Print the smallest run that still goes wrong, line by line."""
    plan = found.plan
    calls = sorted(found.evidence.call_requests)
    console.print(f"\n[bold]Smallest run found[/] ({found.runs} tries): calls {calls} of seed {plan.seed}")
    console.print(Text(f"{found.violation.invariant}: {found.violation.text}", "red"))
    concerned = found.violation.call
    lines = [said for said in found.evidence.trace if said.call in (None, concerned)]
    for index in calls[:3]:
        console.print(Text(f"call {index}: {found.evidence.call_requests[index].body}", "dim"), soft_wrap=True)
    for said in lines[:MAX_LINES]:
        console.print(Text(f"  {said.at:%d %H:%M:%S.%f}"[:-3] + f"  {said.text}"), soft_wrap=True)
    if len(lines) > MAX_LINES:
        console.print(f"  and {len(lines) - MAX_LINES} more lines")


def _invariants(counts: Counts) -> Table:
    table = Table("invariant", "what must be true", box=SIMPLE_HEAD)
    table.add_column("checked", justify="right")
    table.add_column("violations", justify="right")
    for name, (what, _) in INVARIANTS.items():
        violated = counts.violated[name]
        table.add_row(name, what, str(counts.checked[name]), Text(str(violated), "red" if violated else "green"))
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


def _work(counts: Counts, more: Mapping[str, str]) -> Table:
    table = Table("done", box=SIMPLE_HEAD)
    table.add_column("", justify="right")
    counted = {name: str(count) for name, count in counts.done.items()}
    by_kind = {name: _pairs(kinds) for name, kinds in counts.by_kind.items()}
    for name, value in {**counted, **by_kind, **more}.items():
        table.add_row(name, value)
    return table


def _deferred(evidence: Evidence) -> Counter[str]:
    """Count the deferred dials by reason."""
    reasons = (decision["reason"] for made in evidence.decisions.values() for decision in made)
    return Counter(reason for reason in reasons if reason in DEFERRED)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest ordered value that ``percent`` of 100 values do not exceed.

    This is the percentile by nearest rank.
    """
    return ordered[max(1, ceil(len(ordered) * percent / 100)) - 1]


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    return ", ".join(f"{percentile(seconds, percent):.0f} s" for percent in (50, 99, 100))


def _pairs(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items())) or "-"
