"""The words, ids and durations in a JSON callback, in the spelling of our tables."""

import math
import re
from collections.abc import Mapping

from chalicelib.domain.events import Leg

_BREAKS = re.compile(r"[\s_-]+")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18})?")
_CLOCK = re.compile(r"([0-9]{1,5}):([0-5][0-9]):([0-5][0-9])")
#: The form of a call's id: visible ASCII, which all vendors use so far, and which is safe as a key
_CALL_ID = re.compile(r"[!-~]{1,128}")
#: The vendors' names for the outgoing leg that a program asked for, spelled as spelled() does
OUTGOING_LEGS = frozenset({"outbound", "outbound-api", "outgoing"})
#: Their names for a leg that another call made: TwiML's ``<Dial>``, and calls through a SIP trunk
OTHER_LEGS = frozenset({"outbound-dial", "bridging", "trunking-originating", "trunking-terminating"})


def spelled(word: str | None) -> str | None:
    """Return a vendor's word in lower case and with hyphens; None if it is blank.

    ``No_Answer`` and ``No answer`` become ``no-answer``.
    """
    return _BREAKS.sub("-", (word or "").strip().lower()[:64]).strip("-") or None


def whole_seconds(text: str | None) -> int | None:
    """Return a duration such as ``24``, ``24.2`` or ``00:00:24`` in whole seconds.

    A part of a second counts as one: 25 for ``24.2``. None if the text is not a duration.
    """
    text = (text or "").strip()
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    return math.ceil(float(text)) if _DECIMAL.fullmatch(text) else None


def call_id_or_none(text: str | None) -> str | None:
    """Return a call's id unchanged; None unless it is 1 to 128 visible characters."""
    return text if text and _CALL_ID.fullmatch(text) else None


def is_inbound(direction: str | None) -> bool:
    """Return True for a call that the customer made.

    Its direction begins with ``inbound`` or ``incoming``: ``inbound-api`` and the like.
    """
    return (spelled(direction) or "").startswith(("inbound", "incoming"))


def leg_of(direction: str | None, parent: str | None = None) -> Leg:
    """Return the leg that a direction names.

    ``outbound-api`` is outgoing; ``outbound-dial`` is a child of another call. ``parent`` is the id of the call that
    this call is a leg of. A call with a parent is never the outgoing leg itself.
    """
    word = spelled(direction) or ""
    if is_inbound(word) and not parent:
        return Leg.INBOUND
    if parent or word in OTHER_LEGS:
        return Leg.OTHER
    return Leg.OUTGOING if word in OUTGOING_LEGS else Leg.UNKNOWN


def mapping(value: object) -> Mapping[str, object]:
    """Return a JSON object; an empty one if the value is anything else."""
    return value if isinstance(value, dict) else {}
