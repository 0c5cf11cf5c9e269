"""The rules that AWS enforces and the emulators do not.

They are checked on every request of the code under test. The quotas are from AWS's pages about the quotas of
EventBridge, Lambda and DynamoDB.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

MAX_RULES = 300
MAX_TARGETS = 5
MAX_INPUT_BYTES = 8_192
MAX_POLICY_BYTES = 20 * 1024
MAX_TRANSACTION_ITEMS = 100
MAX_ITEM_BYTES = 400 * 1024
#: key attribute -> its maximum size in bytes; an empty value is not allowed
MAX_KEY_CHARS = {"pk": 2048, "sk": 1024, "history_pk": 2048, "history_sk": 1024, "due_shard": 2048}
#: field -> minimum and maximum of EventBridge's six cron fields
CRON_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day-of-month", 1, 31),
    ("month", 1, 12),
    ("day-of-week", 1, 7),
    ("year", 1970, 2199),
)


class AwsWouldRefuse(AssertionError):
    """A request that AWS would reject with an error."""


def parse_cron(expression: str) -> tuple[int, int, int, int, int]:
    """Parse the minute, hour, day, month and year of a one-shot cron expression.

    Raises AwsWouldRefuse if AWS would reject the expression.
    """
    if not (expression.startswith("cron(") and expression.endswith(")")):
        raise AwsWouldRefuse(f"{expression!r} is no cron expression")
    fields = expression[5:-1].split(" ")
    if len(fields) != 6:
        raise AwsWouldRefuse(f"{expression!r} has {len(fields)} fields, EventBridge wants six")
    if (fields[2] == "?") == (fields[4] == "?"):
        raise AwsWouldRefuse(f"{expression!r}: exactly one of day-of-month and day-of-week must be '?'")
    for value, (name, least, most) in zip(fields, CRON_FIELDS, strict=True):
        if value not in ("?", "*") and not (value.isdecimal() and least <= int(value) <= most):
            raise AwsWouldRefuse(f"{expression!r}: {name} is {value}")
    minute, hour, day, month, _, year = fields
    return int(minute), int(hour), int(day), int(month), int(year)


class StrictAws:
    """The watcher of botocore clients: it counts calls and rejects what AWS rejects."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.rules: dict[str, dict[str, Any]] = {}
        self.policy_bytes: Counter[str] = Counter()
        self.most_rules = 0
        self.refused: list[str] = []
        self._checks: dict[str, Callable[[dict[str, Any]], None]] = {
            "PutRule": self._put_rule,
            "PutTargets": self._put_targets,
            "RemoveTargets": self._remove_targets,
            "DeleteRule": self._delete_rule,
            "AddPermission": self._add_permission,
            "TransactWriteItems": self._transact_write_items,
        }

    def attach(self, client: Any) -> None:
        """Watch a botocore client from now on."""
        client.meta.events.register("provide-client-params.*", self._before)

    def detach(self, client: Any) -> None:
        """Stop watching a botocore client."""
        client.meta.events.unregister("provide-client-params.*", self._before)

    def counted(self) -> Counter[str]:
        """Count the calls of each operation."""
        return Counter(self.calls)

    def _before(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.check(model.name, params)

    def check(self, operation: str, params: dict[str, Any]) -> None:
        """Count one request. Raises AwsWouldRefuse if AWS would reject the request."""
        self.calls.append(operation)
        check = self._checks.get(operation)
        try:
            for item in _items_in(params):
                _check_item(item)
            if check is None:
                return
            check(params)
        except AwsWouldRefuse as refusal:
            # The caller may swallow the error. The list keeps the error.
            self.refused.append(str(refusal))
            raise

    def _put_rule(self, params: dict[str, Any]) -> None:
        parse_cron(params["ScheduleExpression"])
        if not 1 <= len(params["Name"]) <= 64:
            raise AwsWouldRefuse(f"a rule's name has 1 to 64 characters: {params['Name']}")
        self.rules.setdefault(params["Name"], {})
        self.most_rules = max(self.most_rules, len(self.rules))
        if len(self.rules) > MAX_RULES:
            raise AwsWouldRefuse(f"{len(self.rules)} rules on a bus that takes {MAX_RULES}")

    def _put_targets(self, params: dict[str, Any]) -> None:
        targets = self.rules.get(params["Rule"])
        if targets is None:
            raise AwsWouldRefuse(f"there is no rule {params['Rule']}")
        for target in params["Targets"]:
            if len(target.get("Input", "")) > MAX_INPUT_BYTES:
                raise AwsWouldRefuse(f"a target's input has {len(target['Input'])} characters")
            json.loads(target.get("Input", "{}"))
            targets[target["Id"]] = target
        if len(targets) > MAX_TARGETS:
            raise AwsWouldRefuse(f"rule {params['Rule']} has {len(targets)} targets")

    def _remove_targets(self, params: dict[str, Any]) -> None:
        for target in params["Ids"]:
            self.rules.get(params["Rule"], {}).pop(target, None)

    def _delete_rule(self, params: dict[str, Any]) -> None:
        if self.rules.get(params["Name"]):
            raise AwsWouldRefuse(f"rule {params['Name']} still has targets")
        self.rules.pop(params["Name"], None)

    def _add_permission(self, params: dict[str, Any]) -> None:
        # Lambda stores about 300 bytes for a statement.
        self.policy_bytes[params["FunctionName"]] += 220 + len(params.get("SourceArn", "")) + len(params["StatementId"])
        if self.policy_bytes[params["FunctionName"]] > MAX_POLICY_BYTES:
            raise AwsWouldRefuse(f"the policy of {params['FunctionName']} outgrew {MAX_POLICY_BYTES} bytes")

    def _transact_write_items(self, params: dict[str, Any]) -> None:
        writes = params["TransactItems"]
        if not 1 <= len(writes) <= MAX_TRANSACTION_ITEMS:
            raise AwsWouldRefuse(f"{len(writes)} items in a transaction")
        touched = Counter(json.dumps(_written_key(write), sort_keys=True) for write in writes)
        twice = [key for key, n in touched.items() if n > 1]
        if twice:
            raise AwsWouldRefuse(f"one transaction writes {twice} twice")


def _items_in(params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every item and key in a request to DynamoDB."""
    yield from (params[name] for name in ("Key", "Item", "ExclusiveStartKey") if name in params)
    for write in params.get("TransactItems", []):
        ((_, what),) = write.items()
        yield what.get("Item") or what["Key"]
    for table in params.get("RequestItems", {}).values():
        yield from table["Keys"]


def _check_item(item: dict[str, Any]) -> None:
    for name, most in MAX_KEY_CHARS.items():
        value = item.get(name, {}).get("S")
        if value is not None and not 1 <= len(value.encode()) <= most:
            raise AwsWouldRefuse(f"{name} has {len(value.encode())} bytes: {value[:80]!r}")
    size = len(json.dumps(item))
    if size > MAX_ITEM_BYTES:
        raise AwsWouldRefuse(f"an item of some {size} bytes")


def _written_key(write: dict[str, Any]) -> Any:
    ((kind, what),) = write.items()
    return {k: what["Item"][k] for k in ("pk", "sk")} if kind == "Put" else what["Key"]
