"""The strict checker rejects what AWS rejects, so that a passing test is reliable."""

import json
from collections.abc import Callable

import pytest

from chalicelib.runtime.services import client
from ops.simulate.strict_aws import AwsWouldRefuse, parse_cron
from tests.support.world import ENV, TABLE, World

TARGET = {"Id": "redial", "Arn": ENV["REDIAL_ARN"], "Input": "{}"}


@pytest.mark.parametrize(
    "expression",
    [
        "cron(30 10 26 1 ?)",
        "cron(30 10 26 1 * 2026)",
        "cron(30 10 ? 1 ? 2026)",
        "cron(60 10 26 1 ? 2026)",
        "cron(30 24 26 1 ? 2026)",
        "cron(30 10 26 13 ? 2026)",
        "at(2026-01-26T10:30:00)",
        "",
    ],
)
def test_a_cron_expression_that_eventbridge_would_refuse_is_refused(expression: str) -> None:
    with pytest.raises(AwsWouldRefuse):
        parse_cron(expression)


def test_a_one_shot_cron_expression_is_read() -> None:
    assert parse_cron("cron(30 10 26 1 ? 2026)") == (30, 10, 26, 1, 2026)


def _put(name: str) -> None:
    client("events").put_rule(Name=name, ScheduleExpression="cron(30 10 26 1 ? 2026)")


def _target(**changes: str) -> None:
    client("events").put_targets(Rule="a", Targets=[{**TARGET, **changes}])


def _rules() -> None:
    for number in range(301):
        _put(f"rule-{number}")


def _targets() -> None:
    _put("a")
    for number in range(6):
        _target(Id=str(number))


def _long_input() -> None:
    _put("a")
    _target(Input=json.dumps("x" * 8_191))


def _delete_with_targets() -> None:
    _put("a")
    _target()
    client("events").delete_rule(Name="a")


def _transaction(*sort_keys: str) -> None:
    puts = [{"Put": {"TableName": TABLE, "Item": {"pk": {"S": "a"}, "sk": {"S": sk}}}} for sk in sort_keys]
    client("dynamodb").transact_write_items(TransactItems=puts)


def _permissions() -> None:
    import ops.simulate.strict_aws as strict

    aws = strict.StrictAws()
    lambdas = client("lambda")
    aws.attach(lambdas)
    for number in range(100):
        aws._add_permission({"FunctionName": "redial", "StatementId": f"s{number}", "SourceArn": "arn" * 20})


@pytest.mark.parametrize(
    "forbidden",
    [
        _rules,
        _targets,
        _long_input,
        _delete_with_targets,
        _permissions,
        lambda: _transaction(*map(str, range(101))),
        lambda: _transaction("same", "same"),
    ],
)
def test_what_aws_enforces_and_the_emulator_does_not_is_refused(world: World, forbidden: Callable[[], None]) -> None:
    with pytest.raises(AwsWouldRefuse):
        forbidden()
