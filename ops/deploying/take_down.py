"""Take a stage down, however it was deployed: ``python -m ops take-down``.

Nothing is left behind, except data: the table records who was called and who opted out. The table and the stage's
secrets go only with ``--delete-data``.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.data.table import table_name
from ops.deploying import capacity, chalice_config, deployed_by, packaging
from ops.deploying.alarms import Alarmer
from ops.deploying.provision_table import settle
from ops.names import LAMBDAS, SWEEP, dead_letters, scheduler_role_name, stage_prefix, wake_prefix
from ops.steps import Steps

#: The directory of Chalice's record of each stage.
DEPLOYED = chalice_config.CHALICE / "deployed"
STACK_SEC = 900
SECONDS_BETWEEN_LOOKS = 5

#: A function that runs one of Chalice's commands and returns its exit status.
Chalice = Callable[[list[str]], int]


@dataclass(slots=True)
class TakeDown:
    """The command's steps: each removes a resource, if it exists.

    ``make_client`` is ``boto3.client`` or a stand-in, ``say`` gets a line for each step, ``dry_run`` changes nothing.
    ``stack`` is the stage's CloudFormation stack; it is needed only if the Lambdas, whose tags name it, are gone.
    """

    stage: str
    make_client: aws.MakeClient = boto3.client
    say: Callable[[str], None] = print
    dry_run: bool = False
    stack: str | None = None
    chalice: Chalice = packaging.run_chalice
    steps: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.steps = Steps(self.say, self.dry_run)
        self.make_client = cache(self.make_client)

    def run(self, *, delete_data: bool = False) -> None:
        """Remove everything but data, and with ``delete_data`` the data, too.

        Raises RedialError if AWS refuses a step.
        """
        try:
            # Only the Lambdas, which are removed below, name the stack and the API.
            stack = self.stack or deployed_by.stack_of(self.make_client, self.stage)
            api_id = capacity.rest_api(self.make_client("lambda"), self.stage)
            self._sweep_schedule()
            if stack is not None:
                self._stack(stack, keeps_data=not delete_data)
            elif _has_chalice_resources(self.stage):
                self.steps.remove("what chalice deploy made", self._chalice_delete)
            for remove in (
                self._lambdas,
                partial(self._api, api_id),
                self._roles,
                self._wakes,
                self._queue,
                self._alarms,
            ):
                remove()
            self._log_groups()
            if delete_data:
                self._data()
        except (BotoCoreError, ClientError) as error:
            raise RedialError(f"taking down stage {self.stage!r} stopped: {aws.in_words(error)}") from error

    def _stack(self, stack: str, *, keeps_data: bool) -> None:
        formation = self.make_client("cloudformation")
        if not keeps_data:
            # A stack whose first deployment failed deletes its table, too; the protection would stop it.
            self._unprotect()

        def delete() -> None:
            formation.delete_stack(StackName=stack)
            _wait(lambda: _stack_status(formation, stack), stack)

        if _stack_status(formation, stack) is not None:
            self.steps.remove(f"the stack {stack}", delete)

    def _chalice_delete(self) -> None:
        project = str(chalice_config.CHALICE.parent)
        if self.chalice(["--project-dir", project, "delete", "--stage", self.stage]):
            raise RedialError("chalice delete failed; run this again once what it says is put right")

    def _sweep_schedule(self) -> None:
        events, functions = self.make_client("events"), self.make_client("lambda")
        found = aws.find(lambda: functions.get_function_configuration(FunctionName=SWEEP.name(self.stage)))
        names = events.list_rule_names_by_target(TargetArn=found["FunctionArn"])["RuleNames"] if found else ()
        for name in names:
            # First, because a sweep that still runs would dial. The stack or Chalice removes the rule itself.
            self.steps.remove(
                f"the schedule of the sweep ({name}), by disabling it", partial(events.disable_rule, Name=name)
            )

    def _lambdas(self) -> None:
        functions = self.make_client("lambda")
        for each in LAMBDAS:
            name = each.name(self.stage)
            if aws.find(partial(functions.get_function_configuration, FunctionName=name)):
                self.steps.remove(f"the Lambda {name}", partial(functions.delete_function, FunctionName=name))

    def _api(self, api_id: str | None) -> None:
        apis = self.make_client("apigateway")
        if api_id is not None and aws.find(lambda: apis.get_rest_api(restApiId=api_id)):
            self.steps.remove(f"the API {api_id}", lambda: apis.delete_rest_api(restApiId=api_id))

    def _roles(self) -> None:
        iam = self.make_client("iam")
        # Chalice gives the Lambdas' roles these names.
        names = [f"{stage_prefix(self.stage)}-{each.key}" for each in LAMBDAS]
        for name in (*names, scheduler_role_name(self.stage)):
            if aws.find(partial(iam.get_role, RoleName=name)):
                self.steps.remove(f"the role {name}", partial(_delete_role, iam, name))

    def _wakes(self) -> None:
        events, prefix = self.make_client("events"), wake_prefix(self.stage)
        named = [rule["Name"] for rule in aws.pages(events.list_rules, "Rules", NamePrefix=prefix)]
        sweeping = f"{SWEEP.name(self.stage)}-"
        named += [rule["Name"] for rule in aws.pages(events.list_rules, "Rules", NamePrefix=sweeping)]
        for name in named:
            self.steps.remove(f"the rule {name}", partial(_delete_rule, events, name))
        scheduler = self.make_client("scheduler")
        for schedule in list(aws.pages(scheduler.list_schedules, "Schedules", NamePrefix=prefix)):
            name = schedule["Name"]
            self.steps.remove(f"the schedule {name}", partial(scheduler.delete_schedule, Name=name))

    def _alarms(self) -> None:
        cloudwatch = self.make_client("cloudwatch")
        alarmer = Alarmer(self.stage, cloudwatch, cloudwatch.meta.region_name, say=self.say, dry_run=self.dry_run)
        alarmer.delete()
        self.steps.changes += alarmer.changes

    def _log_groups(self) -> None:
        logs = self.make_client("logs")
        for each in LAMBDAS:
            group = each.log_group(self.stage)
            listed = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
            if any(known["logGroupName"] == group for known in listed):
                self.steps.remove(f"the log group {group}", partial(logs.delete_log_group, logGroupName=group))

    def _queue(self) -> None:
        sqs, name = self.make_client("sqs"), dead_letters(self.stage)
        found = aws.find(lambda: sqs.get_queue_url(QueueName=name))
        if found:
            self.steps.remove(f"the queue {name}", lambda: sqs.delete_queue(QueueUrl=found["QueueUrl"]))

    def _data(self) -> None:
        dynamodb, name = self.make_client("dynamodb"), stage_prefix(self.stage)
        for table in self._unprotect():
            self.steps.remove(f"the table {table}", partial(dynamodb.delete_table, TableName=table))
        ssm, secrets = self.make_client("ssm"), self.make_client("secretsmanager")
        parameters = aws.pages(ssm.get_parameters_by_path, "Parameters", Path=f"/{name}", Recursive=True)
        for parameter in [each["Name"] for each in parameters]:
            self.steps.remove(f"the parameter {parameter}", partial(ssm.delete_parameter, Name=parameter))
        listed = aws.pages(secrets.list_secrets, "SecretList", Filters=[{"Key": "name", "Values": [f"{name}/"]}])
        for secret in [each["Name"] for each in listed]:
            # Secrets Manager keeps the secret for 30 more days, in which it can be restored.
            self.steps.remove(f"the secret {secret}", partial(secrets.delete_secret, SecretId=secret))

    def _unprotect(self) -> list[str]:
        """Turn off the deletion protection of the stage's tables, and return their names.

        A restore leaves two tables.
        """
        dynamodb = self.make_client("dynamodb")
        existing = []
        for name in sorted({table_name(self.stage), stage_prefix(self.stage)}):
            found = aws.find(partial(dynamodb.describe_table, TableName=name))
            if found is None:
                continue
            existing.append(name)
            if found["Table"].get("DeletionProtectionEnabled"):
                self.steps.remove(f"the deletion protection of {name}", partial(_allow_deletion, dynamodb, name))
        return existing


def _allow_deletion(dynamodb: Any, table: str) -> None:
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
    settle(dynamodb, table)


def _has_chalice_resources(stage: str) -> bool:
    """Return True if Chalice's record of a stage lists a resource.

    After a `chalice delete` the record exists, but is empty.
    """
    record = DEPLOYED / f"{stage}.json"
    return record.exists() and bool(json.loads(record.read_text()).get("resources"))


def _delete_role(iam: Any, name: str) -> None:
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=name)


def _delete_rule(events: Any, name: str) -> None:
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule=name)["Targets"]]
    if targets:
        events.remove_targets(Rule=name, Ids=targets)
    events.delete_rule(Name=name)


def _stack_status(formation: Any, stack: str) -> str | None:
    """Return a stack's status; None if the stack does not exist."""
    try:
        (found,) = formation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if aws.code(error) == "ValidationError":  # CloudFormation's error for a stack that does not exist
            return None
        raise
    status = str(found["StackStatus"])
    return None if status == "DELETE_COMPLETE" else status


def _wait(status: Callable[[], str | None], stack: str) -> None:
    deadline = time.monotonic() + STACK_SEC
    while (now := status()) is not None:
        if now == "DELETE_FAILED" or time.monotonic() > deadline:
            raise RedialError(
                f"the stack {stack} is {now}; aws cloudformation describe-stack-events --stack-name {stack} says why. "
                "Where it is the table's protection: run this again with --delete-data, or keep the table by "
                f"aws cloudformation delete-stack --stack-name {stack} --retain-resources Table"
            )
        time.sleep(SECONDS_BETWEEN_LOOKS)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``take-down``."""
    parser = subparsers.add_parser(
        "take-down",
        help="remove a stage from AWS; the table and the secrets stay, unless --delete-data names the table",
    )
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--stack", help="the CloudFormation stack of the stage, if its Lambdas are gone already")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    parser.add_argument(
        "--delete-data",
        metavar="TABLE",
        help="also remove the table of this name and the stage's secrets; there is no undo",
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    name = table_name(arguments.stage)
    if arguments.delete_data not in (None, name):
        raise RedialError(
            f"--delete-data is {arguments.delete_data!r}; the table of stage {arguments.stage!r} is {name}"
        )
    taking = TakeDown(arguments.stage, dry_run=arguments.dry_run, stack=arguments.stack)
    print(f"stage {arguments.stage}:")
    taking.run(delete_data=arguments.delete_data is not None)
    if not taking.steps.changes:
        print("nothing to remove")
    elif arguments.dry_run:
        print("nothing was changed")
    if arguments.delete_data is None:
        print(f"the table and the secrets stay, if there are any: --delete-data {name} removes them for good")
    return 0
