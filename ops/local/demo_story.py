"""The demo's story: its calls, how they must end, and what the demo sees of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: The seconds that a phone rings, and that an answered call lasts.
BRIEFLY = {"ring_sec": 1.0, "talk_sec": 1.0}


@dataclass(frozen=True, slots=True)
class ScriptedAttempt:
    """The behavior of the line on one attempt.

    ``line`` describes it for people, ``script`` for the mock carrier. ``outcome`` is the outcome that Redial must
    record.
    """

    line: str
    outcome: str
    script: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A call to place, and how it must end.

    It ends with ``summary_status``, and ``reason`` is the reason of its last decision.
    """

    name: str
    number: str
    max_retries: int
    attempts: tuple[ScriptedAttempt, ...]
    summary_status: str
    reason: str

    @property
    def script(self) -> dict[str, Any]:
        """The script of the number for the mock carrier."""
        return {"outcomes": [{**BRIEFLY, **attempt.script} for attempt in self.attempts]}

    @property
    def retry(self) -> dict[str, Any]:
        """The ``retry`` of the request, without a wait: the next full minute dials again."""
        return {"max_retries": self.max_retries, "strategy": {"type": "fixed", "wait_minutes": 0}}


BUSY = ScriptedAttempt("busy", "busy", {"outcome": "busy"})
SILENT = ScriptedAttempt("nobody answers", "no-answer", {"outcome": "no-answer"})
ANSWERED = ScriptedAttempt("answered", "completed", {"outcome": "completed"})
MACHINE = ScriptedAttempt("answering machine", "voicemail", {"outcome": "voicemail"})
# The mock carrier posts each callback twice, and the last one first.
SENT_TWICE = ScriptedAttempt("busy, sent twice", "busy", {"outcome": "busy", "duplicate": True, "reorder": True})
# The mock carrier answers 500 to the request, and places the call.
PLACED_BY_A_500 = ScriptedAttempt("500, yet it rings", "completed", {"outcome": "server-error-but-placed"})

CALLS = (
    ScriptedCall("1", "+16505550101", 3, (BUSY, SILENT, ANSWERED), "completed", "reached"),
    ScriptedCall("2", "+16505550102", 3, (MACHINE,), "voicemail_final", "voicemail-is-final"),
    ScriptedCall("3", "+16505550103", 1, (BUSY, BUSY), "all_retries_exhausted", "retries-exhausted"),
    ScriptedCall("4", "+16505550104", 3, (SENT_TWICE, ANSWERED), "completed", "reached"),
    ScriptedCall("5", "+16505550105", 3, (PLACED_BY_A_500,), "completed", "reached"),
)


@dataclass(frozen=True, slots=True)
class SeenAttempt:
    """An attempt as the API shows it."""

    number: int
    status: str
    outcome: str | None
    called_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A call as the API shows it.

    ``due_at`` has the ``next_attempt_at`` that the API showed for each retry, by the number of the attempt.
    """

    scripted: ScriptedCall
    state: str
    summary_status: str | None
    reason: str | None
    attempts: tuple[SeenAttempt, ...]
    due_at: Mapping[int, datetime] = field(default_factory=dict)

    @property
    def next_number(self) -> int | None:
        """The number of the attempt that the call waits for.

        It is None while an attempt is in flight and after the call has ended.
        """
        return len(self.attempts) + 1 if self.state == "scheduled" else None

    def attempt(self, number: int) -> SeenAttempt | None:
        """Return the attempt of a number, or None if it was not made."""
        return next((attempt for attempt in self.attempts if attempt.number == number), None)


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A one-shot rule.

    The demo saw it first at ``since_at``, and saw first at ``gone_at`` that it was gone.
    """

    name: str
    since_at: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The calls and the rules at one moment."""

    calls: tuple[SeenCall, ...] = ()
    rules: tuple[SeenRule, ...] = ()

    @property
    def armed(self) -> tuple[SeenRule, ...]:
        """The rules that still exist."""
        return tuple(rule for rule in self.rules if rule.gone_at is None)


def read_call(scripted: ScriptedCall, body: Mapping[str, Any], due_at: Mapping[int, datetime]) -> SeenCall:
    """Return the call in an answer of ``GET /calls/{id}``.

    ``due_at`` has the due times of the retries in earlier answers.
    """
    attempts = tuple(
        SeenAttempt(
            number=entry["attempt"],
            status=entry["status"],
            outcome=entry["outcome"],
            called_at=_time(entry["called_at"]),
            ended_at=_time(entry["ended_at"]) if entry["ended_at"] else None,
        )
        for entry in body["attempts"]
    )
    if body["next_attempt_at"]:
        due_at = {**due_at, len(attempts) + 1: _time(body["next_attempt_at"])}
    return SeenCall(scripted, body["state"], body["summary_status"], body["reason"], attempts, due_at)


def pending(snapshot: Snapshot) -> list[str]:
    """Return what the demo still waits for, in words.

    The list is empty once every call has ended and every rule is gone.
    """
    waits = [f"call {call.scripted.name}: {_wait(call)}" for call in snapshot.calls if call.state != "final"]
    return waits + [f"rule {rule.name}: its removal" for rule in snapshot.armed]


def differences(call: SeenCall, requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the differences between a call and its script, in words.

    ``requests`` are the create-call requests in the mock carrier's log.
    """
    scripted = call.scripted
    wanted = [(number, attempt.outcome) for number, attempt in enumerate(scripted.attempts, start=1)]
    facts = (
        ("attempts", _history(wanted), _history([(a.number, a.outcome or a.status) for a in call.attempts])),
        ("summary_status", scripted.summary_status, str(call.summary_status)),
        ("reason", scripted.reason, str(call.reason)),
        (
            "requests at the mock carrier",
            _listed([str(n) for n, _ in wanted]),
            _listed(sorted(map(_attempt_of, requests))),
        ),
        ("dialled before it was due", _listed([]), _listed(_early(call))),
    )
    return [
        f"call {scripted.name}: {what}: expected {expected}; got {got}"
        for what, expected, got in facts
        if expected != got
    ]


def _wait(call: SeenCall) -> str:
    number = call.next_number
    if number is None:
        last = call.attempts[-1] if call.attempts else None
        return f"the end of attempt {last.number} ({last.status})" if last else "its first attempt"
    due_at = call.due_at.get(number)
    return f"attempt {number}, due at {due_at:%H:%M:%S}" if due_at else f"attempt {number}"


def _attempt_of(request: Mapping[str, Any]) -> str:
    """Return which attempt a create-call request was for, by its answer URL's query."""
    query = parse_qs(urlsplit(str(request["form"].get("Url", ""))).query)
    return query.get("attempt", ["unnamed"])[0]


def _early(call: SeenCall) -> list[str]:
    return [
        f"attempt {attempt.number}, by {(due_at - attempt.called_at).total_seconds():.3f} s"
        for attempt in call.attempts
        if (due_at := call.due_at.get(attempt.number)) and attempt.called_at < due_at
    ]


def _history(attempts: Sequence[tuple[int, str]]) -> str:
    return _listed([f"{number} {outcome}" for number, outcome in attempts])


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words) or "none"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
