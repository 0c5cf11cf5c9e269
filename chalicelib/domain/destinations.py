"""The numbers that a workspace may dial: allowed prefixes, and costly ranges.

A workspace without allowed destinations may dial every ordinary number. Numbers in a costly range are dialled only if
the workspace allows a prefix inside that range. An allowed country therefore does not open the country's premium-rate
numbers.
"""

import re
from functools import lru_cache

#: an entry that stands for every ordinary number
ANY = "any"
MAX_ENTRIES = 100
_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}")
_COUNTRY = re.compile(r"[A-Z]{2}")
#: the length of the shortest E.164 number with its ``+``, less one
_MIN_DIGITS = 7

#: calling codes that belong to no country (ITU-T E.164, list of assigned codes) -> their service
GLOBAL_CODES: dict[str, str] = {
    "+800": "international freephone",
    "+808": "international shared-cost",
    "+870": "satellite (Inmarsat)",
    "+878": "universal personal",
    "+881": "satellite (global mobile)",
    "+882": "satellite or international network",
    "+883": "satellite or international network",
    "+888": "disaster-relief",
    "+979": "international premium-rate",
    "+991": "international trial service",
}
#: the name of a kind in phonenumbers.PhoneNumberType -> its name in an error
COSTLY_KINDS: dict[str, str] = {
    "PREMIUM_RATE": "premium-rate",
    "SHARED_COST": "shared-cost",
    "PERSONAL_NUMBER": "personal",
    "UAN": "company-wide (UAN)",
    "PAGER": "pager",
    "VOICEMAIL": "voicemail access",
}


def entry(text: str) -> str:
    """Return an entry of an allow list in its normal spelling.

    An entry is a prefix (``+91``, ``+44909``), a country's ISO code (``US``), or ``any``. Raises ValueError for any
    other text.
    """
    spelled = text.strip()
    if spelled.lower() == ANY:
        return ANY
    if _PREFIX.fullmatch(spelled):
        return spelled
    if _COUNTRY.fullmatch(spelled.upper()) and spelled.upper() in _countries():
        return spelled.upper()
    raise ValueError(f"{text!r} is neither a prefix such as +91, nor a country code such as US, nor {ANY!r}")


def entries(text: str) -> tuple[str, ...]:
    """Return the entries of a comma-separated list.

    Raises ValueError for a wrong entry, and for too few or too many entries.
    """
    found = tuple(dict.fromkeys(entry(each) for each in text.split(",") if each.strip()))
    if not 1 <= len(found) <= MAX_ENTRIES:
        raise ValueError(f"{len(found)} destinations; give 1 to {MAX_ENTRIES}, or {ANY!r}")
    return found


def refusal(number: str, from_number: str, allowed: tuple[str, ...] | None) -> str | None:
    """Return why a workspace may not dial an E.164 number; None if it may.

    ``allowed`` are the entries of the allow list. None allows every ordinary number, like ``any``.
    """
    prefixes = [each for each in allowed or () if each.startswith("+") and number.startswith(each)]
    costly = _costly(number, from_number)
    if costly is not None:
        code = calling_code(number)
        if any(len(prefix) > len(code) or (_of_no_country(code) and prefix == code) for prefix in prefixes):
            return None
        return f"is in a costly range ({costly}); the workspace must allow a prefix inside that range to dial it"
    if allowed is None or ANY in allowed or prefixes or _country(number) in allowed:
        return None
    return f"is not in the workspace's allowed destinations ({', '.join(allowed)})"


def calling_code(number: str) -> str:
    """Return the calling code of an E.164 number with its ``+``."""
    from phonenumbers.phonenumberutil import COUNTRY_CODE_TO_REGION_CODE

    for length in (2, 3, 4):
        if int(number[1:length]) in COUNTRY_CODE_TO_REGION_CODE:
            return number[:length]
    return number[:4]


def _costly(number: str, from_number: str) -> str | None:
    """Return the kind of a number's costly range; None for an ordinary number."""
    for code, kind in GLOBAL_CODES.items():
        if number.startswith(code):
            return kind
    if _of_no_country(calling_code(number)):
        return "no country's calling code"
    kind = _kind(number)
    if kind == "TOLL_FREE" and calling_code(number) != calling_code(from_number):
        return "foreign toll-free"
    return COSTLY_KINDS.get(kind)


@lru_cache(maxsize=4096)
def _kind(number: str) -> str:
    """Return the kind of a number, as phonenumbers names it.

    Networks ignore the digits after the last one that they need. So if a number is too long, this function judges it
    without its last digits. It removes these digits before parse(), because parse() takes the first of too many digits
    for a trunk prefix.
    """
    from phonenumbers import NumberParseException, PhoneNumberType, number_type, parse

    for length in range(len(number), _MIN_DIGITS, -1):
        try:
            kind = number_type(parse(number[:length]))
        except NumberParseException:
            break
        if kind != PhoneNumberType.UNKNOWN:
            return str(PhoneNumberType.to_string(kind))
    return "UNKNOWN"


def _of_no_country(code: str) -> bool:
    """Return whether a calling code belongs to no country: it is global or unassigned."""
    from phonenumbers.phonenumberutil import COUNTRY_CODE_TO_REGION_CODE

    return code in GLOBAL_CODES or int(code) not in COUNTRY_CODE_TO_REGION_CODE


@lru_cache(maxsize=4096)
def _country(number: str) -> str | None:
    from phonenumbers import NumberParseException, parse, region_code_for_number

    try:
        region: str | None = region_code_for_number(parse(number))
    except NumberParseException:
        return None
    return region


def _countries() -> frozenset[str]:
    from phonenumbers import SUPPORTED_REGIONS

    return frozenset(SUPPORTED_REGIONS)
