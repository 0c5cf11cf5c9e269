"""A workspace's allowed destinations and daily budgets, checked at every claim."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.limits import Limits
from chalicelib.providers.http import Answer
from chalicelib.storage.transact import StaleWrite
from chalicelib.storage.workspaces import Workspace
from chalicelib.usecases.calls.claim import consider
from ops.__main__ import main
from tests.support.world import BODY, ENV, START, World

MIDNIGHT = "2026-01-27T00:00:00Z"
PREMIUM = "+449098790000"


def limit(world: World, **limits: Any) -> None:
    world.services.ports.workspaces.put(Workspace("acme", limits=Limits(**limits)))


def dials(world: World) -> dict[str, int]:
    """Return the counts of the budget's items."""
    found = [item for item in world.items() if item["pk"]["S"].startswith("BUDGET#acme#2026-01-26")]
    return {item["sk"]["S"]: int(item["used"]["N"]) for item in found if int(item["used"]["N"])}


def due(world: World, call: dict[str, Any]) -> str:
    return str(world.call(call["id"])["next_attempt_at"])


class TestDestinations:
    """Allowed prefixes and countries, and the costly ranges."""

    @pytest.mark.parametrize(
        ("path", "body", "pointer"),
        [
            ("/calls", {**BODY, "to_number": PREMIUM}, "/to_number"),
            ("/call", {"agent_id": "a", "recipient_phone_number": PREMIUM}, "/recipient_phone_number"),
            (
                "/v1/Accounts/a/Campaigns",
                {"name": "P", "caller_id": "+14155550100", "numbers": ["+16505550199", PREMIUM]},
                "/numbers/1",
            ),
        ],
    )
    def test_every_route_refuses_and_writes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch, path: str, body: Any, pointer: str
    ) -> None:
        if path == "/call":
            body = {**body, "from_phone_number": "+14155550100"}
        answer = world.request("POST", path, body)
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, pointer)
        assert "premium-rate); the workspace must allow" in answer.json_body["errors"][0]["detail"]
        assert [item["pk"]["S"].partition("#")[0] for item in world.items()] == ["KEY"]
        assert world.twilio.requests == []

    def test_an_allowed_prefix_opens_the_range(self, world: World) -> None:
        limit(world, allow=("+1", "+449098"))
        assert world.place(to_number=PREMIUM)["state"] == "dialing"
        assert world.request("POST", "/calls", {**BODY, "to_number": "+919876543210"}).status_code == 422

    def test_a_retry_to_a_number_that_is_allowed_no_more_is_blocked(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        limit(world, allow=("+91",))
        world.pump(START + timedelta(hours=2))
        after = world.call(call["id"])
        assert (after["summary_status"], after["reason"]) == ("blocked", "destination-not-allowed")
        assert len(world.twilio.placed) == 1

    def test_an_adopted_call_is_not_redialled_to_a_costly_number(self, world: World) -> None:
        assert world.request("PUT", "/policies/adopted", {"retry": {}}).status_code == 200
        record = adopted(world, PREMIUM)
        world.pump(START + timedelta(hours=2))
        after = world.call(record)
        assert (after["summary_status"], after["reason"]) == ("blocked", "destination-not-allowed")
        assert world.twilio.placed == []


def adopted(world: World, number: str) -> str:
    """Return the id of an adopted call to the number, which has ended busy."""
    made = world.request("POST", "/policies/adopted/adoption-token").json_body
    form = {
        "CallSid": "CA" + "7" * 32,
        "AccountSid": ENV["TWILIO_ACCOUNT_SID"],
        "CallStatus": "busy",
        "Direction": "outbound-api",
        "To": number,
        "From": "+14155550100",
    }
    answer = world.post_signed(made["adoption"]["address"], form)
    assert answer.status_code == 200, answer.body
    return str(answer.json_body["events"][0]["call_id"])


class TestDials:
    """The daily budget of dials."""

    def test_a_dial_over_the_budget_waits_for_the_next_day(self, world: World) -> None:
        limit(world, daily_dials=3)
        calls = [world.place(to_number=f"+1650555020{i}") for i in range(5)]
        assert [call["state"] for call in calls] == ["dialing"] * 3 + ["scheduled"] * 2
        assert [due(world, call) for call in calls[3:]] == [MIDNIGHT] * 2
        decided = world.request("GET", f"/calls/{calls[4]['id']}/decisions").json_body["data"][-1]
        assert (decided["reason"], decided["steps"][0]) == ("over-budget", "acme: all 3 dials of the day used")
        assert (len(world.twilio.placed), sum(dials(world).values())) == (3, 3)
        world.pump(START + timedelta(hours=15))
        assert len(world.twilio.placed) == 5

    def test_retries_and_adopted_calls_obey_it(self, world: World) -> None:
        limit(world, daily_dials=1)
        call = world.place()
        world.end("busy")
        assert world.request("PUT", "/policies/adopted", {"retry": {}}).status_code == 200
        foreign = adopted(world, "+16505550123")
        world.pump(START + timedelta(hours=2))
        assert len(world.twilio.placed) == 1
        assert [due(world, {"id": each}) for each in (call["id"], foreign)] == [MIDNIGHT] * 2

    def test_a_call_whose_policy_ends_before_the_next_day_expires(self, world: World) -> None:
        limit(world, daily_dials=1)
        world.place()
        late = world.place(to_number="+16505550123", retry={"expires_after_hours": 2})
        assert (late["state"], late["summary_status"], late["reason"]) == ("final", "expired", "policy-expired")

    def test_a_dial_that_the_provider_did_not_make_is_given_back(self, world: World) -> None:
        limit(world, daily_dials=1)
        world.twilio.answers = [Answer(429, {"retry-after": "60"}, b"{}")]
        call = world.place()
        assert (call["state"], dials(world)) == ("scheduled", {})
        world.pump(START + timedelta(minutes=5))
        assert (len(world.twilio.placed), sum(dials(world).values())) == (1, 1)

    @pytest.mark.parametrize("budget", [1, 15, 16, 17, 40])
    def test_all_of_it_can_be_used_and_no_more(self, world: World, budget: int) -> None:
        limit(world, daily_dials=budget)
        for i in range(budget + 2):
            world.place(to_number=f"+16505550{100 + i}")
        assert (len(world.twilio.placed), sum(dials(world).values())) == (budget, budget)

    def test_of_claims_at_once_no_more_commit_than_the_budget_allows(self, world: World) -> None:
        limit(world, daily_dials=1)
        start_at = "2026-01-26T11:00:00Z"
        calls = [world.place(to_number=f"+1650555020{i}", start_at=start_at) for i in range(3)]
        world.clock.turn(hours=1)
        ports = world.services.ports
        records = [ports.calls.load(call["id"]) for call in calls]
        # Each claim sees an empty day before the first one commits.
        first, *others = [consider(ports, record) for record in records if record]
        assert all(each.may_dial for each in (first, *others))
        ports.calls.commit(first.transition, first.also)
        for other in others:
            with pytest.raises(StaleWrite):
                ports.calls.commit(other.transition, other.also)

    def test_a_budget_that_is_lowered_counts_what_was_used_before(self, world: World) -> None:
        limit(world, daily_dials=40)
        for i in range(10):
            world.place(to_number=f"+16505550{100 + i}")
        limit(world, daily_dials=5)
        assert world.place()["reason"] is None
        assert len(world.twilio.placed) == 10

    def test_without_a_budget_nothing_is_read_or_written_for_it(self, world: World) -> None:
        world.place()
        assert not [item for item in world.items() if item["pk"]["S"].startswith("BUDGET")]


class TestMinutes:
    """The daily budget of minutes, of calls that have ended."""

    def test_once_they_are_used_no_dial_begins_until_the_next_day(self, world: World) -> None:
        limit(world, daily_minutes=3)
        world.place()
        world.end("completed", CallDuration="61")
        assert dials_of(world, "MINUTES") == 2
        world.place()
        world.end("completed", CallDuration="1")
        assert dials_of(world, "MINUTES") == 3
        waiting = world.place()
        assert (waiting["state"], waiting["next_attempt_at"]) == ("scheduled", MIDNIGHT)
        decided = world.request("GET", f"/calls/{waiting['id']}/decisions").json_body["data"][-1]
        assert decided["steps"][0] == "acme: 3 of 3 minutes of the day used"

    def test_a_repeated_end_counts_once(self, world: World) -> None:
        limit(world, daily_minutes=100)
        world.place()
        for _ in range(3):
            world.end("completed", CallDuration="300")
        assert dials_of(world, "MINUTES") == 5


def dials_of(world: World, kind: str) -> int:
    return sum(used for name, used in dials(world).items() if name.startswith(kind))


def test_limits_are_set_and_shown_by_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["workspaces", "set", "--workspace", "acme"]
    assert main([*command, "--allow", "+91,us,any", "--daily-dials", "500", "--daily-minutes", "900"]) == 0
    assert main([*command, "--daily-minutes", "default"]) == 0
    shown = capsys.readouterr().out.splitlines()[-1]
    assert shown.endswith("the default rate, dials +91 US any, 500 dials a day")
    assert main([*command, "--allow", "default", "--daily-dials", "default"]) == 0
    assert world.services.ports.workspaces.load("acme").limits == Limits()


def test_a_wrong_destination_is_named_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["workspaces", "set", "--workspace", "acme", "--allow", "+1,Mars"])
    assert "'Mars' is neither a prefix such as +91, nor a country code such as US, nor 'any'" in capsys.readouterr().err


def test_the_deployments_limits_hold_if_a_workspace_has_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKSPACE_ALLOW", "+1")
    monkeypatch.setenv("WORKSPACE_DAILY_DIALS", "1")
    world.restart()
    assert world.request("POST", "/calls", {**BODY, "to_number": "+919876543210"}).status_code == 422
    assert [world.place()["state"] for _ in range(2)] == ["dialing", "scheduled"]
    limit(world, allow=("+91",), daily_dials=2)
    assert world.place(to_number="+919876543210")["state"] == "dialing"
