"""Phone numbers as text: the check for E.164, and the conversion to it."""

import re

#: how many characters of a wrong number an error shows
MAX_SHOWN = 40

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_e164(number: str) -> bool:
    """Return whether the text is ``+`` and 7 to 15 digits with a country code.

    The format is ITU-T E.164. The first digit is not 0.
    """
    return _E164.fullmatch(number) is not None


def e164(number: str) -> str:
    """Return the number unchanged. Raise ValueError if it is not E.164.

    Every route answers with this error's sentence.
    """
    if not is_e164(number):
        raise ValueError(f"{number[:MAX_SHOWN]!r} is not an E.164 number (example: +16505550199)")
    return number


_INDIAN_NATIONAL = re.compile(r"0([1-9][0-9]{9})")


def national_to_e164(number: str) -> str:
    """Return an Indian national number in E.164, and any other number unchanged.

    The national form is ``0`` and ten digits. Exotel writes its own numbers in this form.
    """
    national = _INDIAN_NATIONAL.fullmatch(number)
    return f"+91{national[1]}" if national else number


def e164_or_none(text: str | None, region_code: str = "") -> str | None:
    """Return a provider's number in E.164; None if the text is not a number.

    Some providers omit the ``+``, so bare digits get one. A leading ``0`` means a national number: ``region_code``
    (``91`` for India) replaces the ``0``, if it is given.
    """
    digits = re.sub(r"[\s().-]", "", text or "")
    if digits.startswith("0") and region_code:
        digits = region_code + digits.lstrip("0")
    number = digits if digits.startswith("+") else "+" + digits
    return number if is_e164(number) else None
