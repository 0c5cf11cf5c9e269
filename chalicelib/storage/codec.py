"""The conversion of plain Python values to DynamoDB's typed attributes and back.

An attribute that is None is left out of an item.
"""

from collections.abc import Mapping
from typing import Any

Attribute = dict[str, Any]


def to_attribute(value: Any) -> Attribute:
    """Convert a JSON-like value to a typed attribute.

    Raises TypeError if the value is not a str, bool, int, float, list, tuple or mapping.
    """
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
    """Convert a mapping to an item's attributes. Leave out the values that are None."""
    return {str(name): to_attribute(value) for name, value in values.items() if value is not None}


def from_attribute(attribute: Attribute) -> Any:
    """Return the value of a typed attribute. A whole number becomes an int.

    Raises TypeError for a type of attribute that to_attribute() does not write.
    """
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
    """Convert an item's attributes to plain values."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}
