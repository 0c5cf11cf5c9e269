"""`python -m ops provision`, on moto."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ops.__main__ import main
from ops.provision import Provisioner
from ops.table import table_name

ENVIRONMENT = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield


def run(stage: str = "dev", **options: Any) -> list[str]:
    """Provision, and return what was said."""
    said: list[str] = []
    Provisioner(stage, say=said.append, dry_run=options.pop("dry_run", False)).provision(**options)
    return said


def deploy_redial() -> None:
    """What provision needs of a deployed app: a function by the name of redial's."""
    role = boto3.client("iam").create_role(RoleName="lambda", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", "")
    boto3.client("lambda").create_function(
        FunctionName="redial-dev-redial",
        Runtime="python3.11",
        Role=role,
        Handler="app.redial",
        Code={"ZipFile": code.getvalue()},
    )


def test_before_the_deployment_it_makes_the_table_and_says_to_come_back() -> None:
    assert run() == [
        "  done  create the table redial-dev",
        "  done  add expiry by expires_at",
        "  done  add point-in-time recovery",
        "  wait  the function redial-dev-redial is not deployed yet: deploy, then run this again",
    ]
    dynamodb = boto3.client("dynamodb")
    table = dynamodb.describe_table(TableName=table_name("dev"))["Table"]
    assert table["TableStatus"] == "ACTIVE"
    assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["due", "history"]
    assert dynamodb.describe_time_to_live(TableName=table_name("dev"))["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires_at",
    }


def test_after_the_deployment_it_lets_every_wake_in_by_one_statement() -> None:
    deploy_redial()
    run()
    policy = json.loads(boto3.client("lambda").get_policy(FunctionName="redial-dev-redial")["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {
        "ArnLike": {"AWS:SourceArn": "arn:aws:events:eu-west-1:123456789012:rule/redial-dev-wake-*"}
    }


def test_a_second_run_changes_nothing() -> None:
    deploy_redial()
    run(wake_backend="scheduler")
    assert [line for line in run(wake_backend="scheduler") if not line.startswith(("  have", "  note"))] == []


def test_a_dry_run_changes_nothing_and_says_what_it_would_do() -> None:
    assert run(dry_run=True)[0] == "  would create the table redial-dev"
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []


def test_an_error_of_aws_is_one_line_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert main(["provision", "--stage", "dev"]) == 1
    assert capsys.readouterr().err.startswith("error: provisioning stage 'dev' stopped: Could not connect")
