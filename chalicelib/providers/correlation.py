"""Our callback token, sent along inside a call and found again in what the provider reports of it."""

from collections.abc import Iterable, Mapping

from chalicelib import ids
from chalicelib.providers.base import DialRequest

#: The key under which the token travels in a call's variables or metadata; documented, for it is the user's
#: agent that is shown them. It takes the place of a variable of the same name.
TOKEN_KEY = "redial_token"  # noqa: S105 (a name, not a secret)

_MAX_CHARS = 128


def token_of(request: DialRequest) -> str:
    """The token of the attempt: the last part of its callback address, which has no query."""
    return request.callback_url.rpartition("/")[2]


def token_or_none(text: object) -> str | None:
    """The text where it is a callback token of ours by its form; it may still name no attempt."""
    if not isinstance(text, str) or len(text) > _MAX_CHARS or not text.isascii() or not text.isprintable():
        return None
    return text if ids.split_callback_token(text) else None


def find_token(places: Iterable[Mapping[str, object]]) -> str | None:
    """The first token that stands under TOKEN_KEY in one of these; None where none does."""
    found = (token_or_none(place.get(TOKEN_KEY)) for place in places)
    return next((token for token in found if token), None)
