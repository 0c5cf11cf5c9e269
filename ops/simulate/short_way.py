"""A short way to moto's table: past the HTTP that botocore would write and moto would read again.

A request that moto refuses is sent again the long way, so that its error is the one that botocore makes of it; a
refused request has changed nothing.
"""

import json
from typing import Any

from moto.dynamodb.responses import DynamoHandler

from ops.simulate.settings import ACCOUNT, REGION

#: operation -> moto's name for it
OPERATIONS = {
    "GetItem": "get_item",
    "Query": "query",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "TransactWriteItems": "transact_write_items",
    "BatchGetItem": "batch_get_item",
}


def answer(operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """What moto's table answers; None where it refuses, or where there is no short way."""
    name = OPERATIONS.get(operation)
    if name is None:
        return None
    handler = DynamoHandler()
    handler.body = json.loads(json.dumps(params))
    handler.region = REGION
    handler.current_account = ACCOUNT
    try:
        result: dict[str, Any] = getattr(handler, name)().result
    except Exception:  # whatever it is, the long way says it properly
        return None
    return result | {"ResponseMetadata": {"HTTPStatusCode": 200}}
