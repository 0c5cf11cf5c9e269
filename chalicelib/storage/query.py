"""A DynamoDB query over all its pages.

An answer has at most 1 MB, and the key from which the next page starts.
"""

from collections.abc import Iterator
from typing import Any

from chalicelib.storage.items import Item


def query_items(dynamodb: Any, **query: Any) -> Iterator[Item]:
    """Yield the items of a query. Fetch each page only when its first item is needed."""
    while True:
        page = dynamodb.query(**query)
        yield from page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        query["ExclusiveStartKey"] = page["LastEvaluatedKey"]
