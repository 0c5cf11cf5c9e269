"""The errors of Redial. Each message says what was wrong and what would be right.

All but Unreadable are RedialError. ``chalicelib/api/http.py`` has the HTTP status of each.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class RedialError(Exception):
    """An error of Redial: it rejected a request, or it cannot do the work."""


class UnknownProvider(RedialError):
    """A provider that Redial does not support."""


class NotSetUp(RedialError):
    """A provider that Redial supports, but this deployment has no credentials for."""


class NotSignedIn(RedialError):
    """A request without an API key, or with an API key that is not known."""


class NotYours(RedialError):
    """An API key that may not read or change that workspace's data."""


class NotFound(RedialError):
    """A request for something that does not exist, such as an unknown call id."""


class BadRequest(RedialError):
    """A request that cannot be parsed."""


class TooLarge(RedialError):
    """A request whose body has more bytes than the limit."""


class NotJson(RedialError):
    """A request whose Content-Type is not JSON."""


class Conflict(RedialError):
    """A request that lost to another request which changed the same record."""


class TooMany(RedialError):
    """An API key that sends more requests than its rate limit allows.

    ``wait_sec`` is the time in seconds until Redial accepts the next request.
    """

    def __init__(self, text: str, wait_sec: float) -> None:
        super().__init__(text)
        self.wait_sec = wait_sec


class Unavailable(RedialError):
    """Something that the deployment needs and cannot read at the moment.

    The message is for the log only: it may name the AWS account.
    """


class Unreadable(Exception):
    """A stored call whose data has a shape that this release does not know.

    The fault is in the deployment, not in a request, so this class is not a RedialError.
    """

    def __init__(self, call_id: str) -> None:
        super().__init__(
            f"call {call_id} is stored in a form that this release cannot read; restore its item or deploy the release"
            " that wrote it"
        )


class TooBusy(RedialError):
    """A write that failed: its record kept changing, or no minute had room.

    It is safe to retry.
    """


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer (RFC 6901) into the body, and an explanation."""

    pointer: str
    detail: str


#: the most wrong fields that one answer lists
MAX_ERRORS = 100
#: the most characters of a value that a message shows
MAX_SHOWN = 80
#: an unknown word with more characters than this may be the start of a known word
MIN_START = 2


def shown(given: Any) -> str:
    """Return a value as a message shows it, in at most MAX_SHOWN characters.

    A text is in single quotes. Any other value is JSON.
    """
    text = repr(given) if isinstance(given, str) else json.dumps(given, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def with_value(message: str, given: Any) -> str:
    """Return the message, with the given value added if the message lacks it."""
    return message if shown(given) in message else f"{message} (got {shown(given)})"


#: the most known words whose edit distance is computed: for every known word, that would take too long
MAX_CANDIDATES = 4


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean ...?" with the nearest known word, or "" if none is near.

    If two known words have the same edit distance, the result is the word with the same first letter: people rarely
    mistype the first letter (``munday`` is ``monday``, not ``sunday``).
    """
    spelled = {_letters(name): name for name in known}
    given = _letters(word)
    near = get_close_matches(given, spelled, n=MAX_CANDIDATES, cutoff=0.6)
    near.sort(key=lambda each: (_edits(given, each), each[:1] != given[:1]))
    near = near or [each for each in spelled if len(word) > MIN_START and each.startswith(given)]
    return f"; did you mean {spelled[near[0]]}?" if near else ""


def _edits(given: str, meant: str) -> int:
    """Return the edit distance of two words (Damerau, 1964).

    An edit adds, removes or replaces a letter, or swaps two neighbors.
    """
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(given):
        before, above, row = row, before, [i + 1]
        for j, other in enumerate(meant):
            least = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != other))
            if i and j and letter == meant[j - 1] and given[i - 1] == other:
                least = min(least, above[j - 1] + 1)
            row.append(least)
    return row[-1]


def _letters(word: str) -> str:
    """Return a word without case and punctuation: ``max_attempts`` is ``maxattempts``."""
    return "".join(filter(str.isalnum, word[:MAX_SHOWN].lower()))


class Invalid(RedialError):
    """A request with wrong fields; ``errors`` has each of them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer}: {e.detail}" for e in errors))
        self.errors = tuple(errors)
