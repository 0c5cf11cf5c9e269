"""Migrate a table's items to the newest shape: ``python -m ops migrate``.

Nothing requires the command: readers accept every version, and the next change of an item writes the newest one. The
command is for items that nobody changes any more, so that a later release may stop reading their version.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import Progress

from chalicelib.errors import RedialError
from chalicelib.runtime.services import client
from chalicelib.storage import items
from chalicelib.storage.items import Item
from chalicelib.storage.versions import UPGRADES, Kind, data_of, kind_of, newest, stored, version_of
from ops import aws
from ops.data.table import table_name

PAGE = 200
#: the attributes of an item that follow from its data, and are written again with it
DERIVED = ("due_shard", "due_at", "history_pk", "history_sk")
#: the directory of the bookmarks, from which a stopped run continues
BOOKMARKS = Path(".local")


@dataclass(slots=True)
class Migration:
    """One walk over a table.

    ``on_page`` is called after each page with its number of items. ``bookmark`` is the file that keeps how far the walk
    came, for the next run. A dry run neither reads nor writes it.
    """

    dynamodb: Any
    table: str
    bookmark: Path
    dry_run: bool = False
    workers: int = 8
    on_page: Callable[[int], None] = lambda number: None

    def run(self) -> Counter[str]:
        """Upgrade the old items, and return the counts by result.

        The results are ``upgraded``, ``changed`` (somebody else changed the item meanwhile, so it is new) and
        ``current``. Raises RedialError if AWS refuses a request; the items upgraded by then stay upgraded.
        """
        counts: Counter[str] = Counter(upgraded=0, changed=0, current=0)
        try:
            with ThreadPoolExecutor(self.workers) as pool:
                for page in self._pages():
                    old = [item for item in page if is_old(item)]
                    counts["current"] += len(page) - len(old)
                    counts.update(pool.map(self._upgrade, old))
                    self.on_page(len(page))
        except (BotoCoreError, ClientError) as error:
            raise RedialError(
                f"migrating {self.table} stopped, run it again to go on: {aws.in_words(error)}"
            ) from error
        return counts

    def _pages(self) -> Iterator[list[Item]]:
        """Yield the table's items by page. Save the bookmark after each page is handled."""
        request: dict[str, Any] = {"TableName": self.table, "Limit": PAGE, "ConsistentRead": True}
        if not self.dry_run and self.bookmark.exists():
            request["ExclusiveStartKey"] = self._bookmarked_key()
        while True:
            answer = self.dynamodb.scan(**request)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            if not self.dry_run:
                self.bookmark.parent.mkdir(parents=True, exist_ok=True)
                self.bookmark.write_text(json.dumps(answer["LastEvaluatedKey"]))
        if not self.dry_run:
            self.bookmark.unlink(missing_ok=True)

    def _bookmarked_key(self) -> Any:
        try:
            return json.loads(self.bookmark.read_text())
        except ValueError as error:
            raise RedialError(f"{self.bookmark} is not valid JSON: delete it to start from the beginning") from error

    def _upgrade(self, item: Item) -> str:
        if self.dry_run:
            return "upgraded"
        try:
            self.dynamodb.put_item(
                TableName=self.table,
                Item=upgraded(item),
                # A later change has written the newest shape already, with newer data than ours.
                ConditionExpression="#data = :read",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={":read": item["data"]},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return "changed"
        return "upgraded"


def is_old(item: Item) -> bool:
    """Return True if the item's kind has versions, and its version is not the newest."""
    kind = kind_of(item)
    return kind is not None and version_of(item) < newest(kind)


def upgraded(item: Item) -> Item:
    """Return the item in the newest shape.

    The keys of a call in the due index and in the history follow from its data. Raises ValueError if the item's kind
    has no versions.
    """
    kind = kind_of(item)
    if kind is None:
        raise ValueError(f"{item['pk']['S']} {item['sk']['S']} has no versions")
    new = item | stored(kind, data_of(kind, item))
    if kind is Kind.CALL:
        derived = items.call_item(items.read_call(new))
        return {name: value for name, value in new.items() if name not in DERIVED} | derived
    return new


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``migrate``."""
    parser = subparsers.add_parser("migrate", help="rewrite the table's items in the shapes of this release")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--workers", type=int, default=8, help="the number of parallel writes (default: 8)")
    parser.add_argument("--dry-run", action="store_true", help="count the old items, and write nothing")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    table = table_name(arguments.stage)
    dynamodb = client("dynamodb")
    try:
        approximate_count = dynamodb.describe_table(TableName=table)["Table"].get("ItemCount")
    except (BotoCoreError, ClientError) as error:
        raise RedialError(f"the table {table} cannot be read: {aws.in_words(error)}") from error
    newest_by_kind = ", ".join(f"{kind} {newest(kind)}" for kind in UPGRADES)
    print(f"{table}, about {approximate_count} items; newest versions: {newest_by_kind}")
    bookmark = BOOKMARKS / f"migrate-{table}.json"
    if bookmark.exists() and not arguments.dry_run:
        print("going on where the last run stopped")
    with Progress() as progress:
        task = progress.add_task("looking through", total=approximate_count or None)
        counts = Migration(
            dynamodb,
            table,
            bookmark,
            dry_run=arguments.dry_run,
            workers=arguments.workers,
            on_page=lambda number: progress.advance(task, number),
        ).run()
    verb = "would upgrade" if arguments.dry_run else "upgraded"
    print(f"{verb} {counts['upgraded']}; {counts['changed']} changed meanwhile; {counts['current']} needed nothing")
    return 0
