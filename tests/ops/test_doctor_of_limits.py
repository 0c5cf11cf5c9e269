"""Ten faults of a stage that AWS reports late or never: the doctor finds each one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.domain import zones
from ops.deploying import chalice_config
from ops.doctor.finding import Level
from ops.names import LAMBDAS
from tests.support.deployed import client
from tests.support.healthy_stage import Outside, findings, healthy_stage, may_run, of


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outside]:
    with healthy_stage(monkeypatch) as stage:
        yield stage


Plant = Callable[[Outside, pytest.MonkeyPatch], Any]


def _tell(function: str, **changes: str) -> None:
    functions = client("lambda")
    told = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"] | changes
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": told})


def _tell_all(**changes: str) -> None:
    for each in LAMBDAS:
        _tell(each.name("dev"), **changes)


def _old_tzdata(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "RELEASED_ON", datetime.now(UTC).date() - timedelta(days=61))


def _old_runtime(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in LAMBDAS:
        client("lambda").update_function_configuration(FunctionName=each.name("dev"), Runtime="python3.11")
    ended = {"python3.11": datetime.now(UTC).date(), "python3.13": datetime.now(UTC).date() + timedelta(days=900)}
    monkeypatch.setattr("ops.deploying.runtime.ENDS_ON", ended)


def _rules_of_others(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(133):
        client("events").put_rule(Name=f"other-{number}", ScheduleExpression="rate(1 day)")


def _new_account(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    may_run(monkeypatch, 10)


def _large_environment(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    _tell_all(VONAGE_PRIVATE_KEY="x" * 3500)


def _old_callbacks(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="
    _tell_all(TELNYX_API_KEY="KEY1", TELNYX_CONNECTION_ID="7267", TELNYX_PUBLIC_KEY=key)
    outside.status, outside.body = 200, b'{"data": {"webhook_api_version": "1"}}'


def _silent_alarms(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    client("cloudwatch").disable_alarm_actions(AlarmNames=["redial-dev-redials-late"])
    (alarm,) = client("cloudwatch").describe_alarms(AlarmNames=["redial-dev-sweep-stopped"])["MetricAlarms"]
    kept = {name: alarm[name] for name in ("AlarmName", "Namespace", "MetricName", "Statistic", "Period", "Threshold")}
    kept |= {name: alarm[name] for name in ("ComparisonOperator", "EvaluationPeriods")}
    client("cloudwatch").put_metric_alarm(**kept)


def _half_switched(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    _tell("redial-dev-sweep", TABLE_NAME="redial-dev-restored")


def _stale_rule(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    client("events").put_rule(Name="redial-dev-wake-202601261030", ScheduleExpression="cron(30 10 26 1 ? 2026)")


def _nothing_reserved(_: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    client("lambda").delete_function_concurrency(FunctionName="redial-dev-redial")


FAULTS: list[tuple[Plant, Level, str, str, str]] = [
    (_old_tzdata, Level.AMBER, "zone rules", "61 days old", "pin the newest tzdata"),
    (_old_runtime, Level.RED, "runtime", "AWS has not supported python3.11 since", "set lambda_runtime to a later one"),
    (
        _rules_of_others,
        Level.AMBER,
        "wakes",
        "134 of 300 rules are in use, 134 by others, and Redial needs up to 168",
        "ask for 302 or more (Service Quotas, EventBridge, L-244521F2), or set WAKE_BACKEND=scheduler",
    ),
    (_new_account, Level.AMBER, "account", "the account may run 10 Lambdas at once", "ask for 1000 (Service Quotas"),
    (
        _large_environment,
        Level.AMBER,
        "environment size",
        "of the 4096 bytes that Lambda allows",
        "--name /redial-dev/vonage-private-key --value file://FILE, then set VONAGE_PRIVATE_KEY to ssm:/redial-dev/",
    ),
    (_old_callbacks, Level.RED, "providers", "the application's webhook_api_version is 1", "set it to 2"),
    (_silent_alarms, Level.AMBER, "alarms", "2 alarms notify nobody", "python -m ops alarms --stage dev --topic ARN"),
    (
        _half_switched,
        Level.RED,
        "Lambdas",
        "redial-dev-sweep has TABLE_NAME 'redial-dev-restored', not 'redial-dev'",
        "python -m ops deploy --stage dev",
    ),
    (_stale_rule, Level.RED, "wakes", "past, and not removed by the sweep", "aws logs tail"),
    (
        _nothing_reserved,
        Level.AMBER,
        "concurrency",
        "no invocations are reserved for redial-dev-redial, not 20",
        "python -m ops provision --stage dev",
    ),
]


@pytest.mark.parametrize(
    ("plant", "level", "check", "what", "advice"), FAULTS, ids=lambda each: getattr(each, "__name__", "")
)
def test_the_doctor_finds_the_fault_and_says_what_to_do(
    outside: Outside,
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
    level: Level,
    check: str,
    what: str,
    advice: str,
) -> None:
    plant(outside, monkeypatch)
    found = findings(outside)
    assert [each for each in of(found, level) if each[0] == check and what in each[1] and advice in each[2]], found


def test_an_environment_that_is_too_large_is_red_before_it_is_deployed(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = chalice_config.environment("dev") | {"VONAGE_PRIVATE_KEY": "x" * 4000}
    monkeypatch.setattr(chalice_config, "environment", lambda stage: configured)
    ((name, what, advice),) = of(findings(outside), Level.RED)
    assert name == "environment size"
    assert "the next deployment fails" in what
    assert "ssm:/redial-dev/vonage-private-key" in advice


def test_alarms_that_are_not_set_are_counted(outside: Outside) -> None:
    client("cloudwatch").delete_alarms(AlarmNames=["redial-dev-redials-late"])
    ((name, what, _),) = of(findings(outside), Level.AMBER)
    assert (name, what[:4]) == ("alarms", "1 of")


def test_another_runtime_or_processor_than_the_configuration_s_is_amber(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chalice_config, "architecture", lambda stage: "arm64")
    for each in LAMBDAS:
        client("lambda").update_function_configuration(FunctionName=each.name("dev"), Runtime="python3.12")
    said = [what for name, what, _ in of(findings(outside), Level.AMBER) if name == "runtime"]
    assert said == [
        "the Lambdas run python3.12, and lambda_runtime is python3.13",
        "the Lambdas run on x86_64, and lambda_architecture is arm64",
    ]


def test_a_stage_of_a_stack_is_advised_to_update_the_stack(outside: Outside) -> None:
    functions = client("lambda")
    arn = functions.get_function_configuration(FunctionName="redial-dev")["FunctionArn"]
    functions.tag_resource(Resource=arn, Tags={"aws:cloudformation:stack-name": "calls"})
    functions.update_function_configuration(FunctionName="redial-dev-redial", Timeout=3)
    client("cloudwatch").delete_alarms(AlarmNames=["redial-dev-redials-late"])
    functions.delete_function_concurrency(FunctionName="redial-dev-sweep")
    found = findings(outside)
    advice = {name: advice for name, _, advice in [*of(found, Level.RED), *of(found, Level.AMBER)]}
    assert "python -m ops package --stage dev out" in advice["Lambdas"]
    assert "--stack-name calls" in advice["Lambdas"]
    assert "--parameter-overrides AlarmTopic=ARN" in advice["alarms"]
    assert "an update of the stack calls does not see what was changed by hand" in advice["concurrency"]
