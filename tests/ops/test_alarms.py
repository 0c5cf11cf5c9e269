"""The command `python -m ops alarms`, on moto."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from ops.__main__ import main
from ops.deploying import dashboard
from ops.deploying.operations import alarms, properties

NAMES = sorted(alarm.name("dev") for alarm in alarms("dev"))


@pytest.fixture(autouse=True)
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "test"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield boto3.client("cloudwatch")


def there(cloudwatch: Any) -> list[str]:
    return sorted(alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"])


def test_the_alarms_and_the_dashboard_are_set_as_the_table_has_them(cloudwatch: Any) -> None:
    assert main(["alarms", "--stage", "dev", "--topic", "arn:aws:sns:eu-west-1:123456789012:pager"]) == 0
    assert there(cloudwatch) == NAMES
    (late,) = cloudwatch.describe_alarms(AlarmNames=["redial-dev-redials-late"])["MetricAlarms"]
    wanted = {
        name: value
        for alarm in alarms("dev")
        if alarm.kind == "redials-late"
        for name, value in properties(alarm, "dev", "arn:aws:sns:eu-west-1:123456789012:pager").items()
    }
    assert {name: late[name] for name in wanted} == wanted
    body = cloudwatch.get_dashboard(DashboardName="redial-dev")["DashboardBody"]
    assert json.loads(body) == json.loads(dashboard.body("dev", "eu-west-1"))


@pytest.mark.parametrize(
    ("kind", "metric", "threshold"),
    [
        ("callbacks-refused", "CallbacksRefused", 20),
        ("calls-not-adopted", "CallsNotAdopted", 0),
        ("sign-ins-refused", "SignInsRefused", 20),
    ],
)
def test_what_was_refused_has_an_alarm_and_a_graph(cloudwatch: Any, kind: str, metric: str, threshold: int) -> None:
    main(["alarms", "--stage", "dev"])
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"redial-dev-{kind}"])["MetricAlarms"]
    assert alarm["Threshold"] == threshold
    assert metric in json.dumps(alarm, default=str)
    assert metric in cloudwatch.get_dashboard(DashboardName="redial-dev")["DashboardBody"]


def test_a_second_run_changes_nothing(cloudwatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main(["alarms", "--stage", "dev"])
    before = cloudwatch.describe_alarms()["MetricAlarms"]
    capsys.readouterr()
    assert main(["alarms", "--stage", "dev"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "stage dev:",
        *(f"  have  the alarm {alarm.name('dev')}" for alarm in alarms("dev")),
        "  have  the dashboard redial-dev",
        "these alarms notify nobody: name an SNS topic with --topic ARN",
        "nothing to do",
    ]
    assert cloudwatch.describe_alarms()["MetricAlarms"] == before


def test_only_a_changed_alarm_is_set_again(cloudwatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    main(["alarms", "--stage", "dev"])
    changed = next(properties(a, "dev") for a in alarms("dev") if a.kind == "rules-near-quota")
    cloudwatch.put_metric_alarm(**{**changed, "Threshold": 299})
    capsys.readouterr()
    main(["alarms", "--stage", "dev"])
    done = [line for line in capsys.readouterr().out.splitlines() if "have" not in line]
    assert done[:2] == ["stage dev:", "  done  set the alarm redial-dev-rules-near-quota"]
    (after,) = cloudwatch.describe_alarms(AlarmNames=["redial-dev-rules-near-quota"])["MetricAlarms"]
    assert after["Threshold"] == 240


def test_a_run_without_a_topic_keeps_the_alarms_recipients(cloudwatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:pager"
    main(["alarms", "--stage", "dev", "--topic", topic])
    changed = next(properties(a, "dev", topic) for a in alarms("dev") if a.kind == "redials-late")
    cloudwatch.put_metric_alarm(**{**changed, "Threshold": 299})
    capsys.readouterr()
    main(["alarms", "--stage", "dev"])
    assert {tuple(each["AlarmActions"]) for each in cloudwatch.describe_alarms()["MetricAlarms"]} == {(topic,)}
    said = capsys.readouterr().out
    assert "done  set the alarm redial-dev-redials-late" in said
    assert "notify nobody" not in said


def test_the_quota_that_is_set_decides_when_rules_are_too_many(
    cloudwatch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.deploying.chalice_config.environment", lambda stage: {"EVENTBRIDGE_RULES_QUOTA": "1000"})
    main(["alarms", "--stage", "dev"])
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["redial-dev-rules-near-quota"])["MetricAlarms"]
    assert alarm["Threshold"] == 800


def test_a_dry_run_says_what_it_would_do_and_does_nothing(cloudwatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alarms", "--stage", "dev", "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "stage dev:",
        *(f"  would set the alarm {alarm.name('dev')}" for alarm in alarms("dev")),
        "  would set the dashboard redial-dev",
        "these alarms notify nobody: name an SNS topic with --topic ARN",
    ]
    assert there(cloudwatch) == []
    assert cloudwatch.list_dashboards()["DashboardEntries"] == []


def test_deleting_removes_these_and_no_others(cloudwatch: Any) -> None:
    main(["alarms", "--stage", "dev"])
    main(["alarms", "--stage", "prod"])
    assert main(["alarms", "--stage", "dev", "--delete"]) == 0
    assert there(cloudwatch) == sorted(alarm.name("prod") for alarm in alarms("prod"))
    assert [each["DashboardName"] for each in cloudwatch.list_dashboards()["DashboardEntries"]] == ["redial-prod"]


def test_an_aws_error_is_one_line(
    cloudwatch: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubbed = Stubber(cloudwatch)
    stubbed.add_client_error("describe_alarms", "AccessDenied", "you may not")
    stubbed.activate()
    real = boto3.client
    clients = {"cloudwatch": cloudwatch, "service-quotas": real("service-quotas")}
    monkeypatch.setattr("ops.deploying.alarms.boto3.client", clients.__getitem__)
    assert main(["alarms", "--stage", "dev"]) == 1
    assert capsys.readouterr().err == (
        "error: setting the alarms of stage 'dev' stopped: "
        "An error occurred (AccessDenied) when calling the DescribeAlarms operation: you may not; "
        "your credentials need the permission for DescribeAlarms\n"
    )


def test_without_a_region_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert main(["alarms", "--stage", "dev"]) == 1
    assert "set AWS_DEFAULT_REGION" in capsys.readouterr().err
