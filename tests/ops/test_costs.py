"""The costs of Redial.

DynamoDB's units match those that DynamoDB counts, and the bills in docs/operating.md are the computed ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.providers import REGISTRY
from chalicelib.runtime import metrics
from ops.benchmarks import costs, tables
from ops.benchmarks.metering import Meter, index_entries, index_writes, size_bytes
from ops.data.table import table_definition
from ops.deploying import chalice_config
from ops.names import LAMBDAS, REDIAL, SWEEP
from tests.support.deployed import empty_aws

RUNBOOK = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
KEY = {"pk": {"S": "a"}, "sk": {"S": "b"}}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with empty_aws(monkeypatch):
        dynamodb = boto3.client("dynamodb")
        dynamodb.create_table(**table_definition("t"))
        yield dynamodb


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "é"}, 2),
        ({"N": "1234"}, 3),
        ({"N": "1700"}, 2),
        ({"BOOL": True}, 1),
        ({"M": {"k": {"S": "vv"}}}, 3 + 1 + 1 + 2),
        ({"L": [{"S": "vv"}]}, 3 + 1 + 2),
        ({"SS": ["ab", "c"]}, 3),
    ],
)
def test_a_value_has_the_size_that_dynamodb_gives_it(value: dict[str, Any], size: int) -> None:
    assert size_bytes({"x": value}) == 1 + size


def test_an_index_is_written_only_if_its_keys_change() -> None:
    due = {**KEY, "due_shard": {"S": "s"}, "due_at": {"N": "1"}}
    later = {**due, "due_at": {"N": "2"}}
    assert index_writes(KEY, {**KEY, "x": {"S": "y"}}) == 0
    assert index_writes(due, {**due, "x": {"S": "y"}}) == 0
    assert (index_writes(KEY, due), index_writes(due, None), index_writes(due, later)) == (1, 1, 2)


def test_each_kind_of_request_is_counted_by_dynamodb_s_rules(table: Any) -> None:
    def units(ask: Any) -> tuple[float, float]:
        meter = Meter()
        with meter.counting():
            ask()
        return meter.write_units, meter.read_units

    large = {**KEY, "text": {"S": "x" * 1500}}
    put = {"TableName": "t", "Item": large}
    assert units(lambda: table.put_item(**put)) == (2, 0)
    assert units(lambda: table.transact_write_items(TransactItems=[{"Put": put}])) == (4, 0)
    check = {"TableName": "t", "Key": KEY, "ConditionExpression": "attribute_exists(pk)"}
    assert units(lambda: table.transact_write_items(TransactItems=[{"ConditionCheck": check}])) == (4, 0)
    assert units(lambda: table.get_item(TableName="t", Key=KEY)) == (0, 0.5)
    assert units(lambda: table.get_item(TableName="t", Key=KEY, ConsistentRead=True)) == (0, 1)

    def fails() -> None:
        with pytest.raises(table.exceptions.ConditionalCheckFailedException):
            table.put_item(**put, ConditionExpression="attribute_not_exists(pk)")

    assert units(fails) == (2, 0)
    query = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "a"}}}
    assert units(lambda: table.query(TableName="t", **query)) == (0, 0.5)


def test_a_query_is_charged_for_what_it_filters_out(table: Any) -> None:
    for number in range(3):
        table.put_item(TableName="t", Item={"pk": KEY["pk"], "sk": {"S": str(number)}, "text": {"S": "x" * 3000}})
    meter = Meter()
    with meter.counting():
        counted = table.query(
            TableName="t",
            Select="COUNT",
            KeyConditionExpression="pk = :pk",
            FilterExpression="#t = :none",
            ExpressionAttributeNames={"#t": "text"},
            ExpressionAttributeValues={":pk": {"S": "a"}, ":none": {"S": ""}},
        )
    assert (counted["Count"], meter.read_units, meter.requests) == (0, 1.5, {"Query": 1})


def test_an_index_query_is_charged_for_keys_only(table: Any) -> None:
    item = {**KEY, "due_shard": {"S": "s"}, "due_at": {"N": "1"}, "text": {"S": "x" * 9000}}
    table.put_item(TableName="t", Item=item)
    assert [size_bytes(entry) for entry in index_entries(item)] == [6 + len("due_shard" + "s" + "due_at") + 2]
    meter = Meter()
    with meter.counting():
        table.query(
            TableName="t",
            IndexName="due",
            KeyConditionExpression="due_shard = :shard",
            ExpressionAttributeValues={":shard": {"S": "s"}},
        )
    assert meter.read_units == 0.5


@pytest.mark.parametrize("providers", [1, len(REGISTRY)])
def test_the_bill_of_a_month_is_the_one_in_the_runbook(providers: int) -> None:
    assert costs.markdown(costs.of_a_month(providers), "a month") in RUNBOOK


def test_every_metric_that_the_code_writes_is_counted() -> None:
    by_dimensions = sum(1 for metric in metrics.METRICS if metric.by)
    assert costs.figures(1) >= len(metrics.METRICS) + by_dimensions
    assert costs.figures(8) > 150


def test_the_memory_that_is_set_is_not_what_limits_the_dials() -> None:
    for each in (REDIAL, SWEEP):
        by_cpu = costs.dials_per_second_of_cpu(chalice_config.memory_mb(each))
        assert by_cpu > 1.5 * costs.dials_per_second_of_waits()
    assert costs.dials_per_second_of_cpu(256) < costs.dials_per_second_of_waits()
    assert {chalice_config.memory_mb(each) for each in LAMBDAS} == {512}


def test_the_bench_shows_what_each_memory_size_dials() -> None:
    table = tables.by_memory(costs.DIAL_CPU_MS)
    shown = list(zip(*(column.cells for column in table.columns), strict=True))
    assert shown[1] == ("512", "0.29", "26.3", "15.1", "0.55")
    assert len(shown) == len(costs.MEMORIES_MB)
