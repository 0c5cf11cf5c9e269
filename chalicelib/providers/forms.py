"""The reader of a callback's fields: forms, queries, JSON, numbers and times."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl

from chalicelib.providers.base import CallbackRequest, MalformedCallback

#: The limits of a form. The largest known callback has some 60 fields in 4 kB. A far larger form is an attack on our
#: time, because a form must be decoded before its signature can be checked.
MAX_FIELDS = 1000
MAX_FORM_BYTES = 128 * 1024
#: The longest text that is stored. No field that we read is longer; a longer text is cut.
MAX_TEXT = 200

_WHOLE = re.compile(r"[0-9]{1,9}")
_LIKE_A_FORM = re.compile(rb"[A-Za-z_][\w.%-]*=")


def decode_form(text: bytes | str) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of a form or query, in the order sent.

    Blank values stay, and ``+`` is a space. Raises ValueError if the text is not plain or percent-encoded UTF-8, or is
    larger than MAX_FIELDS or MAX_FORM_BYTES.
    """
    if len(text) > MAX_FORM_BYTES:
        raise ValueError(f"a form of {len(text)} bytes; at most {MAX_FORM_BYTES} are read")
    decoded = text.decode("utf-8") if isinstance(text, bytes) else text
    return parse_qsl(decoded, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)


def query_of(url: str) -> str:
    """Return the raw query of a URL, without the fragment."""
    return url.partition("#")[0].partition("?")[2]


def is_json(request: CallbackRequest) -> bool:
    """Return True if the body is JSON.

    The look of the body decides. If it looks neither like JSON nor like a form, its Content-Type decides. The look goes
    first, because some vendors' callbacks have no Content-Type, or a wrong one.
    """
    if request.body.lstrip()[:1] in (b"{", b"["):
        return True
    media_type = (request.header("Content-Type") or "").partition(";")[0].strip().lower()
    says_json = media_type == "application/json" or media_type.endswith("+json")
    return says_json and not _LIKE_A_FORM.match(request.body)


def json_object(body: bytes) -> dict[str, object] | None:
    """Return a JSON object, or None if the body is anything else."""
    value = json_value(body)
    return value if isinstance(value, dict) else None


def json_value(body: bytes) -> object:
    """Return the JSON value of the body, or None if the body is not JSON."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def scalars(value: Mapping[str, object]) -> dict[str, str]:
    r"""Return the texts and numbers of a JSON object as text.

    null, true, false and nested values are left out. The lone surrogates that JSON can spell (``\ud800``) become ``?``,
    because no database takes them.
    """
    return {
        name: str(each).encode("utf-8", "replace").decode()
        for name, each in value.items()
        if isinstance(each, str | int | float) and not isinstance(each, bool)
    }


def read_fields(request: CallbackRequest) -> dict[str, str]:
    """Return the fields of a callback as text; the first value of each name counts.

    The fields of a GET are in its query, those of other methods in the body. Raises MalformedCallback if there are no
    readable fields.
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
    """Return a count such as ``49``, or None.

    The text must be a whole number of at most nine digits.
    """
    text = (text or "").strip()
    return int(text) if _WHOLE.fullmatch(text) else None


def instant(text: str | None) -> datetime | None:
    """Return a time in RFC 2822 or ISO 8601 as UTC, or None.

    A time without a zone counts as UTC.
    """
    text = (text or "").strip()
    if not text or len(text) > 64:
        return None
    try:
        at = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def excerpt(fields: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return the named fields that are not empty, each cut to MAX_TEXT characters."""
    return {name: fields[name][:MAX_TEXT] for name in names if fields.get(name)}
