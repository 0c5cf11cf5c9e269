"""A second provider dials if the first one's network could not connect the call."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from chalicelib.providers.http import NotSent
from tests.support.world import START, World, answer_json, new_client

PLIVO = {
    "PLIVO_AUTH_ID": "MA0123456789ABCDEFGH",
    "PLIVO_AUTH_TOKEN": "a-token",
    "PLIVO_ANSWER_URL": "https://example.com/answer.plivo.xml",
}
RETRY: dict[str, Any] = {"max_retries": 2, "failover": {"provider": "plivo", "from_number": "+14155550111"}}


@pytest.fixture
def two(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Set up a deployment with Twilio and Plivo."""
    for name, value in PLIVO.items():
        monkeypatch.setenv(name, value)
    with new_client() as world.client:
        yield world


def providers(world: World, call_id: str) -> list[str]:
    return [attempt["provider"] for attempt in world.call(call_id)["attempts"]]


def test_a_call_that_the_network_failed_goes_to_the_second_provider(two: World) -> None:
    call = two.place(retry=RETRY)
    two.end("failed", SipResponseCode="503")
    two.pump(START + timedelta(minutes=5))
    assert providers(two, call["id"]) == ["twilio", "plivo"]
    form = two.twilio.placed[-1].form
    assert (form["from"], form["to"]) == ("14155550111", "16505550199")
    assert form["answer_url"].startswith("https://example.com/answer.plivo.xml?")
    assert f"/callbacks/plivo/{call['id']}.2." in form["hangup_url"]


@pytest.mark.parametrize("heard", [{"CallStatus": "in-progress"}, {"AnsweredBy": "human"}])
@pytest.mark.parametrize("late", [False, True])
def test_a_person_who_answered_is_not_dialled_by_the_second_provider(
    two: World, heard: dict[str, str], late: bool
) -> None:
    call = two.place(retry=RETRY)
    (placed,) = two.twilio.placed
    told = [{"CallStatus": "failed", "SipResponseCode": "503", "SequenceNumber": "3"}, {**heard, "SequenceNumber": "2"}]
    for fields in told if late else reversed(told):
        assert two.callback(placed, fields.get("CallStatus"), **fields).status_code == 200
    two.pump(START + timedelta(hours=24))
    assert providers(two, call["id"]) == ["twilio"]
    assert two.call(call["id"])["summary_status"] == "completed"


def test_a_provider_whose_api_cannot_be_reached_is_passed_over(two: World) -> None:
    two.twilio.answers = [NotSent("no route to host")]
    call = two.place(retry=RETRY)
    two.pump(START + timedelta(minutes=5))
    assert providers(two, call["id"]) == ["plivo"]


@pytest.mark.parametrize("outcome", ["busy", "no-answer"])
def test_a_line_that_was_reached_stays_with_its_provider(two: World, outcome: str) -> None:
    call = two.place(retry={**RETRY, "wait_minutes": 1})
    two.end(outcome)
    two.pump(START + timedelta(minutes=5))
    assert providers(two, call["id"]) == ["twilio", "twilio"]


def test_an_ambiguous_placement_is_never_given_to_the_second_provider(two: World) -> None:
    two.twilio.answers = [answer_json(503, {})]
    call = two.place(retry={**RETRY, "on": {"failed": True}, "wait_minutes": 1})
    two.clock.turn(to=START + timedelta(hours=2))
    two.sweep()
    two.pump(START + timedelta(hours=3))
    assert two.call(call["id"])["attempts"][0]["cause"] == "never-placed"
    assert providers(two, call["id"]) == ["twilio", "twilio"]


def test_a_second_provider_that_is_not_set_up_is_pointed_at(world: World) -> None:
    body = {"to_number": "+16505550199", "from_number": "+14155550100", "retry": RETRY}
    answer = world.request("POST", "/calls", body)
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/retry/failover/provider")
    assert "PLIVO_AUTH_ID" in answer.json_body["detail"]
