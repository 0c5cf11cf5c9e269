"""The reader of multipart/form-data, Exotel's format for callbacks by default."""

import re

from chalicelib.providers.forms import MAX_FIELDS, MAX_FORM_BYTES

_OPENING = re.compile(rb"(?:\r?\n)*--([!-~][ -~]{0,69})\r?\n")
_NAME = re.compile(
    rb"""^content-disposition:[^\r\n]*?;\s*name=(?:"([^"\r\n]*)"|([^\s;"]+))""", re.IGNORECASE | re.MULTILINE
)


def is_multipart(body: bytes) -> bool:
    """Return True if the body begins with a line of ``--`` and a boundary.

    The Content-Type may be lost, so it does not count.
    """
    return _OPENING.match(body) is not None


def decode_multipart(body: bytes) -> list[tuple[str, str]]:
    """Return the (name, value) pairs in the order sent (RFC 7578).

    The boundary is the one that the body begins with. Raises ValueError if the body is not UTF-8, or is larger than
    MAX_FIELDS or MAX_FORM_BYTES.
    """
    opening = _OPENING.match(body)
    if opening is None or len(body) > MAX_FORM_BYTES:
        raise ValueError(f"no multipart form of at most {MAX_FORM_BYTES} bytes")
    boundary = re.compile(rb"\r?\n--" + re.escape(opening[1]) + rb"(?=\r?\n|--)")
    parts = boundary.split(b"\n" + body.lstrip(b"\r\n"))[1:]
    if len(parts) > MAX_FIELDS:
        raise ValueError(f"{len(parts)} parts; at most {MAX_FIELDS} are read")
    pairs = []
    for part in parts:
        head, _, value = part.replace(b"\r\n", b"\n").partition(b"\n\n")
        name = _NAME.search(head)
        if name:
            pairs.append(((name[1] or name[2] or b"").decode("utf-8"), value.decode("utf-8")))
    return pairs
