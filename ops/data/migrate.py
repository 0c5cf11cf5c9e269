"""Bring a table's items up to the newest shape: ``python -m ops migrate --stage dev``.

Nothing needs it: readers take every version, and each item is written anew by its next change. It is for the items that
nobody changes any more, so that a later release may stop reading their version.
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
#: what an item says beside its data that follows from the data, and is written anew with it
FOLLOWS = ("due_shard", "due_at", "history_pk", "history_sk")
#: where a run that was stopped is taken up again
STOPPED_AT = Path(".local")


@dataclass(slots=True)
class Migration:
    """One walk over a table. ``saw`` hears of every page: how many items were looked at.

    ``bookmark`` keeps how far it came, for the next run; a dry run neither reads nor writes it.
    """

    dynamodb: Any
    table: str
    bookmark: Path
    dry_run: bool = False
    workers: int = 8
    saw: Callable[[int], None] = lambda number: None

    def run(self) -> Counter[str]:
        """Upgrade what is old. Counts ``upgraded``, ``changed`` meanwhile by somebody (so it is new), and ``current``.

        Raises RedialError when AWS refuses; what was upgraded by then stays so.
        """
        counts: Counter[str] = Counter(upgraded=0, changed=0, current=0)
        try:
            with ThreadPoolExecutor(self.workers) as pool:
                for page in self._pages():
                    old = [item for item in page if is_old(item)]
                    counts["current"] += len(page) - len(old)
                    counts.update(pool.map(self._upgrade, old))
                    self.saw(len(page))
        except (BotoCoreError, ClientError) as error:
            raise RedialError(
                f"migrating {self.table} stopped, run it again to go on: {aws.in_words(error)}"
            ) from error
        return counts

    def _pages(self) -> Iterator[list[Item]]:
        """The table's items; the bookmark moves on once a page has been seen to."""
        asked: dict[str, Any] = {"TableName": self.table, "Limit": PAGE, "ConsistentRead": True}
        if not self.dry_run and self.bookmark.exists():
            asked["ExclusiveStartKey"] = self._stopped_at()
        while True:
            answer = self.dynamodb.scan(**asked)
            yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                break
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            if not self.dry_run:
                self.bookmark.parent.mkdir(parents=True, exist_ok=True)
                self.bookmark.write_text(json.dumps(answer["LastEvaluatedKey"]))
        if not self.dry_run:
            self.bookmark.unlink(missing_ok=True)

    def _stopped_at(self) -> Any:
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
                # Whoever changed it since has written the newest shape, and more than we know.
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
    """Whether an item is of a kind that has versions, and of one that is not the newest."""
    kind = kind_of(item)
    return kind is not None and version_of(item) < newest(kind)


def upgraded(item: Item) -> Item:
    """The item in the newest shape. A call's place in the due index and in the history follows from its data."""
    kind = kind_of(item)
    if kind is None:
        raise ValueError(f"{item['pk']['S']} {item['sk']['S']} has no versions")
    new = item | stored(kind, data_of(kind, item))
    if kind is Kind.CALL:
        placed = items.call_item(items.read_call(new))
        return {name: value for name, value in new.items() if name not in FOLLOWS} | placed
    return new


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("migrate", help="bring the table's items up to this release's shapes")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--workers", type=int, default=8, help="writes at the same time (default: 8)")
    parser.add_argument("--dry-run", action="store_true", help="count what is old, and write nothing")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    table = table_name(arguments.stage)
    dynamodb = client("dynamodb")
    try:
        about = dynamodb.describe_table(TableName=table)["Table"].get("ItemCount")
    except (BotoCoreError, ClientError) as error:
        raise RedialError(f"the table {table} cannot be read: {aws.in_words(error)}") from error
    newest_by_kind = ", ".join(f"{kind} {newest(kind)}" for kind in UPGRADES)
    print(f"{table}, about {about} items; newest versions: {newest_by_kind}")
    bookmark = STOPPED_AT / f"migrate-{table}.json"
    if bookmark.exists() and not arguments.dry_run:
        print("going on where the last run stopped")
    with Progress() as progress:
        task = progress.add_task("looking through", total=about or None)
        counts = Migration(
            dynamodb,
            table,
            bookmark,
            dry_run=arguments.dry_run,
            workers=arguments.workers,
            saw=lambda number: progress.advance(task, number),
        ).run()
    verb = "would upgrade" if arguments.dry_run else "upgraded"
    print(f"{verb} {counts['upgraded']}; {counts['changed']} changed meanwhile; {counts['current']} needed nothing")
    return 0
