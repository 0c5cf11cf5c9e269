"""The items of ministack's tables, kept in a file between two runs of ministack.

Ministack saves its state only if it is asked to end. Here the file has each changed item before ministack answers the
request that changed it. So a killed process loses no change that it has confirmed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ops.local.ministack_server import Answer, Handler
from ops.local.private import write_private

SINGLE_WRITES = ("PutItem", "UpdateItem", "DeleteItem")
TABLE = "AWS::DynamoDB::Table"

Item = dict[str, Any]
#: The name of a table, and the key of an item in it as text.
Place = tuple[str, str]


def keep_items(dynamodb: Any, handlers: dict[str, Any], path: Path) -> None:
    """Write every changed item to ``path``, and restore the items of the last run.

    A table that CloudFormation creates gets its items back. ``handlers`` are CloudFormation's, by the type of the
    resource.
    """
    kept = read(path)
    handle: Handler = dynamodb.handle_request
    create = handlers[TABLE]["create"]
    file = open(path, "a")  # noqa: SIM115 (it is open as long as the process lives)

    def create_filled(logical_id: str, properties: dict[str, Any], stack_name: str) -> Any:
        made = create(logical_id, properties, stack_name)
        for (table, _), item in kept.items():
            if table == made[0]:
                dynamodb._put_item({"TableName": table, "Item": item})
        return made

    async def handle_request(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Answer:
        answer = await handle(method, path, headers, body, query)
        if answer[0] == 200:
            for table, key in written(headers.get("x-amz-target", "").rpartition(".")[2], body):
                now = json.loads(dynamodb._get_item({"TableName": table, "Key": key})[2])
                file.write(_line(table, key, now.get("Item")))
            file.flush()
        return answer

    handlers[TABLE]["create"] = create_filled
    dynamodb.handle_request = handle_request


def read(path: Path) -> dict[Place, Item]:
    """Return the items of a file, and rewrite the file with these items only."""
    last: dict[Place, Item] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            table, key, item = json.loads(line)
        except ValueError:
            # The process was killed while it wrote this line, so it had not answered the request.
            continue
        last.pop((table, _text(key)), None)
        if item is not None:
            last[table, _text(key)] = item
    write_private(path, "".join(_line(table, json.loads(key), item) for (table, key), item in last.items()))
    return last


def written(action: str, body: bytes) -> Iterator[tuple[str, Item]]:
    """Yield the table and the key of each item that a request writes."""
    if action in SINGLE_WRITES:
        writes = [json.loads(body)]
    elif action == "TransactWriteItems":
        checks = ("ConditionCheck",)
        entries = json.loads(body)["TransactItems"]
        writes = [write for entry in entries for name, write in entry.items() if name not in checks]
    else:
        return
    for write in writes:
        yield write["TableName"], write.get("Key") or {name: write["Item"][name] for name in ("pk", "sk")}


def _line(table: str, key: Item, item: Item | None) -> str:
    return json.dumps([table, key, item]) + "\n"


def _text(key: Item) -> str:
    return json.dumps(key, sort_keys=True)
