"""The erasure of a person's data in a call: the course of the call stays."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.domain.call import Attempt, Call

#: the text that replaces the number
ERASED = "erased"
_TOKEN_PREFIX = "erased."  # noqa: S105 - a mark, not a secret


def blanked(call: Call, at: datetime) -> Call:
    """Return the call without the number and without the data that the user sent.

    The user's data may be about the person, too.
    """
    return replace(
        call,
        to_number="",
        target_url=None,
        next_target_url=None,
        variables={},
        metadata={},
        timezone=None,
        zones=(),
        webhook_url=None,
        erased_at=at,
        version=call.version + 1,
    )


def blanked_attempt(attempt: Attempt) -> Attempt:
    """Return the attempt without evidence and target.

    The provider's id stays, because with this id the provider can be asked to erase its data, too.
    """
    token = attempt.token if is_erased_token(attempt.token) else erased_token(attempt.token)
    return replace(attempt, token=token, target_url=None, evidence={}, version=attempt.version + 1)


def erased_token(token: str) -> str:
    """Return the token that replaces an attempt's token after the erasure.

    A callback is recorded by its token, without reading the call first. With a replaced token this write fails, so
    Redial reads the call and finds that it is erased. No callback address can contain such a token.
    """
    return _TOKEN_PREFIX + token


def is_erased_token(token: str) -> bool:
    """Return whether the token comes from erased_token()."""
    return token.startswith(_TOKEN_PREFIX)


def scrubbed(value: Any, number: str) -> Any:
    """Return a JSON-like value without the digits of an E.164 number.

    The digits are replaced wherever they occur: in texts, keys and numbers.
    """
    digits = number.removeprefix("+")
    if isinstance(value, str):
        return value.replace(number, ERASED).replace(digits, ERASED)
    if isinstance(value, Mapping):
        return {scrubbed(key, number): scrubbed(each, number) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(each, number) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and digits in str(value):
        return ERASED
    return value
