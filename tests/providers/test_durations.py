"""Durations that are not a whole number of seconds: each proves a conversation."""

import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from chalicelib import providers
from chalicelib.domain.outcome import Outcome
from tests.providers.cases import NOW, case

ANSWERED_AT = "2026-01-26 10:00:05"
#: provider -> an end that says that nobody was reached, beside a duration of {}; and whether the body is JSON
ENDS: Mapping[str, tuple[bool, Mapping[str, object]]] = {
    "twilio": (False, {"CallSid": "CA1", "CallStatus": "no-answer", "CallDuration": "{}"}),
    "signalwire": (False, {"CallSid": "CA1", "CallStatus": "busy", "CallDuration": "{}"}),
    "plivo": (
        False,
        {
            "CallUUID": "p1",
            "Event": "Hangup",
            "CallStatus": "busy",
            "HangupCauseCode": "3010",
            "AnswerTime": ANSWERED_AT,
            "Duration": "{}",
        },
    ),
    "vonage": (True, {"uuid": "v1", "status": "timeout", "start_time": ANSWERED_AT, "duration": "{}"}),
    "exotel": (True, {"CallSid": "e1", "Status": "no-answer", "Legs": [{"OnCallDuration": "{}"}]}),
    "bolna": (True, {"id": "b1", "status": "no-answer", "conversation_duration": "{}"}),
    "dialnexa": (True, {"id": "d1", "status": "failed", "duration": "{}"}),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("text", ["12", "12.5", "12.0", " 12 ", "00:00:12"])
def test_a_duration_in_any_spelling_proves_a_conversation(name: str, text: str) -> None:
    assert _outcome(name, text) is Outcome.COMPLETED


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("text", ["0", "0.0", "00:00:00", "", "null", "-1"])
def test_a_duration_of_nothing_proves_no_conversation(name: str, text: str) -> None:
    assert _outcome(name, text) not in (Outcome.COMPLETED, Outcome.VOICEMAIL)


def _outcome(name: str, text: str) -> Outcome | None:
    is_json, fields = ENDS[name]
    found = case(name)
    whole = json.loads(json.dumps(fields).replace("{}", text))
    body = json.dumps(whole) if is_json else urlencode(whole)
    request = replace(found.request(next(iter(found.terminal))), body=body.encode())
    provider = providers.load(name, {**found.credentials}, now=lambda: NOW)
    (event,) = provider.parse(request)
    return event.outcome
