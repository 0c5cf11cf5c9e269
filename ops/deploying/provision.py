"""Provision: create and repair the resources that `chalice deploy` leaves out.

They are the table, the dead-letter queue, and the permission for wakes to invoke redial; also the reserved concurrency,
the API's settings and the log retention.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.data.queue import queue_attributes
from ops.data.table import table_name
from ops.deploying import capacity, chalice_config, deployed_by, gateway_responses
from ops.deploying.provision_table import provision_table, warm
from ops.deploying.scheduler_role import ROLE_POLICY_NAME, scheduler_policy, scheduler_trust
from ops.deploying.template import LOG_RETENTION_DAYS
from ops.names import API, ASYNCHRONOUS, LAMBDAS, REDIAL, Lambda, dead_letters, scheduler_role_name, wake_rules
from ops.steps import Steps

WAKE_STATEMENT_ID = "wakes"


@dataclass(slots=True)
class Provisioner:
    """The steps of the command: each creates or repairs a resource if necessary.

    ``make_client`` is ``boto3.client`` or a stand-in, ``say`` gets a line for each step, ``dry_run`` changes nothing.
    ``waiting`` has the Lambdas that are not deployed yet: their steps are left to the next run.
    """

    stage: str
    make_client: aws.MakeClient = boto3.client
    say: Callable[[str], None] = print
    dry_run: bool = False
    steps: Steps = field(init=False)
    waiting: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.steps = Steps(self.say, self.dry_run)
        self.make_client = cache(self.make_client)

    def provision(self, *, wake_backend: str = "rule", warm_writes: int | None = None) -> None:
        """Create and repair the resources of the stage.

        ``warm_writes`` is the warm throughput of the table, in writes a second; None leaves it unchanged. Raises
        RedialError if AWS refuses a step, with AWS's reason, or if the table of this name has another shape.
        """
        try:
            self._table(warm_writes)
            queue_arn = self._dead_letters()
            deployed = {each: arn for each in LAMBDAS if (arn := self._arn(each)) is not None}
            if wake_backend == "scheduler":
                self._scheduler_role()
            if REDIAL in deployed:
                self._wake_permission(deployed[REDIAL])
            for each in deployed:
                self._log_retention(each)
                if each in ASYNCHRONOUS and queue_arn:
                    self._failure_destination(queue_arn, each)
                if each in capacity.RESERVED:
                    self._reserve(each)
            if API in deployed:
                self._api_stage()
        except (BotoCoreError, ClientError) as error:
            raise RedialError(f"provisioning stage {self.stage!r} stopped: {aws.in_words(error)}") from error

    def _table(self, warm_writes: int | None) -> None:
        dynamodb, name = self.make_client("dynamodb"), table_name(self.stage)
        provision_table(dynamodb, name, self.steps)
        if warm_writes is not None:
            warm(dynamodb, name, warm_writes, self.steps)

    def _arn(self, each: Lambda) -> str | None:
        name = each.name(self.stage)
        functions = self.make_client("lambda")
        found = aws.find(lambda: functions.get_function_configuration(FunctionName=name))
        if found is None:
            self.steps.note("waiting", f"the Lambda {name} is not deployed yet")
            self.waiting.append(name)
            return None
        return str(found["FunctionArn"])

    def _dead_letters(self) -> str | None:
        sqs, name, wanted = self.make_client("sqs"), dead_letters(self.stage), queue_attributes()
        found = aws.find(lambda: sqs.get_queue_url(QueueName=name))
        what = f"the queue {name}"
        if found is None:
            self.steps.create(what, lambda: sqs.create_queue(QueueName=name, Attributes=wanted))
            if self.dry_run:
                return None
            return aws.queue_arn(sqs.get_queue_url(QueueName=name)["QueueUrl"], sqs)
        self.steps.already(what)
        url = found["QueueUrl"]
        has = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        for attribute, value in wanted.items():
            self.steps.ensure(
                f"{attribute} {value} of {name}",
                has.get(attribute) == value,
                partial(sqs.set_queue_attributes, QueueUrl=url, Attributes={attribute: value}),
            )
        return str(has["QueueArn"])

    def _wake_permission(self, redial_arn: str) -> None:
        functions = self.make_client("lambda")
        # arn:aws:lambda:region:account:function:name -> arn:aws:events:region:account:rule/...
        partition, region, account = (redial_arn.split(":")[part] for part in (1, 3, 4))
        source = f"arn:{partition}:events:{region}:{account}:{wake_rules(self.stage)}"
        policy = aws.find(lambda: functions.get_policy(FunctionName=redial_arn))

        def permit() -> None:
            # A statement of this id with other content would make add_permission fail.
            aws.find(lambda: functions.remove_permission(FunctionName=redial_arn, StatementId=WAKE_STATEMENT_ID))
            functions.add_permission(
                FunctionName=redial_arn,
                StatementId=WAKE_STATEMENT_ID,
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=source,
            )

        self.steps.ensure(
            f"permission for {wake_rules(self.stage)} to invoke {REDIAL.name(self.stage)}",
            aws.allows(policy, service="events.amazonaws.com", source_arn=source),
            permit,
        )

    def _failure_destination(self, queue_arn: str, each: Lambda) -> None:
        functions, name = self.make_client("lambda"), each.name(self.stage)
        has = aws.find(lambda: functions.get_function_event_invoke_config(FunctionName=name)) or {}
        destinations = has.get("DestinationConfig") or {}
        # The put replaces the whole configuration, so the other settings are put again.
        wanted = {key: has[key] for key in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds") if key in has}
        wanted["DestinationConfig"] = destinations | {"OnFailure": {"Destination": queue_arn}}
        self.steps.ensure(
            f"failed events of {name} to {dead_letters(self.stage)}",
            destinations.get("OnFailure", {}).get("Destination") == queue_arn,
            lambda: functions.put_function_event_invoke_config(FunctionName=name, **wanted),
        )

    def _reserve(self, each: Lambda) -> None:
        functions, name, wanted = self.make_client("lambda"), each.name(self.stage), capacity.reserved(each, self.stage)
        has = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
        if has == 0:
            self.steps.note("note", f"{name} is disabled: its reserved concurrency is 0, and is left so")
            return
        if wanted == 0:
            return

        def reserve() -> None:
            functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=wanted)

        try:
            self.steps.ensure(f"{wanted} invocations reserved for {name}", has == wanted, reserve)
        except ClientError as error:
            if aws.code(error) not in ("InvalidParameterValueException", "LimitExceededException"):
                raise
            # A new account has 10 invocations, and none of them can be reserved.
            setting = capacity.RESERVED[each][0]
            self.steps.note(
                "note", f"nothing is reserved for {name}: raise the account's Lambda concurrency, or set {setting}"
            )

    def _api_stage(self) -> None:
        apis, functions = self.make_client("apigateway"), self.make_client("lambda")
        api_id, name = capacity.rest_api(functions, self.stage), capacity.api_stage()
        has = capacity.throttled(apis, api_id)
        rate, burst = capacity.throttle(self.stage)
        if api_id is None or has is None:
            self.steps.note("note", f"no stage {name} of API Gateway leads to {API.name(self.stage)}")
            return
        self.steps.ensure(
            "API Gateway's own answers as problem+json, 404 where there is no route",
            gateway_responses.are_set(apis, api_id, name),
            lambda: gateway_responses.put(apis, api_id, name),
        )
        # After the deployment above, because emulators forget the throttle when they deploy.
        self.steps.ensure(
            f"at most {rate} requests a second to the API, {burst} at once",
            capacity.throttled(apis, api_id) == (rate, burst),
            lambda: apis.update_stage(
                restApiId=api_id, stageName=name, patchOperations=capacity.throttling(self.stage)
            ),
        )

    def _log_retention(self, each: Lambda) -> None:
        # Chalice sets the retention of two of the three Lambdas. For the API handler it uses a wrong group name.
        logs, group = self.make_client("logs"), each.log_group(self.stage)
        listed = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        found = next((known for known in listed if known["logGroupName"] == group), None)

        def keep() -> None:
            if found is None:
                logs.create_log_group(logGroupName=group)
            logs.put_retention_policy(logGroupName=group, retentionInDays=LOG_RETENTION_DAYS)

        kept_days = (found or {}).get("retentionInDays")
        self.steps.ensure(f"logs of {group} for {kept_days or LOG_RETENTION_DAYS} days", kept_days is not None, keep)

    def _scheduler_role(self) -> None:
        iam, name = self.make_client("iam"), scheduler_role_name(self.stage)
        identity = self.make_client("sts").get_caller_identity()
        partition, region = identity["Arn"].split(":")[1], self.make_client("lambda").meta.region_name
        redial_arn = f"arn:{partition}:lambda:{region}:{identity['Account']}:function:{REDIAL.name(self.stage)}"
        trust, permissions = (
            aws.as_json(scheduler_trust(identity["Account"])),
            aws.as_json(scheduler_policy(redial_arn)),
        )
        role = aws.find(lambda: iam.get_role(RoleName=name))
        if role is None:
            self.steps.create(
                f"the role {name}", lambda: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
            )
        else:
            self.steps.ensure(
                f"the role {name}, for EventBridge Scheduler",
                aws.as_json(role["Role"]["AssumeRolePolicyDocument"]) == trust,
                lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust),
            )
        has = role and aws.find(lambda: iam.get_role_policy(RoleName=name, PolicyName=ROLE_POLICY_NAME))
        self.steps.ensure(
            f"permission for the role {name} to invoke {REDIAL.name(self.stage)}",
            bool(has) and aws.as_json(has["PolicyDocument"]) == permissions,
            lambda: iam.put_role_policy(RoleName=name, PolicyName=ROLE_POLICY_NAME, PolicyDocument=permissions),
        )
        arn = f"arn:{partition}:iam::{identity['Account']}:role/{name}"
        if chalice_config.environment(self.stage).get("SCHEDULER_ROLE_ARN") != arn:
            self.steps.note("note", f"set SCHEDULER_ROLE_ARN={arn} and WAKE_BACKEND=scheduler in .chalice/config.json")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``provision``."""
    parser = subparsers.add_parser("provision", help="create and repair what chalice deploy leaves out; safe to repeat")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument(
        "--wake-backend", choices=["rule", "scheduler"], help="default: WAKE_BACKEND of .chalice/config.json, or rule"
    )
    parser.add_argument(
        "--warm",
        type=int,
        metavar="WRITES",
        help="prepare the table for this many writes a second (a new table takes 4000). AWS charges for it once",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    stage = arguments.stage
    provisioner = Provisioner(stage, dry_run=arguments.dry_run)
    backend = arguments.wake_backend or chalice_config.environment(stage).get("WAKE_BACKEND", "rule")
    print(f"stage {stage}:")
    provisioner.provision(wake_backend=backend, warm_writes=arguments.warm)
    if not provisioner.steps.changes:
        print("nothing to do")
    stack = deployed_by.stack_of(provisioner.make_client, stage)
    if stack is not None:
        print(f"stage {stage} is of the stack {stack}: its settings come with an update of that")
    if provisioner.waiting:
        print(f"next: {deployed_by.redeploy(stage, stack)}, then python -m ops provision --stage {stage} again")
    elif arguments.dry_run:
        print("nothing was changed")
    else:
        print(f"next: python -m ops doctor --stage {stage} says whether everything is as it should be")
    return 0
