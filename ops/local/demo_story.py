"""The demo's story: the calls that it places, what must become of them, and what is seen of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: Seconds that a phone rings, and that an answered call lasts.
BRIEFLY = {"ring_sec": 1.0, "talk_sec": 1.0}


@dataclass(frozen=True, slots=True)
class ScriptedAttempt:
    """How the line behaves once: ``line`` for people, ``script`` for the carrier; ``outcome`` must come of it."""

    line: str
    outcome: str
    script: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A call to place, and how it must end: its ``summary_status`` and the ``reason`` of the last decision."""

    name: str
    number: str
    max_retries: int
    attempts: tuple[ScriptedAttempt, ...]
    summary_status: str
    reason: str

    @property
    def script(self) -> dict[str, Any]:
        """What the carrier is told of the number."""
        return {"outcomes": [{**BRIEFLY, **attempt.script} for attempt in self.attempts]}

    @property
    def retry(self) -> dict[str, Any]:
        """The ``retry`` of its request: no wait, so that the next full minute dials again."""
        return {"max_retries": self.max_retries, "strategy": {"type": "fixed", "wait_minutes": 0}}


BUSY = ScriptedAttempt("busy", "busy", {"outcome": "busy"})
SILENT = ScriptedAttempt("nobody answers", "no-answer", {"outcome": "no-answer"})
ANSWERED = ScriptedAttempt("answered", "completed", {"outcome": "completed"})
MACHINE = ScriptedAttempt("answering machine", "voicemail", {"outcome": "voicemail"})
# Each callback comes twice, the last one first.
SENT_TWICE = ScriptedAttempt("busy, sent twice", "busy", {"outcome": "busy", "duplicate": True, "reorder": True})
# The carrier answers 500 to the request and places the call all the same.
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
    """A call as the API shows it; ``due_at`` is what ``next_attempt_at`` said of each retry, by its number."""

    scripted: ScriptedCall
    state: str
    summary_status: str | None
    reason: str | None
    attempts: tuple[SeenAttempt, ...]
    due_at: Mapping[int, datetime] = field(default_factory=dict)

    @property
    def next_number(self) -> int | None:
        """The number of the attempt that is waited for, None while one is out or the call has ended."""
        return len(self.attempts) + 1 if self.state == "scheduled" else None

    def attempt(self, number: int) -> SeenAttempt | None:
        """The attempt of that number; None where it was not made."""
        return next((attempt for attempt in self.attempts if attempt.number == number), None)


@dataclass(frozen=True, slots=True)
class SeenRule:
    """A one-shot rule that was there, and when a look at the rules found it first, and found it gone."""

    name: str
    since_at: datetime
    gone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known at a moment."""

    calls: tuple[SeenCall, ...] = ()
    rules: tuple[SeenRule, ...] = ()

    @property
    def armed(self) -> tuple[SeenRule, ...]:
        """The rules that are still there."""
        return tuple(rule for rule in self.rules if rule.gone_at is None)


def read_call(scripted: ScriptedCall, body: Mapping[str, Any], due_at: Mapping[int, datetime]) -> SeenCall:
    """The answer of ``GET /calls/{id}``, with what was known of the retries' due times."""
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
    """What is still waited for, in words; empty once every call has ended and every rule is gone."""
    waits = [f"call {call.scripted.name}: {_wait(call)}" for call in snapshot.calls if call.state != "final"]
    return waits + [f"rule {rule.name}: its removal" for rule in snapshot.armed]


def differences(call: SeenCall, requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a call is not as scripted, in words. ``requests`` are the create-call requests in the carrier's log."""
    scripted = call.scripted
    wanted = [(number, attempt.outcome) for number, attempt in enumerate(scripted.attempts, start=1)]
    facts = (
        ("attempts", _history(wanted), _history([(a.number, a.outcome or a.status) for a in call.attempts])),
        ("summary_status", scripted.summary_status, str(call.summary_status)),
        ("reason", scripted.reason, str(call.reason)),
        ("requests at the mock carrier", _listed([str(n) for n, _ in wanted]), _listed(sorted(map(_asked, requests)))),
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


def _asked(request: Mapping[str, Any]) -> str:
    """Which attempt a create-call request was for: Redial tells the answer URL, in its query."""
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
