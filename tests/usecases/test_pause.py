"""The kill switch: of a pause and a claim, the one that commits first wins."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from chalicelib.storage.gates import EVERYTHING, Closed, Gate, account_scope, workspace_scope
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls import claim as claims
from chalicelib.usecases.gates import pause as pauses
from ops import __main__ as ops
from ops.data.keys import create_key
from tests.support.app_output import spoken
from tests.support.world import ENV, START, TABLE, World, new_client

ACCOUNT = "twilio:" + ENV["TWILIO_ACCOUNT_SID"]


def reasons(world: World, call: dict[str, Any]) -> list[str]:
    return [d["reason"] for d in world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]]


def test_while_a_workspace_is_paused_none_of_its_calls_is_dialled(world: World) -> None:
    world.place()
    world.end("busy")
    answer = world.request("POST", "/pause-all", {"reason": "wrong script"})
    assert answer.json_body == {
        "paused": True,
        "reason": "wrong script",
        "paused_at": "2026-01-26T10:00:00Z",
        "until": None,
    }
    fresh = world.place(to_number="+16505550111")
    assert (fresh["state"], reasons(world, fresh)) == ("scheduled", ["paused"])
    world.pump(START + timedelta(minutes=61))
    assert len(world.twilio.placed) == 1
    resumed = world.request("POST", "/resume-all").json_body
    assert (resumed["paused"], resumed["was_paused"]) == (False, True)
    assert world.request("GET", "/pause-all").json_body["paused"] is False
    world.pump(START + timedelta(minutes=67))
    assert len(world.twilio.placed) == 3
    assert world.call(fresh["id"])["attempts"][0]["attempt"] == 1


def test_a_pause_may_end_by_itself(world: World) -> None:
    until = "2026-01-26T10:20:00Z"
    assert world.request("POST", "/pause-all", {"until": until}).json_body["until"] == until
    world.place()
    world.pump(START + timedelta(minutes=21))
    assert [p.at for p in world.twilio.placed] == [START + timedelta(minutes=20)]
    assert world.request("GET", "/pause-all").json_body["paused"] is False


@pytest.mark.parametrize("more", [{}, {"until": "2026-01-26T11:00:00Z"}])
def test_a_pause_that_is_extended_as_it_ends_holds(
    world: World, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    """Extend a pause just as it ends.

    ``redial`` has read that the pause is over, and just then the app answers the next pause.
    """
    world.request("POST", "/pause-all", {"until": "2026-01-26T10:20:00Z"})
    world.place()
    gates = world.services.ports.gates
    closed_and, answers = gates.closed_and, []

    def extended(scopes: list[str], keys: Any) -> Any:
        seen = closed_and(scopes, keys)
        if not answers and len(scopes) > 1:
            answers.append(world.request("POST", "/pause-all", more).json_body["paused"])
        return seen

    world.clock.turn(minutes=20)
    monkeypatch.setattr(gates, "closed_and", extended)
    world.redial(START + timedelta(minutes=20))
    assert (answers, world.twilio.placed) == ([True], [])
    assert world.request("GET", "/pause-all").json_body["paused"] is True


@pytest.mark.parametrize("scope", [EVERYTHING, workspace_scope("acme"), account_scope(ACCOUNT)])
def test_a_claim_that_saw_the_old_pause_fails_after_an_extension(world: World, scope: str) -> None:
    ports = world.services.ports
    pauses.pause(ports, scope, "night", START + timedelta(minutes=5))
    call = world.place()
    world.clock.turn(minutes=6)
    record = ports.calls.load(call["id"])
    assert record is not None
    claimed = claims.consider(ports, record)
    assert claimed.may_dial
    pauses.pause(ports, scope, "longer", START + timedelta(minutes=30))
    with pytest.raises(StaleWrite):
        claims.commit(ports, claimed)
    seen = pauses.paused(ports, scope)
    assert (seen.reason if seen else None, world.twilio.placed) == ("longer", [])


def test_a_breaker_that_trips_leaves_a_pause_by_hand_alone(world: World) -> None:
    ports, scope = world.services.ports, account_scope(ACCOUNT)
    gates = ports.gates
    by_hand = pauses.pause(ports, scope, "audit", None)
    tripped = Gate(scope=scope, closed=Closed.BY_BREAKER, reason="down", closed_at=START, until=START)
    assert not gates.close_instead_of(None, tripped)
    gates.close(tripped)
    gates.close(by_hand)
    assert not gates.open_if_still(tripped)
    assert gates.closed([scope]) == [by_hand]
    assert gates.open_if_still(by_hand)
    assert gates.closed([scope]) == []


@pytest.mark.slow
def test_a_call_behind_a_pause_records_each_pause_once(world: World) -> None:
    call = world.place()
    world.end("busy")
    for _ in range(2):
        world.request("POST", "/pause-all", {})
        world.pump(world.clock.now() + timedelta(hours=2))
        world.request("POST", "/resume-all")
    assert reasons(world, call) == ["retry", "paused", "paused"]
    world.pump(world.clock.now() + timedelta(minutes=8))
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


@pytest.mark.parametrize("closed", list(Closed))
@pytest.mark.parametrize("scope", [EVERYTHING, workspace_scope("acme"), account_scope(ACCOUNT)])
def test_a_resume_wakes_what_waits_behind_every_kind_of_gate(world: World, scope: str, closed: Closed) -> None:
    ports, resumed_at = world.services.ports, START + timedelta(minutes=10, seconds=30)
    night = None if closed is Closed.BY_HAND else START + timedelta(minutes=30)
    ports.gates.close(Gate(scope=scope, closed=closed, reason="audit", closed_at=START, until=night))
    calls = [world.place(to_number=f"+1650555010{n}") for n in range(3)]
    world.pump(resumed_at)
    assert pauses.resume(ports, scope)
    world.pump(resumed_at + ports.wake_lead + timedelta(minutes=1))
    assert [placed.at for placed in world.twilio.placed] == [START + timedelta(minutes=13)] * 3
    assert [len(reasons(world, call)) for call in calls] == [1, 1, 1]


def test_a_resume_defers_no_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_CALLS_PER_SECOND", "0.05")
    with new_client() as world.client:
        world.request("POST", "/pause-all", {})
        calls = [world.place(to_number=f"+1650555010{n}")["id"] for n in range(6)]
        world.pump(START + timedelta(minutes=7))
        before = [world.call(call)["next_attempt_at"] for call in calls]
        world.request("POST", "/resume-all")
        after = [world.call(call)["next_attempt_at"] for call in calls]
        assert after < before
        assert all(now <= then for now, then in zip(after, before, strict=True))


def test_a_resume_wakes_no_call_that_waits_for_something_else(world: World) -> None:
    ports = world.services.ports
    world.request("POST", "/pause-all", {})
    world.place()
    pauses.pause(ports, EVERYTHING, "audit", None)
    later = world.place(to_number="+16505550100", start_at="2026-01-26T10:04:00Z")
    pauses.resume(ports, EVERYTHING)
    assert world.call(later["id"])["next_attempt_at"] == "2026-01-26T10:04:00Z"
    world.pump(START + timedelta(minutes=30))
    assert world.twilio.placed == []


@pytest.mark.slow
def test_calls_behind_a_pause_come_back_spread_over_the_minutes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_CALLS_PER_SECOND", "0.05")
    with new_client() as world.client:
        world.request("POST", "/pause-all", {})
        for n in range(9):
            world.place(to_number=f"+1650555010{n}")
        world.pump(START + timedelta(hours=1))
        world.request("POST", "/resume-all")
        world.pump(START + timedelta(hours=1, minutes=20))
        minutes = Counter(placed.at.replace(second=0) for placed in world.twilio.placed)
        assert minutes.total() == 9
        assert max(minutes.values()) <= 3


def test_a_pause_until_a_time_that_is_past_is_refused(world: World) -> None:
    answer = world.request("POST", "/pause-all", {"until": "2026-01-26T10:00:00Z"})
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/until")


def test_only_an_admin_may_pause_and_only_its_own_workspace(world: World) -> None:
    writer = create_key(world.dynamodb, TABLE, workspace="acme", role="write", now=START)
    other = create_key(world.dynamodb, TABLE, workspace="globex", role="admin", now=START)
    for path in ("/pause-all", "/resume-all"):
        assert world.request("POST", path, key=writer).status_code == 403
    assert world.request("POST", "/pause-all", key=other).status_code == 200
    assert world.request("GET", "/pause-all").json_body["paused"] is False
    assert world.place()["state"] == "dialing"


def test_everything_is_stopped_and_started_from_the_shell(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ops.ports.SystemClock", lambda: world.clock)
    assert ops.main(["stop", "--stage", "dev", "--reason", "provider is down"]) == 0
    assert world.place()["state"] == "scheduled"
    assert ops.main(["resume", "--stage", "dev", "--workspace", "acme"]) == 0
    assert ops.main(["stop", "--stage", "dev"]) == 0
    assert ops.main(["start", "--stage", "dev"]) == 0
    assert world.place(to_number="+16505550198")["state"] == "dialing"
    assert ops.main(["start", "--stage", "dev"]) == 0
    stopped = [
        "stage dev is stopped (in the table redial-dev): redial, sweep and POST /calls begin no call",
        "calls in flight go on to their end; what falls due waits and loses no attempt",
        "to dial again: python -m ops start --stage dev",
    ]
    goes_on = "it dials (table redial-dev), and what waited begins within five minutes"
    assert spoken(capsys.readouterr().out) == [
        *stopped,
        "workspace:acme was not paused",
        "but stage dev is stopped since 2026-01-26T10:00:00Z (provider is down)",
        "stage dev was stopped since 2026-01-26T10:00:00Z (provider is down)",
        *stopped,
        f"stage dev was stopped since 2026-01-26T10:00:00Z (stopped by hand); {goes_on}",
        f"stage dev was not stopped; {goes_on}",
    ]


def test_a_table_that_does_not_answer_leads_to_the_stop_without_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ClientError({"Error": {"Code": "InternalServerError", "Message": "try later"}}, "BatchGetItem")
    monkeypatch.setattr("ops.data.pause.paused", Mock(side_effect=refused))
    assert ops.main(["stop", "--stage", "dev"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: the table redial-dev does not take the stop: ")
    assert "To stop without it, set DIALING=off in the stage's environment_variables in .chalice/config.json" in err


@pytest.mark.parametrize(
    ("method", "path", "body", "reason"),
    [
        ("POST", "/pause-all", {}, "paused"),
        ("PUT", "/numbers/+16505550199/opt-out", {}, "opted-out"),
        ("POST", "/calls/{id}/cancel", None, "canceled"),
        ("POST", "/numbers/+16505550199/contacted", {}, "contacted"),
    ],
)
def test_what_is_committed_while_a_claim_is_under_way_wins_over_it(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any, reason: str
) -> None:
    """Answer a request while a claim is in progress.

    The rule fires, ``redial`` has found nothing against the dial, and just then the app answers this request.
    """
    call = world.place()
    world.end("busy")
    settle: Callable[..., Any] = claims.settle
    answers = []

    def interrupted(ports: Any, transition: Any, also: Any) -> Any:
        if not answers:
            answers.append(world.request(method, path.format(id=call["id"]), body).status_code)
        return settle(ports, transition, also)

    monkeypatch.setattr(claims, "settle", interrupted)
    world.pump(START + timedelta(minutes=30))
    assert answers == [200]
    assert len(world.twilio.placed) == 1
    assert reasons(world, call) == ["retry", reason]


@pytest.mark.parametrize("path", ["/pause-all", "/calls/{id}/cancel"])
def test_a_claim_that_is_committed_first_is_dialled_and_can_be_seen(world: World, path: str) -> None:
    call = world.place()
    world.end("busy")
    answered: list[Any] = []
    world.twilio.on_place = lambda _: answered.append(world.request("POST", path.format(id=call["id"])).json_body)
    world.pump(START + timedelta(minutes=30))
    assert len(world.twilio.placed) == 2
    assert world.history(call["id"])[1][0] == 2
    if "cancel" in path:
        assert [a["status"] for a in answered[0]["attempts"]] == ["busy", "dialing"]
