"""What is left of a call once the data of the person called is erased: its course, and nothing that names them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from chalicelib.domain.call import Attempt, Call

#: what stands where the number did
ERASED = "erased"
_TOKEN_PREFIX = "erased."  # noqa: S105 - marks a token, is none


def blanked(call: Call, at: datetime) -> Call:
    """The call without the number, and without what the user sent along, which is about the person too."""
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
    """The attempt without evidence and target. Its provider's id stays: by that the provider can be asked to erase."""
    token = attempt.token if is_erased_token(attempt.token) else erased_token(attempt.token)
    return replace(attempt, token=token, target_url=None, evidence={}, version=attempt.version + 1)


def erased_token(token: str) -> str:
    """The token that an attempt has instead after its erasure.

    A callback is noted by its token without reading the call first. Now that fails, so the call is read and found to be
    erased. No callback address can spell it.
    """
    return _TOKEN_PREFIX + token


def is_erased_token(token: str) -> bool:
    """True for what erased_token() gives."""
    return token.startswith(_TOKEN_PREFIX)


def scrubbed(value: Any, number: str) -> Any:
    """A JSON-like value without the digits of an E.164 number, whatever stands around them."""
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
