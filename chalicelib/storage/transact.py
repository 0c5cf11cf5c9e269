"""One transaction of DynamoDB: all of its writes or none, tried again where another one was in the way for a moment."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
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
    """Somebody changed the record first: load it and compute again."""


class Canceled(Exception):
    """A canceled transaction: which of its writes were refused and, where asked for, the items that were in the way."""

    def __init__(self, writes: Sequence[Write], reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(", ".join(r.get("Code", "None") for r in reasons))
        self._refused = [
            (write, reason.get("Item"))
            for write, reason in zip(writes, reasons, strict=False)
            if reason.get("Code") == "ConditionalCheckFailed"
        ]

    def refuses(self, write: Write) -> bool:
        """Return True where the condition of this write failed."""
        return any(refused is write for refused, _ in self._refused)

    def refused_of(self, named: Mapping[str, Write]) -> frozenset[str]:
        """Return the names of those of the writes whose condition failed."""
        return frozenset(name for name, write in named.items() if self.refuses(write))

    def raise_if_refused(self, writes: Sequence[Write]) -> None:
        """Raise this where the condition of any of these writes failed."""
        if any(self.refuses(write) for write in writes):
            raise self

    def item_of(self, write: Write) -> Item | None:
        """Return the item that made a write fail; None where none was there, or it was not asked for."""
        return next((item for refused, item in self._refused if refused is write), None)

    @classmethod
    def read(cls, error: ClientError, writes: Sequence[Write]) -> "Canceled":
        """Read botocore's error; any other error than a cancellation is raised as it is."""
        response: dict[str, Any] = error.response
        if response["Error"]["Code"] != "TransactionCanceledException":
            raise error
        return cls(writes, response.get("CancellationReasons") or [])


def update(dynamodb: Any, **request: Any) -> dict[str, Any]:
    """UpdateItem, tried again where a transaction held the item for a moment. Raises TooBusy, and ClientError."""
    return write_alone(dynamodb.update_item, CONFLICT_TRIES, **request)


def write_alone(write: Callable[..., dict[str, Any]], tries: int, **request: Any) -> dict[str, Any]:
    """Make a write that is no transaction, again where one held the item for a moment. Raises TooBusy, ClientError."""
    for number in range(tries):
        try:
            return write(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "TransactionConflictException":
                raise
        _pause(number)
    raise TooBusy(BUSY)


def transact(
    dynamodb: Any,
    required: Sequence[Write],
    optional: Mapping[str, Write] | None = None,
    tries: int = CONFLICT_TRIES,
) -> frozenset[str]:
    """Make all the required writes and every optional one whose own condition holds, or none.

    Returns the names of the optional writes that were left out. Raises Canceled where the condition of a required
    write failed, TooBusy where others kept it out. Each request carries a token, so one that botocore repeats is
    made once.
    """
    named = dict(optional or {})
    left_out: frozenset[str] = frozenset()
    conflicts = 0
    while conflicts < tries:
        canceled = _once(dynamodb, [*required, *named.values()])
        if canceled is None:
            return left_out
        canceled.raise_if_refused(required)
        refused = canceled.refused_of(named)
        left_out |= refused
        named = {name: named[name] for name in named.keys() - refused}
        if not refused:
            _pause(conflicts)
            conflicts += 1
    raise TooBusy(BUSY)


def _once(dynamodb: Any, writes: Sequence[Write]) -> Canceled | None:
    """Send one transaction; None where it took effect, or there was nothing to write."""
    if not writes:
        return None
    try:
        dynamodb.transact_write_items(TransactItems=list(writes))
    except ClientError as error:
        return Canceled.read(error, writes)
    return None


def _pause(number: int) -> None:
    time.sleep(random.uniform(0, 0.02 * 2 ** min(number, 5)))  # noqa: S311 - jitter, no secret
