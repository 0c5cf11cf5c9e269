"""The words, ids and durations that a JSON callback holds, in the one spelling that tables are keyed by."""

import math
import re
from collections.abc import Mapping

from chalicelib.domain.events import Leg

_BREAKS = re.compile(r"[\s_-]+")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18})?")
_CLOCK = re.compile(r"([0-9]{1,5}):([0-5][0-9]):([0-5][0-9])")
#: visible ASCII: what any vendor has ever made a call's id of, and safe to use as a key
_CALL_ID = re.compile(r"[!-~]{1,128}")


#: what vendors call the outgoing leg that a program asked for, spelled as by spelled()
OUTGOING_LEGS = frozenset({"outbound", "outbound-api", "outgoing"})
#: what they call a leg that another call made: TwiML's ``<Dial>``, and calls through a SIP trunk
OTHER_LEGS = frozenset({"outbound-dial", "bridging", "trunking-originating", "trunking-terminating"})


def spelled(word: str | None) -> str | None:
    """A vendor's word in lower case and with hyphens (``No_Answer``, ``No answer``: ``no-answer``); None if blank."""
    return _BREAKS.sub("-", (word or "").strip().lower()[:64]).strip("-") or None


def whole_seconds(text: str | None) -> int | None:
    """Return a duration such as ``24``, ``24.2`` or ``00:00:24`` in whole seconds, begun ones counted: 25 for ``24.2``.

    None where the text is no duration.
    """
    text = (text or "").strip()
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    return math.ceil(float(text)) if _DECIMAL.fullmatch(text) else None


def call_id_or_none(text: str | None) -> str | None:
    """A call's id as it came, of 1 to 128 visible characters; None where it is no such thing."""
    return text if text and _CALL_ID.fullmatch(text) else None


def is_inbound(direction: str | None) -> bool:
    """True for a call that the customer made: ``inbound``, ``incoming``, ``inbound-api`` and the like."""
    return (spelled(direction) or "").startswith(("inbound", "incoming"))


def leg_of(direction: str | None, parent: str | None = None) -> Leg:
    """The leg that a direction names: ``outbound-api`` is outgoing, ``outbound-dial`` a child of another call.

    ``parent`` is the id of the call that this one is a leg of; a call that has one is never the outgoing leg itself.
    """
    word = spelled(direction) or ""
    if is_inbound(word) and not parent:
        return Leg.INBOUND
    if parent or word in OTHER_LEGS:
        return Leg.OTHER
    return Leg.OUTGOING if word in OUTGOING_LEGS else Leg.UNKNOWN


def mapping(value: object) -> Mapping[str, object]:
    """A JSON object, empty where the value is anything else."""
    return value if isinstance(value, dict) else {}
