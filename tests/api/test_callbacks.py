"""The callback route: which callbacks it accepts, and what a bad one causes."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests.support.world import PUBLIC_URL, TABLE, World, new_client


def everything(world: World) -> Any:
    return sorted(world.dynamodb.scan(TableName=TABLE)["Items"], key=str)


def test_a_badly_signed_callback_is_refused_and_writes_nothing(world: World) -> None:
    world.place()
    before = everything(world)
    path = world.twilio.placed[0].callback_url.removeprefix(PUBLIC_URL)
    for headers in ({}, {"X-Twilio-Signature": "bm8="}):
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        answer = world.client.http.post(path, headers=sent, body=b"CallSid=CA1&CallStatus=busy")
        assert (answer.status_code, answer.json_body["title"]) == (403, "Forbidden")
    assert everything(world) == before


def test_an_unknown_token_is_not_found(world: World) -> None:
    world.place()
    before = everything(world)
    real = world.twilio.placed[0].callback_url
    form = {"CallSid": "CA" + "1" * 32, "CallStatus": "busy"}
    for url in (
        real[:-32] + "0" * 32,
        real.replace(".1.", ".2."),
        real.replace("call_", "call_x"),
        f"{PUBLIC_URL}/callbacks/twilio/nonsense",
        f"{PUBLIC_URL}/callbacks/twilio/..%2f",
    ):
        for status in ("busy", "ringing", "parked"):
            assert world.post_signed(url, {**form, "CallStatus": status}).status_code == 404
    assert everything(world) == before


def test_a_callback_for_a_provider_that_we_do_not_speak_is_not_found(world: World) -> None:
    assert world.post_signed(f"{PUBLIC_URL}/callbacks/pigeon/x", {"CallSid": "1"}).status_code == 404


def test_a_signed_callback_that_names_no_call_is_malformed(world: World) -> None:
    world.place()
    answer = world.post_signed(world.twilio.placed[0].callback_url, {"CallStatus": "busy"})
    assert (answer.status_code, answer.json_body["title"]) == (400, "Bad Request")


def test_an_unknown_status_is_recorded_and_changes_nothing(world: World) -> None:
    call = world.place()
    answer = world.callback(world.twilio.placed[0], "levitating", SequenceNumber="4")
    assert (answer.status_code, answer.json_body["events"][0]["decision"]) == (200, "kept")
    assert world.history(call["id"]) == [(1, "placed")]
    kept = [i for i in everything(world) if i["sk"]["S"].startswith("EVENT#")]
    assert [i["data"]["M"]["status"]["S"] for i in kept] == ["levitating"]


def test_the_answer_says_what_was_decided(world: World) -> None:
    call = world.place()
    assert world.end("busy").json_body == {
        "events": [
            {
                "decision": "decided",
                "call_id": call["id"],
                "attempt": 1,
                "reason": "retry",
                "retry_at": "2026-01-26T10:30:00Z",
            }
        ]
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.dictionaries(
        st.sampled_from(
            ["CallStatus", "AnsweredBy", "SequenceNumber", "Timestamp", "CallDuration", "ErrorCode", "SipResponseCode"]
        ),
        st.text(max_size=40),
    )
)
def test_no_signed_callback_breaks_its_route(world: World, form: dict[str, str]) -> None:
    if not world.twilio.placed:
        world.place()
    fields = {"CallSid": world.twilio.placed[0].sid, **form}
    assert world.post_signed(world.twilio.placed[0].callback_url, fields).status_code in (200, 400, 403)


@pytest.mark.parametrize("status", ["ringing", "parked", "completed"])
def test_a_token_is_good_at_the_door_of_its_own_provider_only(
    world: World, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Reject tokens of other providers.

    Exotel signs nothing, so its route would otherwise accept a callback with the token of another provider.
    """
    for name, value in {"ACCOUNT_SID": "acme", "API_KEY": "key", "API_TOKEN": "token"}.items():
        monkeypatch.setenv(f"EXOTEL_{name}", value)
    world.client = new_client().__enter__()
    call = world.place()
    token = world.twilio.placed[0].callback_url.rpartition("/")[2]
    form = {"CallSid": world.twilio.placed[0].sid, "Status": status, "EventType": "terminal"}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = world.client.http.post(f"/callbacks/exotel/{token}", headers=headers, body=urlencode(form).encode())
    assert answer.status_code == 404
    assert world.history(call["id"]) == [(1, "placed")]


def test_a_callback_signed_with_a_shared_key_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_SHARED_KEY", "shared-secret")
    with new_client() as world.client:
        call = world.place()
        (placed,) = world.twilio.placed
        form = {"CallSid": placed.sid, "CallStatus": "busy", "SequenceNumber": "3"}
        signed = RequestValidator("shared-secret").compute_signature(placed.callback_url, form, "HMAC_SHA256")
        headers = {"X-Twilio-Signature": signed, "Content-Type": "application/x-www-form-urlencoded"}
        path, body = placed.callback_url.removeprefix(PUBLIC_URL), urlencode(form).encode()
        assert world.client.http.post(path, headers=headers, body=body).status_code == 403
        headers["X-Twilio-Webhooks-Signature-Settings"] = "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256"
        assert world.client.http.post(path, headers=headers, body=body).status_code == 200
        assert world.history(call["id"]) == [(1, "busy")]
