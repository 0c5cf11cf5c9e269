"""What `chalice deploy` leaves out: the table, the wakes' permission to invoke redial, the API's log group."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops.table import recovery_specification, table_definition, table_name, ttl_specification
from ops.template import (
    LOG_RETENTION_DAYS,
    function_name,
    scheduler_policy,
    scheduler_role_name,
    scheduler_trust,
    wake_rules,
)

WAKE_STATEMENT_ID = "wakes"


@dataclass(slots=True)
class Provisioner:
    """Brings a stage's resources to what they should be, step by step; what is so already is left alone.

    ``make_client`` is ``boto3.client`` or its like, ``say`` hears of each step, ``dry_run`` changes nothing.
    """

    stage: str
    make_client: Callable[[str], Any] = boto3.client
    say: Callable[[str], None] = print
    dry_run: bool = False
    changes: int = field(default=0, init=False)

    def provision(self, *, wake_backend: str = "rule") -> None:
        """Raises RedialError when AWS refuses a step, naming the step's error."""
        try:
            self._table()
            redial_arn = self._redial_arn()
            if redial_arn:
                self._wake_permission(redial_arn)
                self._api_log_retention()
                if wake_backend == "scheduler":
                    self._scheduler_role(redial_arn)
        except (BotoCoreError, ClientError) as error:
            raise RedialError(f"provisioning stage {self.stage!r} stopped: {error}") from error

    def _table(self) -> None:
        dynamodb, name = self.make_client("dynamodb"), table_name(self.stage)
        if _find(lambda: dynamodb.describe_table(TableName=name)) is None:
            self._change(f"create the table {name}", lambda: self._create_table(dynamodb, name))
            if self.dry_run:
                return
        else:
            self.say(f"  have  the table {name}")
        ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        self._ensure(
            f"expiry by {ttl_specification()['AttributeName']}",
            ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING"),
            lambda: dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl_specification()),
        )
        backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        recovery = backups.get("PointInTimeRecoveryDescription", {})
        self._ensure(
            "point-in-time recovery",
            recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
            lambda: dynamodb.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification=recovery_specification()
            ),
        )

    @staticmethod
    def _create_table(dynamodb: Any, name: str) -> None:
        dynamodb.create_table(**table_definition(name))
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 2, "MaxAttempts": 90})

    def _redial_arn(self) -> str | None:
        name = function_name(self.stage, "Redial")
        functions = self.make_client("lambda")
        found = _find(lambda: functions.get_function_configuration(FunctionName=name))
        if found is None:
            self.say(f"  wait  the function {name} is not deployed yet: deploy, then run this again")
            return None
        arn: str = found["FunctionArn"]
        return arn

    def _wake_permission(self, redial_arn: str) -> None:
        functions = self.make_client("lambda")
        # arn:aws:lambda:region:account:function:name -> arn:aws:events:region:account:rule/...
        partition, region, account = (redial_arn.split(":")[part] for part in (1, 3, 4))
        source = f"arn:{partition}:events:{region}:{account}:{wake_rules(self.stage)}"
        policy = _find(lambda: functions.get_policy(FunctionName=redial_arn))
        self._ensure(
            f"permission for {wake_rules(self.stage)} to invoke {function_name(self.stage, 'Redial')}",
            policy is not None and source in policy["Policy"],
            lambda: functions.add_permission(
                FunctionName=redial_arn,
                StatementId=WAKE_STATEMENT_ID,
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=source,
            ),
        )

    def _api_log_retention(self) -> None:
        # Chalice sets the other two's. For the API handler it names a group that nothing writes to.
        logs, group = self.make_client("logs"), f"/aws/lambda/{function_name(self.stage, 'APIHandler')}"
        found = [
            each
            for each in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            if each["logGroupName"] == group
        ]

        def keep() -> None:
            if not found:
                logs.create_log_group(logGroupName=group)
            logs.put_retention_policy(logGroupName=group, retentionInDays=LOG_RETENTION_DAYS)

        self._ensure(
            f"logs of {group} for {LOG_RETENTION_DAYS} days",
            bool(found) and found[0].get("retentionInDays") is not None,
            keep,
        )

    def _scheduler_role(self, redial_arn: str) -> None:
        iam, name = self.make_client("iam"), scheduler_role_name(self.stage)

        def create() -> None:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(scheduler_trust()))
            iam.put_role_policy(
                RoleName=name,
                PolicyName="InvokeRedial",
                PolicyDocument=json.dumps(scheduler_policy(redial_arn)),
            )

        self._ensure(f"the role {name}", _find(lambda: iam.get_role(RoleName=name)) is not None, create)
        if not self.dry_run:
            arn = iam.get_role(RoleName=name)["Role"]["Arn"]
            self.say(f"  note  set SCHEDULER_ROLE_ARN={arn} and WAKE_BACKEND=scheduler in .chalice/config.json")

    def _ensure(self, what: str, holds: bool, bring_about: Callable[[], Any]) -> None:
        if holds:
            self.say(f"  have  {what}")
        else:
            self._change(f"add {what}", bring_about)

    def _change(self, what: str, bring_about: Callable[[], Any]) -> None:
        self.changes += 1
        if self.dry_run:
            self.say(f"  would {what}")
            return
        bring_about()
        self.say(f"  done  {what}")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser(
        "provision", help="create the table and the permissions; before and after chalice deploy"
    )
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--wake-backend", choices=["rule", "scheduler"], default="rule")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    provisioner = Provisioner(arguments.stage, dry_run=arguments.dry_run)
    print(f"stage {arguments.stage}:")
    provisioner.provision(wake_backend=arguments.wake_backend)
    if not provisioner.changes:
        print("nothing to do")
    return 0


def _find(ask: Callable[[], Any]) -> Any:
    """The answer, or None where AWS has nothing by that name."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ResourceNotFoundException", "NoSuchEntity"):
            return None
        raise
