"""Validation of the values in the paths of routes."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from chalicelib import ids
from chalicelib.domain.number_lengths import dialable
from chalicelib.domain.numbers import e164
from chalicelib.errors import FieldError, Invalid

_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def call_named(path: str) -> str | None:
    """Return the call id in a path, or None if the path has no such id.

    The path has the call's id, or the id of an attempt of the call.
    """
    call_id, dash, number = unquote(path).partition("-")
    return call_id if ids.is_call_id(call_id) and (not dash or number.isdecimal()) else None


def number_in(path: str) -> str:
    """Return the E.164 number in a path, whether its ``+`` is percent-encoded or not.

    Raises Invalid for any other spelling. This does not add a missing ``+``: nobody knows whether the other digits
    include a country code. A number of an impossible length is valid here: a provider may have called that number, and
    the user must be able to opt it out and to erase it.
    """
    return _checked(unquote(path), "/number", e164)


def check_same(field: str, given: str | None, in_path: str) -> None:
    """Raise Invalid if a field of the body differs from the same field in the path.

    This happens if a client sends the body of a GET to the PUT of another path. None in the body is valid.
    """
    if given not in (None, in_path):
        raise Invalid([FieldError(f"/{field}", f"{field} {given!r} is not the {field} in the path, {in_path!r}")])


def number_to_call(text: str, pointer: str) -> str:
    """Return ``text`` if it is a number that can be called.

    Raises Invalid otherwise. ``pointer`` is the JSON pointer to the number in the body.
    """
    return _checked(text, pointer, dialable)


def _checked(text: str, pointer: str, check: Callable[[str], str]) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise Invalid([FieldError(pointer, f"{pointer.rpartition('/')[2]} {error}")]) from None


def is_policy_name(name: str) -> bool:
    """Return whether a policy can have this name."""
    return _POLICY_NAME.fullmatch(name) is not None


def policy_name_in(path: str) -> str:
    """Return the policy name in a path. Raises Invalid if it is not a policy name."""
    name = unquote(path)
    if not is_policy_name(name):
        detail = (
            f"{name[:80]!r} is not a policy name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
        raise Invalid([FieldError("", detail)])
    return name
