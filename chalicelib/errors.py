"""The errors of Redial: one small tree, each saying what was wrong and what would be right."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any


class RedialError(Exception):
    """Anything that Redial refuses or cannot do."""


class UnknownProvider(RedialError):
    """A provider that Redial does not speak."""


class NotSetUp(RedialError):
    """A provider that Redial speaks, and that this deployment has no credentials of."""


class NotSignedIn(RedialError):
    """No API key, or one that is not known."""


class NotYours(RedialError):
    """A key that may not read or change that workspace's data."""


class NotFound(RedialError):
    """Nothing by that id."""


class BadRequest(RedialError):
    """A request that cannot be read at all."""


class TooLarge(RedialError):
    """A request with more bytes than are read."""


class NotJson(RedialError):
    """A request whose Content-Type is not JSON."""


class Conflict(RedialError):
    """A request that the state of things does not allow."""


class TooMany(RedialError):
    """More requests than an API key may send. ``wait_sec`` is how long until the next one is taken."""

    def __init__(self, text: str, wait_sec: float) -> None:
        super().__init__(text)
        self.wait_sec = wait_sec


class Unavailable(RedialError):
    """Something that the deployment needs cannot be read just now. The text is for the log: it may name the account."""


class Unreadable(Exception):
    """A stored call whose data is not of a shape that this release knows: a fault here, and of no request."""

    def __init__(self, call_id: str) -> None:
        super().__init__(
            f"call {call_id} is stored in a form that this release cannot read; restore its item or deploy the release"
            " that wrote it"
        )


class TooBusy(RedialError):
    """Others kept changing the same thing; asking again will work."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: a JSON pointer (RFC 6901) into the body, and what is wrong with it."""

    pointer: str
    detail: str


#: a value in a message, in characters
MAX_SHOWN = 80
#: a word that is longer than this, in characters, may be the start of the one that was meant
MIN_START = 2


def shown(given: Any) -> str:
    """Return a value as a message shows it: texts in single quotes, the rest as JSON, shortened where it is long."""
    text = repr(given) if isinstance(given, str) else json.dumps(given, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def with_value(message: str, given: Any) -> str:
    """Return the message with the value that was given, where the message does not hold it yet."""
    return message if shown(given) in message else f"{message} (got {shown(given)})"


#: candidates among which the edit distance decides: counting edits for every known word would take too long
MAX_CANDIDATES = 4


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return the end of a sentence about an unknown word: the known word that is nearest, if any.

    Of two words that are as many edits away, the one with the same first letter was meant: people mistype the first
    letter least (``munday`` is ``monday``, not ``sunday``).
    """
    spelled = {_letters(name): name for name in known}
    given = _letters(word)
    near = get_close_matches(given, spelled, n=MAX_CANDIDATES, cutoff=0.6)
    near.sort(key=lambda each: (_edits(given, each), each[:1] != given[:1]))
    near = near or [each for each in spelled if len(word) > MIN_START and each.startswith(given)]
    return f"; did you mean {spelled[near[0]]}?" if near else ""


def _edits(given: str, meant: str) -> int:
    """Return how many letters must be added, removed, replaced or swapped with their neighbor (Damerau, 1964)."""
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
    """Return a word without what tells ``maxAttempts`` from ``max_attempts``."""
    return "".join(filter(str.isalnum, word[:MAX_SHOWN].lower()))


class Invalid(RedialError):
    """A request whose fields are wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer}: {e.detail}" for e in errors))
        self.errors = tuple(errors)
