"""The versions of stored items, and the upgrades of older data.

An item has the version of its shape in ``v``. An item without ``v`` has version 1. Redial reads every version. The next
change of an older item writes it in the newest version. docs/decisions/0006 says what a release may change.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from chalicelib.storage.codec import Attribute, from_attribute, to_attribute

Data = dict[str, Any]
Upgrade = Callable[[Data], Data]


class Kind(StrEnum):
    """The kinds of items that have versions.

    Other items, such as leases, counters and planned minutes, expire before the next release.
    """

    CALL = "call"
    ATTEMPT = "attempt"
    EVENT = "event"
    DECISION = "decision"
    NUMBER = "number"
    POLICY = "policy"


def _in_the_fresh_shards(data: Data) -> Data:
    """Return the data of version 1 of a call as version 2, which is the same data.

    The version changed the due index: a call that was never dialled is in its own shards.
    """
    return data


def _with_calendars(data: Data) -> Data:
    """Upgrade a call to version 3, or a policy to version 2.

    A window has a list of holiday calendars. In older data it has one calendar or none.
    """
    policy = data["policy"]
    window = policy.get("window")
    if window is None or not isinstance(window.get("holidays", ""), str):
        return data
    calendars = [window["holidays"]] if window.get("holidays") else []
    return {**data, "policy": {**policy, "window": {**window, "holidays": calendars}}}


def _with_slots(data: Data) -> Data:
    """Upgrade an attempt to version 2.

    The attempt has the names of its slots. An older attempt holds no slots.
    """
    return {"slots": [], **data}


#: The reason codes before 1.0, with their present names.
_RENAMED_REASONS = {
    "moved": "rescheduled",
    "paced": "rate-limited",
    "put-off-by-provider": "deferred-by-provider",
}


def _with_renamed_reasons(data: Data) -> Data:
    """Upgrade a decision to version 2: three reason codes have new names."""
    return {**data, "reason": _RENAMED_REASONS.get(data["reason"], data["reason"])}


def _with_deferrals(data: Data) -> Data:
    """Upgrade a call to version 4.

    ``put_offs`` is now ``deferrals``, and three reason codes have new names.
    """
    rest = {name: value for name, value in data.items() if name != "put_offs"}
    renamed = {"deferrals": data["put_offs"]} if "put_offs" in data else {}
    if data.get("reason") in _RENAMED_REASONS:
        renamed["reason"] = _RENAMED_REASONS[data["reason"]]
    return {**rest, **renamed}


#: The upgrades of each kind's data: from version 1 to 2, from 2 to 3, and so on.
UPGRADES: Mapping[Kind, tuple[Upgrade, ...]] = {
    Kind.CALL: (_in_the_fresh_shards, _with_calendars, _with_deferrals),
    Kind.ATTEMPT: (_with_slots,),
    Kind.EVENT: (),
    Kind.DECISION: (_with_renamed_reasons,),
    Kind.NUMBER: (),
    Kind.POLICY: (_with_calendars,),
}


def newest(kind: Kind) -> int:
    """Return the newest version of a kind, which this release writes."""
    return len(UPGRADES[kind]) + 1


def kind_of(item: Mapping[str, Attribute]) -> Kind | None:
    """Return the kind of an item by its key, or None if its kind has no versions."""
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
    """Return the version of a stored item.

    It is newer than newest() if a later release has written the item.
    """
    return int(item["v"]["N"]) if "v" in item else 1


def data_of(kind: Kind, item: Mapping[str, Attribute]) -> Data:
    """Return an item's data in the newest shape.

    The data of a later release is not changed, because a later release only adds to the shape.
    """
    data: Data = from_attribute(item["data"])
    for upgrade in UPGRADES[kind][version_of(item) - 1 :]:
        data = upgrade(data)
    return data


def stored(kind: Kind, data: Data) -> dict[str, Attribute]:
    """Return an item's attributes for data of the newest shape, without its key."""
    return {"data": to_attribute(data), "v": to_attribute(newest(kind))}
