"""A workspace's own limits on what it may cost: its allowed destinations, and its daily budgets of dials and minutes.

Both are checked in every claim, so that retries and adopted calls obey them, too. docs/limits.md lists the defaults.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.call import Call
from chalicelib.domain.decide import Decision, Reason
from chalicelib.domain.deciding import postponed
from chalicelib.domain.destinations import refusal
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.errors import FieldError, Invalid, with_value
from chalicelib.storage.budgets import budget_name
from chalicelib.storage.transact import Write
from chalicelib.usecases.ports import Ports


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A dial is within the budgets if ``also`` commits with its claim; ``name`` is what the attempt remembers of it."""

    name: str | None = None
    also: tuple[Write, ...] = ()


def check_destination(ports: Ports, workspace: str, number: str, from_number: str, pointer: str) -> None:
    """Raise Invalid, pointing at the number, where the workspace may not dial it."""
    why = refusal(number, from_number, ports.limits_of(workspace).allow)
    if why is not None:
        raise Invalid([FieldError(pointer, with_value(why, number))])


def destination_refused(ports: Ports, call: Call) -> Decision | None:
    """Return the decision about a call to a number that its workspace may not dial; None where it may."""
    why = refusal(call.to_number, call.from_number, ports.limits_of(call.workspace).allow)
    if why is None:
        return None
    return Decision(Reason.DESTINATION_NOT_ALLOWED, (f"the number {why}",), summary_status=SummaryStatus.BLOCKED)


def within_budget(ports: Ports, call: Call, now: datetime) -> Budgeted | Decision:
    """Count the next dial of a call in its workspace's budgets, or decide that it waits for the next UTC day.

    Without a budget nothing is read or written. The dials never pass their budget. The minutes are those of attempts
    that have ended: calls in flight when that budget is reached go on, and may pass it by their own duration.
    """
    limits = ports.limits_of(call.workspace)
    if limits.daily_dials is None and limits.daily_minutes is None:
        return Budgeted()
    spent = ports.budgets.load(call.workspace, now)
    if limits.daily_minutes is not None and spent.minutes >= limits.daily_minutes:
        return _tomorrow(call, f"{spent.minutes} of {limits.daily_minutes} minutes of the day used", now)
    if limits.daily_dials is None:
        return Budgeted()
    shard = spent.room(limits.daily_dials)
    if shard is None:
        return _tomorrow(call, f"all {limits.daily_dials} dials of the day used", now)
    return Budgeted(budget_name(spent, shard), (ports.budgets.taking(spent, shard, limits.daily_dials),))


def _tomorrow(call: Call, step: str, now: datetime) -> Decision:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return postponed(call, Reason.OVER_BUDGET, f"{call.workspace}: {step}", day)
