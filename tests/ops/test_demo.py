"""The demo's exit code and its table, without a stack."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from ops.local import demo_view
from ops.local.demo_story import CALLS, ScriptedCall, SeenCall, SeenRule, Snapshot, differences, pending, read_call
from ops.local.line import Line, read_script

START = datetime(2026, 1, 26, 10, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TWO_DIALS = CALLS[2]


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def attempt(number: int, outcome: str | None, called_at: datetime) -> dict[str, Any]:
    ended_at = called_at + timedelta(seconds=1)
    return {
        "attempt": number,
        "status": outcome or "ringing",
        "outcome": outcome,
        "called_at": text(called_at),
        "ended_at": text(ended_at) if outcome else None,
    }


def body(*attempts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return the answer of ``GET /calls/{id}``, as far as the demo reads it."""
    return {
        "state": "final",
        "summary_status": "all_retries_exhausted",
        "reason": "retries-exhausted",
        "next_attempt_at": None,
        "attempts": list(attempts),
    } | changed


def due(number: int) -> datetime:
    return START.replace(second=0) + (number - 1) * MINUTE


def seen(*outcomes: str, **changed: Any) -> SeenCall:
    """Return the third call, which is busy twice, as seen after these outcomes."""
    attempts = [attempt(1, outcomes[0], START)]
    attempts += [attempt(n, outcome, due(n)) for n, outcome in enumerate(outcomes[1:], start=2)]
    due_at = {n: due(n) for n in range(2, len(outcomes) + 1)}
    return read_call(TWO_DIALS, body(*attempts, **changed), due_at)


def requests(*numbers: int) -> list[dict[str, Any]]:
    return [{"form": {"Url": f"http://127.0.0.1:4000/answer?call_id=call_1&attempt={n}"}} for n in numbers]


def waiting() -> SeenCall:
    at = {"state": "scheduled", "summary_status": None, "reason": None, "next_attempt_at": text(due(2))}
    return seen("busy", **at)


def as_scripted(call: ScriptedCall) -> SeenCall:
    attempts = [attempt(n, a.outcome, START + n * MINUTE) for n, a in enumerate(call.attempts, start=1)]
    return read_call(call, body(*attempts, summary_status=call.summary_status, reason=call.reason), {})


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_that_went_as_scripted_differs_in_nothing(call: ScriptedCall) -> None:
    assert differences(as_scripted(call), requests(*range(1, len(call.attempts) + 1))) == []


@pytest.mark.parametrize(
    ("call", "asked", "difference"),
    [
        (seen("busy"), requests(1, 2), "attempts: expected 1 busy, 2 busy; got 1 busy"),
        (
            seen("busy", "busy", "busy"),
            requests(1, 2),
            "attempts: expected 1 busy, 2 busy; got 1 busy, 2 busy, 3 busy",
        ),
        (seen("busy", "failed"), requests(1, 2), "attempts: expected 1 busy, 2 busy; got 1 busy, 2 failed"),
        (
            seen("busy", "busy", summary_status="completed"),
            requests(1, 2),
            "summary_status: expected all_retries_exhausted; got completed",
        ),
        (
            seen("busy", "busy", summary_status=None),
            requests(1, 2),
            "summary_status: expected all_retries_exhausted; got None",
        ),
        (
            seen("busy", "busy", reason="policy-expired"),
            requests(1, 2),
            "reason: expected retries-exhausted; got policy-expired",
        ),
        (seen("busy", "busy"), requests(1, 2, 2), "requests at the mock carrier: expected 1, 2; got 1, 2, 2"),
        (seen("busy", "busy"), requests(2), "requests at the mock carrier: expected 1, 2; got 2"),
        (seen("busy", "busy"), requests(), "requests at the mock carrier: expected 1, 2; got none"),
        (
            seen("busy", "busy"),
            [*requests(1, 2), {"form": {}}],
            "requests at the mock carrier: expected 1, 2; got 1, 2, unnamed",
        ),
        (
            replace(seen("busy", "busy"), due_at={2: due(2) + timedelta(seconds=0.5)}),
            requests(1, 2),
            "dialled before it was due: expected none; got attempt 2, by 0.500 s",
        ),
    ],
)
def test_a_call_that_went_otherwise_says_how(call: SeenCall, asked: list[dict[str, Any]], difference: str) -> None:
    assert differences(call, asked) == [f"call 3: {difference}"]


def test_an_attempt_without_an_end_is_named_by_its_status() -> None:
    ringing = read_call(TWO_DIALS, body(attempt(1, None, START)), {})
    assert differences(ringing, requests(1)) == [
        "call 3: attempts: expected 1 busy, 2 busy; got 1 ringing",
        "call 3: requests at the mock carrier: expected 1, 2; got 1",
    ]


def test_what_is_waited_for_is_named() -> None:
    ringing = read_call(TWO_DIALS, body(attempt(1, None, START), state="dialing"), {})
    rule = SeenRule("redial-dev-wake-202601261001", START)
    over = replace(rule, name="redial-dev-wake-202601261000", gone_at=START)
    assert pending(Snapshot((waiting(), ringing, seen("busy", "busy")), (over, rule))) == [
        "call 3: attempt 2, due at 10:01:00",
        "call 3: the end of attempt 1 (ringing)",
        "rule redial-dev-wake-202601261001: its removal",
    ]
    assert pending(Snapshot((seen("busy", "busy"),), (over,))) == []


def test_the_due_time_of_a_retry_is_remembered_once_it_was_dialled() -> None:
    dialled = read_call(TWO_DIALS, body(attempt(1, "busy", START), attempt(2, None, due(2))), waiting().due_at)
    assert dialled.due_at == {2: due(2)}


def test_the_carrier_understands_every_script() -> None:
    for call in CALLS:
        lines = read_script(json.dumps(call.script).encode(), Line("completed", 9, 9))
        assert [(line.ring_sec, line.talk_sec) for line in lines] == [(1, 1)] * len(call.attempts)


def picture(*calls: SeenCall, width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), record=True)
    console.print(demo_view.calls_table(Snapshot(calls), width, START))
    return console.export_text().splitlines()


def test_the_table_keeps_its_shape_in_terminals_of_80_and_100_columns() -> None:
    ended = [as_scripted(call) for call in CALLS]
    begun = [read_call(call, body(state="dialing", summary_status=None, reason=None), {}) for call in CALLS]
    for width in (80, 100):
        before, after = picture(*begun, width=width), picture(*ended, width=width)
        assert len(before) == len(after) == 11
        assert before[:2] == after[:2]
        assert max(map(len, after)) <= width
        assert "…" not in "".join(after)


def test_a_row_shows_what_was_made_of_its_attempt_or_how_long_it_waits() -> None:
    rows = picture(waiting(), width=100)[2:]
    assert [" ".join(row.split()) for row in rows] == [
        "3 +16505550103 1 busy 10:00:30 busy retry at 10:01:00",
        "2 busy in 30 s",
    ]


def test_without_a_terminal_each_thing_is_said_once_as_a_line_of_its_own() -> None:
    rule = SeenRule("redial-dev-wake-202601261001", START)
    console = Console(width=110, file=StringIO(), record=True)
    with demo_view.following(console) as show:
        show(Snapshot((waiting(),), (rule,)))
        show(Snapshot((waiting(),), (rule,)))
        show(Snapshot((seen("busy", "busy"),), (replace(rule, gone_at=START + MINUTE),)))
    name = "call 3 (+16505550103)"
    assert [line.partition("  ")[2] for line in console.export_text().splitlines()] == [
        f"{name}, attempt 1: dialled at 10:00:30",
        f"{name}, attempt 1: busy; retry at 10:01:00",
        "rule redial-dev-wake-202601261001 is set",
        f"{name}, attempt 2: dialled at 10:01:00",
        f"{name}, attempt 2: busy; retries-exhausted",
        f"{name} is final: all_retries_exhausted",
        "rule redial-dev-wake-202601261001 is gone",
    ]


def test_the_verdict_names_every_difference_and_everything_missing() -> None:
    console = Console(width=100, file=StringIO(), record=True)
    snapshot = Snapshot((seen("busy", "busy"), waiting()))
    demo_view.print_verdict(console, snapshot, [[], ["call 3: attempts: expected 2; got 1"]], ["call 3: attempt 2"])
    assert console.export_text().splitlines() == [
        "",
        "Calls",
        "  ✓ 3 +16505550103  all_retries_exhausted  as scripted, each dialled once",
        "  ✗ 3 +16505550103  scheduled              not as scripted",
        "  still waiting for call 3: attempt 2",
        "  call 3: attempts: expected 2; got 1",
    ]


def test_while_it_waits_it_names_the_rule_and_the_calls() -> None:
    snapshot = Snapshot((waiting(),), (SeenRule("redial-dev-wake-202601261001", START),))
    assert [line.plain for line in demo_view.waiting_for(snapshot, START)] == [
        "10:01:00, in 30 s: the rule redial-dev-wake-202601261001 will fire",
        "Then Redial dials again: call 3",
    ]
    assert [line.plain for line in demo_view.waiting_for(Snapshot((waiting(),)), START)] == [
        "10:01:00, in 30 s: no rule is there for it",
        "Then Redial dials again: call 3",
    ]


def test_the_picture_shows_the_history_and_loads_nothing_from_elsewhere() -> None:
    snapshot = Snapshot((seen("busy", "busy"),), (SeenRule("redial-local-wake-202601261001", START, START + MINUTE),))
    svg = demo_view.picture(snapshot, [[]], [])
    assert all(word in svg for word in ("make&#160;demo", "+16505550103", "retries-exhausted", "202601261001"))
    assert "@font-face" not in svg
    assert "url(http" not in svg
