"""Provision the table: create it, or repair it.

Some things cannot be changed while the table holds data: its keys, and the keys of its indexes.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.data.table import TTL_ATTRIBUTE, recovery_specification, table_definition, ttl_specification
from ops.steps import Steps

#: A new table takes a few seconds. A new index takes longer, the more items the table has.
MAX_WAIT_SEC = 600
SECONDS_BETWEEN_LOOKS = 2
#: The requests a second that a new on-demand table takes without warming.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
NEW_TABLE_WRITES, NEW_TABLE_READS = 4000, 12000


class OtherShape(RedialError):
    """The table of this name has other keys or other indexes."""


def provision_table(dynamodb: Any, name: str, steps: Steps) -> None:
    """Create the table, or repair it.

    Raises OtherShape if its keys or an index are not those of Redial.
    """
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
    """Return what is wrong with a described table's keys and indexes.

    A missing index is not wrong: it can be created.
    """
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
    """Return the indexes that a described table lacks, as ``create_table`` takes them."""
    has = {index["IndexName"] for index in table.get("GlobalSecondaryIndexes", ())}
    wanted = table_definition(table["TableName"])["GlobalSecondaryIndexes"]
    return [index for index in wanted if index["IndexName"] not in has]


def index_statuses(table: dict[str, Any]) -> dict[str, str]:
    """Return the status of each index of a described table, by its name."""
    # Some emulators omit the status.
    return {each["IndexName"]: each.get("IndexStatus", "ACTIVE") for each in table.get("GlobalSecondaryIndexes", ())}


def warm(dynamodb: Any, name: str, writes: int, steps: Steps) -> None:
    """Let the table and its indexes take ``writes`` writes a second from now on.

    The value can be raised, but not lowered. Without warming, a new table takes 4,000 writes and 12,000 reads a second,
    and later twice the peak of the last half hour.
    """
    found = aws.find(lambda: dynamodb.describe_table(TableName=name))
    table = found["Table"] if found else {}  # in a dry run the table may not exist yet
    wanted = {"WriteUnitsPerSecond": writes, "ReadUnitsPerSecond": max(writes, NEW_TABLE_READS)}
    indexes = {each["IndexName"]: each for each in table.get("GlobalSecondaryIndexes", ())}
    # A write to the table causes at most one write to an index; on average, a tenth of one.
    wanted_of_index = {**wanted, "WriteUnitsPerSecond": max(writes // 4, NEW_TABLE_WRITES)}
    cold = [index for index, each in indexes.items() if not _is_warm(each, wanted_of_index)]
    change: dict[str, Any] = {"WarmThroughput": wanted} if not _is_warm(table, wanted) else {}
    if cold:
        change["GlobalSecondaryIndexUpdates"] = [
            {"Update": {"IndexName": index, "WarmThroughput": wanted_of_index}} for index in cold
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
    # A table accepts no second change, and no second index, before the first is done.
    dynamodb.update_table(TableName=name, **change)
    settle(dynamodb, name)


def settle(dynamodb: Any, name: str) -> None:
    """Wait until the table and each of its indexes is active.

    Raises RedialError after MAX_WAIT_SEC.
    """
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
            # AWS gives this error for a moment after it has created a table.
            if aws.code(error) != "ContinuousBackupsUnavailableException" or time.monotonic() > deadline:
                raise
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _keys(schema: Iterable[dict[str, str]]) -> str:
    return ", ".join(f"{key['AttributeName']} {key['KeyType']}" for key in schema)


def _attributes(schema: Iterable[dict[str, str]]) -> set[str]:
    return {key["AttributeName"] for key in schema}
