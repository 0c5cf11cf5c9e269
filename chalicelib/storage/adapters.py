"""The pydantic adapters of the stored types, each built on first use.

One adapter costs a cold start some milliseconds.
"""

from typing import Any, TypeVar

from pydantic import TypeAdapter

Stored = TypeVar("Stored")

_built: dict[type, TypeAdapter[Any]] = {}


def adapter(kind: type[Stored]) -> TypeAdapter[Stored]:
    """Return the adapter that converts values of a type to JSON-like values and back.

    It ignores fields that the type does not have.
    """
    if kind not in _built:
        _built[kind] = TypeAdapter(kind)
    return _built[kind]
