"""Twilio's part of the mock carrier, used by the app's own client of Twilio.

Twilio's own validator checks the callbacks.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
from twilio.request_validator import RequestValidator

from chalicelib.domain.outcome import Outcome
from ops.local.carrier_twilio import signature
from tests.ops.calling import CarrierTests
from tests.support.carrier_caller import Seconds
from tests.support.carrier_client import (
    BASIC,
    CALLS,
    EVERY_EVENT,
    FROM,
    OTHER,
    SID,
    TO,
    TOKEN,
    CarrierClient,
    Sink,
    call_path,
    twilio_error,
    wait_until,
)
from tests.support.cxml import carrier_case

CASE = carrier_case(
    "twilio",
    # A Call resource has no SIP code, which only the callback has (twilio.com/docs/voice/api/call-resource). So it says
    # "failed" for a rejected call, and nothing more.
    looked_up={"rejected": Outcome.FAILED},
    looks_up_causes=False,
    # The duration is "empty for busy, failed, unanswered, or ongoing calls" (the same page).
    looked_up_sec=Seconds(unanswered=None),
    other_secret={"auth_token": "other"},
)


class TestTwilio(CarrierTests):
    case = CASE


def test_the_create_call_answers_with_the_call_resource(carrier: CarrierClient, sink: Sink) -> None:
    status, call = carrier.create()

    assert status == 201
    assert re.fullmatch("CA[0-9a-f]{32}", call["sid"])
    assert datetime.now(UTC) - parsedate_to_datetime(call["date_created"]) < timedelta(seconds=5)
    assert call == {
        "sid": call["sid"],
        "account_sid": SID,
        "api_version": "2010-04-01",
        "to": TO,
        "to_formatted": TO,
        "from": FROM,
        "from_formatted": FROM,
        "status": "queued",
        "direction": "outbound-api",
        "answered_by": None,
        "duration": None,
        "start_time": None,
        "end_time": None,
        "date_created": call["date_created"],
        "date_updated": call["date_created"],
        "parent_call_sid": None,
        "price": None,
        "price_unit": "USD",
        "uri": call_path(call["sid"]),
    }


def test_every_callback_is_signed_as_twilio_signs_it(carrier: CarrierClient, sink: Sink) -> None:
    url = f"{sink.url}/callbacks/twilio/token?a=1&b=%20x"
    carrier.create(*EVERY_EVENT, StatusCallback=f"{url}#rc=2")

    validator = RequestValidator(TOKEN)
    received = sink.wait(4)
    assert [validator.validate(url, each.form, each.signature) for each in received] == [True] * 4
    assert {each.path for each in received} == {"/callbacks/twilio/token?a=1&b=%20x"}
    changed = received[3].form | {"CallStatus": "busy"}
    assert not validator.validate(url, changed, received[3].signature)


def test_the_signature_is_that_of_twilios_own_vector() -> None:
    form = dict(parse_qsl("CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309"))

    signed = signature(TOKEN, "https://mycompany.com/myapp.php?foo=1&bar=2", form | {"To": "+18005551212"})

    assert signed == "RSOYDt4T1cUTdK1PDd93/VVr8B8="


def test_callbacks_by_get_carry_and_sign_the_fields_in_the_query(carrier: CarrierClient, sink: Sink) -> None:
    carrier.create(StatusCallbackMethod="GET")

    (received,) = sink.wait(1)
    assert received.method == "GET"
    assert "CallStatus=completed" in received.path
    assert RequestValidator(TOKEN).validate(sink.url + received.path, {}, received.signature)


def test_an_answered_call_posts_each_event_in_order(carrier: CarrierClient, sink: Sink) -> None:
    _, call = carrier.create(*EVERY_EVENT)

    forms = [each.form for each in sink.wait(4)]
    places = [f"{p}{f}" for p in ("Called", "Caller", "From", "To") for f in ("City", "Country", "State", "Zip")]
    common = dict.fromkeys(places, "") | {
        "CallSid": call["sid"],
        "AccountSid": SID,
        "From": FROM,
        "Caller": FROM,
        "To": TO,
        "Called": TO,
        "ApiVersion": "2010-04-01",
        "Direction": "outbound-api",
        "CallbackSource": "call-progress-events",
    }
    told = ["initiated", "ringing", "in-progress", "completed"]
    expected: list[dict[str, str]] = [
        common | {"CallStatus": status, "SequenceNumber": str(n), "Timestamp": forms[n]["Timestamp"]}
        for n, status in enumerate(told)
    ]
    expected[3] |= {"CallDuration": "1", "Duration": "1", "SipResponseCode": "200"}
    assert forms == expected
    assert all(parsedate_to_datetime(form["Timestamp"]).utcoffset() == timedelta(0) for form in forms)


@pytest.mark.parametrize(
    ("outcome", "events", "status", "sip"),
    [
        ("busy", ["initiated", "ringing", "busy"], "busy", "486"),
        ("no-answer", ["initiated", "ringing", "no-answer"], "no-answer", "487"),
        ("canceled", ["initiated", "ringing", "canceled"], "canceled", "487"),
        ("rejected", ["initiated", "ringing", "failed"], "failed", "603"),
        ("failed", ["initiated", "failed"], "failed", "503"),
    ],
)
def test_an_unanswered_call_ends_with_its_status_and_sip_code(
    carrier: CarrierClient, sink: Sink, outcome: str, events: list[str], status: str, sip: str
) -> None:
    carrier.script(outcome)
    _, call = carrier.create(*EVERY_EVENT)

    assert sink.statuses(len(events)) == events
    last = sink.received[-1].form
    names = ("SipResponseCode", "CallDuration", "Duration", "SequenceNumber")
    assert [last[name] for name in names] == [sip, "0", "0", str(len(events) - 1)]
    found = carrier.resource(call["sid"])
    assert (found["status"], found["duration"], found["answered_by"]) == (status, None, None)


def test_only_the_end_is_reported_by_default(carrier: CarrierClient, sink: Sink) -> None:
    carrier.create()
    carrier.create(("StatusCallbackEvent", "answered"), to=OTHER)
    wait_until(lambda: all(each["status"] == "completed" for each in carrier.listed()))

    told = {each.form["To"]: (each.form["CallStatus"], each.form["SequenceNumber"]) for each in sink.wait(2)}
    assert len(sink.received) == 2
    assert told == {TO: ("completed", "0"), OTHER: ("in-progress", "0")}


@pytest.mark.parametrize("account", [SID, "AC" + "b" * 32])
def test_wrong_credentials_are_refused_and_use_up_no_outcome(carrier: CarrierClient, sink: Sink, account: str) -> None:
    carrier.script("busy", "completed")
    headers = {} if account == SID else BASIC
    answer = carrier.ask("POST", CALLS.replace(SID, account), f"To=%2B16505550199&From={FROM}", headers)
    assert answer == (401, twilio_error(401, 20003, "Authenticate"))

    carrier.create()

    assert [(each["status"], each["outcome"]) for each in carrier.requests()] == [(401, None), (201, "busy")]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"To": None}, 21201),
        ({"To": "16505550199"}, 21211),
        ({"From": None}, 21213),
        ({"From": "me"}, 21212),
        ({"Url": None}, 21205),
        ({"Url": "answer.xml"}, 21205),
        ({"StatusCallback": "http://my_host/cb"}, 21609),
        ({"StatusCallbackEvent": "initiated ringing"}, 21626),
        ({"StatusCallbackMethod": "PUT"}, 21200),
        ({"Timeout": "601"}, 21208),
        ({"Timeout": "0"}, 21208),
        ({"MachineDetection": "true"}, 21234),
        ({"AsyncAmd": "True"}, 21234),
        ({"MachineDetection": "Enable", "AsyncAmd": "true"}, 21262),
    ],
)
def test_a_malformed_create_call_is_refused_with_twilios_code(
    carrier: CarrierClient, sink: Sink, changed: dict[str, str | None], code: int
) -> None:
    status, refusal = carrier.create(**changed)

    assert (status, refusal) == (400, twilio_error(400, code, refusal["message"]))
    (logged,) = carrier.requests("")
    assert (logged["status"], logged["sid"], logged["outcome"]) == (400, None, None)


@pytest.mark.parametrize(
    ("outcome", "status", "code", "message"),
    [
        ("invalid-number", 400, 21211, f"The phone number you are attempting to call, {TO}, is not valid."),
        ("error", 500, 20500, "An internal server error has occurred"),
        ("throttled", 429, 20429, "Too Many Requests"),
        ("auth", 401, 20003, "Authenticate"),
    ],
)
def test_a_scripted_refusal_rings_no_phone(
    carrier: CarrierClient, sink: Sink, outcome: str, status: int, code: int, message: str
) -> None:
    carrier.script(outcome)

    assert carrier.create() == (status, twilio_error(status, code, message))
    assert [(each["status"], each["sid"], each["outcome"]) for each in carrier.requests()] == [(status, None, outcome)]
    assert carrier.listed() == []


@pytest.mark.parametrize(
    ("outcome", "mode", "answered_by"),
    [
        ("completed", "Enable", "human"),
        ("voicemail", "Enable", "machine_start"),
        ("voicemail", "DetectMessageEnd", "machine_end_beep"),
        ({"outcome": "completed", "amd": "fax"}, "Enable", "fax"),
    ],
)
def test_synchronous_amd_is_reported_at_the_end(
    carrier: CarrierClient, sink: Sink, outcome: Any, mode: str, answered_by: str
) -> None:
    carrier.script(outcome)
    _, call = carrier.create(*EVERY_EVENT, MachineDetection=mode)

    assert sink.statuses(4) == ["initiated", "ringing", "in-progress", "completed"]
    assert [each.form.get("AnsweredBy") for each in sink.received] == [None, None, None, answered_by]
    assert carrier.resource(call["sid"])["answered_by"] == answered_by


def test_asynchronous_amd_has_its_own_callback(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script({"outcome": "voicemail", "talk_sec": 0.2})
    amd = {"MachineDetection": "Enable", "AsyncAmd": "true", "AsyncAmdStatusCallback": f"{sink.url}/amd"}
    _, call = carrier.create(*EVERY_EVENT, **amd)

    received = sink.wait(5)
    assert [each.path for each in received] == ["/cb", "/cb", "/cb", "/amd", "/cb"]
    assert received[3].form == {
        "CallSid": call["sid"],
        "AccountSid": SID,
        "AnsweredBy": "machine_start",
        "MachineDetectionDuration": "50",
    }
    assert RequestValidator(TOKEN).validate(f"{sink.url}/amd", received[3].form, received[3].signature)
    assert "AnsweredBy" not in received[4].form


def test_without_amd_voicemail_looks_completed(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("voicemail")
    carrier.create()

    assert sink.statuses(1) == ["completed"]
    assert "AnsweredBy" not in sink.received[0].form


def test_calls_are_listed_newest_first_by_number_and_status(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("busy")
    sids = [carrier.create(to=to)[1]["sid"] for to in (TO, OTHER, TO)]
    sink.wait(3)

    assert [each["sid"] for each in carrier.listed()] == sids[::-1]
    assert [each["sid"] for each in carrier.listed("?To=%2B16505550199&Status=busy")] == [sids[2], sids[0]]
    assert [each["sid"] for each in carrier.listed("?PageSize=1")] == [sids[2]]
    unknown = call_path("CA0")
    missing = twilio_error(404, 20404, f"The requested resource {unknown} was not found")
    assert carrier.ask("GET", unknown, headers=BASIC) == (404, missing)
    assert carrier.ask("GET", CALLS) == (401, twilio_error(401, 20003, "Authenticate"))


@pytest.mark.parametrize(
    ("times", "asked", "status", "told"),
    [
        ({"ring_sec": 30}, "canceled", "canceled", ["initiated", "canceled"]),
        ({"ring_sec": 30}, "completed", "canceled", ["initiated", "canceled"]),
        ({"talk_sec": 30}, "completed", "completed", ["initiated", "ringing", "in-progress", "completed"]),
        ({"talk_sec": 30}, "canceled", "in-progress", ["initiated", "ringing", "in-progress"]),
    ],
)
def test_a_live_call_can_be_hung_up(
    carrier: CarrierClient, sink: Sink, times: dict[str, int], asked: str, status: str, told: list[str]
) -> None:
    carrier.script({"outcome": "completed", **times})
    _, call = carrier.create(*EVERY_EVENT)
    sink.wait(1 if "ring_sec" in times else 3)
    path = call_path(call["sid"])

    code, changed = carrier.ask("POST", path, f"Status={asked}", BASIC)

    assert (code, changed["status"]) == (200, status)
    assert sink.statuses(len(told)) == told
    if status != "in-progress":
        refused = twilio_error(400, 21220, "Call is not in-progress. Cannot redirect.")
        assert carrier.ask("POST", path, f"Status={asked}", BASIC) == (400, refused)
