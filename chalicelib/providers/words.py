"""The words, ids and durations that a JSON callback holds, in the one spelling that tables are keyed by."""

import math
import re
from collections.abc import Mapping

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18})?")
#: visible ASCII: what any vendor has ever made a call's id of, and safe to use as a key
_CALL_ID = re.compile(r"[!-~]{1,128}")


def spelled(word: str | None) -> str | None:
    """A vendor's word in lower case and with hyphens (``No_Answer`` is ``no-answer``); None where it is blank."""
    return (word or "").strip().lower().replace("_", "-")[:64] or None


def whole_seconds(text: str | None) -> int | None:
    """A duration such as ``24.2`` in whole seconds, begun ones counted: 25. None where it is none."""
    text = (text or "").strip()
    return math.ceil(float(text)) if _DECIMAL.fullmatch(text) else None


def call_id_or_none(text: str | None) -> str | None:
    """A call's id as it came, of 1 to 128 visible characters; None where it is no such thing."""
    return text if text and _CALL_ID.fullmatch(text) else None


def is_inbound(direction: str | None) -> bool:
    """True for a call that the customer made: ``inbound``, ``incoming``, ``inbound-api`` and the like."""
    return (spelled(direction) or "").startswith(("inbound", "incoming"))


def mapping(value: object) -> Mapping[str, object]:
    """A JSON object, empty where the value is anything else."""
    return value if isinstance(value, dict) else {}
