"""The masking of phone numbers in log lines.

The country code and the last digits stay, so that an operator can distinguish calls. Redial masks:

- in any text: ``+`` (also as ``%2B``) and the 7 digits or more after it, with or without spaces;
- in a field whose name says that it holds a number: 8 to 15 digits without ``+``.

Redial does not mask ids, although they contain digits.
"""

import re
from collections.abc import Mapping
from typing import Any

#: The country codes of one digit (ITU-T E.164, list of assigned codes).
ONE_DIGIT = "17"
#: The country codes of two digits (the same list). All others have three digits.
TWO_DIGITS = re.compile(r"2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]")

#: The names of fields that hold a number, in lower-case letters only. A field whose name ends in ``number`` or
#: ``phone`` holds a number, too.
FIELDS = frozenset(
    ("to", "from", "caller", "callerid", "called", "callee", "recipient", "recipients", "numbers", "phones", "msisdn")
)
_FIELD_ENDINGS = ("number", "phone")
_NO_LETTER = re.compile(r"[^a-z]")

_E164 = re.compile(r"(\+|%(?:25)*2[bB])([0-9](?:[ ().-]{0,2}[0-9]){6,})")
_LONG = re.compile(r"[0-9]{8}")
_BARE = re.compile(r"(?<![0-9])[0-9]{8,15}(?![0-9])")
#: A field inside a text: ``To=16505550199``, ``"from": "1650..."``, ``sip:1650...@example.com``.
_FIELD_IN_TEXT = re.compile(
    r"(\b(?:to|from|caller|called|callee|msisdn|sips?|tel|\w*(?:number|phone))\\?[\"']?\s?(?:[=:]|%3[adAD])\s?\\?[\"']?)"
    r"([0-9]{8,15})(?![0-9])",
    re.IGNORECASE,
)


def masked(value: Any, *, is_number: bool = False) -> Any:
    """Return a JSON-like value in which all phone numbers are masked.

    A value of another type becomes its text, masked. ``is_number`` is True for a field that holds a number by its name.
    """
    if isinstance(value, str):
        return mask_text(value, is_number=is_number)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return mask_text(str(value), is_number=True) if is_number and value >= 10**7 else value
    if isinstance(value, Mapping):
        return {_key(key): masked(each, is_number=is_number or _names_number(key)) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(each, is_number=is_number) for each in value]
    return mask_text(str(value), is_number=is_number)


def mask_text(text: str, *, is_number: bool = False) -> str:
    """Return a text in which all phone numbers are masked: ``+1***0199``."""
    if "+" in text or "%2" in text:
        text = _E164.sub(lambda found: found[1] + _mask(re.sub("[^0-9]", "", found[2])), text)
    if not _LONG.search(text):
        return text
    if is_number:
        return _BARE.sub(lambda found: "***" + found[0][-4:], text)
    return _FIELD_IN_TEXT.sub(lambda found: found[1] + "***" + found[2][-4:], text)


def _mask(digits: str) -> str:
    code = 1 if digits[0] in ONE_DIGIT else 2 if TWO_DIGITS.match(digits) else 3
    # Four digits of a short number would be nearly the whole number.
    shown = 4 if len(digits) - code >= 8 else 2
    return f"{digits[:code]}***{digits[-shown:]}"


def _key(key: Any) -> Any:
    return mask_text(key) if isinstance(key, str) else key


def _names_number(key: Any) -> bool:
    name = _NO_LETTER.sub("", str(key).lower())
    return name in FIELDS or name.endswith(_FIELD_ENDINGS)
