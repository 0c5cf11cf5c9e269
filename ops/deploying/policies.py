"""The IAM policies of the Lambdas, as one table.

``python -m ops policies --write`` makes `.chalice/policy-<stage>-<lambda>.json` from the table.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.errors import RedialError
from ops.data.table import table_name
from ops.deploying.chalice_config import CHALICE, stages
from ops.names import API, LAMBDAS, REDIAL, SWEEP, Lambda, dead_letters, scheduler_role_name, stage_prefix, wake_prefix

#: The user's own permissions, if any: ``{"redial": [{"Effect": "Allow", "Action": [...], "Resource": [...]}]}``
OWN_STATEMENTS = "own-statements.json"
ITEMS = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement: what some Lambdas may do, to which resources.

    ``actions`` and ``resources`` omit the service's prefix. A resource is the part of an ARN after the account, with
    ``{table}``, ``{stage}``, ``{wake}``, ``{role}``, ``{queue}`` and ``{log_group}`` for the stage's names. ``*`` alone
    is any resource.
    """

    sid: str
    service: str
    actions: Mapping[Lambda, tuple[str, ...]]
    resources: tuple[str, ...]
    condition: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


GRANTS = (
    Grant(
        "Table",
        "dynamodb",
        dict.fromkeys(LAMBDAS, ITEMS),
        ("table/{table}",),
    ),
    Grant("HistoryIndex", "dynamodb", {API: ("Query",)}, ("table/{table}/index/history",)),
    # A resume through the API brings waiting calls forward.
    Grant("DueIndex", "dynamodb", dict.fromkeys((API, REDIAL, SWEEP), ("Query",)), ("table/{table}/index/due",)),
    # Credentials may be references to Systems Manager or Secrets Manager (docs/secrets.md).
    Grant("Parameters", "ssm", dict.fromkeys(LAMBDAS, ("GetParameters",)), ("parameter/{stage}/*",)),
    Grant("Secrets", "secretsmanager", dict.fromkeys(LAMBDAS, ("GetSecretValue",)), ("secret:{stage}/*",)),
    # Only redial and sweep remove triggers.
    Grant(
        "Wakes",
        "events",
        {
            API: ("PutRule", "PutTargets"),
            REDIAL: ("PutRule", "PutTargets", "RemoveTargets", "DeleteRule"),
            SWEEP: ("PutRule", "PutTargets", "RemoveTargets", "DeleteRule"),
        },
        ("rule/{wake}*",),
    ),
    Grant(
        "Schedules",
        "scheduler",
        {
            API: ("CreateSchedule",),
            REDIAL: ("CreateSchedule", "DeleteSchedule"),
            SWEEP: ("CreateSchedule", "DeleteSchedule"),
        },
        ("schedule/default/{wake}*",),
    ),
    Grant(
        "LetSchedulesInvoke",
        "iam",
        dict.fromkeys(LAMBDAS, ("PassRole",)),
        ("role/{role}",),
        {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}},
    ),
    # IAM cannot restrict these lists to some names.
    Grant("FindStaleWakes", "events", {SWEEP: ("ListRules",)}, ("rule/*",)),
    Grant("FindStaleSchedules", "scheduler", {SWEEP: ("ListSchedules",)}, ("*",)),
    # Lambda uses the function's own role to send a failed event to the queue.
    Grant("DeadLetters", "sqs", {REDIAL: ("SendMessage",), SWEEP: ("SendMessage",)}, ("{queue}",)),
    Grant(
        "Logs",
        "logs",
        dict.fromkeys(LAMBDAS, ("CreateLogGroup", "CreateLogStream", "PutLogEvents")),
        ("log-group:{log_group}", "log-group:{log_group}:*"),
    ),
)


def policy(function: Lambda, stage: str) -> dict[str, Any]:
    """Return the policy document of a Lambda in a stage."""
    names = {
        "table": table_name(stage),
        "stage": stage_prefix(stage),
        "wake": wake_prefix(stage),
        "role": scheduler_role_name(stage),
        "queue": dead_letters(stage),
        "log_group": function.log_group(stage),
    }
    granted = [_statement(grant, function, names) for grant in GRANTS if function in grant.actions]
    return {"Version": "2012-10-17", "Statement": [*granted, *own_statements(function)]}


def own_statements(function: Lambda) -> list[dict[str, Any]]:
    """Return the user's own statements for a Lambda, in every stage.

    Raises RedialError if the file is wrong.
    """
    path = CHALICE / OWN_STATEMENTS
    if not path.exists():
        return []
    known = ", ".join(each.policy for each in LAMBDAS)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RedialError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or not document.keys() <= {each.policy for each in LAMBDAS}:
        raise RedialError(f"{path} must be a JSON object whose keys are among {known}")
    statements = document.get(function.policy, [])
    for each in statements if isinstance(statements, list) else [None]:
        if not isinstance(each, dict) or not {"Effect", "Action", "Resource"} <= each.keys():
            raise RedialError(
                f"{path}: {function.policy} must be a list of statements with Effect, Action and Resource"
            )
    return list(statements)


def documents() -> dict[Path, str]:
    """Return the right text of every policy file, for each stage of the config."""
    return {
        CHALICE / f"policy-{stage}-{function.policy}.json": json.dumps(policy(function, stage), indent=2) + "\n"
        for stage in stages()
        for function in LAMBDAS
    }


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``policies``."""
    parser = subparsers.add_parser(
        "policies", help="compare the files of the Lambdas' IAM policies with the table in ops/deploying/policies.py"
    )
    parser.add_argument("--write", action="store_true", help="write the files, for every stage in .chalice/config.json")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if arguments.write:
            path.write_text(documents()[path])
        print(f"{'wrote' if arguments.write else 'stale'} {path.name}")
    if not stale:
        print("every policy file says what ops/deploying/policies.py says")
    elif not arguments.write:
        print("write them again: python -m ops policies --write")
    return 1 if stale and not arguments.write else 0


def _statement(grant: Grant, function: Lambda, names: Mapping[str, str]) -> dict[str, Any]:
    # Of these services only IAM has ARNs without a region.
    place = "arn:*:iam::*:" if grant.service == "iam" else f"arn:*:{grant.service}:*:*:"
    return {
        "Sid": grant.sid,
        "Effect": "Allow",
        "Action": [f"{grant.service}:{action}" for action in grant.actions[function]],
        "Resource": [each if each == "*" else place + each.format(**names) for each in grant.resources],
        **({"Condition": {test: dict(values) for test, values in grant.condition.items()}} if grant.condition else {}),
    }
