"""The metrics of a call's life, each written once by the right invocation."""

from collections.abc import Callable
from datetime import timedelta

import jsonschema
import pytest

from chalicelib.providers.http import AnswerLost
from chalicelib.runtime import metrics
from chalicelib.usecases import measure
from tests.support.app_output import EMF, emf, figures, logged
from tests.support.world import BODY, START, World, answer_json

Told = Callable[[], dict[str, list[float]]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Return a function that returns the metrics since its last call.

    It leaves out the metric that differs from run to run.
    """

    def since() -> dict[str, list[float]]:
        out = capsys.readouterr().out
        for line in emf(out):
            jsonschema.validate(line, EMF)
        found = figures(out)
        for value in found.pop("CallbackHandling", []):
            assert 0 < value < 60_000
        return found

    return since


def test_a_call_that_is_busy_and_then_answered(world: World, told: Told) -> None:
    world.place()
    assert told() == {"Dialed twilio": [1]}
    world.end("busy")
    assert told() == {"Attempts busy twilio": [1]}
    world.end("busy")
    assert told() == {}, "a repeated callback has changed nothing"
    world.clock.turn(to=START + timedelta(minutes=30, seconds=7))
    world.redial(START + timedelta(minutes=30))
    assert told() == {"Dialed twilio": [1], "RedialLateness": [7]}
    world.end("completed", CallDuration="30")
    assert told() == {"Attempts completed twilio": [1]}


def test_calls_of_one_wake_are_one_line(world: World, told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    for last in range(3):
        world.place(to_number=f"+1650555010{last}")
        world.end("busy")
    told()
    world.clock.turn(to=START + timedelta(minutes=30, seconds=2))
    world.redial(START + timedelta(minutes=30))
    out = capsys.readouterr().out
    assert figures(out) == {"Dialed twilio": [3], "RedialLateness": [2, 2, 2]}
    assert len(emf(out)) == 2


def test_the_delay_of_a_callback_is_measured_in_milliseconds(world: World, told: Told) -> None:
    world.place()
    told()
    world.clock.turn(seconds=90)
    world.callback(world.twilio.placed[-1], "ringing", Timestamp="Mon, 26 Jan 2026 10:01:28 +0000")
    assert told() == {"CallbackDelay": [2000]}
    world.end("busy", Timestamp="Mon, 26 Jan 2026 10:01:29 +0000")
    assert told() == {"CallbackDelay": [1000], "Attempts busy twilio": [1]}


def test_a_lost_answer_is_a_placement_unknown(world: World, told: Told) -> None:
    world.twilio.answers.append(AnswerLost("timed out"))
    world.place()
    assert told() == {"PlacementUnknown twilio": [1]}


def lines_about_the_provider(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, int, str, str]]:
    """Return each line about a lost answer or a fault of an account.

    A line is (event, attempt, provider, cause).
    """
    lines = [
        each for each in logged(capsys.readouterr().out) if each["event"] in ("placement-unknown", "account-fault")
    ]
    return [(each["event"], each["attempt"], each["provider"], each["cause"]) for each in lines]


def test_a_log_line_about_a_provider_has_its_name(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.twilio.answers.append(AnswerLost("timed out"))
    world.place()
    assert lines_about_the_provider(capsys) == [("placement-unknown", 1, "twilio", "answer-lost")]
    with monkeypatch.context() as dying:
        dying.setattr("chalicelib.providers.twilio.Twilio.dial", lambda *_: 1 / 0)
        world.place(to_number="+16505550101")
    world.clock.turn(minutes=2)
    world.sweep()
    assert lines_about_the_provider(capsys) == [("placement-unknown", 1, "twilio", "dialer-died")]
    world.twilio.answers.append(answer_json(401, {"code": 20003}))
    world.place(to_number="+16505550102")
    assert lines_about_the_provider(capsys) == [("account-fault", 1, "twilio", "twilio:20003")]
    world.clock.turn(minutes=1)
    world.pump(world.clock.now() + timedelta(minutes=5))
    capsys.readouterr()
    world.end("failed", ErrorCode="10001")
    assert lines_about_the_provider(capsys) == [("account-fault", 1, "twilio", "twilio:10001")]


def test_a_call_that_the_provider_defers_is_no_attempt(world: World, told: Told) -> None:
    world.twilio.answers.append(answer_json(429, {"code": 20429}))
    world.place()
    assert told() == {"Deferred deferred-by-provider": [1]}


def test_a_fault_of_the_account_is_measured(world: World, told: Told) -> None:
    world.twilio.answers.append(answer_json(401, {"code": 20003}))
    world.place()
    assert told()["AccountFaults twilio"] == [1]


def test_a_call_refused_for_its_number_is_an_attempt_that_ended(world: World, told: Told) -> None:
    world.twilio.answers.append(answer_json(400, {"code": 21211}))
    world.place()
    assert told() == {"Attempts invalid-number twilio": [1]}


def test_a_sweep_measures_repairs_and_armed_triggers(world: World, told: Told) -> None:
    world.sweep()
    assert told() == {"Sweeps": [1], "RulesLive": [0]}
    world.place(retry={**BODY["retry"], "wait_minutes": 10})
    world.end("busy")
    told()
    world.sweep()
    assert told() == {"Sweeps": [1], "RulesLive": [1]}
    world.clock.turn(minutes=25)
    world.sweep()
    assert told() == {
        "Sweeps": [1],
        "RulesLive": [0],
        "SweepRepaired overdue-dialed": [1],
        "SweepRepaired stale-wakes": [1],
        "Dialed twilio": [1],
        "RedialLateness": [900],
    }


def test_calls_that_a_sweep_leaves_alone_are_not_repairs(told: Told) -> None:
    with metrics.collected():
        measure.swept({"overdue-skipped": 3, "overdue-left": 2, "silent-still-live": 1}, None)
    assert told() == {"Sweeps": [1]}


def test_a_breaker_is_measured_when_it_opens_and_closes(world: World, told: Told) -> None:
    world.twilio.answers.append(answer_json(401, {"code": 20003}))
    world.place()
    assert told() == {
        "Deferred deferred-by-provider": [1],
        "AccountFaults twilio": [1],
        "BreakerOpened twilio": [1],
    }
    world.place(to_number="+16505550198")
    assert told() == {"Deferred provider-paused": [1]}
    world.pump(START + timedelta(minutes=6))
    assert told() == {
        "Dialed twilio": [2],
        "RedialLateness": [0, 0],
        "BreakerClosed twilio": [1],
    }


def test_an_attempt_whose_dialer_died_is_a_placement_unknown(
    world: World, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        dying.setattr("chalicelib.providers.twilio.Twilio.dial", lambda *_: 1 / 0)
        world.place()
    assert told() == {}
    world.clock.turn(minutes=2)
    world.sweep()
    found = told()
    assert found["PlacementUnknown twilio"] == [1]


def test_taken_slots_are_measured_by_provider(world: World, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_MAX_CONCURRENT_CALLS", "5")
    world.place()
    world.place(to_number="+16505550198")
    assert told() == {"Dialed twilio": [1, 1], "SlotsInUse twilio": [0, 1]}


def test_a_call_that_is_to_start_later_is_no_deferral(world: World, told: Told) -> None:
    world.place(start_at="2026-01-26T12:00:00Z")
    assert told() == {}


def test_a_wrong_signature_is_measured_by_provider(world: World, told: Told) -> None:
    world.place()
    told()
    path = "/callbacks/twilio/" + world.twilio.placed[0].callback_url.rsplit("/", 1)[1]
    headers = {"X-Twilio-Signature": "wrong", "Content-Type": "application/x-www-form-urlencoded"}
    assert world.client.http.post(path, headers=headers, body=b"CallSid=CA1").status_code == 403
    assert told() == {"SignatureFailures twilio": [1]}


def test_answers_of_500_are_measured_by_entry_point(world: World, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    world.place()
    told()
    monkeypatch.setattr("chalicelib.storage.calls.CallStore.load", lambda *_: 1 / 0)
    assert world.request("GET", "/calls/call_1").status_code == 500
    assert told() == {"ServerErrors api": [1]}
    assert world.callback(world.twilio.placed[0], "busy").status_code == 500
    assert told() == {"ServerErrors callbacks": [1]}
