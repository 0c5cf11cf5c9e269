"""The doctor's checks of what runs: wakes, overdue calls, the sweep and API keys."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from chalicelib.runtime.settings import WakeBackend
from chalicelib.storage import items
from chalicelib.storage.keys import Role
from chalicelib.usecases.sweep import TRIGGER_STALE
from chalicelib.wheel import plan
from ops import aws
from ops.deploying import rule_quota
from ops.doctor.deployment import Deployment
from ops.doctor.finding import Finding, amber, green, holds, red
from ops.names import SWEEP, scheduler_role_name, wake_prefix

#: Once a minute, the sweep dials the calls that are a minute overdue.
OVERDUE = timedelta(minutes=3)
#: The sweep looks into a call as soon as its callback is overdue. A call that still waits after this time needs a look.
SILENT = timedelta(minutes=15)
MAX_COUNTED = 1000
SWEEP_SILENT = timedelta(minutes=5)
MAX_PAGES_FOR_A_KEY = 50


def wakes(on: Deployment) -> Iterator[Finding]:
    """Check that each wake's rule or schedule invokes ``redial`` and none is past."""
    if on.settings.wake_backend is WakeBackend.SCHEDULER:
        yield from _schedules(on)
    else:
        yield from _rules(on)


def _rules(on: Deployment) -> Iterator[Finding]:
    events, prefix = on.make_client("events"), wake_prefix(on.stage)
    listed = list(aws.pages(events.list_rules, "Rules"))
    ours = [rule for rule in listed if rule["Name"].startswith(prefix)]
    yield _room_for_rules(on, len(ours), len(listed) - len(ours))
    yield from _stale(on, [rule["Name"] for rule in ours])
    broken = [rule["Name"] for rule in ours if not _fires(on, events, rule)]
    yield holds(
        not broken,
        "every wake that is set invokes redial",
        red(
            f"{_first_names(broken)}: disabled, or with no target that is redial",
            "delete them (aws events remove-targets, delete-rule): the sweep dials their calls, a minute late",
        ),
    )


def _room_for_rules(on: Deployment, ours: int, others: int) -> Finding:
    quota = rule_quota.of_account(on.make_client, on.make_client("events").meta.region_name)
    used = f"{ours + others} of {quota} rules are in use"
    advice = (
        f"ask for {others + rule_quota.MAX_WAKES} or more (Service Quotas, EventBridge, {rule_quota.RULES_QUOTA}), "
        "or set WAKE_BACKEND=scheduler"
    )
    if ours + others > rule_quota.near(quota):
        rank = red if ours + others >= quota else amber
        return rank(f"{used}, all programs' together: beyond the quota no wake can be set", advice)
    if others + rule_quota.MAX_WAKES > quota:
        return amber(f"{used}, {others} by others, and Redial needs up to {rule_quota.MAX_WAKES}", advice)
    return green(used)


def _fires(on: Deployment, events: Any, rule: dict[str, Any]) -> bool:
    targets = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    return rule["State"] == "ENABLED" and [target["Arn"] for target in targets] == [on.redial_arn]


def _schedules(on: Deployment) -> Iterator[Finding]:
    name = scheduler_role_name(on.stage)
    role = aws.find(lambda: on.make_client("iam").get_role(RoleName=name))
    actual = role and role["Role"]["Arn"]
    yield holds(
        actual is not None and actual == on.settings.scheduler_role_arn,
        f"schedules invoke redial with the role {name}",
        red(
            f"SCHEDULER_ROLE_ARN is {on.settings.scheduler_role_arn}, and the role {name} is {actual or 'not there'}",
            f"python -m ops provision --stage {on.stage} --wake-backend scheduler makes it and says what to set",
        ),
    )
    scheduler = on.make_client("scheduler")
    listed = aws.pages(scheduler.list_schedules, "Schedules", NamePrefix=wake_prefix(on.stage))
    yield from _stale(on, [schedule["Name"] for schedule in listed])


def _stale(on: Deployment, names: list[str]) -> Iterator[Finding]:
    # The sweep removes a past wake after TRIGGER_STALE. One that is left after twice that time needs a look.
    past = [name for name in names if (at := _wake_of(on, name)) is not None and at < on.now() - 2 * TRIGGER_STALE]
    yield holds(
        not past,
        f"{len(names)} wakes are set, none of them past",
        red(
            f"{_first_names(past)}: past, and not removed by the sweep",
            f"see why: aws logs tail {SWEEP.log_group(on.stage)} --since 15m",
        ),
    )


def _wake_of(on: Deployment, name: str) -> datetime | None:
    try:
        return plan.from_stamp(name.removeprefix(wake_prefix(on.stage)))
    except ValueError:
        return None


def overdue(on: Deployment) -> Iterator[Finding]:
    """Check that no call is overdue for its dial or for its callback."""
    late, silent = _due(on, items.RETRY, OVERDUE), _due(on, items.DEADLINE, SILENT)
    yield holds(
        late == 0,
        "no call is overdue",
        red(
            f"{_count(late)} calls have been due for more than {OVERDUE.seconds // 60} minutes and are not dialled",
            f"see why: aws logs tail {SWEEP.log_group(on.stage)} --since 15m",
        ),
    )
    if silent:
        yield amber(
            f"{_count(silent)} calls wait for a callback that is {SILENT.seconds // 60} minutes late",
            "check that the provider reaches the public URL: its log of callbacks shows Redial's answers",
        )


def _due(on: Deployment, kind: str, grace: timedelta) -> int:
    """Return how many calls have been due for longer than ``grace``.

    The count of each shard of the index stops at MAX_COUNTED.
    """
    before = {"N": str(items.epoch(on.now() - grace))}
    return sum(
        on.make_client("dynamodb").query(
            TableName=on.table,
            IndexName=items.DUE_INDEX,
            KeyConditionExpression="due_shard = :shard AND due_at <= :before",
            ExpressionAttributeValues={":shard": {"S": f"{kind}#{shard}"}, ":before": before},
            Select="COUNT",
            Limit=MAX_COUNTED,
        )["Count"]
        for shard in range(items.DUE_SHARDS)
    )


def sweep(on: Deployment) -> Iterator[Finding]:
    """Check that a schedule invokes ``sweep``, and that ``sweep`` ran lately."""
    arn, name = on.function(SWEEP)["FunctionArn"], SWEEP.name(on.stage)
    events = on.make_client("events")
    rules = [events.describe_rule(Name=each) for each in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]]
    running = [rule for rule in rules if rule["State"] == "ENABLED"]
    if not rules:
        yield red(f"nothing invokes {name}", on.redeploy)
    elif not running:
        yield red(f"the schedule of {name} is disabled", f"aws events enable-rule --name {rules[0]['Name']}")
    else:
        yield green(f"{name} is invoked by {running[0]['ScheduleExpression']}")
    yield _last_ran(on, name)


def _last_ran(on: Deployment, name: str) -> Finding:
    since, minutes = on.now() - SWEEP_SILENT, SWEEP_SILENT.seconds // 60
    logs, group = on.make_client("logs"), SWEEP.log_group(on.stage)
    start = int(since.timestamp() * 1000)
    logged = aws.find(lambda: logs.filter_log_events(logGroupName=group, startTime=start, limit=1))
    if logged and logged["events"]:
        return green(f"{name} ran within the last {minutes} minutes")
    if datetime.fromisoformat(on.function(SWEEP)["LastModified"]) > since:
        return amber(f"{name} was deployed just now, and has not run yet", "look again in two minutes")
    return red(
        f"{name} has logged nothing for {minutes} minutes",
        f"see what it says: aws lambda invoke --function-name {name} --payload '{{}}' out.json",
    )


def keys(on: Deployment) -> Iterator[Finding]:
    """Check that the table has an API key of an admin, or at least one that may write."""
    pages = (
        on.make_client("dynamodb")
        .get_paginator("scan")
        .paginate(
            TableName=on.table,
            FilterExpression="sk = :key AND #data.#role IN (:admin, :write)",
            ProjectionExpression="#data.#role",
            ExpressionAttributeNames={"#data": "data", "#role": "role"},
            ExpressionAttributeValues={
                ":key": {"S": "KEY"},
                ":admin": {"S": str(Role.ADMIN)},
                ":write": {"S": str(Role.WRITE)},
            },
        )
    )
    create = f"python -m ops keys create --stage {on.stage} --workspace NAME --role admin"
    may_write = False
    for looked_at, page in enumerate(pages, 1):
        roles = {item["data"]["M"]["role"]["S"] for item in page["Items"]}
        if Role.ADMIN in roles:
            yield green("there is an admin's API key")
            return
        may_write = may_write or bool(roles)
        if looked_at == MAX_PAGES_FOR_A_KEY:
            yield amber(
                f"no admin's API key among the first {looked_at} MB of the table", "send a request with your key"
            )
            return
    if may_write:
        yield amber("there is no admin's API key: nobody can pause, resume or erase through the API", create)
    else:
        yield red("there is no admin's API key, and none that may write", create)


def _first_names(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _count(n: int) -> str:
    return f"{n} or more" if n >= MAX_COUNTED else str(n)
