"""Caps: the claim counts the real attempts of all calls to a number."""

from datetime import timedelta

from chalicelib.providers.http import AnswerLost
from tests.support.world import BODY, START, World, answer_json

CAPPED = {"retry": {**BODY["retry"], "caps": [{"max_attempts": 2, "per_hours": 24}]}}


def test_a_second_campaign_does_not_get_past_the_cap_of_a_number(world: World) -> None:
    for _ in range(2):
        world.place(**CAPPED)
    third = world.place(**CAPPED)
    assert (third["state"], third["next_attempt_at"], third["attempts"]) == ("scheduled", "2026-01-27T10:00:00Z", [])
    assert world.place(to_number="+16505550123", **CAPPED)["state"] == "dialing"


def test_attempts_of_calls_without_a_cap_count_as_well(world: World) -> None:
    for _ in range(2):
        world.place()
    assert world.place(**CAPPED)["state"] == "scheduled"


def test_a_cap_that_filled_up_meanwhile_defers_a_waiting_redial(world: World) -> None:
    call = world.place(**CAPPED)
    world.end("busy")
    world.clock.turn(minutes=10)
    world.place()
    world.pump(START + timedelta(minutes=30))
    moved = world.call(call["id"])
    assert (moved["state"], moved["next_attempt_at"]) == ("scheduled", "2026-01-27T10:00:00Z")
    world.pump(START + timedelta(hours=25))
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]
    reasons = [d["reason"] for d in world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]]
    assert reasons == ["retry", "rescheduled"]


def test_a_rejected_attempt_does_not_count_for_the_cap(world: World) -> None:
    world.twilio.answers = [answer_json(429, {}), answer_json(429, {}), answer_json(429, {})]
    for _ in range(3):
        world.place(**CAPPED)
    assert world.place(**CAPPED)["state"] == "dialing"


def test_an_attempt_that_may_have_been_placed_counts(world: World) -> None:
    world.twilio.answers = [AnswerLost("timed out"), AnswerLost("timed out")]
    for _ in range(2):
        world.place(**CAPPED)
    assert world.place(**CAPPED)["state"] == "scheduled"


def test_calls_that_fall_due_together_share_one_cap(world: World) -> None:
    calls = [world.place(start_at="2026-01-26T11:00:00Z", **CAPPED) for _ in range(4)]
    world.pump(START + timedelta(hours=1))
    assert len(world.twilio.placed) == 2
    assert sorted(world.call(c["id"])["state"] for c in calls) == ["dialing", "dialing", "scheduled", "scheduled"]


def test_a_retry_outside_the_window_is_deferred_to_its_opening(world: World) -> None:
    window = {"timezone": "Etc/UTC", "open": {d: [["09:00", "10:20"]] for d in ("monday", "tuesday")}}
    call = world.place(retry={**BODY["retry"], "window": window})
    world.end("busy")
    assert world.call(call["id"])["next_attempt_at"] == "2026-01-27T09:00:00Z"


def test_a_wake_that_comes_after_the_window_closed_does_not_dial(world: World) -> None:
    window = {"timezone": "Etc/UTC", "open": {d: [["09:00", "10:40"]] for d in ("monday", "tuesday")}}
    call = world.place(retry={**BODY["retry"], "window": window})
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=41))
    assert world.redial(START + timedelta(minutes=30)) == {"left": 0, "rescheduled": 1}
    assert world.call(call["id"])["next_attempt_at"] == "2026-01-27T09:00:00Z"
    assert len(world.twilio.placed) == 1


def test_the_zone_of_a_number_is_asked_once_and_kept(world: World) -> None:
    call = world.place(to_number="+919876543210", retry={**BODY["retry"], "window": {"preset": "in-trai"}})
    assert (call["state"], call["timezones"]) == ("dialing", ["Asia/Kolkata"])  # 15:30 there


def test_a_voicemail_is_handed_to_another_target_once(world: World) -> None:
    message = "https://example.com/leave-a-message.xml"
    call = world.place(retry={**BODY["retry"], "on": {"voicemail": {"target": {"url": message}, "wait_minutes": 1}}})
    for _ in range(2):
        world.end("completed", AnsweredBy="machine_start")
        world.pump(world.clock.now() + timedelta(minutes=10))
    assert [p.form["Url"] == message for p in world.twilio.placed] == [False, True]
    assert world.call(call["id"])["reason"] == "outcome-retries-exhausted"
