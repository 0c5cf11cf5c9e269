"""The mock carrier over HTTP: scripts, logs, faults and the delivery of callbacks."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest

from ops.local.carrier import PROVIDERS, Carrier, main
from ops.local.line import Call, Line, Moment, Order
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
    wait_until,
)


def test_a_number_behaves_attempt_by_attempt_and_then_as_at_the_last(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("busy", "no-answer", "completed")

    ends = []
    for attempt in range(1, 5):
        carrier.create()
        ends.append(sink.statuses(attempt)[-1])

    assert ends == ["busy", "no-answer", "completed", "completed"]
    assert [each["outcome"] for each in carrier.requests()] == ["busy", "no-answer", "completed", "completed"]


def test_a_new_script_starts_from_its_first_outcome(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("busy", "completed")
    carrier.create()
    carrier.script("no-answer", "completed", number="%2B16505550199")
    carrier.create()

    assert [each["outcome"] for each in carrier.requests()] == ["busy", "no-answer"]


@pytest.mark.parametrize(
    ("outcomes", "message"),
    [
        (
            ["busy", "bussy"],
            "outcomes[1]: outcome is 'bussy'; allowed: auth, busy, canceled, completed, error, failed, "
            "invalid-number, no-answer, rejected, server-error-but-placed, silent, throttled, timeout, voicemail",
        ),
        (
            [{"outcome": "busy", "ring_sec": -1}],
            "outcomes[0]: ring_sec is -1; allowed: a number of seconds, 0 or more",
        ),
        (
            [{"outcome": "busy", "ringing": 1}],
            "outcomes[0] has a field 'ringing'; allowed: outcome, ring_sec, talk_sec, duplicate, reorder, amd",
        ),
    ],
)
def test_a_bad_script_is_refused_with_the_word_and_what_is_allowed(
    carrier: CarrierClient, outcomes: list[Any], message: str
) -> None:
    answer = carrier.ask("PUT", f"/script/{TO}", json.dumps({"outcomes": outcomes}))

    assert answer == (422, {"message": message})


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"outcomes": []}', '{"outcomes": "busy"}'])
def test_a_script_without_outcomes_is_refused(carrier: CarrierClient, body: str) -> None:
    assert carrier.ask("PUT", f"/script/{TO}", body)[0] == 422


def test_a_script_for_what_is_no_number_is_refused(carrier: CarrierClient) -> None:
    answer = carrier.ask("PUT", "/script/bob", '{"outcomes": ["busy"]}')

    assert answer == (422, {"message": "the number is 'bob'; allowed: E.164, as in +16505550199"})


def test_a_phone_that_rings_past_the_timeout_is_not_answered() -> None:
    order = Order("CA1", TO, FROM, form={}, ring_limit_sec=20)
    placed_at = datetime(2026, 1, 26, 10, 30, tzinfo=UTC)

    call = Call.dial(order, Line("completed", ring_sec=40, talk_sec=60), "completed", placed_at)

    assert (call.end, call.moments[-1]) == ("no-answer", Moment("ended", placed_at + timedelta(seconds=20)))


def test_a_call_may_be_placed_behind_a_server_error(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("server-error-but-placed")

    assert carrier.create()[0] == 500

    assert sink.statuses(1) == ["completed"]
    assert [each["sid"] for each in carrier.listed(f"?To={TO}")] == [sink.received[0].form["CallSid"]]
    assert [(each["status"], each["sid"]) for each in carrier.requests()] == [(500, sink.received[0].form["CallSid"])]


def test_a_call_may_be_placed_whose_answer_is_held_back(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("timeout")
    form = urlencode({"To": TO, "From": FROM, "Twiml": "<Response/>", "StatusCallback": sink.url})

    with pytest.raises(TimeoutError):
        carrier.ask("POST", CALLS, form, BASIC, timeout_sec=0.05)

    assert sink.statuses(1) == ["completed"]
    assert [(each["status"], each["outcome"]) for each in carrier.requests()] == [(None, "timeout")]


def test_a_silent_call_ends_but_posts_nothing(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("silent")
    _, call = carrier.create(*EVERY_EVENT)

    wait_until(lambda: carrier.resource(call["sid"])["status"] == "completed")
    assert (sink.received, carrier.ask("GET", "/callbacks")) == ([], (200, {"callbacks": []}))


def test_callbacks_can_come_twice_and_in_the_wrong_order(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script({"outcome": "busy", "duplicate": True, "reorder": True})
    carrier.create(*EVERY_EVENT)

    assert sink.statuses(6) == ["busy", "busy", "ringing", "ringing", "initiated", "initiated"]
    assert sink.received[0] == sink.received[1]


def test_a_callback_answered_with_a_server_error_is_not_posted_again(carrier: CarrierClient, sink: Sink) -> None:
    sink.status = 500
    carrier.create()

    (delivery,) = carrier.deliveries(1)
    assert delivery == {
        "provider": "twilio",
        "to": TO,
        "sid": sink.received[0].form["CallSid"],
        "url": f"{sink.url}/cb",
        "form": sink.received[0].form,
        "status": 500,
        "error": None,
        "at": delivery["at"],
    }


def test_a_callback_that_finds_no_server_is_tried_once_more(carrier: CarrierClient, sink: Sink) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        carrier.create(StatusCallback=url)

        tries = [(each["status"], each["error"].partition(":")[0]) for each in carrier.deliveries(2)]
    assert tries == [(None, "ConnectionRefusedError")] * 2


def test_every_create_call_is_logged_with_its_form(carrier: CarrierClient, sink: Sink) -> None:
    _, call = carrier.create(*EVERY_EVENT)
    carrier.create(to=OTHER)

    (logged,) = carrier.requests()
    assert datetime.now(UTC) - datetime.fromisoformat(logged["received_at"]) < timedelta(seconds=5)
    assert logged == {
        "provider": "twilio",
        "to": TO,
        "from": FROM,
        "received_at": logged["received_at"],
        "form": {
            "To": TO,
            "From": FROM,
            "Url": "https://x.test/",
            "StatusCallback": f"{sink.url}/cb",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        },
        "sid": call["sid"],
        "outcome": "completed",
        "status": 201,
    }
    assert [each["to"] for each in carrier.ask("GET", "/calls")[1]["calls"]] == [TO, OTHER]


def test_clearing_forgets_scripts_and_logs(carrier: CarrierClient, sink: Sink) -> None:
    carrier.script("busy")
    carrier.create()
    carrier.deliveries(1)

    assert carrier.ask("DELETE", "/calls") == (204, None)

    assert carrier.ask("GET", "/calls") == (200, {"calls": []})
    assert carrier.ask("GET", "/callbacks") == (200, {"callbacks": []})
    carrier.create()
    assert [each["outcome"] for each in carrier.requests()] == ["completed"]


def test_hundreds_of_simultaneous_calls_each_post_callbacks_in_order(carrier: CarrierClient, sink: Sink) -> None:
    numbers = [f"+1650555{n:04}" for n in range(200)]
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda to: carrier.create(*EVERY_EVENT, to=to)[0], numbers))

    assert answers == [201] * 200
    told: dict[str, list[str]] = {}
    for each in sink.wait(800):
        told.setdefault(each.form["To"], []).append(each.form["CallStatus"])
    assert told == {to: ["initiated", "ringing", "in-progress", "completed"] for to in numbers}


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_url_first_and_stops_cleanly(stop: signal.Signals) -> None:
    fixed = ["--set", f"TWILIO_ACCOUNT_SID={SID}", "--set", f"TWILIO_AUTH_TOKEN={TOKEN}"]
    command = [sys.executable, "-m", "ops.local.carrier", "--port", "0", *fixed]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        connection = HTTPConnection(url.removeprefix("http://"), timeout=3)
        connection.request("GET", "/health")
        assert json.load(connection.getresponse()) == {"status": "ok", "providers": list(PROVIDERS)}
        process.send_signal(stop)
        told = dict(line.split("=", 1) for line in process.stdout.read().splitlines())
        assert process.wait(3) == 0
    urls = {f"{provider.upper()}_API_URL": f"{url}/{provider}" for provider in PROVIDERS}
    assert {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN, **urls}.items() <= told.items()


def test_a_provider_answers_at_its_own_path_and_twilio_at_the_bare_one_too(carrier: CarrierClient) -> None:
    assert carrier.environment["TWILIO_API_URL"] == f"{carrier.url}/twilio"
    assert carrier.ask("GET", f"/twilio{CALLS}", headers=BASIC)[0] == 200
    assert carrier.ask("GET", CALLS, headers=BASIC)[0] == 200
    assert carrier.ask("GET", f"/nobody{CALLS}", headers=BASIC)[0] == 404


def test_two_carriers_share_no_credentials() -> None:
    with Carrier() as one, Carrier() as other:
        assert one.environment.keys() == other.environment.keys()
        assert one.environment["TWILIO_AUTH_TOKEN"] != other.environment["TWILIO_AUTH_TOKEN"]


def test_a_setting_without_a_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--set", "TWILIO_AUTH_TOKEN"])

    assert "invalid setting value: 'TWILIO_AUTH_TOKEN'" in capsys.readouterr().err
