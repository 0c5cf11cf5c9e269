"""The table of keys at the top of chalicelib/storage/items.py is complete."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from chalicelib.storage import items

STORAGE = Path(__file__).parents[2] / "chalicelib" / "storage"
#: DynamoDB's names of types and of a kind of query, which look like the start of a key
TYPES = {"BOOL", "COUNT", "NULL", "SS"}


def key_words(source: str) -> Iterator[str]:
    """Yield the first word of each key in a module: CALL of ``CALL#{call_id}``.

    Docstrings are left out.
    """
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from re.findall(r"^([A-Z]{2,})(?:#|$)", node.value)


def test_each_word_of_a_key_is_in_the_table() -> None:
    used = {word for path in STORAGE.glob("*.py") for word in key_words(path.read_text())} - TYPES
    assert used >= {"CALL", "ADOPTED", "PENDINGCOUNT", "MINUTES"}
    shown = set(re.findall(r"\b[A-Z]{2,}\b", items.__doc__ or ""))
    assert used - shown == set()
