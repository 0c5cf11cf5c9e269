"""The comparison of IAM policies with the code's requests: its notes and failures."""

from typing import Any

import pytest

from ops.deploying.policies import policy
from ops.names import LAMBDAS
from tests.support import iam_recorder
from tests.support.iam_recorder import NOT_SEEN, Use, missing, permissions_for, unused
from tests.support.world import World

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/redial-dev"
POLICIES = {
    "sweep": {
        "Statement": [
            {"Sid": "Table", "Action": ["dynamodb:GetItem", "dynamodb:Query"], "Resource": [f"{TABLE}"]},
            {"Sid": "Logs", "Action": ["logs:PutLogEvents"], "Resource": ["*"]},
        ]
    }
}
GET, QUERY = Use("sweep", "dynamodb:GetItem", TABLE), Use("sweep", "dynamodb:Query", TABLE)


def test_what_is_used_and_allowed_is_all_right() -> None:
    assert (missing([GET, QUERY], POLICIES), unused([GET, QUERY], POLICIES)) == ([], [])


def test_an_action_that_is_not_allowed_is_missing() -> None:
    put = Use("sweep", "dynamodb:PutItem", TABLE)
    assert missing([GET, put], POLICIES) == [
        f"sweep asks for dynamodb:PutItem on {TABLE}, which its policy does not allow"
    ]


def test_an_allowed_action_on_another_resource_is_missing() -> None:
    other = Use("sweep", "dynamodb:GetItem", f"{TABLE}-other")
    assert missing([other], POLICIES) == [
        f"sweep asks for dynamodb:GetItem on {TABLE}-other, which its policy does not allow"
    ]


def test_what_is_allowed_and_never_used_is_unused() -> None:
    assert unused([GET], POLICIES) == ["sweep may Table dynamodb:Query, and never does"]


def test_what_lambda_itself_uses_is_not_held_against_it() -> None:
    assert [line for line in unused([], POLICIES) if "logs:" in line] == []
    allowed = {action for each in LAMBDAS for one in policy(each, "dev")["Statement"] for action in one["Action"]}
    assert NOT_SEEN.keys() <= allowed


@pytest.mark.parametrize(
    ("service", "operation", "params", "needs"),
    [
        (
            "dynamodb",
            "TransactWriteItems",
            {
                "TransactItems": [
                    {"Put": {"TableName": "redial-dev"}},
                    {"Update": {"TableName": "redial-dev"}},
                    {"Delete": {"TableName": "redial-dev"}},
                    {"ConditionCheck": {"TableName": "redial-dev"}},
                ]
            },
            [(f"dynamodb:{action}Item", TABLE) for action in ("Put", "Update", "Delete", "ConditionCheck")],
        ),
        (
            "dynamodb",
            "Query",
            {"TableName": "redial-dev", "IndexName": "due"},
            [("dynamodb:Query", f"{TABLE}/index/due")],
        ),
        (
            "scheduler",
            "CreateSchedule",
            {"Name": "redial-dev-wake-1", "Target": {"RoleArn": "arn:aws:iam::1:role/r"}},
            [
                ("iam:PassRole", "arn:aws:iam::1:role/r"),
                (
                    "scheduler:CreateSchedule",
                    "arn:aws:scheduler:us-east-1:123456789012:schedule/default/redial-dev-wake-1",
                ),
            ],
        ),
        (
            "ssm",
            "GetParameters",
            {"Names": ["/redial/a", "/redial/b"]},
            [("ssm:GetParameters", f"arn:aws:ssm:us-east-1:123456789012:parameter/redial/{name}") for name in "ab"],
        ),
        ("s3", "GetObject", {}, [("s3:GetObject", "arn:aws:s3:us-east-1:123456789012:?")]),
    ],
)
def test_a_request_needs_these_permissions(
    service: str, operation: str, params: dict[str, Any], needs: list[tuple[str, str]]
) -> None:
    assert list(permissions_for(service, operation, params)) == needs


def test_what_each_lambda_asks_for_is_noted_under_its_own_name(world: World) -> None:
    before = set(iam_recorder._recorder.uses)
    iam_recorder._recorder.uses.clear()
    world.place()
    world.sweep()
    noted = set(iam_recorder._recorder.uses)
    iam_recorder._recorder.uses |= before
    assert {use.function for use in noted} == {"api_handler", "sweep"}
    assert Use("api_handler", "dynamodb:PutItem", TABLE) in noted
    assert Use("sweep", "dynamodb:Query", f"{TABLE}/index/due") in noted


def test_what_a_test_asks_by_itself_is_not_noted(world: World) -> None:
    before = set(iam_recorder._recorder.uses)
    world.dynamodb.describe_table(TableName="redial-dev")
    assert iam_recorder._recorder.uses == before


@pytest.mark.parametrize(("args", "reason"), [(["tests/api"], "only tests/api was run"), ([], None)])
def test_only_a_whole_run_can_show_what_is_unused(
    args: list[str], reason: str | None, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pytest.Config.ArgsSource
    monkeypatch.setattr(pytestconfig, "args_source", source.ARGS if args else source.TESTPATHS)
    monkeypatch.setattr(pytestconfig, "args", args)
    monkeypatch.setattr(pytestconfig.option, "keyword", "")
    monkeypatch.setattr(pytestconfig.option, "markexpr", iam_recorder.FAST)
    assert iam_recorder.why_partial(pytestconfig, failed=0) == reason


def test_a_run_with_failures_cannot_show_what_is_unused(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pytestconfig, "args_source", pytest.Config.ArgsSource.TESTPATHS)
    monkeypatch.setattr(pytestconfig.option, "keyword", "")
    monkeypatch.setattr(pytestconfig.option, "markexpr", iam_recorder.FAST)
    assert iam_recorder.why_partial(pytestconfig, failed=2) == "2 of the tests failed"
