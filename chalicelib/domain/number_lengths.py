"""The check that a number has as many digits as its calling code allows."""

from chalicelib.domain.destinations import calling_code
from chalicelib.domain.numbers import e164


def dialable(number: str) -> str:
    """Return the E.164 number if its length is possible. Raise ValueError if not.

    The lengths come from phonenumbers. If phonenumbers does not know the calling code, the allowed destinations decide
    about the number.
    """
    code = calling_code(e164(number))
    wrong = _wrong_length(int(code), number.removeprefix(code))
    if wrong is not None:
        digits = len(number) - 1
        raise ValueError(f"{number!r} has {digits} digits, {wrong} for a number of {code} (example: +16505550199)")
    return number


def _wrong_length(code: int, national: str) -> str | None:
    """Return what is wrong with the number of digits after the calling code.

    Return None if nothing is wrong.
    """
    from phonenumbers import PhoneNumber, ValidationResult, is_possible_number_with_reason

    wrong = {
        ValidationResult.TOO_SHORT: "too few",
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "too few",
        ValidationResult.INVALID_LENGTH: "not a length",
        ValidationResult.TOO_LONG: "too many",
    }
    # parse() is wrong here: it takes the first of too many digits for a trunk prefix.
    zeros = len(national) - len(national.lstrip("0"))
    parsed = PhoneNumber(
        country_code=code,
        national_number=int(national or "0"),
        italian_leading_zero=zeros > 0,
        number_of_leading_zeros=zeros or None,
    )
    return wrong.get(is_possible_number_with_reason(parsed))
