"""The simulator's shortcut to moto gives the same answers and errors as botocore."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.runtime import services as parts
from ops.simulate import short_way
from tests.support.world import TABLE, World

KEY = {"pk": {"S": "A"}, "sk": {"S": "1"}}
ITEM: dict[str, Any] = KEY | {
    "n": {"N": "1"},
    "data": {"M": {"list": {"L": [{"S": "x"}, {"BOOL": True}, {"NULL": True}]}}},
}
UNMET: dict[str, Any] = {"TableName": TABLE, "Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)"}
ADD: dict[str, Any] = {
    "TableName": TABLE,
    "Key": KEY,
    "UpdateExpression": "SET #d.seen = if_not_exists(#d.seen, :zero) + :one REMOVE gone",
    "ExpressionAttributeNames": {"#d": "data"},
    "ExpressionAttributeValues": {":one": {"N": "1"}, ":zero": {"N": "0"}},
    "ReturnValues": "ALL_NEW",
}
REFUSED: dict[str, dict[str, Any]] = {
    "PutItem": UNMET | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
    "TransactWriteItems": {
        "TransactItems": [
            {"Delete": {"TableName": TABLE, "Key": KEY | {"sk": {"S": "2"}}}},
            {"Put": UNMET},
        ]
    },
}


@pytest.fixture
def dynamodb(world: World) -> Any:
    client = parts.client("dynamodb")
    client.put_item(TableName=TABLE, Item=ITEM)
    return client


@pytest.mark.parametrize("operation", REFUSED)
def test_a_condition_refuses_the_short_way_as_the_long_way(dynamodb: Any, operation: str) -> None:
    send = {"PutItem": dynamodb.put_item, "TransactWriteItems": dynamodb.transact_write_items}[operation]
    with pytest.raises(ClientError) as long:
        send(**REFUSED[operation])
    with pytest.raises(ClientError) as short:
        short_way.answer(operation, REFUSED[operation])
    parts_told = ("Error", "Item", "CancellationReasons")
    assert {n: short.value.response.get(n) for n in parts_told} == {n: long.value.response.get(n) for n in parts_told}


def test_an_update_does_the_same_each_time_that_its_expression_is_used(dynamodb: Any) -> None:
    dynamodb.update_item(**ADD)
    said = short_way.answer("UpdateItem", ADD)
    asked = {"TableName": TABLE, "Key": KEY}
    assert said is not None
    assert said["Attributes"]["data"]["M"]["seen"] == {"N": "2"}
    got = short_way.answer("GetItem", asked)
    assert got is not None
    assert got["Item"] == dynamodb.get_item(**asked)["Item"] == said["Attributes"]
    assert got["Item"]["data"]["M"]["list"] == ITEM["data"]["M"]["list"]


def test_rules_are_made_listed_and_removed_the_short_way(world: World) -> None:
    events = parts.client("events")
    rule = {"Name": "wake-1", "ScheduleExpression": "cron(30 10 26 1 ? 2026)", "State": "ENABLED"}
    assert short_way.answer("PutRule", rule) is not None
    targets = [{"Id": "redial", "Arn": "arn:aws:lambda:us-east-1:123456789012:function:x", "Input": "{}"}]
    assert short_way.answer("PutTargets", {"Rule": "wake-1", "Targets": targets}) is not None
    assert events.list_targets_by_rule(Rule="wake-1")["Targets"] == targets
    listed, long = short_way.answer("ListRules", {"NamePrefix": "wake"}), events.list_rules(NamePrefix="wake")
    assert listed is not None
    assert ("NextToken" in listed) == ("NextToken" in long)
    assert [each["Name"] for each in listed["Rules"]] == [each["Name"] for each in long["Rules"]] == ["wake-1"]
    assert short_way.answer("RemoveTargets", {"Rule": "wake-1", "Ids": ["redial"]}) is not None
    assert short_way.answer("DeleteRule", {"Name": "wake-1"}) is not None
    assert events.list_rules(NamePrefix="wake")["Rules"] == []


def test_what_moto_does_not_know_is_left_to_the_long_way(world: World) -> None:
    assert short_way.answer("PutTargets", {"Rule": "never-made", "Targets": []}) is None
    assert short_way.answer("DescribeTable", {"TableName": TABLE}) is None
