"""The table as it should be: created, or mended as far as a table can be while it holds data."""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.data.table import TTL_ATTRIBUTE, recovery_specification, table_definition, ttl_specification
from ops.steps import Steps

#: An index takes as long as the items that it is made from; a new table a few seconds.
MAX_WAIT_SEC = 600
SECONDS_BETWEEN_LOOKS = 2
#: What a new table on demand takes a second, without being warmed.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
NEW_TABLE_WRITES, NEW_TABLE_READS = 4000, 12000


class OtherShape(RedialError):
    """The table has the name, and not the keys or indexes."""


def provision_table(dynamodb: Any, name: str, steps: Steps) -> None:
    """Create the table, or mend it. Raises OtherShape where its keys or an index are not those of Redial."""
    found = aws.find(lambda: dynamodb.describe_table(TableName=name))
    if found is None:
        steps.create(f"the table {name}", lambda: _create(dynamodb, name))
        if steps.dry_run:
            return
        found = dynamodb.describe_table(TableName=name)
    else:
        steps.already(f"the table {name}")
    table = found["Table"]
    wrong = wrong_shape(table)
    if wrong:
        raise OtherShape(
            f"the table {name} has another shape: {'; '.join(wrong)}. Keys and indexes cannot be changed in place: "
            "if it is another program's, use another stage; if it is not needed, delete it and run this again"
        )
    _indexes(dynamodb, table, steps)
    _protection(dynamodb, table, steps)
    _expiry(dynamodb, name, steps)
    _recovery(dynamodb, name, steps)


def wrong_shape(table: dict[str, Any]) -> list[str]:
    """What about a described table's keys and indexes is not as it should be; an index that lacks is not wrong."""
    wanted = table_definition(table["TableName"])
    wrong = []
    if _keys(table["KeySchema"]) != _keys(wanted["KeySchema"]):
        wrong.append(f"its key is {_keys(table['KeySchema'])} and must be {_keys(wanted['KeySchema'])}")
    types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
    for each in wanted["AttributeDefinitions"]:
        attribute, kind = each["AttributeName"], each["AttributeType"]
        if types.get(attribute, kind) != kind:
            wrong.append(f"{attribute} is of type {types[attribute]} and must be {kind}")
    has = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
    for index in wanted["GlobalSecondaryIndexes"]:
        known = has.get(index["IndexName"])
        if known and _keys(known["KeySchema"]) != _keys(index["KeySchema"]):
            wrong.append(
                f"the index {index['IndexName']} has the key {_keys(known['KeySchema'])} "
                f"and must have {_keys(index['KeySchema'])}"
            )
    return wrong


def missing_indexes(table: dict[str, Any]) -> list[dict[str, Any]]:
    """The indexes, as ``create_table`` takes them, that a described table lacks."""
    has = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
    wanted = table_definition(table["TableName"])["GlobalSecondaryIndexes"]
    return [index for index in wanted if index["IndexName"] not in has]


def index_statuses(table: dict[str, Any]) -> dict[str, str]:
    """The status of each index of a described table, by its name."""
    # An emulator may leave it out.
    return {each["IndexName"]: each.get("IndexStatus", "ACTIVE") for each in table.get("GlobalSecondaryIndexes", ())}


def warm(dynamodb: Any, name: str, writes: int, steps: Steps) -> None:
    """Let the table and its indexes take so many writes a second from now on. It can be raised, and not lowered.

    A new table takes 4,000 writes and 12,000 reads a second, and then twice the peak of the last half hour.
    """
    found = aws.find(lambda: dynamodb.describe_table(TableName=name))
    table = found["Table"] if found else {}  # in a dry run it may not be there yet
    wanted = {"WriteUnitsPerSecond": writes, "ReadUnitsPerSecond": max(writes, NEW_TABLE_READS)}
    indexes = {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}
    # Each write to the table makes at most one to an index, in the long run a tenth of one.
    in_index = {**wanted, "WriteUnitsPerSecond": max(writes // 4, NEW_TABLE_WRITES)}
    cold = [index for index, each in indexes.items() if not _is_warm(each, in_index)]
    change: dict[str, Any] = {"WarmThroughput": wanted} if not _is_warm(table, wanted) else {}
    if cold:
        change["GlobalSecondaryIndexUpdates"] = [
            {"Update": {"IndexName": index, "WarmThroughput": in_index}} for index in cold
        ]
    steps.ensure(
        f"warm throughput of {name}: {writes} writes a second", not change, partial(_update, dynamodb, name, **change)
    )


def _is_warm(described: dict[str, Any], wanted: dict[str, int]) -> bool:
    has = described.get("WarmThroughput", {})
    return all(has.get(unit, 0) >= number for unit, number in wanted.items())


def _create(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(**table_definition(name))
    settle(dynamodb, name)


def _update(dynamodb: Any, name: str, **change: Any) -> None:
    # A table takes no second change, and no second index, while it makes the first.
    dynamodb.update_table(TableName=name, **change)
    settle(dynamodb, name)


def settle(dynamodb: Any, name: str) -> None:
    """Wait until the table and each of its indexes is active."""
    deadline = time.monotonic() + MAX_WAIT_SEC
    while True:
        table = dynamodb.describe_table(TableName=name)["Table"]
        statuses = [table["TableStatus"], *index_statuses(table).values()]
        if set(statuses) == {"ACTIVE"}:
            return
        if time.monotonic() > deadline:
            raise RedialError(f"the table {name} is still {', '.join(statuses)} after {MAX_WAIT_SEC} s: run this again")
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _indexes(dynamodb: Any, table: dict[str, Any], steps: Steps) -> None:
    name = table["TableName"]
    definitions = table_definition(name)["AttributeDefinitions"]
    for index in missing_indexes(table):
        own = [each for each in definitions if each["AttributeName"] in _attributes(index["KeySchema"])]
        change = {"AttributeDefinitions": own, "GlobalSecondaryIndexUpdates": [{"Create": index}]}
        steps.create(f"the index {index['IndexName']} of {name}", partial(_update, dynamodb, name, **change))


def _protection(dynamodb: Any, table: dict[str, Any], steps: Steps) -> None:
    name = table["TableName"]
    steps.ensure(
        f"encryption of {name} with a key of KMS",
        table.get("SSEDescription", {}).get("Status") in ("ENABLED", "ENABLING", "UPDATING"),
        lambda: _update(dynamodb, name, SSESpecification={"Enabled": True}),
    )
    steps.ensure(
        f"deletion protection of {name}",
        table.get("DeletionProtectionEnabled", False),
        lambda: _update(dynamodb, name, DeletionProtectionEnabled=True),
    )


def _expiry(dynamodb: Any, name: str, steps: Steps) -> None:
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    on = ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
    if on and ttl.get("AttributeName") != TTL_ATTRIBUTE:
        raise OtherShape(
            f"the table {name} expires items by {ttl.get('AttributeName')!r} and must by {TTL_ATTRIBUTE!r}: "
            "turn its expiry off, wait an hour, as DynamoDB wants it, and run this again"
        )
    steps.ensure(
        f"expiry of items by {TTL_ATTRIBUTE}",
        on,
        lambda: dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=ttl_specification()),
    )


def _recovery(dynamodb: Any, name: str, steps: Steps) -> None:
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    steps.ensure(
        f"point-in-time recovery of {name}",
        recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
        lambda: _recover(dynamodb, name),
    )


def _recover(dynamodb: Any, name: str) -> None:
    deadline = time.monotonic() + MAX_WAIT_SEC
    while True:
        try:
            dynamodb.update_continuous_backups(
                TableName=name, PointInTimeRecoverySpecification=recovery_specification()
            )
            return
        except ClientError as error:
            # AWS answers so for a moment after it has made a table.
            if aws.code(error) != "ContinuousBackupsUnavailableException" or time.monotonic() > deadline:
                raise
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _keys(schema: Iterable[dict[str, str]]) -> str:
    return ", ".join(f"{key['AttributeName']} {key['KeyType']}" for key in schema)


def _attributes(schema: Iterable[dict[str, str]]) -> set[str]:
    return {key["AttributeName"] for key in schema}
