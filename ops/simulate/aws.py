"""The boundary to AWS: it injects faults into the app's calls and sees its writes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from chalicelib.storage.items import DUE_INDEX
from ops.simulate import short_way
from ops.simulate.chance import Chance
from ops.simulate.engine import Engine
from ops.simulate.faults import Crash, Faults
from ops.simulate.strict_aws import StrictAws

URL = "https://dynamodb.us-east-1.amazonaws.com"

#: The ways in which an AWS call fails after botocore's own retries: throttled, an internal error, or no answer
FAILURES: tuple[Callable[[str], Exception], ...] = (
    lambda operation: _error("ThrottlingException", 400, operation),
    lambda operation: _error("InternalServerError", 500, operation),
    lambda operation: ConnectionClosedError(endpoint_url=URL),
    lambda operation: ReadTimeoutError(endpoint_url=URL),
)
#: Botocore sends these with a token. DynamoDB recognizes a repetition by the token.
REPEATED_SAFELY = ("TransactWriteItems",)
#: The shortest and the longest time of an AWS call in seconds, and the time of a slow call. A slow call is long enough
#: for other handlers to run meanwhile.
TAKES_SEC = (0.005, 0.08)
SLOW_SEC = 6.4


def _error(code: str, status: int, operation: str) -> ClientError:
    metadata: Any = {"HTTPStatusCode": status, "RequestId": "simulated", "HostId": "", "HTTPHeaders": {}}
    return ClientError(
        {"Error": {"Code": code, "Message": "simulated"}, "ResponseMetadata": {**metadata, "RetryAttempts": 3}},
        operation,
    )


@dataclass(frozen=True, slots=True)
class Written:
    """An item that a call to DynamoDB wrote or removed."""

    pk: str
    sk: str


def written(operation: str, params: Mapping[str, Any]) -> Iterator[Written]:
    """Yield the keys that an operation writes if it succeeds."""
    writes = [params]
    if operation == "TransactWriteItems":
        writes = [next(iter(item.values())) for item in params["TransactItems"] if "ConditionCheck" not in item]
    elif operation == "BatchWriteItem":
        writes = [next(iter(w.values())) for requests in params["RequestItems"].values() for w in requests]
    elif operation not in ("PutItem", "UpdateItem", "DeleteItem"):
        return
    for write in writes:
        key = write.get("Key") or write["Item"]
        yield Written(key["pk"]["S"], key["sk"]["S"])


class AwsBoundary:
    """The replacement of botocore's transport while ``crossed`` is in force.

    It calls ``watch`` with each key that the app wrote. It injects faults only while a handler runs: code that sets up
    the world, or that reads the world's state, meets no faults.
    """

    def __init__(
        self, engine: Engine, chance: Chance, faults: Faults, strict: StrictAws, watch: Callable[[Written], None]
    ) -> None:
        self._engine = engine
        self._chance = chance
        self._faults = faults
        self._strict = strict
        self._watch = watch
        self._occasions: Counter[str] = Counter()
        #: A call's id -> the call's index in the traffic. The names of faults contain the index.
        self.names: dict[str, str] = {}
        self.made: Counter[str] = Counter()
        #: True if a shard of the due index holds an item. Most shards are empty most of the time.
        self.has_due: Callable[[str], bool] = lambda shard: True

    @contextmanager
    def crossed(self) -> Iterator[None]:
        """Send all calls of botocore through this boundary."""
        original = BaseClient._make_api_call

        def crossing(client: Any, operation: str, params: dict[str, Any]) -> Any:
            service = client.meta.service_model.service_name

            def send() -> Any:
                self._strict.check(operation, params)
                answer = self._short_answer(operation, params)
                if answer is None:
                    answer = original(client, operation, params)
                for key in written(operation, params):
                    self._watch(key)
                return answer

            if self._engine.label is None:
                return send()
            self.made[operation] += 1
            return self._pass(service, operation, params, send)

        with patch.object(BaseClient, "_make_api_call", crossing):
            yield

    def _short_answer(self, operation: str, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return moto's answer without botocore; None if only botocore can make the call."""
        if params.get("IndexName") == DUE_INDEX and not self.has_due(
            params["ExpressionAttributeValues"][":shard"]["S"]
        ):
            return {"Items": [], "Count": 0, "ScannedCount": 0, "ResponseMetadata": {"HTTPStatusCode": 200}}
        return short_way.answer(operation, params)

    def _pass(self, service: str, operation: str, params: Mapping[str, Any], send: Callable[[], Any]) -> Any:
        name = self._occasion(operation, params)
        slow = self._hits("slow", name) or (operation == "TransactWriteItems" and self._hits("commit-slow", name))
        self._engine.linger(SLOW_SEC if slow else self._chance.between(*TAKES_SEC, "takes", name))
        if self._hits("died-before-aws", name):
            raise Crash(f"before {name}")
        if service == "events" and self._faults.lasts("events-throttled", self._engine.at):
            raise _error("ThrottlingException", 400, operation)
        if self._hits("aws-refused", name) or (
            name.startswith("callback ") and self._hits("callback-refused-by-aws", name)
        ):
            raise self._failure(name, operation)
        if operation == "PutTargets" and self._hits("target-refused", name):
            return {"FailedEntryCount": 1, "FailedEntries": [{"TargetId": "redial", "ErrorCode": "InternalFailure"}]}
        answer = send()
        if self._hits("died-after-aws", name):
            raise Crash(f"after {name}")
        if self._hits("aws-answer-lost", name):
            raise self._failure(name, operation)
        if operation not in REPEATED_SAFELY and self._hits("aws-repeated", name):
            return send()
        return answer

    def _hits(self, kind: str, name: str) -> bool:
        if not self._faults.hits(kind, self._engine.at, name):
            return False
        self._engine.say(None, f"fault {kind} at {name}")
        return True

    def _failure(self, name: str, operation: str) -> Exception:
        return FAILURES[sum(name.encode()) % len(FAILURES)](operation)

    def _occasion(self, operation: str, params: Mapping[str, Any]) -> str:
        """Return a name for this AWS call that does not depend on other calls.

        The name contains the handler, the operation and the item.
        """
        name = f"{self._engine.label}/{operation}/{self._about(operation, params)}"
        self._occasions[name] += 1
        return f"{name}/{self._occasions[name]}"

    def _about(self, operation: str, params: Mapping[str, Any]) -> str:
        key = next(written(operation, params), None)
        asked = params.get("Key", {}).get("pk") or params.get("ExpressionAttributeValues", {}).get(":pk") or {}
        pk = key.pk if key else asked.get("S", "")
        if pk.startswith("CALL#"):
            return self.names.get(pk, "new")
        return str(params.get("Name") or params.get("Rule") or pk)
