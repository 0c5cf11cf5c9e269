"""A short way to moto's table and rules: past the HTTP that botocore would write and moto would read again.

What a condition refuses is refused here as botocore does. Any other request that moto refuses is sent again the long
way, so that its error is the one that botocore makes of it; a refused request has changed nothing.
"""

import json
from typing import Any

from botocore.exceptions import ClientError
from moto.dynamodb.exceptions import ConditionalCheckFailed, TransactionCanceledException
from moto.dynamodb.responses import DynamoHandler
from moto.events.responses import EventsHandler

from ops.simulate.quick_moto import one_at_a_time
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
#: ... and those of EventBridge
OF_RULES = {
    "PutRule": "put_rule",
    "PutTargets": "put_targets",
    "RemoveTargets": "remove_targets",
    "DeleteRule": "delete_rule",
    "ListRules": "list_rules",
}
#: What botocore says of an answer
TAKEN = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def answer(operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """What moto answers; None where it refuses, or where there is no short way."""
    try:
        if operation in OPERATIONS:
            return _of_the_table(OPERATIONS[operation], params) | TAKEN
        return _of_rules(OF_RULES[operation], params) | TAKEN if operation in OF_RULES else None
    except (ConditionalCheckFailed, TransactionCanceledException) as refusal:
        raise _told(refusal.description, operation) from None
    except Exception:  # whatever it is, the long way says it properly
        return None


def of_request(body: str | bytes, operation: str) -> dict[str, Any] | None:
    """What moto answers to a request as it goes over the wire; None as for ``answer``."""
    return answer(operation, json.loads(body))


def _told(description: str, operation: str) -> ClientError:
    """The error that botocore makes of moto's answer."""
    said: dict[str, Any] = json.loads(description)
    code = str(said.pop("__type")).rpartition("#")[2]
    error = {"Code": code, "Message": said.pop("message", None) or said.pop("Message", "")}
    response: Any = {**said, "Error": error, "ResponseMetadata": {"HTTPStatusCode": 400, "RetryAttempts": 0}}
    return ClientError(response, operation)  # type: ignore[no-untyped-call]


def _of_the_table(name: str, params: dict[str, Any]) -> dict[str, Any]:
    handler = DynamoHandler()
    handler.body = json.loads(json.dumps(params))
    handler.region = REGION
    handler.current_account = ACCOUNT
    with one_at_a_time:
        result: dict[str, Any] = getattr(handler, name)().result
    return result


def _of_rules(name: str, params: dict[str, Any]) -> dict[str, Any]:
    handler = EventsHandler()
    handler.body, handler.querystring, handler.uri_match = json.dumps(params), {}, {}
    handler.region = REGION
    handler.current_account = ACCOUNT
    handler.response_headers = {}
    text, headers = getattr(handler, name)()
    if headers.get("status", 200) >= 400:
        raise ValueError(text)
    result: dict[str, Any] = json.loads(text or "{}")
    return {name: value for name, value in result.items() if value is not None}
