"""The table, the template and Chalice's configuration match."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint import ManualArgs
from cfnlint.api import lint_by_config

from chalicelib.api.http import SECURITY_HEADERS
from chalicelib.runtime.settings import Settings
from ops.data.queue import queue_attributes
from ops.data.table import table_definition, table_name, table_properties
from ops.deploying import chalice_config, gateway_responses
from ops.deploying.template import merge_template
from ops.local.package import copy_source, run_chalice
from ops.names import LAMBDAS

STAGES = ("dev", "prod")
REGIONS = ["us-east-1", "eu-west-1", "ap-south-1"]


def packaged(directory: Path, stage: str, backend: str) -> dict[str, Any]:
    """Return the template that `chalice package --merge-template` writes.

    The code in the package has no dependencies.
    """
    copy_source(directory)
    (directory / "requirements.txt").write_text("")
    (directory / "merged.json").write_text(json.dumps(merge_template(stage, wake_backend=backend)))
    run_chalice(directory, "package", "--stage", stage, "--merge-template", "merged.json", "out")
    template: dict[str, Any] = json.loads((directory / "out" / "sam.json").read_text())
    return template


def lint(directory: Path, template: dict[str, Any]) -> list[str]:
    """Return cfn-lint's errors and warnings.

    The SAM transform runs before cfn-lint.
    """
    path = directory / "template.json"
    path.write_text(json.dumps(template))
    return [str(match) for match in lint_by_config(ManualArgs(templates=[str(path)], regions=REGIONS))]


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


@pytest.mark.parametrize("stage", STAGES)
def test_the_table_outlives_its_stack(stage: str) -> None:
    table = merge_template(stage)["Resources"]["Table"]
    kept = (table["DeletionPolicy"], table["UpdateReplacePolicy"], table["Properties"]["DeletionProtectionEnabled"])
    assert kept == ("RetainExceptOnCreate", "Retain", True)


def test_log_groups_that_exist_already_can_stay_outside_of_the_stack(tmp_path: Path) -> None:
    template = packaged(tmp_path, "dev", "rule")
    groups = {name: each for name, each in template["Resources"].items() if each["Type"] == "AWS::Logs::LogGroup"}
    assert set(groups) == {f"{each.logical_id}LogGroup" for each in LAMBDAS}
    assert {each["Condition"] for each in groups.values()} == {"MakesLogGroups"}
    assert template["Conditions"]["MakesLogGroups"] == {"Fn::Equals": [{"Ref": "LogGroups"}, "create"]}
    assert template["Parameters"]["LogGroups"]["AllowedValues"] == ["create", "keep"]
    # No other resource may need a log group, because the log group may not exist.
    others = {name: each for name, each in template["Resources"].items() if name not in groups}
    assert [name for name in groups if f'"{name}"' in json.dumps(others)] == []
    assert template["Resources"]["RestAPI"]["Properties"]["EndpointConfiguration"] == "REGIONAL"


def test_the_template_declares_the_very_queue_that_provision_creates() -> None:
    declared = merge_template("dev")["Resources"]["DeadLetters"]["Properties"]
    as_attributes = {name: str(value).lower() for name, value in declared.items() if name != "QueueName"}
    assert (declared["QueueName"], as_attributes) == ("redial-dev-dead-letters", queue_attributes())


def test_what_redial_and_sweep_fail_on_goes_to_the_dead_letters() -> None:
    resources = merge_template("dev")["Resources"].values()
    queue = {"OnFailure": {"Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}}
    assert {
        each["Properties"]["FunctionName"]["Ref"]: each["Properties"]["DestinationConfig"]
        for each in resources
        if each.get("Type") == "AWS::Lambda::EventInvokeConfig"
    } == {"Redial": queue, "Sweep": queue}


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


def test_the_other_lambdas_get_redials_arn() -> None:
    resources = merge_template("dev")["Resources"]
    told = {
        each.logical_id
        for each in LAMBDAS
        if "REDIAL_ARN" in resources[each.logical_id]["Properties"]["Environment"]["Variables"]
    }
    assert told == {"APIHandler", "Sweep"}


def test_the_scheduler_gets_a_role_only_if_it_sets_triggers() -> None:
    with_rules = merge_template("dev")["Resources"]
    with_scheduler = merge_template("dev", wake_backend="scheduler")["Resources"]
    assert with_scheduler.keys() - with_rules.keys() == {"SchedulerRole"}
    role = with_scheduler["SchedulerRole"]["Properties"]
    assert role["RoleName"] == "redial-dev-scheduler"
    (trusting,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trusting["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize("stage", STAGES)
def test_the_lambdas_get_the_stage_and_the_table_of_provision(stage: str) -> None:
    environment = chalice_config.environment(stage)
    assert environment == {"REDIAL_STAGE": stage}
    assert Settings.from_env(environment).table_name == table_name(stage)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "backend"), [("dev", "rule"), ("prod", "scheduler")])
def test_cfn_lint_finds_nothing_in_the_whole_template(stage: str, backend: str, tmp_path: Path) -> None:
    assert lint(tmp_path, packaged(tmp_path, stage, backend)) == []


@pytest.mark.slow
def test_cfn_lint_would_find_a_wrong_property(tmp_path: Path) -> None:
    template = packaged(tmp_path, "dev", "rule")
    template["Resources"]["DeadLetters"]["Properties"]["MessageRetentionPeriod"] = 9
    (found,) = lint(tmp_path, template)
    assert "9 is less than the minimum of 60" in found


def test_redial_and_sweep_have_reserved_concurrency_and_the_api_a_throttle() -> None:
    template = merge_template("dev")
    for name, default in (("Redial", 20), ("Sweep", 2)):
        assert template["Parameters"][f"{name}ReservedConcurrency"]["Default"] == default
        assert template["Resources"][name]["Properties"]["ReservedConcurrentExecutions"] == {
            "Fn::If": [f"Reserves{name}", {"Ref": f"{name}ReservedConcurrency"}, {"Ref": "AWS::NoValue"}]
        }
    assert "ReservedConcurrentExecutions" not in template["Resources"]["APIHandler"]["Properties"]
    (every,) = template["Resources"]["RestAPI"]["Properties"]["MethodSettings"]
    assert (every["ThrottlingRateLimit"], every["ThrottlingBurstLimit"]) == (500, 1000)


def test_api_gateway_answers_by_itself_as_problem_json() -> None:
    answers = merge_template("dev")["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    assert {kind: answer.get("StatusCode") for kind, answer in answers.items()} == {
        "MISSING_AUTHENTICATION_TOKEN": "404",
        "INVALID_SIGNATURE": "404",
        "THROTTLED": "429",
        "REQUEST_TOO_LARGE": "413",
        "INTEGRATION_TIMEOUT": "504",
        "DEFAULT_4XX": None,
        "DEFAULT_5XX": None,
    }
    quoted = {name: f"'{value}'" for name, value in SECURITY_HEADERS.items()}
    for answer in answers.values():
        headers = answer["ResponseParameters"]["Headers"]
        assert headers.items() >= (quoted | {"Content-Type": "'application/problem+json'"}).items()
        body = json.loads(answer["ResponseTemplates"]["application/json"])
        assert body.get("status") == (int(answer["StatusCode"]) if "StatusCode" in answer else None)
        assert {"type", "title", "detail"} <= body.keys()
    assert answers["THROTTLED"]["ResponseParameters"]["Headers"]["Retry-After"] == "'1'"


def test_the_template_and_provision_set_the_same_answers() -> None:
    declared = merge_template("dev")["Resources"]["RestAPI"]["Properties"]["GatewayResponses"]
    assert gateway_responses.wanted() == {
        kind: {
            "responseParameters": {
                f"gatewayresponse.header.{name}": value for name, value in each["ResponseParameters"]["Headers"].items()
            },
            "responseTemplates": each["ResponseTemplates"],
            **({"statusCode": each["StatusCode"]} if "StatusCode" in each else {}),
        }
        for kind, each in declared.items()
    }
