"""Exotel's part of the mock carrier, used by the app's own client of Exotel."""

from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers import Refused
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import DIAL, REFUSALS, Caller, CarrierCase
from tests.support.carrier_client import basic, wait_until

CUSTOMER, EXOPHONE = "+919876543210", "+918047104890"
CASE = CarrierCase(
    name="exotel",
    dial=replace(DIAL, from_number=EXOPHONE, to_number=CUSTOMER, answer_url=None, agent_version_id="926"),
    answered=("completed",),
    endings=[
        ("completed", ("completed",), Outcome.COMPLETED, None),
        ("voicemail", ("completed",), Outcome.VOICEMAIL, None),
        ("busy", ("busy",), Outcome.BUSY, None),
        ("no-answer", ("no-answer",), Outcome.NO_ANSWER, None),
        ("failed", ("failed",), Outcome.FAILED, None),
        ("canceled", ("failed",), Outcome.CANCELED, "exotel:leg-canceled"),
        ("rejected", ("busy",), Outcome.BUSY, None),
    ],
    refusals=[("invalid-number", Refused(Outcome.ERROR, "http:400")), *REFUSALS[1:]],
    placed=("in-progress", Progress.INITIATED),  # Exotel's word for a live call, which may not ring yet
    stopped=None,  # Exotel's API has no hang-up
    carries_token=True,
    unknown_id="0" * 32,
)


class TestExotel(CarrierTests):
    case = CASE
    test_a_call_under_way_is_looked_up_and_hung_up = None  # Exotel's API has no hang-up
    test_a_callback_counts_for_its_own_secret_only = None  # Exotel signs no callback


def create(caller: Caller, **changed: str | None) -> tuple[int, object]:
    account = caller.carrier.environment["EXOTEL_ACCOUNT_SID"]
    login = basic(caller.carrier.environment["EXOTEL_API_KEY"], caller.carrier.environment["EXOTEL_API_TOKEN"])
    usual = {
        "From": "09876543210",
        "CallerId": "08047104890",
        "Url": f"http://my.exotel.com/{account}/exoml/start_voice/926",
        "StatusCallback": f"{caller.carrier.sink.url}/cb",
    }
    form = {name: value for name, value in (usual | changed).items() if value is not None}
    path = f"/exotel/v1/Accounts/{account}/Calls/connect.json"
    return caller.carrier.ask("POST", path, urlencode(form), login)


def test_multipart_is_the_default_and_the_short_body_without_events(caller: Caller) -> None:
    assert create(caller)[0] == 200
    (received,) = caller.carrier.sink.wait(1)
    assert received.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    (event,) = caller.reported(1)
    assert (event.outcome, event.to_number, event.token) == (Outcome.COMPLETED, None, None)


def test_the_answer_is_reported_if_requested(caller: Caller) -> None:
    caller.script("voicemail")
    asked = {"StatusCallbackEvents[0]": "terminal", "StatusCallbackEvents[1]": "answered"}
    create(caller, **asked)
    answered, terminal = caller.reported(2)
    assert (answered.progress, answered.outcome) == (Progress.IN_PROGRESS, None)
    assert (terminal.amd, terminal.outcome) == (Amd.MACHINE, Outcome.VOICEMAIL)
    assert answered.event_id != terminal.event_id


@pytest.mark.parametrize(
    "changed",
    [
        {"From": None},
        {"From": "98765"},
        {"CallerId": "me"},
        {"Url": None},
        {"Url": "926"},
        {"TimeLimit": "14401"},
        {"TimeOut": "soon"},
        {"CustomField": "x" * 129},
        {"StatusCallback": "cb"},
        {"StatusCallbackEvents[0]": "ringing"},
        {"StatusCallbackContentType": "text/xml"},
    ],
)
def test_a_malformed_create_call_is_refused(caller: Caller, changed: dict[str, str | None]) -> None:
    status, body = create(caller, **changed)
    assert isinstance(body, dict)
    assert (status, body["RestException"]["Status"]) == (400, 400)
    wait_until(lambda: len(caller.carrier.requests("")) == 1)
    assert caller.carrier.sink.received == []
