"""Slots, rate limits and their order: a deferral uses up no attempt."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Call
from chalicelib.storage.pace import Pace
from chalicelib.storage.slots import Limit, Slots
from chalicelib.storage.transact import StaleWrite
from chalicelib.storage.workspaces import Workspace
from chalicelib.usecases.calls.schedule import settle
from tests.support.world import BODY, ENV, START, World, answer_json, new_client

ACCOUNT = Limit("account:twilio:" + ENV["TWILIO_ACCOUNT_SID"], 2)
Configure = Callable[..., World]


@pytest.fixture
def configured(world: World, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Return a function that adds settings to the world's environment."""

    def configure(**env: str) -> World:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        world.client = new_client().__enter__()
        return world

    return configure


def taken(world: World, limit: Limit = ACCOUNT) -> int:
    return len(world.services.ports.slots.load(limit, world.clock.now()).taken)


def reasons(world: World, call: dict[str, Any]) -> list[str]:
    """Return the reasons of all decisions about a call."""
    return [d["reason"] for d in world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]]


def due_at(world: World, call: dict[str, Any]) -> datetime:
    at: str = world.call(call["id"])["next_attempt_at"]
    return datetime.fromisoformat(at)


def test_a_call_without_a_slot_waits_a_minute_and_uses_up_no_attempt(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    calls = [world.place(to_number=f"+1650555010{n}") for n in range(3)]
    assert [c["state"] for c in calls] == ["dialing", "dialing", "scheduled"]
    assert (taken(world), reasons(world, calls[2])) == (2, ["no-slot"])
    assert due_at(world, calls[2]) == START + timedelta(minutes=2)  # a wake is at least two minutes ahead
    world.end("completed")
    assert taken(world) == 1
    world.pump(START + timedelta(minutes=2))
    assert len(world.twilio.placed) == 3
    assert world.history(calls[2]["id"]) == [(1, "placed")]
    assert taken(world) == 2


def test_a_workspace_has_a_limit_of_its_own(configured: Configure) -> None:
    world = configured(WORKSPACE_MAX_CONCURRENT_CALLS="1")
    first, second = world.place(), world.place(to_number="+16505550111")
    assert (first["state"], second["state"]) == ("dialing", "scheduled")
    world.end("completed")
    assert taken(world, Limit("workspace:acme", 1)) == 0


def test_a_workspaces_setting_overrides_the_deployments(configured: Configure) -> None:
    world = configured(WORKSPACE_MAX_CONCURRENT_CALLS="1")
    world.services.ports.workspaces.put(Workspace("acme", max_concurrent_calls=2))
    states = [world.place(to_number=f"+1650555010{n}")["state"] for n in range(3)]
    assert states == ["dialing", "dialing", "scheduled"]


@pytest.mark.parametrize("ending", ["busy", "canceled", "failed", "no-answer", "completed"])
def test_every_end_of_an_attempt_gives_its_slot_back(configured: Configure, ending: str) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    world.place()
    assert taken(world) == 1
    world.end(ending)
    assert taken(world) == 0


def test_refused_and_withdrawn_attempts_release_their_slots(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    world.twilio.answers = [answer_json(400, {"code": 21211}), answer_json(429, {"code": 20429})]
    world.place(to_number="+16505550111")
    world.place(to_number="+16505550112")
    assert taken(world) == 0


def test_a_canceled_call_keeps_its_slot_until_its_attempt_has_ended(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    call = world.place()
    world.request("POST", f"/calls/{call['id']}/cancel")
    assert taken(world) == 1
    world.end("canceled")
    assert taken(world) == 0


def test_a_slot_that_was_not_released_frees_itself(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    world.place()
    lease = world.services.ports.lease
    world.clock.turn(to=START + lease)
    assert taken(world) == 1
    world.clock.turn(seconds=1)
    assert taken(world) == 0
    assert world.place(to_number="+16505550111")["state"] == "dialing"
    # The first attempt ends after all: its slot belongs to another attempt by now, and stays there.
    assert world.callback(world.twilio.placed[0], "completed", SequenceNumber="3").status_code == 200
    assert taken(world) == 1


def test_a_retry_that_waits_for_a_slot_gets_it_before_a_fresh_call(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    retried = world.place()
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=29))
    world.place(to_number="+16505550111")
    world.pump(START + timedelta(minutes=30))
    assert reasons(world, retried) == ["retry", "no-slot"]
    world.end("completed")
    fresh = world.place(to_number="+16505550112")
    assert (fresh["state"], reasons(world, fresh)) == ("scheduled", ["no-slot"])
    world.pump(START + timedelta(minutes=32))
    assert world.history(retried["id"]) == [(1, "busy"), (2, "placed")]


def test_fresh_calls_need_not_wait_for_retries_if_so_configured(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1", RETRIES_FIRST="false")
    world.place()
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=29))
    world.place(to_number="+16505550111")
    world.pump(START + timedelta(minutes=30))
    world.end("completed")
    assert world.place(to_number="+16505550112")["state"] == "dialing"


@pytest.mark.parametrize(("retries_first", "order"), [("true", ["0199", "0111"]), ("false", ["0111", "0199"])])
def test_of_what_is_due_together_the_retries_are_dialled_first(
    configured: Configure, retries_first: str, order: list[str]
) -> None:
    world = configured(RETRIES_FIRST=retries_first)
    world.place()
    world.end("busy")
    world.place(to_number="+16505550111", start_at="2026-01-26T10:30:00Z")
    world.pump(START + timedelta(minutes=30))
    assert [p.form["To"][-4:] for p in world.twilio.placed[1:]] == order


def test_no_more_calls_start_in_a_second_than_the_account_takes(configured: Configure) -> None:
    world = configured(TWILIO_CALLS_PER_SECOND="2")
    for n in range(7):
        world.place(to_number=f"+1650555010{n}", start_at="2026-01-26T10:30:00Z")
    # Lambda's time limit is real in this world, so the last calls may be left to the next minute.
    world.pump(START + timedelta(minutes=33))
    seconds = Counter(p.at.replace(microsecond=0) for p in world.twilio.placed)
    assert (seconds.total(), set(seconds.values())) in ((7, {2, 1}), (7, {2}))


def test_a_workspaces_rate_limit_covers_all_accounts(
    configured: Configure,
) -> None:
    world = configured(WORKSPACE_CALLS_PER_SECOND="0.1")
    world.services.ports.workspaces.put(Workspace("acme", calls_per_second=2))
    for n in range(5):
        world.place(to_number=f"+1650555010{n}", start_at="2026-01-26T10:30:00Z")
    world.pump(START + timedelta(minutes=33))
    seconds = Counter(p.at.replace(microsecond=0) for p in world.twilio.placed)
    assert (seconds.total(), max(seconds.values())) == (5, 2)


def test_the_minutes_of_a_workspace_are_filled_to_its_rate_limit(configured: Configure) -> None:
    world = configured(WORKSPACE_CALLS_PER_SECOND="0.03", TWILIO_CALLS_PER_SECOND="0.04")
    calls = [world.place(to_number=f"+1650555010{n}", start_at="2026-01-26T10:30:00Z") for n in range(5)]
    due = [due_at(world, call) for call in calls]
    assert due == [START + timedelta(minutes=m) for m in (30, 31, 32, 33, 34)]


def test_the_workspaces_start_is_given_back_if_the_account_must_wait(configured: Configure) -> None:
    world = configured(WORKSPACE_CALLS_PER_SECOND="1", TWILIO_CALLS_PER_SECOND="0.1")
    ports = world.services.ports
    assert world.place()["state"] == "dialing"
    held = world.place(to_number="+16505550111")
    assert (held["state"], reasons(world, held)) == ("scheduled", ["rate-limited"])
    assert world.clock.now() == START + timedelta(seconds=1)
    assert ports.pace.start("workspace:acme", Pace.of(1), world.clock.now()) == 0.0


def test_a_new_call_waits_shortly_for_its_rate_limit_or_is_deferred(configured: Configure) -> None:
    world = configured(TWILIO_CALLS_PER_SECOND="0.1")
    first, second = world.place(), world.place(to_number="+16505550111")
    assert (first["state"], second["state"]) == ("dialing", "scheduled")
    assert reasons(world, second) == ["rate-limited"]
    world.clock.turn(seconds=8)
    assert world.place(to_number="+16505550112")["state"] == "dialing"
    assert world.clock.now() == START + timedelta(seconds=10)


def test_a_call_deferred_past_the_end_of_its_policy_ends_as_expired(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    world.place()
    late = world.place(to_number="+16505550111", retry={**BODY["retry"], "expires_after_hours": 0.01})
    assert (late["summary_status"], reasons(world, late)) == ("expired", ["policy-expired"])


def test_two_that_take_the_same_slot_do_not_both_get_it(configured: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    slots = world.services.ports.slots
    look = slots.load
    views = [look(Limit(ACCOUNT.scope, 1), START)]

    def stale_once(limit: Limit, now: datetime) -> Any:
        return views.pop() if views else look(limit, now)

    world.place()
    monkeypatch.setattr(slots, "load", stale_once)
    second = world.place(to_number="+16505550111")
    assert (second["state"], reasons(world, second), views) == ("scheduled", ["no-slot"], [])


def test_the_limit_is_of_the_account_that_a_call_fails_over_to(world: World) -> None:
    call = world.place()
    stored: Call = world.services.ports.calls.load(call["id"]).call  # type: ignore[union-attr]
    assert ACCOUNT.scope == f"account:{stored.account}"


def test_a_slot_comes_back_though_the_number_was_erased_meanwhile(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    ports, call = world.services.ports, world.place()
    record = ports.calls.load(call["id"])
    assert record is not None
    ports.numbers.forget("acme", call["to_number"])
    now = world.clock.now()
    settle(ports, lifecycle.defer(record, cause="network", wait=None, evidence={}, now=now))
    assert taken(world) == 0


def test_a_lowered_limit_holds_for_every_claim_after_it(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="6")
    for n in range(4):
        world.place(to_number=f"+1650555010{n}")
    configured(TWILIO_MAX_CONCURRENT_CALLS="2")
    assert world.place(to_number="+16505550111")["state"] == "scheduled"
    for placed in world.twilio.placed[:3]:
        world.callback(placed, "completed", SequenceNumber="3")
    states = [world.place(to_number=f"+1650555012{n}")["state"] for n in range(2)]
    assert states == ["dialing", "scheduled"]


@given(st.sets(st.integers(0, 9)), st.integers(1, 5))
def test_slots_that_claims_take_at_once_never_pass_a_lowered_limit(taken: set[int], most: int) -> None:
    slots = Slots(Limit("account:x", most), frozenset(taken))
    assert len(slots.free) == max(0, most - len(taken))
    above = sum(1 for number in taken if number >= most)
    assert all(number < most - above for number in slots.free)


def test_a_retry_is_next_though_its_wake_lies_two_minutes_ahead(configured: Configure) -> None:
    """Dial a retry before any fresh call.

    Late in its minute the retry finds no slot. It tries again three minutes later, before any fresh call.
    """
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    retried = world.place()
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=29))
    world.place(to_number="+16505550111")
    world.clock.turn(to=START + timedelta(minutes=30, seconds=10))
    world.redial(START + timedelta(minutes=30))
    assert due_at(world, retried) == START + timedelta(minutes=33)
    world.end("completed")
    world.clock.turn(to=START + timedelta(minutes=33, seconds=20))
    assert world.place(to_number="+16505550112")["state"] == "scheduled"
    world.redial(START + timedelta(minutes=33))
    assert world.history(retried["id"]) == [(1, "busy"), (2, "placed")]


def test_a_retry_that_tries_again_tomorrow_keeps_no_slot_empty(configured: Configure) -> None:
    world = configured(TWILIO_MAX_CONCURRENT_CALLS="1")
    hours = [["09:00", "10:32"]]
    window = {"timezone": "UTC", "open": {"monday": hours, "tuesday": hours}}
    retried = world.place(retry={**BODY["retry"], "window": window})
    world.end("busy")
    world.clock.turn(to=START + timedelta(minutes=29))
    world.place(to_number="+16505550111")
    world.clock.turn(to=START + timedelta(minutes=30, seconds=10))
    world.redial(START + timedelta(minutes=30))
    assert due_at(world, retried) == START + timedelta(hours=23)
    world.end("completed")
    assert world.place(to_number="+16505550112")["state"] == "dialing"


def test_a_retry_leaves_the_last_slot_to_the_one_that_waited_longest() -> None:
    slots = Slots(Limit("account:x", 2), frozenset({1}), START, "call_a-2")
    picks = [
        slots.pick(name, is_retry=is_retry, retries_first=True)
        for name, is_retry in (("call_a-2", True), ("call_b-2", True), ("call_c-1", False))
    ]
    assert picks == ["account:x|0", None, None]
    assert slots.pick("call_c-1", is_retry=False, retries_first=False) == "account:x|0"


def test_a_new_call_waits_no_longer_than_two_seconds_for_its_turn(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let other calls take each second just before this call asks for it."""
    world = configured(TWILIO_CALLS_PER_SECOND="1")
    monkeypatch.setattr(world.services.ports.pace, "start", lambda scope, pace, now: 0.6)
    call = world.place()
    assert (call["state"], reasons(world, call)) == ("scheduled", ["rate-limited"])
    assert world.clock.now() - START <= timedelta(seconds=2)
    assert world.clock.now() - START > timedelta(seconds=1)


def test_a_call_that_lost_a_claim_race_counts_once_for_the_rate_limit(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = configured(TWILIO_CALLS_PER_SECOND="1")
    calls, pace = world.services.ports.calls, world.services.ports.pace
    create, start = type(calls).create, pace.start
    lost, started = [True, True], []

    def losing(self: Any, *args: Any, **kwargs: Any) -> None:
        if lost:
            lost.pop()
            raise StaleWrite("call")
        create(self, *args, **kwargs)

    monkeypatch.setattr(type(calls), "create", losing)
    monkeypatch.setattr(pace, "start", lambda *given: (started.append(given), start(*given))[1])
    assert (world.place()["state"], len(started)) == ("dialing", 1)
