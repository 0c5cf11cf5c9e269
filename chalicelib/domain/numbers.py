"""Phone numbers as text."""

import re

#: of a wrong number a message shows this many characters
MAX_SHOWN = 40

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def is_e164(number: str) -> bool:
    """True for ``+`` and 7 to 15 digits that begin with a country code (ITU-T E.164)."""
    return _E164.fullmatch(number) is not None


def e164(number: str) -> str:
    """Return the number as it is. Raise ValueError where it is not E.164; every route says this sentence."""
    if not is_e164(number):
        raise ValueError(f"{number[:MAX_SHOWN]!r} is not an E.164 number (example: +16505550199)")
    return number


_INDIAN_NATIONAL = re.compile(r"0([1-9][0-9]{9})")


def national_to_e164(number: str) -> str:
    """An Indian number in national form (``0`` and ten digits, as Exotel writes its own) in E.164; others unchanged."""
    national = _INDIAN_NATIONAL.fullmatch(number)
    return f"+91{national[1]}" if national else number


def e164_or_none(text: str | None, region_code: str = "") -> str | None:
    """A number as a provider writes it, in E.164; None where it is none.

    Some leave the ``+`` out, so bare digits are taken with a ``+``. A leading ``0`` is national: it is replaced by
    ``region_code`` (``91`` for India) where one is given.
    """
    digits = re.sub(r"[\s().-]", "", text or "")
    if digits.startswith("0") and region_code:
        digits = region_code + digits.lstrip("0")
    number = digits if digits.startswith("+") else "+" + digits
    return number if is_e164(number) else None
