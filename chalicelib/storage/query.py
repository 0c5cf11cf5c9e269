"""A query of DynamoDB to its end: an answer holds at most 1 MB, and says where to go on."""

from collections.abc import Iterator
from typing import Any

from chalicelib.storage.items import Item


def query_pages(dynamodb: Any, **query: Any) -> Iterator[list[Item]]:
    """The pages of a query that have anything in them; each is fetched when it is asked for."""
    while True:
        page = dynamodb.query(**query)
        if page["Items"]:
            yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def query_items(dynamodb: Any, **query: Any) -> Iterator[Item]:
    """The items of a query, over all its pages."""
    for page in query_pages(dynamodb, **query):
        yield from page
