"""The shapes that stored items have had: each kind's version, and how data of an older one is brought up to it.

An item says its version in ``v``; one without is of version 1. Readers take every version, and what is read from an
older one is written in the newest by the next change. docs/decisions/0006 says what a release may change.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from chalicelib.storage.codec import Attribute, from_attribute, to_attribute

Data = dict[str, Any]
Upgrade = Callable[[Data], Data]


class Kind(StrEnum):
    """The kinds of items that last. What is leased, counted or booked by the minute expires sooner than a release."""

    CALL = "call"
    ATTEMPT = "attempt"
    EVENT = "event"
    DECISION = "decision"
    NUMBER = "number"
    POLICY = "policy"


def _in_the_fresh_shards(data: Data) -> Data:
    """Version 2 of a call: one that was never dialled stands in shards of its own in the due index, not in its data."""
    return data


def _with_calendars(data: Data) -> Data:
    """Version 3 of a call, version 2 of a policy: a window has several calendars of holidays; it had one, or none."""
    policy = data["policy"]
    window = policy.get("window")
    if window is None or not isinstance(window.get("holidays", ""), str):
        return data
    calendars = [window["holidays"]] if window.get("holidays") else []
    return {**data, "policy": {**policy, "window": {**window, "holidays": calendars}}}


def _with_slots(data: Data) -> Data:
    """Version 2 of an attempt: it names the slots that it holds; one from before holds none."""
    return {"slots": [], **data}


#: the reason codes that had other names before 1.0
_RENAMED_REASONS = {
    "moved": "rescheduled",
    "paced": "rate-limited",
    "put-off-by-provider": "deferred-by-provider",
}


def _with_reasons_of_today(data: Data) -> Data:
    """Version 2 of a decision: three reasons have new names."""
    return {**data, "reason": _RENAMED_REASONS.get(data["reason"], data["reason"])}


def _with_deferrals(data: Data) -> Data:
    """Version 4 of a call: ``deferrals`` was ``put_offs``, and three reasons have new names."""
    rest = {name: value for name, value in data.items() if name != "put_offs"}
    renamed = {"deferrals": data["put_offs"]} if "put_offs" in data else {}
    if data.get("reason") in _RENAMED_REASONS:
        renamed["reason"] = _RENAMED_REASONS[data["reason"]]
    return {**rest, **renamed}


#: kind -> what brings its data from version 1 to 2, from 2 to 3, and so on
UPGRADES: Mapping[Kind, tuple[Upgrade, ...]] = {
    Kind.CALL: (_in_the_fresh_shards, _with_calendars, _with_deferrals),
    Kind.ATTEMPT: (_with_slots,),
    Kind.EVENT: (),
    Kind.DECISION: (_with_reasons_of_today,),
    Kind.NUMBER: (),
    Kind.POLICY: (_with_calendars,),
}


def newest(kind: Kind) -> int:
    """The version that is written now."""
    return len(UPGRADES[kind]) + 1


def kind_of(item: Mapping[str, Attribute]) -> Kind | None:
    """The kind of an item by its key; None for those that have no versions."""
    pk, sk = item["pk"]["S"].partition("#")[0], item["sk"]["S"].partition("#")[0]
    if pk == "POLICIES":
        return Kind.POLICY
    return {
        ("CALL", "CALL"): Kind.CALL,
        ("CALL", "ATTEMPT"): Kind.ATTEMPT,
        ("CALL", "EVENT"): Kind.EVENT,
        ("CALL", "DECISION"): Kind.DECISION,
        ("NUMBER", "NUMBER"): Kind.NUMBER,
    }.get((pk, sk))


def version_of(item: Mapping[str, Attribute]) -> int:
    """The version of an item as it is stored; one of a later release may be newer than newest()."""
    return int(item["v"]["N"]) if "v" in item else 1


def data_of(kind: Kind, item: Mapping[str, Attribute]) -> Data:
    """An item's data in the newest shape. What a later release wrote is read as it is: it only adds to the shape."""
    data: Data = from_attribute(item["data"])
    for upgrade in UPGRADES[kind][version_of(item) - 1 :]:
        data = upgrade(data)
    return data


def stored(kind: Kind, data: Data) -> dict[str, Attribute]:
    """Data of the newest shape as an item's attributes, to be put beside its key."""
    return {"data": to_attribute(data), "v": to_attribute(newest(kind))}
