"""``quiet_after``: no dial to a number for a time after any conversation."""

from datetime import timedelta
from typing import Any
from unittest.mock import patch

from chalicelib.storage.calls import CallStore
from tests.support.world import BODY, START, World

#: seven attempts in seven days, and 168 hours of quiet after a conversation
REG_F = {**BODY["retry"], "window": {"preset": "us-reg-f", "timezone": "UTC"}, "expires_after_hours": 1440}
AN_HOUR = {**BODY["retry"], "quiet_after": {"completed": 1}}


def reasons(world: World, call: dict[str, Any]) -> list[str]:
    return [each["reason"] for each in world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]]


def test_no_call_is_dialled_for_a_week_after_the_conversation_of_another(world: World) -> None:
    world.place()  # the policy of this call has no quiet_after
    world.clock.turn(minutes=3)
    world.end("completed", CallDuration="60")
    call = world.place(retry=REG_F)
    assert (call["state"], call["next_attempt_at"]) == ("scheduled", "2026-02-02T10:03:00Z")
    assert call["policy"]["quiet_after"] == {"completed": 168.0}
    world.pump(START + timedelta(days=7, minutes=3))
    assert world.history(call["id"]) == [(1, "placed")]
    assert world.place(to_number="+16505550123", retry=REG_F)["state"] == "dialing"


def test_a_call_that_expires_within_the_quiet_ends(world: World) -> None:
    world.place()
    world.end("completed")
    call = world.place(retry={**REG_F, "expires_after_hours": 100})
    assert (call["summary_status"], call["reason"]) == ("blocked", "quiet")


def test_the_claim_defers_a_redial_after_a_later_conversation(world: World) -> None:
    call = world.place(retry=AN_HOUR)
    world.end("busy")
    world.clock.turn(minutes=10)
    world.place()
    world.end("completed")
    world.pump(START + timedelta(minutes=30))
    moved = world.call(call["id"])
    assert (moved["state"], moved["next_attempt_at"]) == ("scheduled", "2026-01-26T11:10:00Z")
    world.pump(START + timedelta(minutes=70))
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]
    assert reasons(world, call) == ["retry", "rescheduled"]


def test_an_outcome_that_the_rule_does_not_name_brings_no_quiet(world: World) -> None:
    world.place()
    world.end("no-answer")
    assert world.place(retry=AN_HOUR)["state"] == "dialing"


def test_an_attempt_of_the_call_itself_brings_quiet(world: World) -> None:
    call = world.place(retry={**BODY["retry"], "quiet_after": {"busy": 5}})
    world.end("busy")
    assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T15:00:00Z"


def test_a_number_is_left_alone_during_a_conversation(world: World) -> None:
    world.place()
    world.callback(world.twilio.placed[-1], "in-progress", SequenceNumber="2")
    waiting = world.place(retry=AN_HOUR)
    assert (waiting["state"], waiting["next_attempt_at"]) == ("scheduled", "2026-01-26T10:05:00Z")


def test_an_answer_between_the_look_and_the_claim_is_not_missed(world: World) -> None:
    world.place()
    ringing, unchanged = world.twilio.placed[-1], CallStore.unchanged
    answered = iter([lambda: world.callback(ringing, "completed", SequenceNumber="3")])

    def in_between(store: CallStore, attempt: Any) -> Any:
        next(answered, lambda: None)()
        return unchanged(store, attempt)

    with patch.object(CallStore, "unchanged", in_between):
        call = world.place(retry=AN_HOUR)
    assert (call["state"], call["next_attempt_at"]) == ("scheduled", "2026-01-26T11:00:00Z")
    assert len(world.twilio.placed) == 1


def test_an_attempt_that_is_not_kept_any_more_counts_as_a_conversation(world: World) -> None:
    gone = world.place()
    world.end("busy")
    load = CallStore.load

    def without(store: CallStore, call_id: str) -> Any:
        return None if call_id == gone["id"] else load(store, call_id)

    with patch.object(CallStore, "load", without):
        assert world.place(retry=AN_HOUR)["next_attempt_at"] == "2026-01-26T11:00:00Z"


def test_a_preview_shows_the_quiet_of_its_own_attempts(world: World) -> None:
    retry = {"wait_minutes": 30, "quiet_after": {"busy": 2}}
    body = {"timezone": "UTC", "start_at": "2026-01-26T10:00:00Z", "outcomes": ["busy"], "retry": retry}
    attempts = world.request("POST", "/policies/preview", body).json_body["attempts"]
    assert [each["at"] for each in attempts] == ["2026-01-26T10:00:00Z", "2026-01-26T12:00:00Z"]
    step = "postponed until 2026-01-26T12:00Z by quiet_after, because of an earlier attempt to the number"
    assert step in attempts[1]["steps"]
