"""Calls that the user's own code placed: their callbacks make the record, and Redial redials them."""

from datetime import timedelta

import pytest
from chalice.test import HTTPResponse

from chalicelib import ids
from tests.support.world import ENV, PUBLIC_URL, START, World

SID = "CA" + "7" * 32
ADDRESS = f"{PUBLIC_URL}/callbacks/twilio?policy=adopted&workspace=acme"
FORM = {
    "CallSid": SID,
    "AccountSid": ENV["TWILIO_ACCOUNT_SID"],
    "From": "+14155550100",
    "To": "+16505550199",
    "Direction": "outbound-api",
}
CALL_ID = ids.derived_id("call", "acme", "twilio", SID)


@pytest.fixture
def adopting(world: World) -> World:
    body = {"retry": {"max_retries": 2, "wait_minutes": 30}, "target": {"url": "https://example.com/again.xml"}}
    assert world.request("PUT", "/policies/adopted", body).status_code == 200
    return world


def post(world: World, status: str, url: str = ADDRESS, **fields: str) -> HTTPResponse:
    return world.post_signed(url, {**FORM, "CallStatus": status, **fields})


def test_a_foreign_call_is_adopted_and_redialled_under_the_named_policy(adopting: World) -> None:
    world = adopting
    answer = post(world, "busy", SequenceNumber="3")
    assert answer.json_body["events"][0] == {
        "decision": "decided",
        "call_id": CALL_ID,
        "attempt": 1,
        "reason": "retry",
        "retry_at": "2026-01-26T10:30:00Z",
    }
    world.pump(START + timedelta(minutes=30))
    (redial,) = world.twilio.placed
    assert (redial.form["To"], redial.form["From"]) == ("+16505550199", "+14155550100")
    assert redial.form["Url"] == "https://example.com/again.xml"
    assert redial.callback_url.startswith(f"{PUBLIC_URL}/callbacks/twilio/{CALL_ID}.2.")
    world.end("completed")
    assert world.history(CALL_ID) == [(1, "busy"), (2, "completed")]
    assert world.call(CALL_ID)["attempts"][0]["provider_call_id"] == SID


def test_repeated_and_reordered_callbacks_adopt_a_call_once(adopting: World) -> None:
    for status in ("completed", "ringing", "in-progress", "completed", "initiated"):
        assert post(adopting, status).status_code == 200
    assert adopting.history(CALL_ID) == [(1, "completed")]
    assert len(adopting.request("GET", "/calls").json_body["data"]) == 1


def test_an_adopted_attempt_counts_against_the_caps_of_its_number(adopting: World) -> None:
    post(adopting, "ringing")
    capped = adopting.place(retry={"caps": [{"max_attempts": 1, "per_hours": 24}]})
    assert capped["next_attempt_at"] == "2026-01-27T10:00:00Z"


def test_a_call_that_the_customer_made_is_left_alone(adopting: World) -> None:
    answer = post(adopting, "busy", Direction="inbound")
    assert answer.json_body["events"][0]["decision"] == "inbound"
    assert adopting.request("GET", f"/calls/{CALL_ID}").status_code == 404


def test_a_child_leg_of_a_twiml_dial_is_left_alone(adopting: World) -> None:
    for said in ({"Direction": "outbound-dial"}, {"ParentCallSid": "CA" + "6" * 32}):
        answer = post(adopting, "busy", **said)
        assert answer.json_body["events"][0]["decision"] == "other-leg"
    assert adopting.request("GET", f"/calls/{CALL_ID}").status_code == 404


def test_without_a_policy_a_foreign_call_is_not_found(adopting: World) -> None:
    assert post(adopting, "busy", url=f"{PUBLIC_URL}/callbacks/twilio").status_code == 404
    assert post(adopting, "busy", url=ADDRESS.replace("adopted", "nobody")).status_code == 404


def test_an_unsigned_request_learns_nothing_of_the_policies(adopting: World) -> None:
    for name in ("adopted", "nobody"):
        path = f"/callbacks/twilio?policy={name}&workspace=acme"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert adopting.client.http.post(path, headers=headers, body=b"CallSid=1").status_code == 403


def test_a_callback_without_numbers_cannot_be_adopted(adopting: World) -> None:
    answer = post(adopting, "busy", To="client:ada")
    assert answer.status_code == 400
    assert "no E.164 numbers" in answer.json_body["detail"]
