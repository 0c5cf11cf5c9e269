"""A call at the provider has one owner.

The owner is the attempt that placed it, or the call that adopted it, and never both.
"""

from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from botocore.client import BaseClient

from chalicelib.domain.call import Attempt
from chalicelib.providers.http import AnswerLost
from chalicelib.storage.codec import to_item
from ops.data.keys import create_key
from tests.support.crashes import Crash, fault_at
from tests.support.world import BODY, ENV, START, TABLE, World

ACCOUNT = ENV["TWILIO_ACCOUNT_SID"]
POLICY = {"retry": {"max_retries": 2, "wait_minutes": 30}, "target": {"url": "https://example.com/again.xml"}}


class Shared:
    """One provider account: Redial dials from it, and two workspaces adopt its calls."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = {"acme": world.key, "globex": create_key(world.dynamodb, TABLE, workspace="globex", now=START)}
        self.addresses = {name: self._address(key) for name, key in self.keys.items()}

    def _address(self, key: str) -> str:
        answer = self.world.request("PUT", "/policies/adopted", POLICY, key=key)
        return str(answer.json_body["adoption"]["address"])

    def tell(self, workspace: str, status: str, sid: str) -> str:
        """Post a callback to a workspace's adoption address, and return the decision."""
        said = {"CallSid": sid, "AccountSid": ACCOUNT, "CallStatus": status, "Direction": "outbound-api"}
        numbers = {"From": BODY["from_number"], "To": BODY["to_number"]}
        answer = self.world.post_signed(self.addresses[workspace], {**said, **numbers})
        assert answer.status_code == 200, answer.body
        return str(answer.json_body["events"][0]["decision"])

    def lose_the_answer(self) -> None:
        self.world.twilio.answers = [AnswerLost("reset")]
        self.world.place()
        self.world.twilio.known[self.sid] = {"status": "ringing"}

    def sweep(self) -> None:
        self.world.clock.turn(minutes=1)
        self.world.sweep()

    @property
    def sid(self) -> str:
        return self.world.twilio.placed[0].sid

    def attempts(self) -> list[Attempt]:
        calls = [item["pk"]["S"][5:] for item in self.world.items() if item["sk"]["S"] == "CALL"]
        records = [self.world.services.ports.calls.load(call) for call in calls]
        return [attempt for record in records if record for attempt in record.attempts]

    def owners(self) -> list[Attempt]:
        return [each for each in self.attempts() if each.provider_call_id == self.sid and each.was_made]

    def made(self, workspace: str) -> list[str]:
        return list(self.world.services.ports.numbers.load(workspace, str(BODY["to_number"])).dialed_at)


@pytest.fixture
def shared(world: World) -> Shared:
    return Shared(world)


@pytest.mark.parametrize("workspace", ["acme", "globex"])
def test_a_call_that_was_adopted_is_not_taken_for_a_lost_placement(shared: Shared, workspace: str) -> None:
    shared.lose_the_answer()
    assert shared.tell(workspace, "ringing", shared.sid) == "noted"
    shared.sweep()
    (owner,) = shared.owners()
    assert shared.world.services.ports.calls.load(owner.call_id).call.is_adopted  # type: ignore[union-attr]
    assert len(shared.attempts()) == 2


@pytest.mark.parametrize("workspace", ["acme", "globex"])
def test_a_placement_that_was_found_is_not_adopted(shared: Shared, workspace: str) -> None:
    shared.lose_the_answer()
    shared.sweep()
    assert shared.tell(workspace, "busy", shared.sid) == "decided"
    assert [(each.provider_call_id, each.outcome) for each in shared.attempts()] == [(shared.sid, "busy")]


def test_a_placed_call_is_taken_over_from_an_adopting_workspace(shared: Shared) -> None:
    """Post the callback at the adoption address first.

    It comes before Redial has recorded the answer to its own create-call.
    """
    world = shared.world
    world.twilio.on_place = lambda placed: shared.tell("globex", "ringing", placed.sid) and None
    call = world.place()
    ours, theirs = sorted(shared.attempts(), key=lambda each: each.call_id != call["id"])
    assert (ours.provider_call_id, ours.outcome) == (shared.sid, None)
    assert (theirs.outcome, theirs.cause, theirs.counts) == ("canceled", "another-calls", False)
    assert world.request("GET", f"/calls/{theirs.call_id}", key=shared.keys["globex"]).json_body["state"] == "final"
    assert (shared.made("acme"), shared.made("globex")) == ([ours.id], [])
    assert shared.tell("globex", "busy", shared.sid) == "decided"
    world.twilio.on_place = None
    world.pump(START + timedelta(hours=1))
    assert [placed.form["StatusCallback"].rsplit("/", 1)[1].split(".")[:2] for placed in world.twilio.placed] == [
        [call["id"], "1"],
        [call["id"], "2"],
    ]


def test_a_placement_known_by_callback_gets_its_owner_in_the_sweep(shared: Shared) -> None:
    with fault_at("POST provider", after=True, dies=True), pytest.raises(Crash):
        shared.world.place()
    shared.world.restart()
    shared.world.callback(shared.world.twilio.placed[0], "ringing", SequenceNumber="1")
    shared.sweep()
    assert shared.tell("globex", "busy", shared.sid) == "decided"
    assert len(shared.attempts()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("order", list(permutations(["lose", "find", "acme", "globex"])))
def test_a_call_has_one_owner_in_every_order_of_callbacks(shared: Shared, order: tuple[str, ...]) -> None:
    shared.world.twilio.on_place = None
    steps: dict[str, Callable[[], Any]] = {
        "lose": shared.lose_the_answer,
        "find": shared.sweep,
        "acme": lambda: shared.tell("acme", "ringing", f"CA{1:032x}"),
        "globex": lambda: shared.tell("globex", "ringing", f"CA{1:032x}"),
    }
    for name in order:
        steps[name]()
    shared.sweep()
    assert len(shared.owners()) == 1


def between(monkeypatch: pytest.MonkeyPatch, kind: str, act: Callable[[], Any]) -> None:
    """Act just before the first transaction that writes an item of a kind."""
    send, acted = BaseClient._make_api_call, []

    def sending(client: Any, operation: str, arguments: Any) -> Any:
        if operation == "TransactWriteItems" and f"'{kind}#" in str(arguments) and not acted:
            acted.append(kind)
            act()
        return send(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", sending)


def test_an_adoption_between_the_look_and_the_claim_of_the_sweep_wins(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.lose_the_answer()
    between(monkeypatch, "PLACED", lambda: shared.tell("globex", "ringing", shared.sid))
    shared.sweep()
    assert len(shared.owners()) == 1


def test_a_placement_that_is_found_during_an_adoption_wins(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.lose_the_answer()
    between(monkeypatch, "CALL", shared.sweep)
    assert shared.tell("globex", "busy", shared.sid) == "decided"
    assert [(each.provider_call_id, each.outcome) for each in shared.attempts()] == [(shared.sid, "busy")]


def as_written_earlier(world: World, sid: str, workspace: str, token: str) -> None:
    key = {"pk": f"ADOPTED#twilio#{ACCOUNT}#{sid}", "sk": "ADOPTED"}
    data = {"data": {"workspace": workspace, "token": token}, "expires_at": 2_000_000_000}
    world.dynamodb.put_item(TableName=TABLE, Item=to_item({**key, **data}))


def test_a_call_that_an_earlier_release_adopted_stays_adopted(shared: Shared) -> None:
    sid = f"CA{1:032x}"
    shared.tell("globex", "ringing", sid)
    (adopted,) = shared.attempts()
    shared.world.dynamodb.delete_item(TableName=TABLE, Key=to_item({"pk": f"PLACED#twilio#{sid}", "sk": "PLACED"}))
    as_written_earlier(shared.world, sid, "globex", adopted.token)
    assert shared.tell("acme", "busy", sid) == "adopted-elsewhere"
    shared.lose_the_answer()
    shared.sweep()
    assert shared.tell("globex", "busy", sid) == "decided"
    assert [(each.call_id, each.outcome) for each in shared.owners()] == [(adopted.call_id, "busy")]


def test_a_call_that_an_earlier_release_placed_stays_owned(shared: Shared) -> None:
    call = shared.world.place()
    (attempt,) = shared.attempts()
    (item,) = [item for item in shared.world.items() if item["pk"]["S"] == f"PLACED#twilio#{shared.sid}"]
    assert item["data"] == {"M": {"token": {"S": attempt.token}}}
    assert shared.tell("globex", "busy", shared.sid) == "decided"
    assert shared.world.history(call["id"]) == [(1, "busy")]
