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
