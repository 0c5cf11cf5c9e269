"""The reading of requests within limits: JSON body, query, Idempotency-Key."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from chalice.app import Request

from chalicelib import errors

#: the most bytes of a JSON body
MAX_BODY_BYTES = 256 * 1024
#: the most levels of lists and objects within each other; a policy needs 7 levels, DynamoDB accepts 32
MAX_DEPTH = 32
#: the most names in all objects of a body: Redial reports each wrong name, and a report costs more than parsing
MAX_NAMES = 10_000
#: the most digits of a number: other JSON parsers cannot keep a number with more digits
MAX_DIGITS = 300
#: the smallest absolute value of a number that is not 0; DynamoDB's smallest is 1e-130
MIN_NUMBER = 1e-100
#: the most characters of an Idempotency-Key
MAX_KEY_CHARS = 255

#: the most unknown query parameters that one answer names
MAX_UNKNOWN = 10

_WHOLE = re.compile(r"[0-9]{1,9}")
#: ``application/json``, and the types that are JSON by their suffix (RFC 6839), such as ``application/ld+json``
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.!#$&^_-]+\+)?json", re.IGNORECASE)


def body_bytes(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """Return the bytes of the body.

    Raises TooLarge if the body has more than ``most`` bytes, and BadRequest if the event's body cannot be decoded.
    """
    try:
        raw = request.raw_body
        body = raw.encode() if isinstance(raw, str) else raw
    except ValueError as error:
        raise errors.BadRequest("the body cannot be read: it did not come as the bytes that were sent") from error
    if len(body) > most:
        raise errors.TooLarge(f"the body has {len(body)} bytes; at most {most} are read")
    return body


def json_body(request: Request) -> tuple[dict[str, Any], str]:
    """Return the request's JSON object and its hash.

    A repeated request has the same hash, also if the order of names differs. Raises NotJson for another Content-Type,
    TooLarge, and BadRequest if the body is not UTF-8, not JSON or not an object, nests too deep, or has a name twice in
    one object.
    """
    raw = body_bytes(request)
    _check_type(request.headers.get("content-type", ""))
    body = _parsed(raw)
    if not isinstance(body, dict):
        raise errors.BadRequest("the body must be a JSON object")
    if _too_deep(body):
        raise errors.BadRequest(_DEEP)
    try:
        # Names and values go to DynamoDB and to providers. Both reject half of a surrogate pair.
        canonical = json.dumps(body, sort_keys=True, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise errors.BadRequest(r"the body holds half of a surrogate pair, like \ud800, which is no text") from None
    return body, hashlib.sha256(canonical).hexdigest()


def _check_type(content_type: str) -> None:
    """Raise NotJson if the Content-Type is not JSON. A missing Content-Type is valid."""
    media_type = content_type.partition(";")[0].strip()
    if media_type and not _JSON_TYPE.fullmatch(media_type):
        text = f"send JSON: the Content-Type is {errors.shown(media_type)} (example: Content-Type: application/json)"
        raise errors.NotJson(text)


_DEEP = f"the body nests lists and objects more than {MAX_DEPTH} deep"


def _parsed(raw: bytes) -> Any:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.BadRequest(f"the body is not UTF-8: byte {error.start} cannot be read") from error
    count = iter(range(MAX_NAMES))

    def counted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = _members(pairs)
        for _ in pairs:
            if next(count, None) is None:
                raise errors.BadRequest(f"the body holds more than {MAX_NAMES} names in all")
        return members

    try:
        return json.loads(
            text or "null",
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=counted,
        )
    except RecursionError:
        raise errors.BadRequest(_DEEP) from None
    except json.JSONDecodeError as error:
        text = f"the body is not JSON: line {error.lineno}, column {error.colno} cannot be read"
        raise errors.BadRequest(text) from error


def _no_constant(name: str) -> None:
    raise errors.BadRequest(f"the body is not JSON: {name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number) or 0 < abs(number) < MIN_NUMBER:
        raise errors.BadRequest(
            f"the number {text[:40]} in the body is too {'large' if math.isinf(number) else 'small'}"
        )
    return number


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise errors.BadRequest(f"a number in the body has {len(text)} digits; at most {MAX_DIGITS} are read")
    return int(text)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object.

    Raises BadRequest if two members have the same name, because nobody knows which of the two the client means. Also
    raises BadRequest if a name has the character NUL.
    """
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise errors.BadRequest(f"the name {name[:80]!r} is there twice in one object")
        if "\0" in name:
            raise errors.BadRequest(f"the name {name[:80]!r} holds the character NUL")
        members[name] = value
    return members


def _too_deep(body: Any) -> bool:
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def query_value(request: Request, name: str) -> str | None:
    """Return the value of a query parameter, or None if it is missing.

    Raises Invalid if the parameter is there twice.
    """
    values = request.query_params.getlist(name) if request.query_params and name in request.query_params else []
    if len(values) > 1:
        raise errors.Invalid([errors.FieldError(f"/{name}", f"given {len(values)} times; give it once")])
    return values[0] if values else None


def known_query(request: Request, known: Sequence[str]) -> None:
    """Raise Invalid for query parameters that a route does not read.

    Otherwise a misspelt parameter would have no effect, and the client would not notice.
    """
    unknown = [name for name in request.query_params or () if name not in known]
    if unknown:
        raise errors.Invalid(
            [errors.FieldError(f"/{name}", _unknown_parameter(name, known)) for name in unknown[:MAX_UNKNOWN]]
        )


def _unknown_parameter(name: str, known: Sequence[str]) -> str:
    hint = errors.did_you_mean(name, known)
    return f"{name[:40]!r} is not a query parameter here{hint}"


def page_limit(request: Request, default: int, most: int) -> int:
    """Return the ``limit`` of a list, or ``default`` if the request has none.

    Raises Invalid if ``limit`` is not a whole number from 1 to ``most``.
    """
    text = query_value(request, "limit")
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        wanted = f"must be a whole number from 1 to {most} (got {text[:40]!r})"
        raise errors.Invalid([errors.FieldError("/limit", wanted)])
    return int(text)


def idempotency_key(headers: Any) -> str | None:
    """Return the Idempotency-Key of the request, or None if it has none.

    Raises Invalid unless the key is 1 to MAX_KEY_CHARS printable characters.
    """
    key: str | None = headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARS or not key.isprintable():
        wanted = f"the Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable characters"
        raise errors.Invalid([errors.FieldError("", wanted)])
    return key
