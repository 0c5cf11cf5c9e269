"""The redial Lambda: invoked twice, late, in parallel, or with too little time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from threading import Barrier, Event, Lock

import pytest

from chalicelib.errors import Unavailable
from chalicelib.providers import Provider
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls.claim import consider
from chalicelib.usecases.calls.redial_due import TimeLeft, pooled, redial_due
from tests.support.world import BODY, START, World, new_client

DUE = START + timedelta(minutes=30)


def test_a_wake_that_fires_twice_dials_once(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE)
    assert [world.redial(DUE) for _ in range(2)] == [{"left": 0, "dialed": 1}, {"left": 0}]
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


def test_a_wake_that_fires_hours_late_still_dials(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE + timedelta(hours=5))
    world.redial(DUE)
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


def test_a_wake_that_fires_early_dials_nothing(world: World) -> None:
    world.place()
    world.end("busy")
    world.clock.turn(to=DUE - timedelta(seconds=1))
    assert world.redial(DUE) == {"left": 0}
    assert len(world.twilio.placed) == 1


def test_a_call_past_its_policys_end_expires_instead_of_being_dialled(world: World) -> None:
    call = world.place(retry={**BODY["retry"], "expires_after_hours": 1})
    world.end("busy")
    world.clock.turn(to=START + timedelta(hours=1, seconds=1))
    assert world.redial(DUE) == {"left": 0, "ended": 1}
    assert world.call(call["id"])["summary_status"] == "expired"
    assert len(world.twilio.placed) == 1


def test_of_two_claims_of_one_attempt_only_one_can_be_committed(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE)
    ports = world.services.ports
    record = ports.calls.load(call["id"])
    assert record is not None
    first, second = consider(ports, record), consider(ports, record)
    ports.calls.commit(first.transition, first.also)
    with pytest.raises(StaleWrite):
        ports.calls.commit(second.transition, second.also)


def test_a_claim_loses_against_a_cancel_that_was_committed_first(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE)
    ports = world.services.ports
    record = ports.calls.load(call["id"])
    assert record is not None
    claimed = consider(ports, record)
    world.request("POST", f"/calls/{call['id']}/cancel")
    with pytest.raises(StaleWrite):
        ports.calls.commit(claimed.transition, claimed.also)
    assert world.redial(DUE) == {"left": 0}


def test_what_there_is_no_time_for_is_left_to_the_next_minutes_wake(world: World) -> None:
    for _ in range(5):
        world.place(retry={**BODY["retry"], "caps": []})
        world.end("busy")
    world.clock.turn(to=DUE)
    seconds = iter([100.0, 90.0, 50.0, 16.0, 5.0, 4.0])
    counts = redial_due(world.services.ports, DUE, TimeLeft(lambda: next(seconds)))
    assert counts == {"left": 1, "dialed": 2}
    assert [r["ScheduleExpression"] for r in world.rules()] == ["cron(32 10 26 1 ? 2026)"]
    world.pump(DUE + timedelta(minutes=3))
    assert len(world.twilio.placed) == 10


def test_one_call_that_breaks_does_not_keep_the_others_from_being_dialled(world: World) -> None:
    calls = []
    for number in ("+14155550101", "+14155550102", "+14155550103"):
        calls.append(world.place(to_number=number))
        world.end("busy")
    world.clock.turn(to=DUE)
    world.twilio.answers = [RuntimeError("boom")]
    assert world.redial(DUE) == {"left": 0, "broken": 1, "dialed": 2}
    assert len(world.twilio.placed) == 5


def test_due_calls_are_dialled_in_parallel_up_to_the_pool_size() -> None:
    at_once = Barrier(8, timeout=5)
    lock, running, most = Lock(), 0, 0

    def work(call_id: str) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        at_once.wait()  # no thread passes here until eight have come
        with lock:
            running -= 1
        return call_id

    assert sorted(pooled(work, (str(n) for n in range(64)), 8), key=int) == [str(n) for n in range(64)]
    assert most == 8


def test_a_slow_dial_does_not_hold_up_the_ones_after_it() -> None:
    others = Event()
    done: list[str] = []

    def work(call_id: str) -> str:
        if call_id == "slow":
            assert others.wait(timeout=5)  # all the others end while this dial is in progress
        else:
            done.append(call_id)
            if len(done) == 30:
                others.set()
        return call_id

    ids = ["slow", *(str(n) for n in range(30))]
    assert sorted(pooled(work, ids, 2)) == sorted(ids)


def test_once_the_time_is_over_the_due_index_is_read_no_further(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def due(kind: str, before: object) -> Iterator[list[str]]:
        for n in range(1_000):
            read.append(kind)
            yield [f"call_{n}"]

    monkeypatch.setattr(world.services.ports.calls, "due", due)
    seconds = iter([100.0, 5.0, 5.0])
    assert redial_due(world.services.ports, DUE, TimeLeft(lambda: next(seconds)))["left"] == 1
    assert len(read) == 1


def test_a_full_hours_wake_dials_before_it_arms_what_is_below_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hour = START + timedelta(hours=1)
    world.place(start_at=f"{hour:%Y-%m-%dT%H:%M:%SZ}")
    world.place(to_number="+16505550111", start_at=f"{hour + timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}")
    order: list[str] = []
    world.twilio.on_place = lambda _: order.append("dialed")
    arm = type(world.services.ports.triggers).arm
    monkeypatch.setattr(
        type(world.services.ports.triggers), "arm", lambda self, wake: (order.append("armed"), arm(self, wake))[1]
    )
    world.clock.turn(to=hour)
    world.redial(hour)
    assert order == ["dialed", "armed"]


def test_each_kind_of_work_has_its_share_of_the_time() -> None:
    now = [100.0]
    whole = TimeLeft(lambda: now[0])
    half = whole.share(0.5)
    now[0] = 60.0
    assert (half.for_a_dial(), whole.for_a_dial()) == (True, True)
    now[0] = 50.0
    assert (half.for_a_dial(), whole.for_a_dial()) == (False, True)
    now[0] = 15.0
    assert not whole.for_a_dial()


def test_a_provider_that_cannot_be_set_up_costs_no_attempt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    call = world.place()
    world.end("busy")
    with monkeypatch.context() as gone:
        gone.setenv("TWILIO_AUTH_TOKEN", "")
        world.restart()
        with new_client() as without:
            world.clock.turn(to=DUE)
            counts = without.lambda_.invoke("redial", {"wake": "2026-01-26T10:30Z"}).payload
    world.restart()
    assert counts == {"left": 0, "rescheduled": 1}
    assert (world.call(call["id"])["state"], world.history(call["id"])) == ("scheduled", [(1, "busy")])
    world.pump(DUE + timedelta(minutes=5))
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


@pytest.mark.parametrize("hours", [10, 71])
def test_a_call_without_its_provider_reports_once_and_expires(
    world: World, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    call = world.place()
    world.end("busy")
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    world.restart()
    with new_client() as world.client:
        for minutes in range(30, hours * 60, 55):
            world.clock.turn(to=START + timedelta(minutes=minutes))
            world.redial(world.clock.now())
        waits = world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]
        assert [decision["reason"] for decision in waits] == ["retry", "provider-not-set-up"]
        assert waits[-1]["steps"][0] == "twilio is not set up: TWILIO_AUTH_TOKEN missing"
        world.clock.turn(to=START + timedelta(hours=72, minutes=1))
        world.sweep()
        assert world.call(call["id"])["summary_status"] == "expired"


def test_a_decision_about_unreadable_secrets_does_not_show_the_text_of_aws(world: World) -> None:
    def unreadable(_: str) -> Provider:
        raise Unavailable("TWILIO_AUTH_TOKEN could not be read: AccessDenied: User: arn:aws:sts::123456789012:x")

    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE)
    redial_due(replace(world.services.ports, provider=unreadable), DUE, TimeLeft(lambda: 60))
    waits = world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]
    assert (waits[-1]["reason"], waits[-1]["steps"][0]) == (
        "provider-not-set-up",
        "the secrets of twilio cannot be read at the moment; the deployment's log says why",
    )


def test_what_is_due_the_longest_is_dialled_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIAL_POOL_SIZE", "1")
    world.client = new_client().__enter__()
    starts = {f"+1650555{n:04d}": START + timedelta(minutes=30 + n % 4) for n in range(24)}
    for number, at in sorted(starts.items()):
        world.place(to_number=number, start_at=f"{at:%Y-%m-%dT%H:%M:%SZ}")
    world.clock.turn(to=START + timedelta(minutes=40))
    while world.redial(START + timedelta(minutes=40))["left"]:
        pass  # Lambda's time limit is real in this world, and a busy machine dials fewer calls within it
    dialled = [starts[placed.form["To"]] for placed in world.twilio.placed]
    assert (len(dialled), dialled) == (24, sorted(dialled))
