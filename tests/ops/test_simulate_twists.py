"""Unusual callbacks of real providers. Each is signed and is read as it is meant."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest, Provider
from chalicelib.providers.plivo import Plivo
from chalicelib.providers.twilio import Twilio
from ops.local import carrier_plivo, carrier_twilio
from ops.local.exchange import Callback, Personality, Reply
from ops.local.line import Call, Line, Order
from ops.simulate import twists
from ops.simulate.twists import Contradiction

START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "secret"}
PLIVO = {"PLIVO_AUTH_ID": "MA" + "0" * 18, "PLIVO_AUTH_TOKEN": "secret"}
ENV = TWILIO | PLIVO
URL = "https://redial.example.com/callbacks/x/token"
FORMS = {
    "twilio": {"To": "+16505550199", "From": "+14155550100", "StatusCallback": URL},
    "plivo": {"to": "16505550199", "from": "14155550100", "hangup_url": URL},
}
PERSONALITIES: dict[str, Personality] = {
    "twilio": carrier_twilio.personality(ENV),
    "plivo": carrier_plivo.personality(ENV),
}
PROVIDERS: dict[str, Provider] = {
    "twilio": Twilio({"account_sid": TWILIO["TWILIO_ACCOUNT_SID"], "auth_token": "secret"}, now=lambda: START),
    "plivo": Plivo({"auth_id": PLIVO["PLIVO_AUTH_ID"], "auth_token": "secret"}, now=lambda: START),
}


@pytest.fixture(params=sorted(FORMS))
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def end_of_a_talk(provider: str, monkeypatch: pytest.MonkeyPatch) -> Callback:
    """Return the callback of the end of a call with a talk of twenty seconds."""
    for module in (carrier_twilio, carrier_plivo):
        monkeypatch.setattr(module, "utc_now", lambda: START + timedelta(minutes=5))
    order = Order("CA" + "1" * 32, "+16505550199", "+14155550100", FORMS[provider])
    call = Call.dial(order, Line("completed", 5, 20), "completed", START)
    (callback,) = PERSONALITIES[provider].callbacks(call, call.moments[-1])
    return callback


def read(provider: str, callback: Callback) -> CallEvent:
    request = CallbackRequest("POST", callback.url, dict(callback.headers), callback.body, None)
    PROVIDERS[provider].verify(request)
    (event,) = PROVIDERS[provider].parse(request)
    return event


@pytest.mark.parametrize("word", sorted(twists.TWILIO_WORDS))
def test_a_contradicting_end_is_believed_only_without_evidence(
    provider: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = end_of_a_talk(provider, monkeypatch)
    proven = twists.contradicting(ENV, provider, end, Contradiction(word))
    unproven = twists.contradicting(ENV, provider, end, Contradiction(word, proven=False))
    assert [read(provider, end).outcome, read(provider, proven).outcome] == [Outcome.COMPLETED] * 2
    assert read(provider, unproven).outcome == word


def test_a_callback_without_direction_says_what_it_said(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    end = end_of_a_talk(provider, monkeypatch)
    event = read(provider, twists.without_direction(ENV, provider, end))
    assert "Direction" not in twists.without_direction(ENV, provider, end).form
    assert (event.outcome, event.provider_call_id) == (Outcome.COMPLETED, read(provider, end).provider_call_id)


def test_a_child_leg_has_an_id_of_its_own_and_is_no_outgoing_leg(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = read(provider, twists.of_a_child(ENV, provider, end_of_a_talk(provider, monkeypatch), "CA" + "9" * 32))
    assert (child.provider_call_id, child.leg, child.outcome) == ("CA" + "9" * 32, Leg.OTHER, Outcome.NO_ANSWER)


def test_a_look_up_shows_limbo_and_credits_for_the_named_calls() -> None:
    body = {"sid": "a", "status": "ringing", "calls": [{"sid": "b", "status": "ringing"}, {"sid": "c", "status": "x"}]}
    told = twists.with_faults(Reply(200, body), frozenset("ab"), frozenset())
    assert told.body == {
        "sid": "a",
        "status": "limbo",
        "calls": [{"sid": "b", "status": "limbo"}, {"sid": "c", "status": "x"}],
    }
    record = {"objects": [{"call_uuid": "d", "hangup_cause_code": 3000}, {"call_uuid": "e"}]}
    assert twists.with_faults(Reply(200, record), frozenset(), frozenset("de")).body == {
        "objects": [{"call_uuid": "d", **twists.OUT_OF_CREDITS}, {"call_uuid": "e"}]
    }
