"""The alarms and the dashboard of a stage: ``python -m ops alarms --stage dev``.

The command is for stages that ``chalice deploy`` deployed: a CloudFormation stack has them already.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.deploying import dashboard, rule_quota
from ops.deploying.operations import alarms, properties

#: CloudWatch describes or deletes at most this many named alarms in a request
MAX_NAMES = 100


@dataclass(slots=True)
class Alarmer:
    """The steps of the command: each sets an alarm or the dashboard if necessary.

    ``cloudwatch`` is a boto3 client or a stand-in, ``say`` gets a line for each step, ``dry_run`` changes nothing.
    Without a ``topic_arn`` each alarm keeps its present notifications.
    """

    stage: str
    cloudwatch: Any
    region: str
    topic_arn: str | None = None
    rules_quota: int = rule_quota.DEFAULT_RULES
    say: Callable[[str], None] = print
    dry_run: bool = False
    changes: int = field(default=0, init=False)
    notifies: bool = field(default=False, init=False)

    def put(self) -> None:
        """Set what is missing or differs. Raises RedialError if AWS refuses."""
        with _refusals(f"setting the alarms of stage {self.stage!r}"):
            existing = self._existing()
            for alarm in alarms(self.stage, self.rules_quota):
                name = alarm.name(self.stage)
                wanted = {**_actions(existing.get(name)), **properties(alarm, self.stage, self.topic_arn)}
                self.notifies |= bool(wanted.get("AlarmActions"))
                if _matches(wanted, existing.get(name)):
                    self.say(f"  have  the alarm {name}")
                else:
                    self._change(f"set the alarm {name}", partial(self.cloudwatch.put_metric_alarm, **wanted))
            self._put_dashboard()

    def delete(self) -> None:
        """Delete what put() sets, and no other alarm. Raises RedialError if AWS refuses."""
        with _refusals(f"deleting the alarms of stage {self.stage!r}"):
            for name in sorted(self._existing()):
                self._change(f"delete the alarm {name}", partial(self.cloudwatch.delete_alarms, AlarmNames=[name]))
            board = dashboard.name(self.stage)
            if self._dashboard() is not None:
                self._change(
                    f"delete the dashboard {board}",
                    lambda: self.cloudwatch.delete_dashboards(DashboardNames=[board]),
                )

    def _existing(self) -> dict[str, Any]:
        return described(self.cloudwatch, [alarm.name(self.stage) for alarm in alarms(self.stage)])

    def _put_dashboard(self) -> None:
        board, body = dashboard.name(self.stage), dashboard.body(self.stage, self.region)
        existing = self._dashboard()
        if existing is not None and json.loads(existing) == json.loads(body):
            self.say(f"  have  the dashboard {board}")
        else:
            self._change(
                f"set the dashboard {board}",
                lambda: self.cloudwatch.put_dashboard(DashboardName=board, DashboardBody=body),
            )

    def _dashboard(self) -> str | None:
        try:
            answer = self.cloudwatch.get_dashboard(DashboardName=dashboard.name(self.stage))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("ResourceNotFound", "DashboardNotFoundError"):
                return None
            raise
        text: str = answer["DashboardBody"]
        return text

    def _change(self, what: str, change: Callable[[], Any]) -> None:
        self.changes += 1
        if self.dry_run:
            self.say(f"  would {what}")
            return
        change()
        self.say(f"  done  {what}")


def described(cloudwatch: Any, names: list[str]) -> dict[str, Any]:
    """Return the existing alarms among the named ones, by name."""
    found: dict[str, Any] = {}
    for start in range(0, len(names), MAX_NAMES):
        answer = cloudwatch.describe_alarms(AlarmNames=names[start : start + MAX_NAMES], MaxRecords=100)
        found |= {each["AlarmName"]: each for each in answer["MetricAlarms"]}
    return found


def _actions(existing: dict[str, Any] | None) -> dict[str, Any]:
    """Return an alarm's present actions: a run without a topic does not change them."""
    return {name: existing[name] for name in ("AlarmActions", "OKActions") if existing and existing.get(name)}


def _matches(wanted: dict[str, Any], existing: dict[str, Any] | None) -> bool:
    """Return True if an existing alarm is as wanted.

    CloudWatch's own fields, for example the alarm's state, do not count.
    """
    if existing is None:
        return False
    wanted = {"AlarmActions": [], "OKActions": [], **wanted}
    return all(_sorted(existing.get(name, [])) == _sorted(value) for name, value in wanted.items())


def _sorted(value: Any) -> Any:
    """Return a value with its lists sorted: CloudWatch keeps no order of dimensions."""
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted(map(_sorted, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """Raise RedialError for an error of AWS, with the action that it stopped."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise RedialError(f"{doing} stopped: {aws.in_words(error)}") from error


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``alarms``."""
    parser = subparsers.add_parser("alarms", help="set the alarms and the dashboard of a stage that Chalice deployed")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument(
        "--topic",
        metavar="ARN",
        help="the SNS topic that each alarm notifies (default: the topic that the alarms have)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--delete", action="store_true", help="remove the alarms and the dashboard")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    make_client: Callable[[str], Any] = boto3.client
    try:
        client = make_client("cloudwatch")
    except BotoCoreError as error:
        raise RedialError(f"CloudWatch cannot be asked: {aws.in_words(error)}") from error
    region = client.meta.region_name
    quota = rule_quota.of_setting(arguments.stage) or rule_quota.of_account(make_client, region)
    alarmer = Alarmer(
        arguments.stage, client, region, topic_arn=arguments.topic, rules_quota=quota, dry_run=arguments.dry_run
    )
    print(f"stage {arguments.stage}:")
    if arguments.delete:
        alarmer.delete()
    else:
        alarmer.put()
        if not alarmer.notifies:
            print("these alarms notify nobody: name an SNS topic with --topic ARN")
    if not alarmer.changes:
        print("nothing to do")
    return 0
