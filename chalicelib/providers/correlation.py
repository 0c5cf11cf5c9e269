"""Our callback token inside a call: sent with the call, found in its reports."""

from collections.abc import Iterable, Mapping

from chalicelib import ids
from chalicelib.providers.base import DialRequest

#: The key of the token in a call's variables or metadata. The key is documented, because the user's agent sees it.
#: Our token replaces a variable of the same name.
TOKEN_KEY = "redial_token"  # noqa: S105 (a name, not a secret)

_MAX_CHARS = 128


def token_of(request: DialRequest) -> str:
    """Return the token of the attempt: the last part of its callback URL.

    The URL has no query.
    """
    return request.callback_url.rpartition("/")[2]


def token_or_none(text: object) -> str | None:
    """Return ``text`` if it has the form of our callback token, else None.

    Redial may still know no attempt with this token.
    """
    if not isinstance(text, str) or len(text) > _MAX_CHARS or not text.isascii() or not text.isprintable():
        return None
    return text if ids.split_callback_token(text) else None


def find_token(places: Iterable[Mapping[str, object]]) -> str | None:
    """Return the first token under TOKEN_KEY in ``places``, or None."""
    found = (token_or_none(place.get(TOKEN_KEY)) for place in places)
    return next((token for token in found if token), None)
