"""pydantic's adapters of the stored types, each built on first use: one costs a cold start some milliseconds."""

from typing import Any, TypeVar

from pydantic import TypeAdapter

Stored = TypeVar("Stored")

_built: dict[type, TypeAdapter[Any]] = {}


def adapter(kind: type[Stored]) -> TypeAdapter[Stored]:
    """What turns values of a type into JSON-like ones and back; fields that the type does not have are passed over."""
    if kind not in _built:
        _built[kind] = TypeAdapter(kind)
    return _built[kind]
