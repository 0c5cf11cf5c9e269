"""A query of DynamoDB to its end: an answer holds at most 1 MB, and says where to go on."""

from collections.abc import Iterator
from typing import Any

from chalicelib.storage.items import Item


def query_items(dynamodb: Any, **query: Any) -> Iterator[Item]:
    """The items of a query; each page of them is fetched when it is asked for."""
    while True:
        page = dynamodb.query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
