"""The table, the template, the policies and Chalice's configuration say the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.settings import Settings
from ops.table import table_definition, table_name, table_properties
from ops.template import FUNCTION_SUFFIXES, function_name, merge_template, scheduler_role_name, wake_rules

CHALICE = Path(__file__).parents[2] / ".chalice"
STAGES = ("dev", "prod")
# By the name that Chalice's configuration has for a Lambda: the policy's name and the logical id.
LAMBDAS = {"api_handler": ("api", "APIHandler"), "redial": ("redial", "Redial"), "sweep": ("sweep", "Sweep")}


def config() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((CHALICE / "config.json").read_text())
    return document


def policy(stage: str, name: str) -> str:
    return (CHALICE / f"policy-{stage}-{name}.json").read_text()


def statements(stage: str, name: str) -> dict[str, dict[str, Any]]:
    return {each["Sid"]: each for each in json.loads(policy(stage, name))["Statement"]}


def test_the_template_declares_the_very_table_that_provision_creates() -> None:
    created = table_definition(table_name("dev"))
    declared = merge_template("dev")["Resources"]["Table"]["Properties"]
    assert declared == created | {
        "SSESpecification": {"SSEEnabled": True},
        "TimeToLiveSpecification": {"AttributeName": "expires_at", "Enabled": True},
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }


def test_every_attribute_that_is_declared_is_a_key_and_the_other_way_round() -> None:
    table = table_properties("any")
    keys = [*table["KeySchema"], *(key for index in table["GlobalSecondaryIndexes"] for key in index["KeySchema"])]
    assert {key["AttributeName"] for key in keys} == {each["AttributeName"] for each in table["AttributeDefinitions"]}


def test_only_production_keeps_its_table_when_the_stack_goes() -> None:
    assert [merge_template(stage)["Resources"]["Table"]["DeletionPolicy"] for stage in STAGES] == ["Delete", "Retain"]


@pytest.mark.parametrize("stage", STAGES)
def test_one_permission_lets_every_wake_of_the_stage_invoke_redial(stage: str) -> None:
    assert merge_template(stage)["Resources"]["WakePermission"] == {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Fn::GetAtt": ["Redial", "Arn"]},
            "Principal": "events.amazonaws.com",
            "SourceArn": {
                "Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:"
                f"rule/redial-{stage}-wake-*"
            },
        },
    }


@pytest.mark.parametrize("backend", ["rule", "scheduler"])
def test_redial_names_nothing_that_names_redial(backend: str) -> None:
    redial = json.dumps(merge_template("dev", wake_backend=backend)["Resources"]["Redial"])
    assert '["Redial", "Arn"]' not in redial
    assert "SchedulerRole" not in redial


def test_the_other_lambdas_are_told_redials_arn() -> None:
    resources = merge_template("dev")["Resources"]
    told = {
        logical_id
        for logical_id in FUNCTION_SUFFIXES
        if "REDIAL_ARN" in resources[logical_id]["Properties"]["Environment"]["Variables"]
    }
    assert told == {"APIHandler", "Sweep"}


def test_the_scheduler_gets_a_role_only_where_it_is_the_alarm_clock() -> None:
    with_rules = merge_template("dev")["Resources"]
    with_scheduler = merge_template("dev", wake_backend="scheduler")["Resources"]
    assert with_scheduler.keys() - with_rules.keys() == {"SchedulerRole"}
    assert with_scheduler["SchedulerRole"]["Properties"]["RoleName"] == "redial-dev-scheduler"


@pytest.mark.parametrize("stage", STAGES)
def test_the_lambdas_are_told_the_stage_and_the_table_that_provision_creates(stage: str) -> None:
    environment = config()["stages"][stage]["environment_variables"]
    assert environment == {"REDIAL_STAGE": stage}
    assert Settings.from_env(environment).table_name == table_name(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_every_lambda_has_a_policy_of_its_own(stage: str) -> None:
    assert config()["stages"][stage]["lambda_functions"] == {
        function: {"iam_policy_file": f"policy-{stage}-{name}.json"} for function, (name, _) in LAMBDAS.items()
    }
    assert {path.name for path in CHALICE.glob(f"policy-{stage}-*.json")} == {
        f"policy-{stage}-{name}.json" for name, _ in LAMBDAS.values()
    }


@pytest.mark.parametrize("name", [name for name, _ in LAMBDAS.values()])
def test_the_policies_of_the_stages_differ_only_by_the_stages_name(name: str) -> None:
    in_production = policy("dev", name).replace("redial-dev", "redial-prod").replace("redial/dev/", "redial/prod/")
    assert in_production == policy("prod", name)


@pytest.mark.parametrize(("name", "logical_id"), LAMBDAS.values())
def test_a_policy_reaches_only_the_stages_own_resources(name: str, logical_id: str) -> None:
    own = statements("dev", name)
    group = f"arn:*:logs:*:*:log-group:/aws/lambda/{function_name('dev', logical_id)}"
    assert {sid: each["Resource"] for sid, each in own.items()} == {
        "Table": [
            f"arn:*:dynamodb:*:*:table/{table_name('dev')}",
            f"arn:*:dynamodb:*:*:table/{table_name('dev')}/index/*",
        ],
        "Wakes": [f"arn:*:events:*:*:{wake_rules('dev')}"],
        "Schedules": ["arn:*:scheduler:*:*:schedule/default/redial-dev-wake-*"],
        "LetSchedulesInvoke": [f"arn:*:iam::*:role/{scheduler_role_name('dev')}"],
        "Logs": [group, f"{group}:*"],
    } | (
        # Neither list can be narrowed down to some names.
        {"FindStaleWakes": ["arn:*:events:*:*:rule/*"], "FindStaleSchedules": ["*"]} if name == "sweep" else {}
    )


@pytest.mark.parametrize(
    ("name", "actions"),
    [
        ("api", {"PutRule", "PutTargets"}),
        ("redial", {"PutRule", "PutTargets", "ListTargetsByRule", "RemoveTargets", "DeleteRule"}),
        ("sweep", {"PutRule", "PutTargets", "ListTargetsByRule", "RemoveTargets", "DeleteRule"}),
    ],
)
def test_only_who_fires_or_mends_the_wakes_may_remove_them(name: str, actions: set[str]) -> None:
    assert set(statements("dev", name)["Wakes"]["Action"]) == {f"events:{action}" for action in actions}


@pytest.mark.parametrize("name", [name for name, _ in LAMBDAS.values()])
def test_no_lambda_may_change_the_table_itself(name: str) -> None:
    items = ("GetItem", "BatchGetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem")
    assert statements("dev", name)["Table"]["Action"] == [f"dynamodb:{action}" for action in items]
