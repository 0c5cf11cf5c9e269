"""The part of the CloudFormation template that Chalice leaves out.

It has the table, the dead-letter queue, permissions, the alarms, and the connections between them.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ops.data.queue import queue_properties
from ops.data.table import table_name, table_properties
from ops.deploying import capacity, chalice_config, gateway_responses, operations
from ops.deploying.scheduler_role import role_properties
from ops.names import API, ASYNCHRONOUS, LAMBDAS, REDIAL, Lambda, scheduler_role_name, stage_prefix, wake_rules

LOG_RETENTION_DAYS = 30
#: A Lambda that writes after its log group was deleted creates the group again. So the group may exist before the
#: next stack.
LOGS, MAKES_LOGS = "LogGroups", "MakesLogGroups"
LOG_GROUPS_PARAMETER = {
    LOGS: {
        "Type": "String",
        "AllowedValues": ["create", "keep"],
        "Default": "create",
        "Description": "keep: the log groups exist already, and stay outside of the stack.",
    }
}
_ARN = "arn:${AWS::Partition}"


def merge_template(stage: str, *, wake_backend: str = "rule") -> dict[str, Any]:
    """Return the document for ``chalice package --merge-template``, for a stage.

    Chalice's merger replaces lists, so the document may have no list that Chalice writes, too. Redial gets no reference
    to itself, which CloudFormation would reject as a circle: it reads its ARN from its context.
    """
    redial_arn = {"Fn::GetAtt": [REDIAL.logical_id, "Arn"]}
    table = _table(stage)
    environment: dict[str, Any] = {
        "TABLE_NAME": {"Ref": "Table"} if table else table_name(stage),
        "WAKE_BACKEND": wake_backend,
    }
    resources: dict[str, Any] = table | {
        "DeadLetters": {"Type": "AWS::SQS::Queue", "Properties": queue_properties(stage)},
        "WakePermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": redial_arn,
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::Sub": f"{_ARN}:events:${{AWS::Region}}:${{AWS::AccountId}}:{wake_rules(stage)}"},
            },
        },
        **_log_groups(),
    }
    for each in ASYNCHRONOUS:
        resources[f"{each.logical_id}Failures"] = {
            "Type": "AWS::Lambda::EventInvokeConfig",
            "Properties": {
                "FunctionName": {"Ref": each.logical_id},
                "Qualifier": "$LATEST",
                "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}},
            },
        }
    if wake_backend == "scheduler":
        resources["SchedulerRole"] = {"Type": "AWS::IAM::Role", "Properties": role_properties(stage, redial_arn)}
        # By name, not by GetAtt: the role refers to Redial, so Redial's environment may not refer to the role.
        environment["SCHEDULER_ROLE_ARN"] = {
            "Fn::Sub": f"{_ARN}:iam::${{AWS::AccountId}}:role/{scheduler_role_name(stage)}"
        }
    for each in LAMBDAS:
        own = environment if each is REDIAL else environment | {"REDIAL_ARN": redial_arn}
        # `chalice deploy` gives the same names, so that the policies fit both ways to deploy.
        resources[each.logical_id] = {
            "Properties": {"FunctionName": each.name(stage), "Environment": {"Variables": own}},
        }
        if each in capacity.RESERVED:
            resources[each.logical_id]["Properties"]["ReservedConcurrentExecutions"] = {
                "Fn::If": [_reserves(each), {"Ref": _reserved(each)}, {"Ref": "AWS::NoValue"}]
            }
    rate, burst = capacity.throttle(stage)
    every = {"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": rate, "ThrottlingBurstLimit": burst}
    answers = gateway_responses.template_properties()
    resources["RestAPI"] = {"Properties": {"MethodSettings": [every], "GatewayResponses": answers}}
    operations_parts = operations.template_parts(stage)
    parameters = {_reserved(each): _reserved_parameter(each, stage) for each in capacity.RESERVED}
    conditions = {
        _reserves(each): {"Fn::Not": [{"Fn::Equals": [{"Ref": _reserved(each)}, 0]}]} for each in capacity.RESERVED
    }
    return {
        "Parameters": parameters | operations_parts["Parameters"] | LOG_GROUPS_PARAMETER,
        "Conditions": conditions
        | operations_parts["Conditions"]
        | {MAKES_LOGS: {"Fn::Equals": [{"Ref": LOGS}, "create"]}},
        "Resources": resources | operations_parts["Resources"],
    }


def _log_groups() -> dict[str, Any]:
    """Return the log groups that the stack creates.

    The parameter ``LogGroups`` turns them off: a log group that exists already stops the whole stack.
    """
    groups: dict[str, Any] = {f"{each.logical_id}LogGroup": {"Condition": MAKES_LOGS} for each in ASYNCHRONOUS}
    # Chalice's own log group for the API handler has a logical id that does not exist (ApiHandler for APIHandler). So
    # its retention is left out of .chalice/config.json and set here.
    groups[f"{API.logical_id}LogGroup"] = {
        "Type": "AWS::Logs::LogGroup",
        "Condition": MAKES_LOGS,
        "Properties": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/${{{API.logical_id}}}"},
            "RetentionInDays": LOG_RETENTION_DAYS,
        },
    }
    return groups


def _reserved(each: Lambda) -> str:
    return f"{each.logical_id}ReservedConcurrency"


def _reserves(each: Lambda) -> str:
    return f"Reserves{each.logical_id}"


def _reserved_parameter(each: Lambda, stage: str) -> dict[str, Any]:
    return {
        "Type": "Number",
        "MinValue": 0,
        "Default": capacity.reserved(each, stage),
        "Description": f"Invocations that are reserved for {each.name(stage)}. 0 in an account with a limit of 10.",
    }


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``template``."""
    parser = subparsers.add_parser("template", help="write the document for chalice package --merge-template")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument(
        "--wake-backend", choices=["rule", "scheduler"], help="default: WAKE_BACKEND of .chalice/config.json, or rule"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    backend = arguments.wake_backend or chalice_config.environment(arguments.stage).get("WAKE_BACKEND", "rule")
    document = merge_template(arguments.stage, wake_backend=backend)
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(f"wrote {arguments.out}")
    return 0


def _table(stage: str) -> dict[str, Any]:
    """Return the table's resource.

    Return nothing if TABLE_NAME names another table: a restore created that table, and it exists already.
    """
    if table_name(stage) != stage_prefix(stage):
        return {}
    # Calls and opt-outs must outlive a stack. Deletion protection would stop their removal anyway.
    return {
        "Table": {
            "Type": "AWS::DynamoDB::Table",
            # A table that stayed after a failed first deployment would stop the next one.
            "DeletionPolicy": "RetainExceptOnCreate",
            "UpdateReplacePolicy": "Retain",
            "Properties": table_properties(table_name(stage)),
        }
    }
