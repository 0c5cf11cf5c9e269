"""What stands in the paths of routes, checked."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from chalicelib import ids
from chalicelib.domain.number_lengths import dialable
from chalicelib.domain.numbers import e164
from chalicelib.errors import FieldError, Invalid

_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def call_named(path: str) -> str | None:
    """The id of the call that a path names by its own id or by one of its attempts'; None where it is neither."""
    call_id, dash, number = unquote(path).partition("-")
    return call_id if ids.is_call_id(call_id) and (not dash or number.isdecimal()) else None


def number_in(path: str) -> str:
    """Return the E.164 number in a path, its ``+`` encoded or not. Raise Invalid for any other spelling.

    A number without its ``+`` is not completed: nobody can tell whether its country code is there. One of an impossible
    length is taken: a provider may have called it, and then it can be opted out and erased.
    """
    return _checked(unquote(path), "/number", e164)


def check_same(field: str, given: str | None, in_path: str) -> None:
    """Raise Invalid where a body that GET answered is put back under another path."""
    if given not in (None, in_path):
        raise Invalid([FieldError(f"/{field}", f"{field} {given!r} is not the {field} in the path, {in_path!r}")])


def number_to_call(text: str, pointer: str) -> str:
    """Return ``text``, a number that can be called. Raise Invalid, pointing at where it was, for anything else."""
    return _checked(text, pointer, dialable)


def _checked(text: str, pointer: str, check: Callable[[str], str]) -> str:
    try:
        return check(text)
    except ValueError as error:
        raise Invalid([FieldError(pointer, f"{pointer.rpartition('/')[2]} {error}")]) from None


def is_policy_name(name: str) -> bool:
    """Return whether a policy can have that name."""
    return _POLICY_NAME.fullmatch(name) is not None


def policy_name_in(path: str) -> str:
    """A policy's name in a path. Raises Invalid."""
    name = unquote(path)
    if not is_policy_name(name):
        detail = (
            f"{name[:80]!r} is no policy name: 1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit"
        )
        raise Invalid([FieldError("", detail)])
    return name
