"""A transaction of DynamoDB: it makes all of its writes, or none.

If a transaction conflicts with another one, this module tries it again after a moment.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from chalicelib.errors import TooBusy
from chalicelib.storage.items import Item

#: A transaction that conflicts with another one on an item is canceled. Redial tries it this often.
CONFLICT_TRIES = 6
BUSY = "others keep changing the same item; try again in a moment"

#: The codes with which DynamoDB limits the rate of requests, or asks for the same request a moment later.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
THROTTLED = (
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
    "TransactionInProgressException",
)

#: A write of a transaction, in botocore's form.
Write = dict[str, Any]


class StaleWrite(Exception):
    """The record changed before the write. Load it and compute the change again."""


class Canceled(Exception):
    """A transaction was canceled.

    It knows the writes whose conditions failed and, if a write asked for it, the item for which its condition failed.
    """

    def __init__(self, writes: Sequence[Write], reasons: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(", ".join(r.get("Code", "None") for r in reasons))
        self._refused = [
            (write, reason.get("Item"))
            for write, reason in zip(writes, reasons, strict=False)
            if reason.get("Code") == "ConditionalCheckFailed"
        ]

    def refuses(self, write: Write) -> bool:
        """Return whether the condition of this write failed."""
        return any(refused is write for refused, _ in self._refused)

    def refused_of(self, named: Mapping[str, Write]) -> frozenset[str]:
        """Return the names of the writes whose conditions failed."""
        return frozenset(name for name, write in named.items() if self.refuses(write))

    def raise_if_refused(self, writes: Sequence[Write]) -> None:
        """Raise this error if the condition of one of these writes failed."""
        if any(self.refuses(write) for write in writes):
            raise self

    def item_of(self, write: Write) -> Item | None:
        """Return the item for which the condition of a write failed.

        Returns None if the table has no such item, or if the write did not ask for it.
        """
        return next((item for refused, item in self._refused if refused is write), None)

    @classmethod
    def read(cls, error: ClientError, writes: Sequence[Write]) -> "Canceled":
        """Read botocore's error. Raise it again if it is not a canceled transaction."""
        response: dict[str, Any] = error.response
        if response["Error"]["Code"] != "TransactionCanceledException":
            raise error
        return cls(writes, response.get("CancellationReasons") or [])


def is_temporary(error: Exception) -> bool:
    """Return whether AWS failed, and may accept the same request later.

    AWS was busy, had an internal error, or sent no answer.
    """
    if not isinstance(error, ClientError):
        return isinstance(error, NoConnection | HTTPClientError)
    response: dict[str, Any] = error.response
    has_failed = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
    return has_failed or response["Error"]["Code"] in THROTTLED


@contextmanager
def suppress_failed_condition() -> Iterator[None]:
    """Stop the block, without an error, at a write whose condition fails."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise


def update(dynamodb: Any, **request: Any) -> dict[str, Any]:
    """Update an item, and try again after a conflict with a transaction.

    ``request`` has the parameters of UpdateItem. Raises TooBusy after CONFLICT_TRIES conflicts, and ClientError for any
    other error, such as a failed condition.
    """
    return write_alone(dynamodb.update_item, CONFLICT_TRIES, **request)


def write_alone(write: Callable[..., dict[str, Any]], tries: int, **request: Any) -> dict[str, Any]:
    """Make a write that is not a transaction, and try again after a conflict with one.

    Raises TooBusy after ``tries`` conflicts, and ClientError for any other error.
    """
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
    """Make all required writes and each optional write whose condition is true.

    Returns the names of the optional writes that were left out. Raises Canceled if the condition of a required write
    failed, and TooBusy after ``tries`` conflicts with other transactions. Nothing is written then. botocore sends a
    token with each request, so a request that it repeats takes effect once.
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
    """Send one transaction. Return None if it took effect or if there are no writes."""
    if not writes:
        return None
    try:
        dynamodb.transact_write_items(TransactItems=list(writes))
    except ClientError as error:
        return Canceled.read(error, writes)
    return None


def _pause(number: int) -> None:
    time.sleep(random.uniform(0, 0.02 * 2 ** min(number, 5)))  # noqa: S311 - jitter, no secret
