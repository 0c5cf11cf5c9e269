"""Attempts of unknown placement.

Redial looks for them at the provider, does not dial them twice, and ends them with a reason.
"""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.providers.http import AnswerLost
from ops.data.keys import create_key
from tests.support.crashes import Crash, fault_at
from tests.support.world import BODY, START, TABLE, World, answer_json

RETRY = {**BODY["retry"], "max_retries": 1, "on": {"failed": {"max_retries": 1}}}
LIMIT = timedelta(seconds=60 + 3600 + 120)


def die_around_the_post(world: World, *, after: bool) -> dict[str, Any]:
    """Place a call whose dialer dies just before or just after the create-call."""
    with fault_at("POST provider", after=after, dies=True), pytest.raises(Crash):
        world.place(retry=RETRY)
    world.restart()
    entries = world.request("GET", "/calls").json_body["data"]
    (call_id,) = {e["call_id"] for e in entries if e["to_number"] == BODY["to_number"]}
    return world.call(call_id)


def first(world: World, call: dict[str, Any]) -> dict[str, Any]:
    attempt: dict[str, Any] = world.call(call["id"])["attempts"][0]
    return attempt


def sweep_at(world: World, **after: float) -> dict[str, int]:
    world.clock.turn(to=START + timedelta(**after))
    return {kind: n for kind, n in world.sweep().items() if kind.startswith("silent")}


def test_a_call_placed_by_a_dialer_that_died_is_found_within_two_minutes(world: World) -> None:
    call = die_around_the_post(world, after=True)
    assert first(world, call)["status"] == "dialing"
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "in-progress"}
    assert sweep_at(world, minutes=1) == {"silent-still-live": 1}
    found = first(world, call)
    assert (found["status"], found["provider_call_id"]) == ("in-progress", world.twilio.placed[0].sid)
    assert world.callback(world.twilio.placed[0], "completed", CallDuration="9", SequenceNumber="3").status_code == 200
    assert world.call(call["id"])["summary_status"] == "completed"
    assert len(world.twilio.placed) == 1


def test_one_that_has_ended_meanwhile_ends_as_the_provider_says(world: World) -> None:
    call = die_around_the_post(world, after=True)
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy"}
    assert sweep_at(world, minutes=1) == {"silent-ended": 1}
    assert (first(world, call)["outcome"], world.call(call["id"])["state"]) == ("busy", "scheduled")


def test_a_call_that_the_provider_never_had_is_retried(world: World) -> None:
    call = die_around_the_post(world, after=False)
    assert sweep_at(world, minutes=1) == {"silent-still-live": 1}
    assert (first(world, call)["status"], first(world, call)["cause"]) == ("placement-unknown", "dialer-died")
    assert sweep_at(world, minutes=11) == {"silent-ended": 1}
    assert (first(world, call)["outcome"], first(world, call)["cause"]) == ("error", "never-placed")
    world.pump(START + timedelta(minutes=14))
    assert [a["attempt"] for a in world.call(call["id"])["attempts"]] == [1, 2]
    world.end("busy")
    world.pump(START + timedelta(hours=1))
    assert [a["status"] for a in world.call(call["id"])["attempts"]] == ["error", "busy", "placed"]
    assert len(world.twilio.placed) == 2


def test_an_attempt_that_never_was_counts_under_no_cap(world: World) -> None:
    retry = {**RETRY, "caps": [{"max_attempts": 1, "per_hours": 24}]}
    world.twilio.answers = [answer_json(503, {})]
    call = world.place(retry=retry)
    assert first(world, call)["status"] == "placement-unknown"
    sweep_at(world, minutes=1)
    assert sweep_at(world, minutes=11) == {"silent-ended": 1}
    world.pump(START + timedelta(minutes=14))
    assert len(world.twilio.placed) == 1


@pytest.mark.parametrize("lost", [AnswerLost("reset"), answer_json(500, {"code": 20500})])
def test_an_answer_that_was_lost_is_made_good_by_the_providers_list(world: World, lost: Any) -> None:
    world.twilio.answers = [lost]
    call = world.place(retry=RETRY)
    asked = len(world.twilio.requests)
    assert first(world, call)["status"] == "placement-unknown"
    sweep_at(world, minutes=1)
    assert world.twilio.requests[asked][0] == "GET"
    if isinstance(lost, AnswerLost):  # the fake provider places the call, and only its answer is lost
        assert first(world, call)["provider_call_id"] == world.twilio.placed[0].sid
    assert [method for method, _ in world.twilio.requests].count("POST") == 1


def test_without_a_list_the_attempt_fails_after_the_longest_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.twilio.answers = [AnswerLost("reset")]
    call = world.place(retry=RETRY)
    monkeypatch.setattr(type(world.services.ports.provider("twilio")), "find", lambda *_: None)
    for minutes in (1, 11, 21, 31, 41, 51, 61):
        assert sweep_at(world, minutes=minutes) == {"silent-still-live": 1}
    assert sweep_at(world, seconds=LIMIT.total_seconds()) == {"silent-ended": 1}
    assert (first(world, call)["outcome"], first(world, call)["cause"]) == ("failed", "no-callback")


def test_a_call_that_could_be_anothers_is_not_taken_for_this_attempts(world: World) -> None:
    other = world.place()
    world.clock.turn(minutes=1)
    world.twilio.answers = [answer_json(503, {})]
    call = world.place(retry=RETRY)
    sweep_at(world, minutes=2)
    assert (first(world, call)["status"], first(world, call)["provider_call_id"]) == ("placement-unknown", None)
    assert first(world, other)["provider_call_id"] == world.twilio.placed[0].sid


@pytest.mark.parametrize(
    ("status", "lasted", "state", "summary"),
    [("completed", 7, "final", "completed"), ("busy", 0, "scheduled", None), ("failed", 0, "scheduled", None)],
)
def test_the_true_end_that_comes_hours_late_is_taken_for_what_it_is(
    world: World, status: str, lasted: int, state: str, summary: str | None
) -> None:
    call = world.place(retry=RETRY)
    assert sweep_at(world, seconds=LIMIT.total_seconds()) == {"silent-ended": 1}
    assert first(world, call)["cause"] == "no-callback"
    world.callback(world.twilio.placed[0], status, CallDuration=str(lasted), SequenceNumber="3")
    after = world.call(call["id"])
    assert (first(world, call)["outcome"], first(world, call)["duration_sec"]) == (status, lasted)
    assert (after["state"], after["summary_status"]) == (state, summary)


@pytest.mark.parametrize(
    ("status", "canceled", "state", "summary"),
    [
        ("busy", False, "scheduled", None),
        ("completed", False, "final", "completed"),
        ("failed", False, "final", "not_retryable"),
        ("busy", True, "final", "canceled"),
        ("completed", True, "final", "completed"),
    ],
)
def test_the_true_end_reopens_a_timed_out_call_unless_canceled(
    world: World, status: str, canceled: bool, state: str, summary: str | None
) -> None:
    call = world.place()
    sweep_at(world, seconds=LIMIT.total_seconds())
    assert world.call(call["id"])["summary_status"] == "not_retryable"
    if canceled:
        answer = world.request("POST", f"/calls/{call['id']}/cancel")
        assert (answer.status_code, answer.json_body["summary_status"]) == (200, "not_retryable")
    world.callback(world.twilio.placed[0], status, SequenceNumber="3")
    after = world.call(call["id"])
    assert (first(world, call)["outcome"], after["state"], after["summary_status"]) == (status, state, summary)
    assert bool(after["next_attempt_at"]) == (state == "scheduled")
    decisions = world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]
    assert decisions[-1]["steps"][0] == "attempt 1 had timed out (no-callback)"


@pytest.mark.parametrize(("status", "summary"), [("completed", "completed"), ("busy", "expired")])
def test_the_true_end_after_the_expiry_sets_the_final_status(world: World, status: str, summary: str) -> None:
    call = world.place(retry={**RETRY, "expires_after_hours": 1.2})
    sweep_at(world, seconds=LIMIT.total_seconds())
    before = world.call(call["id"])
    assert (before["state"], before["summary_status"]) == ("final", "expired")
    world.clock.turn(minutes=60)
    world.callback(world.twilio.placed[0], status, SequenceNumber="3")
    after = world.call(call["id"])
    assert (after["state"], after["summary_status"]) == ("final", summary)


def test_a_late_callback_about_a_reached_person_ends_the_call(world: World) -> None:
    call = world.place(retry={**RETRY, "max_retries": 3, "on": {"failed": True}})
    sweep_at(world, seconds=LIMIT.total_seconds())
    world.pump(START + LIMIT + timedelta(minutes=35))
    assert len(world.twilio.placed) == 2
    assert world.callback(world.twilio.placed[0], "completed", SequenceNumber="3").status_code == 200
    assert world.call(call["id"])["state"] == "dialing"
    world.end("busy")
    after = world.call(call["id"])
    assert (after["state"], after["summary_status"]) == ("final", "completed")
    assert [a["outcome"] for a in after["attempts"]] == ["completed", "busy"]


def test_a_silent_provider_is_asked_again_before_the_timeout(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.place(retry=RETRY)
    with monkeypatch.context() as down:
        down.setattr(type(world.twilio), "request", lambda *_, **__: answer_json(503, {}))
        for seconds in (0, 300, 600):
            assert sweep_at(world, seconds=LIMIT.total_seconds() + seconds) == {"silent-still-live": 1}
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "completed", "duration": "4"}
    assert sweep_at(world, seconds=LIMIT.total_seconds() + 900) == {"silent-ended": 1}
    assert world.call(call["id"])["summary_status"] == "completed"


def test_a_claim_whose_commit_was_carried_out_but_not_answered_is_dialled(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=30))
    with fault_at("TransactWriteItems", after=True, dies=False):
        assert world.redial(START + timedelta(minutes=30))["dialed"] == 1
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


@pytest.mark.parametrize(("status", "state"), [("busy", "scheduled"), ("failed", "final")])
def test_the_true_end_of_an_earlier_attempt_gives_back_its_retry(world: World, status: str, state: str) -> None:
    """End both attempts as ``failed``, with one retry allowed after ``failed``.

    The first attempt timed out with that outcome, and the second one ended with it.
    """
    call = world.place(retry={**RETRY, "max_retries": 3})
    sweep_at(world, seconds=LIMIT.total_seconds())
    world.pump(START + LIMIT + timedelta(minutes=35))
    world.end("failed")
    assert world.call(call["id"])["summary_status"] == "all_retries_exhausted"
    world.callback(world.twilio.placed[0], status, SequenceNumber="3")
    after = world.call(call["id"])
    assert [a["outcome"] for a in after["attempts"]] == [status, "failed"]
    assert after["state"] == state


def test_one_call_at_the_provider_gets_one_owner_of_two_workspaces(world: World) -> None:
    """Let two workspaces lose the answers of dials between the same two numbers.

    The provider has only one call between them.
    """
    other = create_key(world.dynamodb, TABLE, workspace="globex", now=START)
    world.twilio.answers = [AnswerLost("reset"), answer_json(503, {})]
    first_call = world.place(retry=RETRY)
    second = world.request("POST", "/calls", {**BODY, "retry": RETRY}, key=other).json_body
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "in-progress"}
    sweep_at(world, minutes=1)
    records = [world.services.ports.calls.load(call["id"]) for call in (first_call, second)]
    owners = [record.attempts[0].provider_call_id for record in records if record]
    assert sorted(owners, key=str) == [world.twilio.placed[0].sid, None]


def test_another_workspaces_call_is_not_taken_for_a_lost_one(world: World) -> None:
    other = create_key(world.dynamodb, TABLE, workspace="globex", now=START)
    assert world.request("POST", "/calls", BODY, key=other).status_code == 201
    world.twilio.answers = [answer_json(503, {})]
    call = world.place(retry=RETRY)
    sweep_at(world, minutes=1)
    assert (first(world, call)["status"], first(world, call)["provider_call_id"]) == ("placement-unknown", None)


@pytest.mark.parametrize("status", ["in-progress", "no-answer"])
def test_a_child_leg_gives_no_unknown_placement_its_id(world: World, status: str) -> None:
    world.twilio.answers = [AnswerLost("reset")]
    call = world.place()
    child = {"CallSid": "CA" + "9" * 32, "ParentCallSid": world.twilio.placed[0].sid, "Direction": "outbound-dial"}
    world.callback(world.twilio.placed[0], status, SequenceNumber="0", **child)
    (attempt,) = world.call(call["id"])["attempts"]
    assert (attempt["provider_call_id"], attempt["outcome"]) == (None, None)
    world.callback(world.twilio.placed[0], "busy", SequenceNumber="3")
    (attempt,) = world.call(call["id"])["attempts"]
    assert (attempt["provider_call_id"], attempt["outcome"]) == (world.twilio.placed[0].sid, "busy")
