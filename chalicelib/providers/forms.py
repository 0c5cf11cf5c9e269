"""Reads the fields of a callback, be they a form, a query or JSON, and the numbers and times in them."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from chalicelib.providers.base import CallbackRequest, MalformedCallback

#: the largest callback of the field has some 60 fields in 4 kB; a form far beyond that is an attack on our time,
#: and it must be decoded before its signature can be checked
MAX_FIELDS = 1000
MAX_FORM_BYTES = 128 * 1024
#: no field that we read is longer; what is, is cut before it is stored
MAX_TEXT = 200

_WHOLE = re.compile(r"[0-9]{1,9}")
_LIKE_A_FORM = re.compile(rb"[A-Za-z_][\w.%-]*=")


def decode_form(text: bytes | str) -> list[tuple[str, str]]:
    """The (name, value) pairs of a form or query in the order sent; blank values stay, ``+`` is a space.

    Raises ValueError where it is not UTF-8, percent-encoded or plain, or beyond MAX_FIELDS or MAX_FORM_BYTES.
    """
    if len(text) > MAX_FORM_BYTES:
        raise ValueError(f"a form of {len(text)} bytes; at most {MAX_FORM_BYTES} are read")
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    return parse_qsl(decoded, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)


def query_of(url: str) -> str:
    """The raw query of a URL, without the fragment."""
    return url.partition("#")[0].partition("?")[2]


def is_json(request: CallbackRequest) -> bool:
    """True where the body is JSON by its look or, where it does not look like a form, by its Content-Type.

    What a body looks like goes first, for the type is left out or wrong in some vendors' callbacks.
    """
    if request.body.lstrip()[:1] in (b"{", b"["):
        return True
    media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    said = media_type == "application/json" or media_type.endswith("+json")
    return said and not _LIKE_A_FORM.match(request.body)


def json_object(body: bytes) -> dict[str, object] | None:
    """A JSON object, or None where the body is anything else."""
    value = json_value(body)
    return value if isinstance(value, dict) else None


def json_value(body: bytes) -> object:
    """Whatever JSON the body holds, None where it is none."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def scalars(value: Mapping[str, object]) -> dict[str, str]:
    r"""The texts and numbers of a JSON object, as text; null, true, false and what is nested are left out.

    The lone surrogates that JSON can spell (``\ud800``) become ``?``, for no database takes them.
    """
    return {
        name: str(each).encode("utf-8", "replace").decode()
        for name, each in value.items()
        if isinstance(each, str | int | float) and not isinstance(each, bool)
    }


def read_fields(request: CallbackRequest) -> dict[str, str]:
    """The fields of a callback as text: a GET's from its query, else the body's. The first of a name counts.

    Raises MalformedCallback where there is nothing to read fields from.
    """
    if request.method.upper() == "GET":
        return _first_of_each(_pairs(query_of(request.url), "query"))
    if not is_json(request):
        return _first_of_each(_pairs(request.body, "body"))
    value = json_object(request.body)
    if value is None:
        raise MalformedCallback("the body is no JSON object, though its Content-Type says JSON")
    return scalars(value)


def _pairs(text: bytes | str, where: str) -> list[tuple[str, str]]:
    try:
        return decode_form(text)
    except ValueError:
        raise MalformedCallback(
            f"the {where} is no form: expected UTF-8 name=value pairs, at most {MAX_FIELDS}, and no longer"
            f" than {MAX_FORM_BYTES} bytes"
        ) from None


def _first_of_each(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return dict(reversed(pairs))


def whole_number(text: str | None) -> int | None:
    """A count such as ``49``, or None where the text is no whole number of at most nine digits."""
    text = (text or "").strip()
    return int(text) if _WHOLE.fullmatch(text) else None


def instant(text: str | None) -> datetime | None:
    """A time in RFC 2822 or ISO 8601, in UTC, or None. A time that names no zone is taken as UTC."""
    text = (text or "").strip()
    if not text or len(text) > 64:
        return None
    try:
        at = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def excerpt(fields: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Those of the named fields that say something, each cut to MAX_TEXT characters."""
    return {name: fields[name][:MAX_TEXT] for name in names if fields.get(name)}
