"""The sweep: its repairs after a lost trigger or a lost callback."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.domain.call import CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.limits import Limits
from chalicelib.providers.http import AnswerLost
from chalicelib.storage import calls
from chalicelib.storage.calls import CallStore
from chalicelib.storage.gates import account_scope
from chalicelib.storage.items import DEADLINE
from chalicelib.storage.transact import update
from chalicelib.storage.workspaces import Workspace
from chalicelib.usecases import sweep as sweeps
from chalicelib.usecases.calls import redial_due as redials
from chalicelib.usecases.calls.redial_due import TimeLeft
from chalicelib.usecases.calls.silent import look_into
from chalicelib.wheel import plan
from tests.support.world import BODY, ENV, PUBLIC_URL, START, World, answer_json, new_client

ACCOUNT = "twilio:" + ENV["TWILIO_ACCOUNT_SID"]

LIMIT = timedelta(seconds=60 + 3600 + 120)


def test_a_redial_whose_rule_was_lost_is_made_by_the_sweep(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.events.remove_targets(Rule=world.rules()[0]["Name"], Ids=["redial"])
    world.events.delete_rule(Name=world.rules()[0]["Name"])
    world.clock.turn(to=START + timedelta(minutes=30, seconds=59))
    assert world.sweep() == {}
    world.clock.turn(seconds=1)
    assert world.sweep() == {"overdue-dialed": 1}
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


def test_an_attempt_whose_callback_was_lost_ends_as_the_provider_says(world: World) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy", "duration": "0"}
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    after = world.call(call["id"])
    assert (after["state"], after["attempts"][0]["outcome"]) == ("scheduled", "busy")


def test_an_attempt_that_is_still_going_on_is_asked_about_again(world: World) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "in-progress"}
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-still-live": 1}
    assert world.sweep() == {}
    world.clock.turn(minutes=10)
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "completed", "duration": "3700"}
    assert world.sweep() == {"silent-ended": 1}
    assert world.call(call["id"])["summary_status"] == "completed"


def test_an_attempt_that_the_provider_does_not_know_fails(world: World) -> None:
    call = world.place(retry={**BODY["retry"], "on": {"failed": {"max_retries": 1}}})
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    first = world.call(call["id"])["attempts"][0]
    assert (first["outcome"], first["cause"]) == ("failed", "no-callback")
    world.pump(START + LIMIT + timedelta(minutes=31))
    assert len(world.twilio.placed) == 2


def test_a_canceled_calls_silent_attempt_gets_an_end(world: World) -> None:
    call = world.place()
    world.request("POST", f"/calls/{call['id']}/cancel")
    world.clock.turn(to=START + LIMIT)
    assert world.sweep() == {"silent-ended": 1}
    after = world.call(call["id"])
    assert (after["summary_status"], after["attempts"][0]["outcome"]) == ("canceled", "failed")
    assert world.sweep() == {}


def test_triggers_long_past_are_removed(world: World) -> None:
    triggers = world.services.ports.triggers
    for minutes in (-60, -11, -9, 5):
        triggers.arm(START + timedelta(minutes=minutes))
    assert world.sweep() == {"stale-wakes": 2}
    assert sorted(triggers.armed()) == [START + timedelta(minutes=m) for m in (-9, 5)]


def test_rules_of_others_are_left_alone(world: World) -> None:
    names = ["redial-dev-wake-not-a-time", f"redial-prod-wake-{plan.stamp(START - timedelta(days=1))}"]
    for name in names:
        world.events.put_rule(Name=name, ScheduleExpression="cron(0 0 1 1 ? 2020)")
    assert world.sweep() == {}
    assert sorted(r["Name"] for r in world.rules()) == sorted(names)


def test_a_call_that_fails_is_retried_last_and_less_often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, *others = (world.place(to_number=f"+1650555020{i}", start_at="2026-01-26T11:00:00Z") for i in range(3))
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))
    found: list[str] = []
    load = world.services.ports.calls.load

    def loading(self: CallStore, call_id: str) -> CallRecord | None:
        found.append(call_id)
        if call_id == broken["id"]:
            raise RuntimeError("broken")
        return load(call_id)

    monkeypatch.setattr(CallStore, "load", loading)
    tried = []
    for minute in range(40):
        found.clear()
        world.sweep()
        if broken["id"] in found:
            tried.append(minute)
        world.clock.turn(minutes=1)
    assert tried == [0, 1, 3, 7, 15, 26, 37]
    assert len(world.twilio.placed) == len(others)


def refused_by_aws(code: str, status: int) -> ClientError:
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetItem")  # type: ignore[no-untyped-call]


#: the ways in which a request to AWS fails, although the same request may succeed later
FAILURES_OF_AWS: list[Callable[[], Exception]] = [
    lambda: refused_by_aws("ThrottlingException", 400),
    lambda: refused_by_aws("InternalServerError", 500),
    lambda: ReadTimeoutError(endpoint_url="https://dynamodb"),  # type: ignore[no-untyped-call]
    lambda: EndpointConnectionError(endpoint_url="https://dynamodb"),  # type: ignore[no-untyped-call]
]


@pytest.mark.parametrize("failure", FAILURES_OF_AWS)
def test_a_call_that_aws_fails_is_retried_by_every_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], Exception]
) -> None:
    world.place(start_at="2026-01-26T11:00:00Z")
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))
    fails = Mock(side_effect=[failure() for _ in range(5)])
    with monkeypatch.context() as patched:
        patched.setattr(CallStore, "load", fails)
        for _ in range(5):
            assert world.sweep() == {"overdue-broken": 1}
            world.clock.turn(minutes=1)
    assert index_times(world) == [START + timedelta(hours=1, minutes=5)]
    assert world.sweep() == {"overdue-dialed": 1}


def test_a_call_that_aws_fails_in_its_own_minute_is_never_due_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.place(start_at="2026-01-26T11:00:00Z")
    due_at = START + timedelta(hours=1)
    world.clock.turn(to=due_at + timedelta(seconds=9))
    with monkeypatch.context() as patched:
        patched.setattr(CallStore, "load", Mock(side_effect=FAILURES_OF_AWS[0]()))
        assert world.redial(due_at)["broken"] == 1
    assert index_times(world) == [due_at]
    world.clock.turn(minutes=1)
    assert world.sweep() == {"overdue-dialed": 1}


def test_a_broken_call_is_dialled_once_it_can_be_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.place(start_at="2026-01-26T11:00:00Z")
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))
    with monkeypatch.context() as patched:
        patched.setattr(CallStore, "load", lambda *_: 1 / 0)
        assert world.sweep() == {"overdue-broken": 1}
    assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T11:00:00Z"
    world.clock.turn(minutes=1)
    assert world.sweep() == {"overdue-dialed": 1}
    assert not any("broken" in item for item in world.items())


def index_times(world: World) -> list[datetime]:
    """Return the times that the due index has."""
    return [datetime.fromtimestamp(int(item["due_at"]["N"]), UTC) for item in world.items() if "due_at" in item]


def test_an_error_after_a_call_was_rescheduled_leaves_its_due_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy", "duration": "0"}
    world.clock.turn(to=START + LIMIT)

    def committing(*given: Any) -> str:
        look_into(*given)
        raise RuntimeError("broken after the commit")

    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "look_into", committing)
        assert world.sweep() == {"silent-broken": 1}
    due_at = datetime.fromisoformat(world.call(call["id"])["next_attempt_at"])
    assert index_times(world) == [due_at]
    world.clock.turn(minutes=5)
    assert world.sweep() == {}


def test_an_error_after_a_claim_leaves_the_deadline_of_the_dial(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=30))
    world.twilio.answers = [RuntimeError("broken after the claim")]
    assert world.redial(START + timedelta(minutes=30))["broken"] == 1
    record = world.services.ports.calls.load(call["id"])
    assert record is not None
    assert record.call.deadline_at is not None
    assert index_times(world) == [record.call.deadline_at.replace(microsecond=0)]


def test_a_call_rescheduled_while_it_is_set_back_keeps_its_due_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = world.place(start_at="2026-01-26T11:00:00Z")
    world.clock.turn(to=START + timedelta(hours=1, minutes=2))

    def meanwhile(*given: Any, **request: Any) -> dict[str, Any]:
        counted = update(*given, **request)
        if "ADD" in request["UpdateExpression"]:
            world.request("POST", f"/numbers/{call['to_number']}/contacted", {"postpone_minutes": 60})
        return counted

    monkeypatch.setattr(calls, "update", meanwhile)
    world.services.ports.calls.set_back(call["id"], world.clock.now())
    due_at = datetime.fromisoformat(world.call(call["id"])["next_attempt_at"])
    assert (due_at > world.clock.now(), index_times(world)) == (True, [due_at])


@pytest.fixture
def faulty(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set up a provider whose look-ups report a fault of the account."""
    twilio = type(world.services.ports.provider("twilio"))
    fault = CallEvent("f", "", status="failed", fault="balance-low", cause="balance-low")
    monkeypatch.setattr(twilio, "lookup", lambda _, sid: replace(fault, provider_call_id=sid))
    monkeypatch.setattr(twilio, "find", lambda self, *_: [replace(fault, provider_call_id="CA9")])
    return world


@pytest.mark.parametrize("lost", [False, True])
def test_a_look_up_with_a_fault_ends_the_attempt_like_a_callback(faulty: World, lost: bool) -> None:
    faulty.twilio.answers = [AnswerLost("reset")] if lost else []
    call = faulty.place()
    faulty.clock.turn(to=START + (timedelta(minutes=1) if lost else LIMIT))
    assert faulty.sweep() == {"silent-ended": 1}
    after = faulty.call(call["id"])
    assert (after["state"], after["attempts"][0]["cause"]) == ("scheduled", "balance-low")
    assert faulty.services.ports.gates.closed([account_scope(ACCOUNT)])  # the breaker knows of the fault
    assert faulty.sweep() == {}


@pytest.mark.parametrize("lost", [False, True])
def test_a_fault_found_for_a_canceled_call_leaves_no_deadline(faulty: World, lost: bool) -> None:
    faulty.twilio.answers = [AnswerLost("reset")] if lost else []
    call = faulty.place()
    faulty.request("POST", f"/calls/{call['id']}/cancel")
    faulty.clock.turn(to=START + LIMIT)
    assert faulty.sweep() == {"silent-ended": 1}
    faulty.clock.turn(hours=5)
    assert faulty.sweep() == {}
    assert faulty.call(call["id"])["summary_status"] == "canceled"


@pytest.mark.parametrize(("status", "summary"), [("in-progress", "completed"), ("a-new-word", "not_retryable")])
def test_a_call_that_never_ends_at_its_provider_is_final_hours_later(world: World, status: str, summary: str) -> None:
    call = world.place()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": status}
    for minutes in range(62, 62 + 6 * 60, 9):
        world.clock.turn(to=START + timedelta(minutes=minutes))
        world.sweep()
    after = world.call(call["id"])
    assert (after["summary_status"], after["attempts"][0]["cause"]) == (summary, "never-ended")


def test_an_attempt_whose_provider_was_removed_times_out_with_that_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = world.place()
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    world.restart()
    with new_client() as world.client:
        for minutes in range(62, 62 + 7 * 60, 9):
            world.clock.turn(to=START + timedelta(minutes=minutes))
            world.sweep()
        after = world.call(call["id"])
    assert (after["state"], after["attempts"][0]["cause"]) == ("final", "provider-not-set-up")


@pytest.mark.slow
@pytest.mark.parametrize("lost", [False, True])
def test_an_incident_of_hours_leads_to_no_second_call(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    world.twilio.answers = [AnswerLost("reset")] if lost else []
    call = world.place(retry={**BODY["retry"], "on": {"failed": True}})
    with monkeypatch.context() as down:
        down.setattr(type(world.twilio), "request", lambda *_, **__: answer_json(503, {}))
        for minutes in range(1, 26 * 60, 7):
            world.clock.turn(to=START + timedelta(minutes=minutes))
            world.sweep()
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "completed", "duration": "4"}
    world.clock.turn(minutes=60)
    world.sweep()
    assert world.call(call["id"])["summary_status"] == "completed"
    assert len(world.twilio.placed) == 1


def test_silent_attempts_are_looked_into_side_by_side(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = replace(world.services.ports, settings=replace(world.services.ports.settings, dial_pool_size=8))
    together = Barrier(8, timeout=5)
    monkeypatch.setattr(ports.calls, "due", lambda kind, before: iter([[f"call_{n}" for n in range(8)]]))
    monkeypatch.setattr(sweeps, "dial_due", lambda *_: {})

    def asked(*_: object) -> str:
        together.wait()  # no thread passes here until eight look-ups have come
        return "ended"

    monkeypatch.setattr(sweeps, "look_into", asked)
    assert sweeps.sweep(ports, TimeLeft(lambda: 60.0)) == {"silent-ended": 8}


def test_overdue_dials_leave_time_for_silent_attempts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each overdue dial take ten of the sixty seconds, with more of them to come."""
    left, looked = [60.0], []
    ports = world.services.ports

    def due(kind: str, before: object) -> object:
        return iter([["silent"]]) if kind == DEADLINE else ([f"call_{n}"] for n in range(100))

    def slow(*_: object) -> str:
        left[0] -= 10
        return "dialed"

    monkeypatch.setattr(ports.calls, "due", due)
    monkeypatch.setattr(redials, "_redial", slow)
    monkeypatch.setattr(sweeps, "look_into", lambda _, call_id, now: looked.append(call_id) or "ended")
    counts = sweeps.sweep(ports, TimeLeft(lambda: left[0]))
    assert (looked, counts["silent-ended"]) == (["silent"], 1)


@pytest.mark.parametrize(("status", "outcome"), [("busy", "busy"), ("in-progress", "completed"), ("ringing", "error")])
def test_an_attempt_never_placed_that_rang_after_all_counts_for_its_number(
    world: World, status: str, outcome: str
) -> None:
    world.twilio.answers = [answer_json(503, {})]
    world.services.ports.workspaces.put(Workspace("acme", limits=Limits(daily_dials=1)))
    call = world.place(retry={**BODY["retry"], "max_retries": 0})
    for minutes in (1, 12):
        world.clock.turn(to=START + timedelta(minutes=minutes))
        world.sweep()
    attempt = world.call(call["id"])["attempts"][0]
    numbers = world.services.ports.numbers
    assert (attempt["cause"], dict(numbers.load("acme", call["to_number"]).dialed_at)) == ("never-placed", {})
    assert dials_counted(world) == 0
    record = world.services.ports.calls.load(call["id"])
    assert record is not None
    url = f"{PUBLIC_URL}/callbacks/twilio/{record.attempts[0].token}"
    sid = "CA" + "9" * 32
    for _ in range(2):
        world.post_signed(url, {"CallSid": sid, "CallStatus": status, "SequenceNumber": "3"})
    attempt = world.call(call["id"])["attempts"][0]
    assert (attempt["outcome"], attempt["provider_call_id"]) == (outcome, sid)
    assert dials_counted(world) == 1
    assert dict(numbers.load("acme", call["to_number"]).dialed_at) == {f"{call['id']}-1": START}


def dials_counted(world: World) -> int:
    """Count the dials of today in the workspace's budget."""
    return sum(world.services.ports.budgets.load("acme", world.clock.now()).dials.values())
