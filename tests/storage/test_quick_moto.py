"""The faster moto still rolls a canceled transaction back completely."""

import pytest
from botocore.exceptions import ClientError

from tests.support.world import TABLE, World


def test_a_canceled_transaction_leaves_no_trace(world: World) -> None:
    def item(pk: str, n: str) -> dict[str, dict[str, str]]:
        return {"pk": {"S": pk}, "sk": {"S": "x"}, "n": {"N": n}}

    world.dynamodb.put_item(TableName=TABLE, Item=item("a", "1"))
    add = {
        "TableName": TABLE,
        "Key": {"pk": {"S": "a"}, "sk": {"S": "x"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    refused = {"TableName": TABLE, "Item": item("b", "1"), "ConditionExpression": "attribute_exists(pk)"}
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        world.dynamodb.transact_write_items(TransactItems=[{"Update": add}, {"Put": refused}])
    stored = {i["pk"]["S"]: i for i in world.dynamodb.scan(TableName=TABLE)["Items"]}
    assert stored["a"] == item("a", "1")
    assert "b" not in stored


@pytest.mark.parametrize(
    "value", [{"S": "x" * 405_000}, {"M": {"note": {"S": "x" * 404_990}}}, {"NS": ["1" * 405_000]}]
)
def test_an_item_over_the_size_limit_is_rejected(world: World, value: dict[str, object]) -> None:
    key = {"pk": {"S": "a"}, "sk": {"S": "x"}}
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        world.dynamodb.put_item(TableName=TABLE, Item=key | {"value": value})
    assert "Item" not in world.dynamodb.get_item(TableName=TABLE, Key=key)


def test_an_item_at_the_size_limit_is_stored(world: World) -> None:
    key = {"pk": {"S": "a"}, "sk": {"S": "x"}}
    value = {"M": {"note": {"S": "x" * (405_000 - len("pkaskxvaluenote"))}}}
    world.dynamodb.put_item(TableName=TABLE, Item=key | {"value": value})
    assert world.dynamodb.get_item(TableName=TABLE, Key=key)["Item"] == key | {"value": value}
