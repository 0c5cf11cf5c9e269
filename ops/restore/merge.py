"""The rules by which two versions of an item become one.

The result is the restored table's version, the old table's, or one made of both.

The old table was written to after the restore point, so what it says is later, and goes before. What only the restored
table has stays: it was lost in the old one. A rule returns the item to write, and None where nothing is to be written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.domain.call import Call, CallState
from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, from_item, to_item
from chalicelib.storage.items import Item
from chalicelib.storage.versions import Kind, data_of, stored


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of carrying over.

    ``first_at`` is None in the first pass, when nobody else writes to the restored table.

    In a later one it is when the first began: what the restored table lacks although it is older was removed there.
    """

    point: datetime
    first_at: datetime | None = None

    def is_news(self, made_at: str | None) -> bool:
        """Return True if the restored table cannot have removed what was made then."""
        return self.first_at is None or (made_at is not None and datetime.fromisoformat(made_at) >= self.first_at)


Rule = Callable[[Item, Item | None, Pass], Item | None]


def rank(call: Call) -> tuple[int, bool, int]:
    """Return what orders two versions of a call: the one that dials less ranks higher."""
    return call.attempt, call.state is CallState.FINAL, call.version


def _call(old: Item, new: Item | None, _: Pass) -> Item | None:
    ours = items.read_call(old)
    return old if new is None or rank(ours) > rank(items.read_call(new)) else None


def _attempt(old: Item, new: Item | None, _: Pass) -> Item | None:
    ours = items.read_attempt(old)
    if new is None:
        return old
    theirs = items.read_attempt(new)
    # An attempt that was taken back as never made is followed by another one of its number.
    return old if (ours.claimed_at, ours.version) > (theirs.claimed_at, theirs.version) else None


def _number(old: Item, new: Item | None, when: Pass) -> Item | None:
    """Merge two versions of a number.

    The result has all attempts of both tables, the later decision on the opt-out, and any opt-out since the restore.
    """
    ours = data_of(Kind.NUMBER, old)
    if new is None:
        return old
    theirs = data_of(Kind.NUMBER, new)
    later, earlier = (ours, theirs) if ours["version"] > theirs["version"] else (theirs, ours)
    merged = later | {"made": earlier["made"] | later["made"]}
    said = earlier.get("opted_out_at")
    if later.get("opted_out_at") is None and said is not None and datetime.fromisoformat(said) > when.point:
        merged |= {name: earlier.get(name) for name in ("opted_out_at", "opt_out_reason")}
    if merged | {"version": 0} == theirs | {"version": 0}:
        return None
    item = new | stored(Kind.NUMBER, merged | {"version": later["version"] + 1})
    item.pop("expires_at", None)
    if merged.get("opted_out_at") is None:
        ends = [int(each["expires_at"]["N"]) for each in (old, new) if "expires_at" in each]
        item |= to_item({"expires_at": max(ends)}) if ends else {}
    return item


def _added(old: Item, new: Item | None, _: Pass) -> Item | None:
    return old if new is None else None


def _replaced(old: Item, new: Item | None, when: Pass) -> Item | None:
    return old if new is None or (when.first_at is None and new != old) else None


def _latest_by(name: str) -> Rule:
    """Return the rule of items that are written over, and say when in ``name``."""

    def latest(old: Item, new: Item | None, when: Pass) -> Item | None:
        at = from_attribute(old["data"])[name]
        if new is None:
            return old if when.is_news(at) else None
        return old if datetime.fromisoformat(at) > datetime.fromisoformat(from_attribute(new["data"])[name]) else None

    return latest


def _key(old: Item, new: Item | None, when: Pass) -> Item | None:
    """Take an API key that was made since, or that a rotation ends sooner."""
    ours = from_attribute(old["data"])
    if new is None:
        return old if when.is_news(ours.get("created_at")) else None
    theirs = from_attribute(new["data"])
    return old if _ends(ours) < _ends(theirs) else None


def _ends(key: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(key["expires_at"]).timestamp() if key.get("expires_at") else float("inf")


def _most_of(*names: str) -> Rule:
    """Return the rule of items that count: of each of their numbers the larger one."""

    def most(old: Item, new: Item | None, _: Pass) -> Item | None:
        ours, theirs = from_item(old), from_item(new or {})
        return old if max(ours.get(name, 0) - theirs.get(name, 0) for name in names) > 0 else None

    return most


def _minutes(old: Item, new: Item | None, _: Pass) -> Item | None:
    """Take the larger count of each minute of an hour.

    A count that is too high only sends a dial to a later minute.
    """
    if new is None:
        return old
    ours, theirs = from_item(old), from_item(new)
    counts = {n: max(ours.get(n, 0), theirs.get(n, 0)) for n in ours.keys() | theirs.keys() if _is_count(n)}
    merged = new | to_item(counts)
    if armed := set(ours.get("armed", ())) | set(theirs.get("armed", ())):
        merged["armed"] = {"SS": sorted(armed)}
    return merged if from_item(merged) != theirs else None


def _is_count(name: str) -> bool:
    return len(name) == 3 and name[0] == "p" and name[1:].isdecimal()


def _left(old: Item, new: Item | None, _: Pass) -> Item | None:
    return None


#: the kind of an item -> its rule. A kind that is not here is added where the restored table lacks it.
RULES: Mapping[str, Rule] = {
    "CALL CALL": _call,
    "CALL ATTEMPT": _attempt,
    "NUMBER NUMBER": _number,
    "POLICIES": _latest_by("updated_at"),
    "ADOPTION": _latest_by("since"),
    "PENDING": _latest_by("since"),
    "KEY": _key,
    "WORKSPACE WORKSPACE": _replaced,
    "BUDGET": _most_of("used"),
    "SLOTS": _most_of("lease_until", "most"),
    "WAKE": _minutes,
    # What counts for seconds or minutes, and what the restore itself writes; gates are closed by carry.py.
    **dict.fromkeys(("GATE", "HEALTH", "PACE", "PENDINGCOUNT", "RATE", "RESTORE"), _left),
}
#: kinds whose second key tells them apart
_TWO_KEYS = ("CALL", "NUMBER", "WORKSPACE")


def kind(item: Item) -> str:
    """Return the kind of an item, as RULES has it."""
    pk, sk = item["pk"]["S"].partition("#")[0], item["sk"]["S"].partition("#")[0]
    return f"{pk} {sk}" if pk in _TWO_KEYS else pk


def merged(old: Item, new: Item | None, when: Pass) -> Item | None:
    """Return the item to write over ``new``, or None if ``new`` stays.

    Raises one of UNREADABLE.
    """
    return RULES.get(kind(old), _added)(old, new, when)
