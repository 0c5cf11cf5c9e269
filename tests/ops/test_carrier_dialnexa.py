"""DialNexa's part of the mock carrier, used by the app's own client of DialNexa."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import DIAL, Caller, CarrierCase, Seconds
from tests.support.carrier_client import TO, CarrierClient, Sink

CASE = CarrierCase(
    name="dialnexa",
    # The number called from is the agent's own.
    dial=replace(DIAL, from_number="+918047104890", answer_url=None, agent_version_id="agent_2g7Xy3tY53gRlp"),
    answered=("initiated", "completed"),
    endings=[
        ("completed", ("initiated", "completed"), Outcome.COMPLETED, "dialnexa:user-hangup"),
        ("voicemail", ("initiated", "hangup"), Outcome.VOICEMAIL, "dialnexa:voicemail-detected"),
        ("busy", ("initiated", "hangup"), Outcome.BUSY, "dialnexa:user-busy"),
        ("no-answer", ("initiated", "hangup"), Outcome.NO_ANSWER, "dialnexa:user-did-not-pick-up"),
        ("failed", ("initiated", "hangup"), Outcome.FAILED, "dialnexa:network-failure"),
        ("canceled", ("initiated", "canceled"), Outcome.CANCELED, None),
        ("rejected", ("initiated", "hangup"), Outcome.BUSY, "dialnexa:user-busy"),
    ],
    placed=("initiated", Progress.INITIATED),
    stopped=None,  # DialNexa's API has no hang-up
    # Only the webhook of a completed call has a duration. A voicemail ends as a hangup.
    reported_sec=Seconds(voicemail=None, unanswered=None),
    carries_token=True,
    unknown_id="call_nobody",
    other_secret={"webhook_secret": "other"},
)


class TestDialNexa(CarrierTests):
    case = CASE
    test_a_call_under_way_is_looked_up_and_hung_up = None  # DialNexa's API has no hang-up

    def looked_up_at(self, caller: Caller, last: CallEvent) -> datetime | None:
        return None  # the record of a call has the time of its creation, and not that of its end


def login(carrier: CarrierClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {carrier.environment['DIALNEXA_API_KEY']}"}


def register(carrier: CarrierClient, sink: Sink) -> tuple[int, Any]:
    secret = carrier.environment["DIALNEXA_WEBHOOK_SECRET"]
    asked = {"url": f"{sink.url}/callbacks/dialnexa", "events": ["call_ended"], "is_active": True, "secret": secret}
    body = json.dumps(asked)
    return carrier.ask("POST", "/dialnexa/v1/user-webhooks", body, login(carrier))


@pytest.fixture(autouse=True)
def _webhook(carrier: CarrierClient, sink: Sink) -> None:
    assert register(carrier, sink)[0] == 201


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"phone_number": "16505550199"}, "phone_number must be a valid E.164 phone number"),
        ({"metadata": None}, "metadata must be an object"),
        ({"agent_id": ""}, "agent_id should not be empty"),
    ],
)
def test_a_malformed_create_call_is_refused(carrier: CarrierClient, changed: dict[str, Any], message: str) -> None:
    body = {"agent_id": "agent_1", "phone_number": TO, "metadata": {}, **changed}
    answer = carrier.ask("POST", "/dialnexa/v1/calls", json.dumps(body), login(carrier))
    assert answer == (400, {"statusCode": 400, "message": message, "error": "Bad Request"})


def test_an_address_that_does_not_answer_its_verification_is_not_taken(carrier: CarrierClient, sink: Sink) -> None:
    sink.status = 403
    assert register(carrier, sink)[0] == 400
    for asked in ({"url": "cb", "events": ["call_ended"], "secret": "s"}, {"url": f"{sink.url}/cb"}):
        assert carrier.ask("POST", "/dialnexa/v1/user-webhooks", json.dumps(asked), login(carrier))[0] == 400
    body = json.dumps({"url": f"{sink.url}/cb", "events": ["call_ended"], "secret": "s"})
    assert carrier.ask("POST", "/dialnexa/v1/user-webhooks", body)[0] == 401
