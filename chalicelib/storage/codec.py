"""Plain Python values to DynamoDB's typed attributes and back; an attribute that is None is left out."""

from collections.abc import Mapping
from typing import Any

Attribute = dict[str, Any]


def to_attribute(value: Any) -> Attribute:
    """One JSON-like value (str, bool, int, float, list, mapping) as a typed attribute."""
    match value:
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | float():
            return {"N": repr(value)}
        case Mapping():
            return {"M": to_item(value)}
        case list() | tuple():
            return {"L": [{"NULL": True} if v is None else to_attribute(v) for v in value]}
        case _:
            raise TypeError(f"{type(value).__name__} cannot be stored: {value!r}")


def to_item(values: Mapping[str, Any]) -> dict[str, Attribute]:
    """A mapping as an item's attributes, without the ones that are None."""
    return {str(name): to_attribute(value) for name, value in values.items() if value is not None}


def from_attribute(attribute: Attribute) -> Any:
    """The value of one typed attribute; a number is an int where it is whole."""
    ((kind, value),) = attribute.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value) if value.lstrip("-").isdecimal() else float(value)
        case "M":
            return from_item(value)
        case "L":
            return [from_attribute(v) for v in value]
        case "SS":
            return set(value)
        case "NULL":
            return None
        case _:
            raise TypeError(f"attribute of type {kind} was not stored by us")


def from_item(item: Mapping[str, Attribute]) -> dict[str, Any]:
    """An item's attributes as plain values."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}
