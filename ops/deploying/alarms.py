"""A stage's alarms and dashboard, for who deploys with chalice deploy: ``python -m ops alarms --stage dev``."""

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

#: CloudWatch tells of, and deletes, at most this many alarms by name at once
MAX_NAMES = 100


@dataclass(slots=True)
class Alarmer:
    """Brings a stage's alarms and its dashboard to what they should be, and says what it does of each.

    ``cloudwatch`` is a client of boto3 or its like, ``say`` hears of each step, ``dry_run`` changes nothing. Without a
    ``topic_arn`` those who hear of an alarm stay as they are.
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
        """Set what is missing or differs. Raises RedialError when AWS refuses."""
        with _refusals(f"setting the alarms of stage {self.stage!r}"):
            there = self._there()
            for alarm in alarms(self.stage, self.rules_quota):
                name = alarm.name(self.stage)
                wanted = {**_actions(there.get(name)), **properties(alarm, self.stage, self.topic_arn)}
                self.notifies |= bool(wanted.get("AlarmActions"))
                if _is_as(wanted, there.get(name)):
                    self.say(f"  have  the alarm {name}")
                else:
                    self._change(f"set the alarm {name}", partial(self.cloudwatch.put_metric_alarm, **wanted))
            self._put_dashboard()

    def delete(self) -> None:
        """Remove what put() sets; other alarms are left alone. Raises RedialError when AWS refuses."""
        with _refusals(f"deleting the alarms of stage {self.stage!r}"):
            for name in sorted(self._there()):
                self._change(f"delete the alarm {name}", partial(self.cloudwatch.delete_alarms, AlarmNames=[name]))
            board = dashboard.name(self.stage)
            if self._dashboard() is not None:
                self._change(
                    f"delete the dashboard {board}",
                    lambda: self.cloudwatch.delete_dashboards(DashboardNames=[board]),
                )

    def _there(self) -> dict[str, Any]:
        return described(self.cloudwatch, [alarm.name(self.stage) for alarm in alarms(self.stage)])

    def _put_dashboard(self) -> None:
        board, body = dashboard.name(self.stage), dashboard.body(self.stage, self.region)
        there = self._dashboard()
        if there is not None and json.loads(there) == json.loads(body):
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

    def _change(self, what: str, bring_about: Callable[[], Any]) -> None:
        self.changes += 1
        if self.dry_run:
            self.say(f"  would {what}")
            return
        bring_about()
        self.say(f"  done  {what}")


def described(cloudwatch: Any, names: list[str]) -> dict[str, Any]:
    """Return those of the named alarms that are set, by their names."""
    found: dict[str, Any] = {}
    for start in range(0, len(names), MAX_NAMES):
        answer = cloudwatch.describe_alarms(AlarmNames=names[start : start + MAX_NAMES], MaxRecords=100)
        found |= {each["AlarmName"]: each for each in answer["MetricAlarms"]}
    return found


def _actions(there: dict[str, Any] | None) -> dict[str, Any]:
    """Return who hears of an alarm as it is: a run without a topic leaves that alone."""
    return {name: there[name] for name in ("AlarmActions", "OKActions") if there and there.get(name)}


def _is_as(wanted: dict[str, Any], there: dict[str, Any] | None) -> bool:
    """Whether an alarm that CloudWatch tells of is as wanted; what it tells beside that is its own (its state, say)."""
    if there is None:
        return False
    wanted = {"AlarmActions": [], "OKActions": [], **wanted}
    return all(_in_one_order(there.get(name, [])) == _in_one_order(value) for name, value in wanted.items())


def _in_one_order(value: Any) -> Any:
    """A value whose lists are sorted, for CloudWatch keeps no order of dimensions."""
    if isinstance(value, dict):
        return {name: _in_one_order(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted(map(_in_one_order, value), key=lambda each: json.dumps(each, sort_keys=True))
    return value


@contextmanager
def _refusals(doing: str) -> Iterator[None]:
    """Turns AWS's errors into one that says what was being done."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise RedialError(f"{doing} stopped: {aws.in_words(error)}") from error


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("alarms", help="set the alarms and the dashboard of a stage, after chalice deploy")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--topic", metavar="ARN", help="the SNS topic that each alarm notifies (default: none)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--delete", action="store_true", help="remove them")
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
