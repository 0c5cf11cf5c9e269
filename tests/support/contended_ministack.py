"""Ministack with DynamoDB's transaction conflicts, run like ministack_server.

Ministack carries out one request after another, so two transactions never meet in it. On AWS a transaction takes some
time, and AWS rejects a write to one of its items during that time
(docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html, "Transaction conflict handling").
"""

import json
import time
from importlib import import_module
from typing import Any

from ops.local import ministack_server
from ops.local.ministack_server import Answer, Handler

#: How long a transaction holds its items; on AWS it is some milliseconds too.
TRANSACTION_SEC = 0.005
SINGLE_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
CONFLICT = "Transaction is ongoing for the item"


def main() -> None:
    _let_transactions_meet(import_module("ministack.services.dynamodb"))
    ministack_server.main()


def _let_transactions_meet(dynamodb: Any) -> None:
    handle: Handler = dynamodb.handle_request
    held_until: dict[str, float] = {}

    def is_held(item: str) -> bool:
        return held_until.get(item, 0.0) > time.monotonic()

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Answer:
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        if action in SINGLE_WRITES and is_held(_item(json.loads(body))):
            refused: Answer = dynamodb.error_response_json("TransactionConflictException", CONFLICT, 400)
            return refused
        if action != "TransactWriteItems":
            return await handle(method, path, headers, body, query)
        touched = [_item(write) for each in json.loads(body)["TransactItems"] for write in each.values()]
        conflicts = [is_held(item) for item in touched]
        if any(conflicts):
            return _canceled(conflicts)
        answer = await handle(method, path, headers, body, query)
        # The hold begins now, because earlier requests may have waited long for this one process.
        held_until.update(dict.fromkeys(touched, time.monotonic() + TRANSACTION_SEC))
        return answer

    dynamodb.handle_request = handle_request


def _item(write: dict[str, Any]) -> str:
    """Return the name of the item that a write, or a check of a transaction, is about."""
    key = write.get("Key") or write["Item"]
    return json.dumps([write["TableName"], key["pk"], key["sk"]])


def _canceled(conflicts: list[bool]) -> Answer:
    reasons = [
        {"Code": "TransactionConflict", "Message": CONFLICT} if is_met else {"Code": "None"} for is_met in conflicts
    ]
    body = {
        "__type": "TransactionCanceledException",
        "message": f"Transaction cancelled [{', '.join(reason['Code'] for reason in reasons)}]",
        "CancellationReasons": reasons,
    }
    kind = {"Content-Type": "application/x-amz-json-1.0", "x-amzn-errortype": "TransactionCanceledException"}
    return 400, kind, json.dumps(body).encode()


if __name__ == "__main__":
    main()
