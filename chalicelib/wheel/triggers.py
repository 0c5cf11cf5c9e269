"""The scheduled triggers of the wheel, each of which fires once.

They are EventBridge rules or schedules of EventBridge Scheduler. Both backends have the interface ``Triggers``.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from chalicelib.wheel import plan

TARGET_ID = "redial"


class WakeNotSet(RedialError):
    """A trigger was not set: EventBridge refused it, or the target of its rule."""


class Triggers(Protocol):
    """The triggers of a backend, one for each wake. It is safe to repeat every method."""

    def arm(self, wake: datetime) -> None:
        """Set the trigger that invokes ``redial`` with this wake in its minute.

        Raises WakeNotSet if EventBridge does not take the trigger.
        """

    def disarm(self, wake: datetime) -> None:
        """Remove the trigger of a wake. Do nothing if the wake has no trigger."""

    def armed(self) -> Iterator[datetime]:
        """Yield each wake that has a trigger, even one that has fired already."""

    def in_use(self) -> int | None:
        """Return how many triggers of all programs count towards the quota.

        Returns None if the quota is too large to matter.
        """


class RuleTriggers:
    """The triggers as EventBridge rules, one for each wake.

    The redial Lambda is the only target of a rule. One wildcard statement in the Lambda's resource policy permits every
    rule whose name starts with ``prefix``. A statement for each rule would pass the policy's limit of 20 KB at about 66
    rules.
    """

    def __init__(self, events: Any, prefix: str, redial_arn: str) -> None:
        self._events = events
        self._prefix = prefix
        self._redial_arn = redial_arn

    def arm(self, wake: datetime) -> None:
        """Make the rule of a wake and give it its target. Raises WakeNotSet."""
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
        """Delete the rule of a wake, if there is a rule."""
        name = self._prefix + plan.stamp(wake)
        try:
            # AWS refuses to delete a rule that still has a target.
            self._events.remove_targets(Rule=name, Ids=[TARGET_ID])
            self._events.delete_rule(Name=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise

    def armed(self) -> Iterator[datetime]:
        """Yield each wake that has a rule."""
        return _wakes(self._rules(NamePrefix=self._prefix), self._prefix)

    def in_use(self) -> int | None:
        """Return the number of rules on the default event bus.

        All programs of the AWS account share this bus and its quota of 300 rules.
        """
        return sum(1 for _ in self._rules())

    def _rules(self, **query: Any) -> Iterator[str]:
        while True:
            page = self._events.list_rules(**query)
            yield from (rule["Name"] for rule in page["Rules"])
            if "NextToken" not in page:
                return
            query["NextToken"] = page["NextToken"]


class SchedulerTriggers:
    """The triggers as schedules of EventBridge Scheduler: one schedule for each wake.

    Scheduler deletes a schedule after it has fired. To invoke the Lambda, Scheduler assumes the role ``role_arn``
    (``SCHEDULER_ROLE_ARN``).
    """

    def __init__(self, scheduler: Any, prefix: str, redial_arn: str, role_arn: str) -> None:
        self._scheduler = scheduler
        self._prefix = prefix
        self._redial_arn = redial_arn
        self._role_arn = role_arn

    def arm(self, wake: datetime) -> None:
        """Make the schedule of a wake. Raises WakeNotSet."""
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
        """Delete the schedule of a wake, if there is a schedule."""
        try:
            self._scheduler.delete_schedule(Name=self._prefix + plan.stamp(wake))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise

    def armed(self) -> Iterator[datetime]:
        """Yield each wake that has a schedule."""
        query: dict[str, Any] = {"NamePrefix": self._prefix}
        while True:
            page = self._scheduler.list_schedules(**query)
            yield from _wakes((schedule["Name"] for schedule in page["Schedules"]), self._prefix)
            if "NextToken" not in page:
                return
            query["NextToken"] = page["NextToken"]

    def in_use(self) -> int | None:
        """Return None: AWS allows ten million schedules."""
        return None


def _input(wake: datetime) -> str:
    return json.dumps({"wake": plan.wake_text(wake)})


def _wakes(names: Iterator[str], prefix: str) -> Iterator[datetime]:
    for name in names:
        try:
            yield plan.from_stamp(name.removeprefix(prefix))
        except ValueError:
            continue  # another program's trigger, whose name has the same prefix
