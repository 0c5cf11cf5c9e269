"""A scripted phone line: the entries of a script, and the timeline of each call."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Self

#: The share of ``ring_sec`` before the phone rings, and the share of ``talk_sec`` that detection takes.
LEAD_SHARE = 0.25

AMD_WORDS = (
    "human",
    "machine_start",
    "machine_end_beep",
    "machine_end_silence",
    "machine_end_other",
    "fax",
    "unknown",
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The behavior of a line for one outcome of a script.

    ``answer`` is the answer to the create-call request: ``placed``, ``held`` (sent late) or the name of a fault.
    ``end`` is how the call ends, or None if no phone rings. With ``machine`` an answering machine answers. With
    ``silent`` the provider posts no callbacks.
    """

    answer: str = "placed"
    end: str | None = "completed"
    machine: bool = False
    silent: bool = False


OUTCOMES: dict[str, Behaviour] = {
    "completed": Behaviour(),
    "voicemail": Behaviour(machine=True),
    "busy": Behaviour(end="busy"),
    "no-answer": Behaviour(end="no-answer"),
    "failed": Behaviour(end="failed"),
    "rejected": Behaviour(end="rejected"),
    "canceled": Behaviour(end="canceled"),
    "invalid-number": Behaviour("invalid-number", end=None),
    "error": Behaviour("error", end=None),
    "throttled": Behaviour("throttled", end=None),
    "auth": Behaviour("auth", end=None),
    "timeout": Behaviour("held"),
    "silent": Behaviour(silent=True),
    "server-error-but-placed": Behaviour("error"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """The behavior of a number on one attempt.

    A script has the word of an outcome (``"busy"``), or an object of these fields. Only ``outcome`` is required::

        {"outcome": "completed", "ring_sec": 1, "talk_sec": 2, "duplicate": true, "reorder": true, "amd": "fax"}

    The phone rings ``ring_sec`` seconds. If somebody answers, the call lasts ``talk_sec`` more. ``duplicate`` posts
    each callback twice. ``reorder`` holds all callbacks until the end of the call and posts the last one first. ``amd``
    is the result of answering machine detection, if the request asks for detection. The default is an answering machine
    for ``voicemail`` and a human for the other outcomes.
    """

    outcome: str
    ring_sec: float
    talk_sec: float
    duplicate: bool = False
    reorder: bool = False
    amd: str | None = None

    @property
    def behaviour(self) -> Behaviour:
        """The behavior that belongs to the outcome."""
        return OUTCOMES[self.outcome]


class ScriptError(ValueError):
    """A script that cannot be played. It names the wrong word and the allowed ones."""


def _one_of(words: Sequence[str]) -> tuple[Callable[[Any], bool], str]:
    return lambda value: isinstance(value, str) and value in words, ", ".join(sorted(words))


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


_FLAG: tuple[Callable[[Any], bool], str] = (lambda value: isinstance(value, bool), "true, false")
_SECONDS: tuple[Callable[[Any], bool], str] = (_is_seconds, "a number of seconds, 0 or more")
_LINE_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "outcome": _one_of(tuple(OUTCOMES)),
    "ring_sec": _SECONDS,
    "talk_sec": _SECONDS,
    "duplicate": _FLAG,
    "reorder": _FLAG,
    "amd": _one_of(AMD_WORDS),
}


def read_script(body: bytes, default: Line) -> list[Line]:
    """Return the lines of ``{"outcomes": [word or object, ...]}``.

    ``default`` has the times of an entry that names none. Raises ScriptError if the script cannot be played.
    """
    try:
        outcomes = json.loads(body)["outcomes"]
    except (ValueError, TypeError, KeyError):
        outcomes = None
    if not isinstance(outcomes, list) or not outcomes:
        raise ScriptError(f'the body must be {{"outcomes": [one or more]}}; allowed: {_LINE_FIELDS["outcome"][1]}')
    return [_read_line(outcome, f"outcomes[{index}]", default) for index, outcome in enumerate(outcomes)]


def _read_line(outcome: Any, where: str, default: Line) -> Line:
    fields = outcome if isinstance(outcome, dict) else {"outcome": outcome}
    for name, value in {"outcome": None, **fields}.items():
        if name not in _LINE_FIELDS:
            raise ScriptError(f"{where} has a field {name!r}; allowed: {', '.join(_LINE_FIELDS)}")
        fits, allowed = _LINE_FIELDS[name]
        if not fits(value):
            raise ScriptError(f"{where}: {name} is {value!r}; allowed: {allowed}")
    return replace(default, **fields)


@dataclass(frozen=True, slots=True)
class Order:
    """A create-call request as its provider reads it.

    ``form`` is the content of the request, for the log. ``ring_limit_sec`` is how long the phone may ring. ``amd`` says
    whether answering machine detection is off, delays the answer (``sync``), or reports later (``async``).
    """

    call_id: str
    to: str
    from_number: str
    form: Mapping[str, Any]
    ring_limit_sec: float = 60.0
    amd: Literal["off", "sync", "async"] = "off"


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in a call.

    ``name`` is ``initiated``, ``ringing``, ``answered``, ``amd`` (the end of answering machine detection) or ``ended``.
    """

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Call:
    """A placed call: all its moments, past and future, and how it ends."""

    order: Order
    line: Line
    moments: tuple[Moment, ...]
    end: str

    @classmethod
    def dial(cls, order: Order, line: Line, end: str, placed_at: datetime) -> Self:
        """Return a call with the moments of its whole life.

        A phone that would ring past the order's limit ends as ``no-answer``.
        """
        ring_sec = line.ring_sec
        if ring_sec > order.ring_limit_sec:
            ring_sec, end = order.ring_limit_sec, "no-answer"
        detected_sec = ring_sec + line.talk_sec * LEAD_SHARE
        steps = [("initiated", 0.0)]
        if end != "failed":
            steps.append(("ringing", ring_sec * LEAD_SHARE))
        if end != "completed":
            steps.append(("ended", ring_sec))
        elif order.amd == "sync":
            steps += [
                ("amd", detected_sec),
                ("answered", detected_sec),
                ("ended", detected_sec + line.talk_sec),
            ]
        else:
            detection = [("amd", detected_sec)] if order.amd == "async" else []
            steps += [("answered", ring_sec), *detection, ("ended", ring_sec + line.talk_sec)]
        return cls(order, line, tuple(Moment(n, placed_at + timedelta(seconds=s)) for n, s in steps), end)

    def at(self, name: str, now: datetime) -> datetime | None:
        """Return when the call passed a moment, or None if it has not by ``now``."""
        return next((moment.at for moment in self.moments if moment.name == name and moment.at <= now), None)

    def phase(self, now: datetime) -> str:
        """Return the name of the latest moment that the call has passed."""
        return [moment.name for moment in self.moments if moment.at <= now][-1]

    def hung_up(self, now: datetime) -> Self:
        """Return the call as it is if somebody hangs up now.

        An answered call ends as ``completed``, another as ``canceled``. A call that has ended stays the same.
        """
        if self.phase(now) == "ended":
            return self
        past = [moment for moment in self.moments if moment.at <= now]
        end = "canceled" if self.at("answered", now) is None else "completed"
        return replace(self, moments=(*past, Moment("ended", now)), end=end)

    def talk_sec(self, now: datetime) -> int:
        """Return the whole seconds from answer to end, rounded up as providers bill them.

        Returns 0 if the call has not ended or nobody answered.
        """
        answered_at, ended_at = self.at("answered", now), self.at("ended", now)
        if answered_at is None or ended_at is None:
            return 0
        return math.ceil(round((ended_at - answered_at).total_seconds(), 3))
