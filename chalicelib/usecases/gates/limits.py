"""The cost limits of a workspace: allowed destinations, and daily budgets.

The budgets are dials and minutes a day. Every claim checks the limits, so retries and adopted calls obey them, too.
docs/limits.md lists the defaults.
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
    """A dial within the budgets, if ``also`` commits with its claim.

    ``name`` is the budget that the attempt records; None if it counts in none.
    """

    name: str | None = None
    also: tuple[Write, ...] = ()


def check_destination(ports: Ports, workspace: str, number: str, from_number: str, pointer: str) -> None:
    """Raise Invalid if the workspace may not dial the number.

    ``pointer`` is the JSON pointer of the number in the request.
    """
    why = refusal(number, from_number, ports.limits_of(workspace).allow)
    if why is not None:
        raise Invalid([FieldError(pointer, with_value(why, number))])


def destination_refused(ports: Ports, call: Call) -> Decision | None:
    """Return the decision about a number that may not be dialled; None if it may."""
    why = refusal(call.to_number, call.from_number, ports.limits_of(call.workspace).allow)
    if why is None:
        return None
    return Decision(Reason.DESTINATION_NOT_ALLOWED, (f"the number {why}",), summary_status=SummaryStatus.BLOCKED)


def within_budget(ports: Ports, call: Call, now: datetime) -> Budgeted | Decision:
    """Count the next dial of a call in its workspace's budgets, or decide to defer it.

    A call over budget waits for the next UTC day. Without a budget nothing is read or written. The dials never exceed
    their budget. The minutes are those of ended attempts: calls in flight continue when that budget is reached, and may
    exceed it by their own duration.
    """
    limits = ports.limits_of(call.workspace)
    if limits.daily_dials is None and limits.daily_minutes is None:
        return Budgeted()
    spent = ports.budgets.load(call.workspace, now)
    if limits.daily_minutes is not None and spent.minutes >= limits.daily_minutes:
        return _until_tomorrow(call, f"{spent.minutes} of {limits.daily_minutes} minutes of the day used", now)
    if limits.daily_dials is None:
        return Budgeted()
    shard = spent.room(limits.daily_dials)
    if shard is None:
        return _until_tomorrow(call, f"all {limits.daily_dials} dials of the day used", now)
    return Budgeted(budget_name(spent, shard), (ports.budgets.taking(spent, shard, limits.daily_dials),))


def _until_tomorrow(call: Call, step: str, now: datetime) -> Decision:
    day = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return postponed(call, Reason.OVER_BUDGET, f"{call.workspace}: {step}", day)
