"""The command `python -m ops take-down`, on moto: nothing of the stage is left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops.__main__ import main
from ops.deploying.alarms import Alarmer
from ops.deploying.policies import policy
from ops.deploying.provision import Provisioner
from ops.deploying.take_down import TakeDown
from ops.names import LAMBDAS
from tests.support.deployed import REGION, an_api, arn, client, deploy, empty_aws

ROOT = Path(__file__).parents[2]
STACK = "redial-dev"
#: A stack like ours, without the parts that moto's CloudFormation does not know.
TEMPLATE = {
    "Resources": {
        "DeadLetters": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "redial-dev-dead-letters"}},
        "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "/aws/lambda/redial-dev"}},
    }
}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    # A developer's own record of a stage must not reach the test.
    monkeypatch.setattr("ops.deploying.take_down.DEPLOYED", tmp_path)
    with empty_aws(monkeypatch):
        yield


def left() -> dict[str, list[str]]:
    """Return, by service, everything that costs money or blocks the next stage."""
    roles = client("iam").list_roles()["Roles"]
    return {
        service: names
        for service, names in {
            "lambda": [each["FunctionName"] for each in client("lambda").list_functions()["Functions"]],
            "api": [each["id"] for each in client("apigateway").get_rest_apis()["items"]],
            # The test's own role, which all Lambdas here share.
            "roles": [each["RoleName"] for each in roles if each["RoleName"] != "lambda"],
            "rules": [each["Name"] for each in client("events").list_rules()["Rules"]],
            "schedules": [each["Name"] for each in client("scheduler").list_schedules()["Schedules"]],
            "alarms": [each["AlarmName"] for each in client("cloudwatch").describe_alarms()["MetricAlarms"]],
            "dashboards": [
                each["DashboardName"] for each in client("cloudwatch").list_dashboards()["DashboardEntries"]
            ],
            "queues": client("sqs").list_queues().get("QueueUrls", []),
            "logs": [each["logGroupName"] for each in client("logs").describe_log_groups()["logGroups"]],
            "tables": client("dynamodb").list_tables()["TableNames"],
            "parameters": [each["Name"] for each in client("ssm").describe_parameters()["Parameters"]],
            "secrets": [each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]],
            "stacks": [
                each["StackName"]
                for each in client("cloudformation").list_stacks()["StackSummaries"]
                if each["StackStatus"] != "DELETE_COMPLETE"
            ],
        }.items()
        if names
    }


def a_used_stage() -> None:
    """Create a stage with everything from the README, and wakes that have not fired."""
    deploy()
    an_api()
    Provisioner("dev", client, say=lambda line: None).provision(wake_backend="scheduler")
    Alarmer("dev", client("cloudwatch"), REGION, say=lambda line: None).put()
    iam, events = client("iam"), client("events")
    for each in LAMBDAS:
        name = f"redial-dev-{each.key}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=json.dumps(policy(each, "dev")))
    name = "redial-dev-wake-202701261030"
    events.put_rule(Name=name, ScheduleExpression="cron(30 10 26 1 ? 2027)")
    events.put_targets(Rule=name, Targets=[{"Id": "redial", "Arn": arn("redial-dev-redial")}])
    client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="at(2027-01-26T10:30:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn("redial-dev-redial"), "RoleArn": "arn:aws:iam::123456789012:role/redial-dev-scheduler"},
    )
    client("ssm").put_parameter(Name="/redial-dev/twilio-auth-token", Value="x", Type="SecureString")
    client("secretsmanager").create_secret(Name="redial-dev/vonage", SecretString="x")


def of_another_stage() -> None:
    client("events").put_rule(Name="redial-prod-wake-202701261030", ScheduleExpression="cron(30 10 26 1 ? 2027)")
    client("ssm").put_parameter(Name="/redial-dev2/twilio-auth-token", Value="x", Type="SecureString")
    client("logs").create_log_group(logGroupName="/aws/lambda/redial-dev2")


OTHERS = {
    "rules": ["redial-prod-wake-202701261030"],
    "parameters": ["/redial-dev2/twilio-auth-token"],
    "logs": ["/aws/lambda/redial-dev2"],
}


def take_down(*, delete_data: bool = True, **options: Any) -> list[str]:
    said: list[str] = []
    TakeDown("dev", client, say=said.append, **options).run(delete_data=delete_data)
    return said


def test_nothing_is_left_of_a_stage_that_chalice_deployed_and_others_stay() -> None:
    a_used_stage()
    of_another_stage()
    take_down()
    assert left() == OTHERS


def test_nothing_is_left_of_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.deploying.take_down.SECONDS_BETWEEN_LOOKS", 0)
    client("cloudformation").create_stack(StackName=STACK, TemplateBody=json.dumps(TEMPLATE))
    a_used_stage()
    client("lambda").tag_resource(Resource=arn("redial-dev"), Tags={"aws:cloudformation:stack-name": STACK})
    assert [line.split("  ")[-1] for line in take_down(dry_run=True) if "the stack" in line] == ["the stack redial-dev"]
    take_down()
    assert left() == {}


def test_without_a_word_about_data_the_table_and_the_secrets_stay(capsys: pytest.CaptureFixture[str]) -> None:
    a_used_stage()
    assert main(["take-down", "--stage", "dev"]) == 0
    assert "--delete-data redial-dev removes them for good" in capsys.readouterr().out
    kept = {
        "tables": ["redial-dev"],
        "parameters": ["/redial-dev/twilio-auth-token"],
        "secrets": ["redial-dev/vonage"],
    }
    assert left() == kept
    assert client("dynamodb").describe_table(TableName="redial-dev")["Table"]["DeletionProtectionEnabled"]
    assert main(["take-down", "--stage", "dev", "--delete-data", "redial"]) == 1
    assert "--delete-data is 'redial'; the table of stage 'dev' is redial-dev" in capsys.readouterr().err
    assert left() == kept
    assert main(["take-down", "--stage", "dev", "--delete-data", "redial-dev"]) == 0
    assert left() == {}


def test_a_dry_run_removes_nothing_and_a_second_run_has_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    a_used_stage()
    before = left()
    assert main(["take-down", "--stage", "dev", "--dry-run"]) == 0
    assert left() == before
    assert "would remove" in capsys.readouterr().out
    take_down()
    main(["take-down", "--stage", "dev"])
    assert "nothing to remove\n" in capsys.readouterr().out


def test_chalice_removes_what_it_has_a_record_of(tmp_path: Path) -> None:
    record = tmp_path / "dev.json"
    record.write_text('{"resources": [{"name": "sweep"}]}')
    asked: list[list[str]] = []

    def chalice(arguments: list[str]) -> int:
        asked.append(arguments)
        return 0

    take_down(chalice=chalice)
    assert asked == [["--project-dir", str(ROOT), "delete", "--stage", "dev"]]
    record.write_text('{"resources": []}')
    take_down(chalice=pytest.fail)


def test_nothing_is_left_of_a_first_deployment_that_stopped_half_way() -> None:
    deploy()
    client("lambda").delete_function(FunctionName="redial-dev-sweep")
    client("apigateway").create_rest_api(name="redial")
    said: list[str] = []
    Provisioner("dev", client, say=said.append).provision()
    assert any("the Lambda redial-dev-sweep is not deployed yet" in line for line in said)
    take_down()
    # Chalice makes the API last. So this API belongs to another project: nothing of the stage refers to it.
    assert set(left()) == {"api"}
