"""What Chalice leaves out of the CloudFormation template: the table, the wakes' permission and the wiring."""

import argparse
import json
from pathlib import Path
from typing import Any

from ops.table import APP_NAME, table_name, table_properties

LOG_RETENTION_DAYS = 30
# By the logical id that Chalice gives a Lambda, what follows <app>-<stage> in its name by `chalice deploy`.
# The template sets the same names, so that the policies fit however the app was deployed.
FUNCTION_SUFFIXES = {"APIHandler": "", "Redial": "-redial", "Sweep": "-sweep"}
_ARN = "arn:${AWS::Partition}"


def function_name(stage: str, logical_id: str) -> str:
    """The deployed name of a Lambda."""
    return f"{APP_NAME}-{stage}{FUNCTION_SUFFIXES[logical_id]}"


def wake_rules(stage: str) -> str:
    """The resource part of the ARN that every wake's rule matches."""
    return f"rule/{APP_NAME}-{stage}-wake-*"


def scheduler_role_name(stage: str) -> str:
    """The role with which EventBridge Scheduler invokes ``redial``, under ``WAKE_BACKEND=scheduler``."""
    return f"{APP_NAME}-{stage}-scheduler"


def merge_template(stage: str, *, wake_backend: str = "rule") -> dict[str, Any]:
    """What ``chalice package --merge-template`` merges into the template of a stage.

    Redial gets no reference to itself, a circle to CloudFormation: it reads its ARN off its context.
    """
    redial_arn = {"Fn::GetAtt": ["Redial", "Arn"]}
    environment: dict[str, Any] = {"TABLE_NAME": {"Ref": "Table"}, "WAKE_BACKEND": wake_backend}
    resources: dict[str, Any] = {
        "Table": _table(stage),
        "WakePermission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": redial_arn,
                "Principal": "events.amazonaws.com",
                "SourceArn": {"Fn::Sub": f"{_ARN}:events:${{AWS::Region}}:${{AWS::AccountId}}:{wake_rules(stage)}"},
            },
        },
        # Chalice's own log group for the API handler names a logical id that does not exist (ApiHandler for
        # APIHandler), so its retention is left out of .chalice/config.json and set here.
        "APIHandlerLogGroup": {
            "Type": "AWS::Logs::LogGroup",
            "Properties": {
                "LogGroupName": {"Fn::Sub": "/aws/lambda/${APIHandler}"},
                "RetentionInDays": LOG_RETENTION_DAYS,
            },
        },
    }
    if wake_backend == "scheduler":
        resources["SchedulerRole"] = _scheduler_role(stage, redial_arn)
        # By name, not by GetAtt: the role names Redial, so Redial's environment may not name the role.
        environment["SCHEDULER_ROLE_ARN"] = {
            "Fn::Sub": f"{_ARN}:iam::${{AWS::AccountId}}:role/{scheduler_role_name(stage)}"
        }
    for logical_id in FUNCTION_SUFFIXES:
        own = environment if logical_id == "Redial" else environment | {"REDIAL_ARN": redial_arn}
        resources[logical_id] = {
            "Properties": {
                "FunctionName": function_name(stage, logical_id),
                "Environment": {"Variables": own},
            }
        }
    return {"Resources": resources}


def scheduler_trust() -> dict[str, Any]:
    """Who may take the scheduler's role: EventBridge Scheduler."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def scheduler_policy(redial_arn: Any) -> dict[str, Any]:
    """What the scheduler's role may do: invoke ``redial``."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": redial_arn}],
    }


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("template", help="write the document for chalice package --merge-template")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--wake-backend", choices=["rule", "scheduler"], default="rule")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to write it")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    document = merge_template(arguments.stage, wake_backend=arguments.wake_backend)
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(f"wrote {arguments.out}")
    return 0


def _table(stage: str) -> dict[str, Any]:
    kept = "Retain" if stage == "prod" else "Delete"
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": kept,
        "UpdateReplacePolicy": kept,
        "Properties": table_properties(table_name(stage)),
    }


def _scheduler_role(stage: str, redial_arn: dict[str, Any]) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": scheduler_role_name(stage),
            "AssumeRolePolicyDocument": scheduler_trust(),
            "Policies": [{"PolicyName": "InvokeRedial", "PolicyDocument": scheduler_policy(redial_arn)}],
        },
    }
