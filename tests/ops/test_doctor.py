"""The command `python -m ops doctor`, on moto.

All is green for a healthy stage. Each planted fault is red and has the right advice.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.domain import zones
from ops import doctor
from ops.__main__ import main
from ops.deploying.provision import Provisioner
from ops.doctor import CHECKS
from ops.doctor.deployment import Fetched
from ops.doctor.finding import Level
from tests.support.deployed import PUBLIC_URL, an_api, arn, client, empty_aws
from tests.support.healthy_stage import SWEEP_LOG, TWILIO, Outside, deployment, findings, healthy_stage, of


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with healthy_stage(monkeypatch) as stage:
        yield stage


def test_all_is_green_if_all_is_well(outside: Outside) -> None:
    found = findings(outside)
    assert [entry for entry in found if entry[1].level is not Level.GREEN] == []
    assert {name for name, _ in found} == {"credentials", *CHECKS}


def test_what_is_green_says_what_was_seen(outside: Outside) -> None:
    said = [finding.what for _, finding in findings(outside)]
    assert "account 123456789012 in eu-west-1" in said
    assert "redial-dev-redial is active, with 120 s and the right environment" in said
    assert "1 of 300 rules are in use" in said
    assert f"{PUBLIC_URL}/health answers" in said
    assert "twilio takes the credentials" in said


def test_old_zone_rules_are_amber(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    today = datetime.now(UTC).date()
    monkeypatch.setattr(zones, "RELEASED_ON", today - timedelta(days=60))
    assert [name for name, _, _ in of(findings(outside), Level.AMBER)] == []
    monkeypatch.setattr(zones, "RELEASED_ON", today - timedelta(days=61))
    [(name, what, advice)] = of(findings(outside), Level.AMBER)
    assert (name, what) == ("zone rules", f"zone rules are those of tzdata {zones.release()}, 61 days old")
    assert "pin the newest tzdata" in advice


def test_a_provider_is_asked_for_nothing_but_a_call_that_it_does_not_have(outside: Outside) -> None:
    findings(outside)
    sid = f"CA{'0' * 32}"
    twilio = f"https://api.twilio.com/2010-04-01/Accounts/{TWILIO['TWILIO_ACCOUNT_SID']}/Calls/{sid}.json"
    assert outside.asked == [f"GET {PUBLIC_URL}/health", f"GET {twilio}"]


# Each of these breaks one part of the healthy stage.


def _no_table(outside: Outside) -> None:
    client("dynamodb").update_table(TableName="redial-dev", DeletionProtectionEnabled=False)
    client("dynamodb").delete_table(TableName="redial-dev")


def _unprotected(outside: Outside) -> None:
    client("dynamodb").update_table(TableName="redial-dev", DeletionProtectionEnabled=False)


def _no_backups(outside: Outside) -> None:
    client("dynamodb").update_continuous_backups(
        TableName="redial-dev", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )


def _no_expiry(outside: Outside) -> None:
    client("dynamodb").update_time_to_live(
        TableName="redial-dev", TimeToLiveSpecification={"AttributeName": "expires_at", "Enabled": False}
    )


def _no_index(outside: Outside) -> None:
    client("dynamodb").update_table(
        TableName="redial-dev", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "history"}}]
    )


def _no_lambda(outside: Outside) -> None:
    client("lambda").delete_function(FunctionName="redial-dev-redial")


def _short_timeout(outside: Outside) -> None:
    client("lambda").update_function_configuration(FunctionName="redial-dev-redial", Timeout=3)


def _told(function: str, **changes: str) -> None:
    functions = client("lambda")
    told = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"] | changes
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": told})


def _all_told(**changes: str) -> None:
    for function in ("redial-dev", "redial-dev-redial", "redial-dev-sweep"):
        _told(function, **changes)


def _other_table(outside: Outside) -> None:
    _told("redial-dev-sweep", TABLE_NAME="other")


def _wrong_setting(outside: Outside) -> None:
    _told("redial-dev-redial", DIAL_POOL_SIZE="many")


def _disabled(outside: Outside) -> None:
    client("lambda").put_function_concurrency(FunctionName="redial-dev-redial", ReservedConcurrentExecutions=0)


def _nothing_reserved(outside: Outside) -> None:
    client("lambda").delete_function_concurrency(FunctionName="redial-dev-sweep")


def _no_throttle(outside: Outside) -> None:
    an_api()


def _no_permission(outside: Outside) -> None:
    client("lambda").remove_permission(FunctionName="redial-dev-redial", StatementId="wakes")


def _queue() -> tuple[Any, str]:
    sqs = client("sqs")
    return sqs, sqs.get_queue_url(QueueName="redial-dev-dead-letters")["QueueUrl"]


def _no_queue(outside: Outside) -> None:
    sqs, url = _queue()
    sqs.delete_queue(QueueUrl=url)


def _dead_letter(outside: Outside) -> None:
    sqs, url = _queue()
    sqs.send_message(QueueUrl=url, MessageBody="{}")


def _no_destination(outside: Outside) -> None:
    client("lambda").delete_function_event_invoke_config(FunctionName="redial-dev-sweep")


def _wake(minutes: int, targets: bool = True) -> str:
    events, at = client("events"), datetime.now(UTC) + timedelta(minutes=minutes)
    name = f"redial-dev-wake-{at:%Y%m%d%H%M}"
    events.put_rule(Name=name, ScheduleExpression=f"cron({at.minute} {at.hour} {at.day} {at.month} ? {at.year})")
    if targets:
        events.put_targets(Rule=name, Targets=[{"Id": "redial", "Arn": arn("redial-dev-redial")}])
    return name


def _stale_rule(outside: Outside) -> None:
    _wake(-60)


def _lame_rule(outside: Outside) -> None:
    _wake(60, targets=False)


def _full_of_rules(outside: Outside) -> None:
    for number in range(299):
        client("events").put_rule(Name=f"other-{number}", ScheduleExpression="rate(1 day)")


def _due(kind: str, minutes_ago: int) -> None:
    due_at = int((datetime.now(UTC) - timedelta(minutes=minutes_ago)).timestamp())
    item = {
        "pk": {"S": "CALL#call_1"},
        "sk": {"S": "CALL"},
        "due_shard": {"S": f"{kind}#3"},
        "due_at": {"N": str(due_at)},
    }
    client("dynamodb").put_item(TableName="redial-dev", Item=item)


def _overdue(outside: Outside) -> None:
    _due("retry", 10)


def _sweep_disabled(outside: Outside) -> None:
    client("events").disable_rule(Name="redial-dev-sweep-event")


def _sweep_unscheduled(outside: Outside) -> None:
    client("events").remove_targets(Rule="redial-dev-sweep-event", Ids=["1"])


def _sweep_silent(outside: Outside) -> None:
    client("logs").delete_log_stream(logGroupName=SWEEP_LOG, logStreamName="today")


def _no_key(outside: Outside) -> None:
    dynamodb = client("dynamodb")
    for item in dynamodb.scan(TableName="redial-dev")["Items"]:
        dynamodb.delete_item(TableName="redial-dev", Key={key: item[key] for key in ("pk", "sk")})


def _no_secret(outside: Outside) -> None:
    _all_told(TWILIO_AUTH_TOKEN="ssm:/redial/dev/twilio")


def _unreachable(outside: Outside) -> None:
    outside.fetched = ssl.SSLCertVerificationError("certificate has expired")


def _wrong_url(outside: Outside) -> None:
    outside.fetched = Fetched(403, None)


def _refused(outside: Outside) -> None:
    outside.status = 401


def _first_webhooks(outside: Outside) -> None:
    key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    _all_told(TELNYX_API_KEY="KEY1", TELNYX_CONNECTION_ID="7267", TELNYX_PUBLIC_KEY=key)
    outside.status, outside.body = 200, b'{"data": {"webhook_api_version": "1"}}'


def _provider_away(outside: Outside) -> None:
    outside.lost = True


def _no_credentials_of_provider(outside: Outside) -> None:
    _all_told(TWILIO_AUTH_TOKEN="")


FAULTS: list[tuple[Callable[[Outside], None], str, str, str]] = [
    (_no_table, "table", "there is no table redial-dev", "python -m ops provision --stage dev"),
    (_unprotected, "table", "one request can delete the table", "python -m ops provision --stage dev"),
    (_no_backups, "table", "point-in-time recovery is off", "python -m ops provision --stage dev"),
    (_no_expiry, "table", "items do not expire by expires_at", "python -m ops provision --stage dev"),
    (_no_index, "table", "redial-dev has no index history", "python -m ops provision --stage dev"),
    (_no_lambda, "Lambdas", "the Lambda redial-dev-redial is not deployed", "python -m ops deploy --stage dev"),
    (_short_timeout, "Lambdas", "redial-dev-redial may run 3 s, not 120 s", "python -m ops deploy --stage dev"),
    (_other_table, "Lambdas", "redial-dev-sweep has TABLE_NAME 'other', not 'redial-dev'", ".chalice/config.json"),
    (_wrong_setting, "Lambdas", "cannot start: DIAL_POOL_SIZE is 'many'; it must be", ".chalice/config.json"),
    (_no_permission, "permission", "no wake may invoke redial-dev-redial", "python -m ops provision --stage dev"),
    (_no_queue, "dead letters", "there is no queue redial-dev-dead-letters", "python -m ops provision --stage dev"),
    (_dead_letter, "dead letters", "1 events failed each time", "python -m ops replay --stage dev --dry-run"),
    (_no_destination, "dead letters", "an event that redial-dev-sweep fails on is lost", "python -m ops provision"),
    (_stale_rule, "wakes", "past, and not removed by the sweep", "aws logs tail /aws/lambda/redial-dev-sweep"),
    (_lame_rule, "wakes", "disabled, or with no target that is redial", "delete them"),
    (_full_of_rules, "wakes", "300 of 300 rules are in use", "WAKE_BACKEND=scheduler"),
    (_overdue, "overdue", "1 calls have been due for more than 3 minutes", "aws logs tail"),
    (
        _sweep_disabled,
        "sweep",
        "the schedule of redial-dev-sweep is disabled",
        "enable-rule --name redial-dev-sweep-event",
    ),
    (_sweep_unscheduled, "sweep", "nothing invokes redial-dev-sweep", "python -m ops deploy --stage dev"),
    (_disabled, "concurrency", "redial-dev-redial is disabled", "delete-function-concurrency"),
    (_no_key, "API keys", "there is no admin's API key", "python -m ops keys create --stage dev"),
    (_no_secret, "secrets", "TWILIO_AUTH_TOKEN names ssm:/redial/dev/twilio", "put-parameter --type SecureString"),
    (_unreachable, "public URL", "does not answer", "correct PUBLIC_URL, its DNS or its TLS"),
    (_wrong_url, "public URL", "/health answers 403", "must be the API's base"),
    (_refused, "providers", "twilio refuses the credentials (401)", "check TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN"),
    (_first_webhooks, "providers", "telnyx: the application's webhook_api_version is 1", "set it to 2"),
    (_provider_away, "providers", "twilio cannot be reached: no route to host", "TWILIO_API_URL"),
    (_no_credentials_of_provider, "providers", "TWILIO_AUTH_TOKEN missing", ".chalice/config.json"),
]


@pytest.mark.parametrize(("plant", "check", "what", "advice"), FAULTS, ids=lambda each: getattr(each, "__name__", ""))
def test_a_fault_is_red_with_what_to_do_about_it(
    outside: Outside, plant: Callable[[Outside], None], check: str, what: str, advice: str
) -> None:
    plant(outside)
    told = of(findings(outside), Level.RED)
    assert [each for each in told if each[0] == check and what in each[1] and advice in each[2]], told


def test_a_fault_is_not_blamed_on_what_is_well(outside: Outside) -> None:
    _no_permission(outside)
    assert [name for name, *_ in of(findings(outside), Level.RED)] == ["permission"]


@pytest.mark.parametrize(
    ("plant", "check", "what"),
    [
        (lambda outside: _wake(240) and [_wake(300 + n) for n in range(239)], "wakes", "241 of 300 rules are in use"),
        (lambda outside: _due("deadline", 30), "overdue", "1 calls wait for a callback that is 15 minutes late"),
        (
            lambda outside: setattr(outside, "fetched", Fetched(200, datetime.now(UTC) + timedelta(days=3, hours=1))),
            "public URL",
            "the URL's certificate ends in 3 days",
        ),
        (lambda outside: _told("redial-dev-sweep", DIAL_POOL_SIZE="4"), "environment", "differ in DIAL_POOL_SIZE"),
        (_sweep_silent, "sweep", "redial-dev-sweep was deployed just now, and has not run yet"),
        (lambda outside: setattr(outside, "status", 503), "providers", "twilio could not be asked: it answered 503"),
        (lambda outside: _all_told(TWILIO_ANSWER_URL=""), "providers", "TWILIO_ANSWER_URL is not set"),
        (lambda outside: _all_told(PUBLIC_URL="http://redial.example.com"), "public URL", "is plain HTTP"),
        (lambda outside: client("logs").delete_retention_policy(logGroupName=SWEEP_LOG), "logs", "for ever"),
        (_nothing_reserved, "concurrency", "no invocations are reserved for redial-dev-sweep, not 2"),
        (_no_throttle, "throttle", "not 500 and 1000"),
        (_no_throttle, "answers", "403 'Missing Authentication Token'"),
    ],
)
def test_what_is_worth_a_look_is_amber(
    outside: Outside, plant: Callable[[Outside], Any], check: str, what: str
) -> None:
    plant(outside)
    found = findings(outside)
    assert [each[:2] for each in of(found, Level.AMBER) if each[0] == check and what in each[1]] != []
    assert of(found, Level.RED) == []


def test_a_sweep_that_has_not_run_for_minutes_is_red(outside: Outside) -> None:
    found = findings(outside, now=lambda: datetime.now(UTC) + timedelta(minutes=6))
    ((name, what, advice),) = of(found, Level.RED)
    assert (name, what) == ("sweep", "redial-dev-sweep has logged nothing for 5 minutes")
    assert "aws lambda invoke --function-name redial-dev-sweep" in advice


def test_wakes_that_are_set_and_fire_are_green(outside: Outside) -> None:
    _wake(60)
    assert "1 wakes are set, none of them past" in [finding.what for _, finding in findings(outside)]


@pytest.mark.parametrize(("seconds", "said"), [(-9, "s behind AWS's"), (9, "s ahead of AWS's")])
def test_a_clock_that_is_wrong_is_amber(outside: Outside, seconds: int, said: str) -> None:
    found = findings(outside, now=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    assert [said in what for name, what, _ in of(found, Level.AMBER) if name == "clock"] == [True]


@pytest.mark.parametrize(
    ("reference", "value"),
    [("ssm:/redial/dev/twilio", "tok-98765"), ("secretsmanager:redial/dev#token", '{"token": "tok-98765"}')],
)
def test_a_secret_that_is_named_is_read_and_used(outside: Outside, reference: str, value: str) -> None:
    if reference.startswith("ssm:"):
        client("ssm").put_parameter(Name="/redial/dev/twilio", Value=value, Type="SecureString")
    else:
        client("secretsmanager").create_secret(Name="redial/dev", SecretString=value)
    _all_told(TWILIO_AUTH_TOKEN=reference)
    found = findings(outside)
    assert [entry for entry in found if entry[1].level is not Level.GREEN] == []
    assert "1 references to secrets, all of which can be read" in [finding.what for _, finding in found]
    assert "tok-98765" not in str(found)


def test_a_secret_without_the_field_that_is_named_is_red(outside: Outside) -> None:
    client("secretsmanager").create_secret(Name="redial/dev", SecretString='{"token": "tok-98765"}')
    _all_told(TWILIO_AUTH_TOKEN="secretsmanager:redial/dev#tokn")
    told = [what for name, what, _ in of(findings(outside), Level.RED) if name == "secrets"]
    assert len(told) == 1
    assert "not a JSON object with a field 'tokn'" in told[0]


def test_what_may_not_be_asked_is_amber_with_the_permission_that_lacks(outside: Outside) -> None:
    def denied(service: str) -> Any:
        if service == "logs":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeLogGroups")
        return client(service)

    found = findings(outside, make_client=denied)
    said = [what for name, what, _ in of(found, Level.AMBER) if name == "logs"]
    assert len(said) == 1
    assert "could not be checked" in said[0]
    assert "need the permission for DescribeLogGroups" in said[0]
    assert of(found, Level.RED) == []


def test_scheduler_triggers_are_checked_by_role_and_schedules(outside: Outside) -> None:
    _all_told(WAKE_BACKEND="scheduler", SCHEDULER_ROLE_ARN="arn:aws:iam::123456789012:role/redial-dev-scheduler")
    assert [name for name, *_ in of(findings(outside), Level.RED)] == ["wakes"]
    Provisioner("dev", client, say=lambda line: None).provision(wake_backend="scheduler")
    assert of(findings(outside), Level.RED) == []
    client("scheduler").create_schedule(
        Name="redial-dev-wake-202601261030",
        ScheduleExpression="at(2026-01-26T10:30:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": arn("redial-dev-redial"), "RoleArn": "arn:aws:iam::123456789012:role/redial-dev-scheduler"},
    )
    assert [what for _, what, _ in of(findings(outside), Level.RED)] == [
        "redial-dev-wake-202601261030: past, and not removed by the sweep"
    ]


def test_before_anything_is_deployed_it_says_what_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with empty_aws(monkeypatch):
        found = findings(Outside())
    assert of(found, Level.RED)[:2] == [
        ("table", "there is no table redial-dev", "python -m ops provision --stage dev"),
        ("Lambdas", "the Lambda redial-dev is not deployed", "python -m ops deploy --stage dev"),
    ]
    assert ("permission", "could not be checked: the Lambda redial-dev-redial is not deployed") in [
        each[:2] for each in of(found, Level.AMBER)
    ]


def test_without_credentials_that_alone_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with empty_aws(monkeypatch):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        ((name, finding),) = findings(Outside(), make_client=boto3.client)
    assert (name, finding.level) == ("credentials", Level.RED)
    assert "set AWS_PROFILE, or AWS_ACCESS_KEY_ID" in finding.advice


@pytest.mark.parametrize(("plant", "level", "status"), [(None, "green", 0), (_no_permission, "red", 1)])
def test_the_command_ends_with_a_status_and_speaks_json(
    outside: Outside,
    plant: Callable[[Outside], None] | None,
    level: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if plant:
        plant(outside)
    monkeypatch.setattr(
        doctor,
        "Deployment",
        lambda stage: deployment(outside),
    )
    assert main(["doctor", "--json"]) == status
    told = json.loads(capsys.readouterr().out)
    assert (told["stage"], told["level"]) == ("dev", level)
    assert {"check", "level", "what", "advice"} == {key for finding in told["findings"] for key in finding}
    assert main(["doctor"]) == status
    assert f"1 {level}" in capsys.readouterr().out or level == "green"
