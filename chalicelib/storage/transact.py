"""One transaction of DynamoDB: all of its writes or none, tried again where another one was in the way for a moment."""

import random
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import TooBusy
from chalicelib.storage.items import Item

#: Two transactions that meet on one item cancel each other; the loser tries again after a moment.
CONFLICT_TRIES = 6
BUSY = "others keep changing the same item; try again in a moment"

#: One write of a transaction, as botocore takes it
Write = dict[str, Any]


class StaleWrite(Exception):
    """Somebody changed the record first: load it again and compute anew."""


class Canceled(Exception):
    """A canceled transaction: for each write its code and, where asked for, the item that was in the way."""

    def __init__(self, reasons: Sequence[dict[str, Any]]) -> None:
        super().__init__(", ".join(r.get("Code", "None") for r in reasons))
        self.codes = [r.get("Code", "None") for r in reasons]
        self.items: list[Item | None] = [r.get("Item") for r in reasons]

    @property
    def refused(self) -> set[int]:
        """The places of the writes whose own condition failed."""
        return {place for place, code in enumerate(self.codes) if code == "ConditionalCheckFailed"}

    @classmethod
    def read(cls, error: ClientError) -> "Canceled":
        """From botocore's error; any other error than a cancellation is raised as it is."""
        response: dict[str, Any] = error.response
        if response["Error"]["Code"] != "TransactionCanceledException":
            raise error
        return cls(response.get("CancellationReasons") or [])


def update(dynamodb: Any, **request: Any) -> dict[str, Any]:
    """UpdateItem, tried again where a transaction held the item for a moment. Raises TooBusy, and ClientError."""
    for number in range(CONFLICT_TRIES):
        try:
            answer: dict[str, Any] = dynamodb.update_item(**request)
            return answer
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionConflictException":
                raise
        _pause(number)
    raise TooBusy(BUSY)


def transact(dynamodb: Any, writes: Sequence[Write], tries: int = CONFLICT_TRIES) -> None:
    """Make all the writes or none. Raises Canceled where a condition failed, TooBusy where others kept it out."""
    for number in range(tries):
        try:
            dynamodb.transact_write_items(TransactItems=list(writes))
            return
        except ClientError as error:
            canceled = Canceled.read(error)
        if canceled.refused:
            raise canceled
        _pause(number)
    raise TooBusy(BUSY)


def _pause(number: int) -> None:
    time.sleep(random.uniform(0, 0.02 * 2 ** min(number, 5)))  # noqa: S311 - jitter, no secret
