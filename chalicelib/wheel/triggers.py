"""The alarm clocks behind the wheel: one-shot EventBridge rules, or EventBridge Scheduler, behind one interface."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from chalicelib.wheel import plan

TARGET_ID = "redial"


class WakeNotSet(RedialError):
    """EventBridge did not take the alarm, or took the rule but not its target."""


class Triggers(Protocol):
    """One alarm a wake; every method may be called again without harm."""

    def arm(self, wake: datetime) -> None:
        """See to it that ``redial`` is invoked with this wake at its minute. Raises WakeNotSet."""

    def disarm(self, wake: datetime) -> None:
        """Remove the alarm of a wake; nothing happens where there is none."""

    def armed(self) -> Iterator[datetime]:
        """Every wake that has an alarm, fired ones that were not removed included."""

    def in_use(self) -> int | None:
        """Return how many alarms of all programs count towards the quota; None where no quota is near."""


class RuleTriggers:
    """One EventBridge rule a wake, with the redial Lambda as its only target.

    The Lambda's resource policy lets every rule of this name's prefix in by one wildcard statement: a statement for
    each rule would overflow the policy's 20 KB near 66 rules.
    """

    def __init__(self, events: Any, prefix: str, redial_arn: str) -> None:
        self._events = events
        self._prefix = prefix
        self._redial_arn = redial_arn

    def arm(self, wake: datetime) -> None:
        name = self._prefix + plan.stamp(wake)
        target = {"Id": TARGET_ID, "Arn": self._redial_arn, "Input": _input(wake)}
        try:
            self._events.put_rule(
                Name=name,
                ScheduleExpression=plan.cron(wake),
                State="ENABLED",
                Description="Redial dials what is due in this minute, then removes this rule",
            )
            answer = self._events.put_targets(Rule=name, Targets=[target])
        except (ClientError, BotoCoreError) as error:
            raise WakeNotSet(f"rule {name} was not made: {error}") from error
        if answer.get("FailedEntryCount"):
            raise WakeNotSet(f"rule {name} took no target: {answer.get('FailedEntries')}")

    def disarm(self, wake: datetime) -> None:
        name = self._prefix + plan.stamp(wake)
        try:
            # AWS refuses to delete a rule that still has a target.
            self._events.remove_targets(Rule=name, Ids=[TARGET_ID])
            self._events.delete_rule(Name=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise

    def armed(self) -> Iterator[datetime]:
        return _wakes(self._rules(NamePrefix=self._prefix), self._prefix)

    def in_use(self) -> int | None:
        # The default bus is everybody's, and so is its quota of 300 rules.
        return sum(1 for _ in self._rules())

    def _rules(self, **query: Any) -> Iterator[str]:
        while True:
            page = self._events.list_rules(**query)
            yield from (rule["Name"] for rule in page["Rules"])
            if "NextToken" not in page:
                return
            query["NextToken"] = page["NextToken"]


class SchedulerTriggers:
    """One schedule a wake, which removes itself once it has fired.

    Scheduler needs a role that it may assume to invoke the Lambda (``SCHEDULER_ROLE_ARN``).
    """

    def __init__(self, scheduler: Any, prefix: str, redial_arn: str, role_arn: str) -> None:
        self._scheduler = scheduler
        self._prefix = prefix
        self._redial_arn = redial_arn
        self._role_arn = role_arn

    def arm(self, wake: datetime) -> None:
        try:
            self._scheduler.create_schedule(
                Name=self._prefix + plan.stamp(wake),
                ScheduleExpression=f"at({wake:%Y-%m-%dT%H:%M:%S})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={"Arn": self._redial_arn, "RoleArn": self._role_arn, "Input": _input(wake)},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise WakeNotSet(f"the schedule of {plan.wake_text(wake)} was not made: {error}") from error
        except BotoCoreError as error:
            raise WakeNotSet(f"the schedule of {plan.wake_text(wake)} was not made: {error}") from error

    def disarm(self, wake: datetime) -> None:
        try:
            self._scheduler.delete_schedule(Name=self._prefix + plan.stamp(wake))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise

    def armed(self) -> Iterator[datetime]:
        query: dict[str, Any] = {"NamePrefix": self._prefix}
        while True:
            page = self._scheduler.list_schedules(**query)
            yield from _wakes((schedule["Name"] for schedule in page["Schedules"]), self._prefix)
            if "NextToken" not in page:
                return
            query["NextToken"] = page["NextToken"]

    def in_use(self) -> int | None:
        return None  # ten million schedules are allowed


def _input(wake: datetime) -> str:
    return json.dumps({"wake": plan.wake_text(wake)})


def _wakes(names: Iterator[str], prefix: str) -> Iterator[datetime]:
    for name in names:
        try:
            yield plan.from_stamp(name.removeprefix(prefix))
        except ValueError:
            continue  # somebody else's, that happens to begin as ours do
