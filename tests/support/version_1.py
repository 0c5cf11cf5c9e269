"""The table of the release before versions.

It holds a future call, a call that waits for its retry, and a call that rings.
"""

import json
from pathlib import Path
from typing import Any

from chalicelib.storage.items import Item

ITEMS: list[Item] = json.loads((Path(__file__).parent.parent / "storage/items_of_version_1.json").read_text())
LATER = "call_01kfwvxx80e0krp78cahkhyqzp"
BUSY = "call_01kfwvxx80nj4fr4t6jm2xthdd"
LIVE = "call_01kfwvxx80r11ex341rrab1j33"
LIVE_SID = "CA00000000000000000000000000000002"
OPTED_OUT = "+16505550103"


def put_all(dynamodb: Any, table: str) -> None:
    """Put the table's items as that release left them at 2026-01-26 10:00 UTC."""
    for item in ITEMS:
        dynamodb.put_item(TableName=table, Item=item)


def item(pk: str, sk: str) -> Item:
    """Return one of the items."""
    (found,) = (each for each in ITEMS if (each["pk"]["S"], each["sk"]["S"]) == (pk, sk))
    return found
