"""A shortcut to moto's table and rules without the HTTP that botocore would send.

If a condition fails, this module raises the same error as botocore. If moto rejects a request for another reason, the
caller sends the request again through botocore, which makes the error. A rejected request has changed nothing.
"""

import json
from typing import Any

from botocore.exceptions import ClientError
from moto.dynamodb.exceptions import ConditionalCheckFailed, TransactionCanceledException
from moto.dynamodb.responses import DynamoHandler
from moto.events.responses import EventsHandler

from ops.simulate.quick_moto import one_at_a_time
from ops.simulate.settings import ACCOUNT, REGION

#: DynamoDB operation -> moto's name for it
DYNAMODB_OPERATIONS = {
    "GetItem": "get_item",
    "Query": "query",
    "Scan": "scan",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "TransactWriteItems": "transact_write_items",
    "BatchGetItem": "batch_get_item",
    "CreateTable": "create_table",
}
#: EventBridge operation -> moto's name for it
EVENTS_OPERATIONS = {
    "PutRule": "put_rule",
    "PutTargets": "put_targets",
    "RemoveTargets": "remove_targets",
    "DeleteRule": "delete_rule",
    "ListRules": "list_rules",
}
#: The metadata that botocore adds to a successful answer
SUCCESS = {"ResponseMetadata": {"HTTPStatusCode": 200}}


def answer(operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return moto's answer; None if moto rejects the request or has no shortcut."""
    try:
        if operation in DYNAMODB_OPERATIONS:
            return _dynamodb_answer(DYNAMODB_OPERATIONS[operation], params) | SUCCESS
        return (
            _events_answer(EVENTS_OPERATIONS[operation], params) | SUCCESS if operation in EVENTS_OPERATIONS else None
        )
    except (ConditionalCheckFailed, TransactionCanceledException) as refusal:
        raise _client_error(refusal.description, operation) from None
    except Exception:  # botocore reports every other error properly
        return None


def of_request(body: str | bytes, operation: str) -> dict[str, Any] | None:
    """Return moto's answer to a request in its JSON form; None as for ``answer``."""
    return answer(operation, json.loads(body))


def _client_error(description: str, operation: str) -> ClientError:
    """Return the error that botocore makes of moto's answer."""
    said: dict[str, Any] = json.loads(description)
    code = str(said.pop("__type")).rpartition("#")[2]
    error = {"Code": code, "Message": said.pop("message", None) or said.pop("Message", "")}
    response: Any = {**said, "Error": error, "ResponseMetadata": {"HTTPStatusCode": 400, "RetryAttempts": 0}}
    return ClientError(response, operation)


def _dynamodb_answer(name: str, params: dict[str, Any]) -> dict[str, Any]:
    handler = DynamoHandler()
    handler.body = json.loads(json.dumps(params))
    handler.region = REGION
    handler.current_account = ACCOUNT
    with one_at_a_time:
        result: dict[str, Any] = getattr(handler, name)().result
    return result


def _events_answer(name: str, params: dict[str, Any]) -> dict[str, Any]:
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
