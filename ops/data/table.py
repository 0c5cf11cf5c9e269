"""The shape of the one table.

Provision creates it, the CloudFormation template declares it, and the tests create it in moto.
"""

from typing import Any

from ops.deploying import chalice_config
from ops.names import stage_prefix

TTL_ATTRIBUTE = "expires_at"


def table_name(stage: str) -> str:
    """Return the name of a stage's table.

    It is ``TABLE_NAME`` of ``.chalice/config.json``, which the stage's Lambdas get, too. After a restore it is the
    restored table's name.
    """
    return chalice_config.environment(stage).get("TABLE_NAME") or stage_prefix(stage)


def table_definition(name: str) -> dict[str, Any]:
    """Return the arguments of ``create_table``.

    Both indexes have keys only. They lag behind the items, so readers load the items anyway.
    """
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": kind}
            for attribute, kind in {
                "pk": "S",
                "sk": "S",
                "due_shard": "S",
                "due_at": "N",
                "history_pk": "S",
                "history_sk": "S",
            }.items()
        ],
        "KeySchema": _keys("pk", "sk"),
        "GlobalSecondaryIndexes": [
            _index("due", "due_shard", "due_at"),
            _index("history", "history_pk", "history_sk"),
        ],
        "SSESpecification": {"Enabled": True},
        "DeletionProtectionEnabled": True,
    }


def ttl_specification() -> dict[str, Any]:
    """Return the ``TimeToLiveSpecification`` for the API and for CloudFormation."""
    return {"AttributeName": TTL_ATTRIBUTE, "Enabled": True}


def recovery_specification() -> dict[str, Any]:
    """Return the ``PointInTimeRecoverySpecification`` for the API and CloudFormation."""
    return {"PointInTimeRecoveryEnabled": True}


def table_properties(name: str) -> dict[str, Any]:
    """Return the same table as the properties of an ``AWS::DynamoDB::Table``."""
    properties = table_definition(name)
    return properties | {
        "SSESpecification": {"SSEEnabled": properties["SSESpecification"]["Enabled"]},
        "TimeToLiveSpecification": ttl_specification(),
        "PointInTimeRecoverySpecification": recovery_specification(),
    }


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _index(name: str, partition: str, sort: str) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": _keys(partition, sort),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
