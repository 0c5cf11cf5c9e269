"""What stands in the paths of routes, checked."""

import re
from urllib.parse import unquote

from chalicelib import ids
from chalicelib.domain.numbers import is_e164
from chalicelib.errors import FieldError, Invalid

_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def call_named(path: str) -> str | None:
    """The id of the call that a path names by its own id or by one of its attempts'; None where it is neither."""
    call_id, dash, number = unquote(path).partition("-")
    return call_id if ids.is_call_id(call_id) and (not dash or number.isdecimal()) else None


def number_in(path: str) -> str:
    """An E.164 number in a path, its ``+`` encoded or not. Raises Invalid."""
    number = unquote(path).strip()
    if number[:1].isdigit():
        number = "+" + number
    if not is_e164(number):
        raise Invalid([FieldError("", f"{number[:80]!r} in the path is no E.164 number, like +16505550199")])
    return number


def policy_name_in(path: str) -> str:
    """A policy's name in a path. Raises Invalid."""
    name = unquote(path)
    if not _POLICY_NAME.fullmatch(name):
        detail = (
            f"{name[:80]!r} is no policy name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
        raise Invalid([FieldError("", detail)])
    return name
