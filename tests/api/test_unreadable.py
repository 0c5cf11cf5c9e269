"""An unreadable item never breaks a list.

The list leaves the item out and names it, and the app logs a line.
"""

from typing import Any

import pytest

from chalicelib.storage.codec import to_attribute
from chalicelib.storage.keys import KeyStore
from chalicelib.storage.workspaces import Workspace
from ops.data.keys import create_key
from tests.support.app_output import logged
from tests.support.world import BODY, TABLE, World

WRONG: list[Any] = [{}, {"policy": {}}, "text", {"state": "dreaming"}, {"at": "yesterday"}, []]


def spoil(world: World, pk: str, sk: str, data: Any) -> None:
    """Write data of an unknown shape into an item, as a later release might."""
    world.dynamodb.update_item(
        TableName=TABLE,
        Key={"pk": {"S": pk}, "sk": {"S": sk}},
        UpdateExpression="SET #data = :data",
        ExpressionAttributeNames={"#data": "data"},
        ExpressionAttributeValues={":data": to_attribute(data)},
    )


@pytest.mark.parametrize("data", WRONG)
def test_the_history_lists_what_can_be_read(world: World, data: Any) -> None:
    whole, broken_call, broken_attempt = world.place(), world.place(), world.place()
    spoil(world, f"CALL#{broken_call['id']}", "CALL", data)
    spoil(world, f"CALL#{broken_attempt['id']}", "ATTEMPT#0001", data)
    answer = world.request("GET", "/calls")
    assert answer.status_code == 200, answer.body
    assert [entry["call_id"] for entry in answer.json_body["data"]] == [whole["id"]]
    assert sorted(answer.json_body["unreadable"]) == sorted(f"{call['id']}-1" for call in (broken_call, broken_attempt))


@pytest.mark.parametrize("data", WRONG)
def test_policies_and_decisions_list_what_can_be_read(world: World, data: Any) -> None:
    for name in ("a", "b"):
        assert world.request("PUT", f"/policies/{name}", {"retry": {}}).status_code == 200
    spoil(world, "POLICIES#acme", "a", data)
    listed = world.request("GET", "/policies").json_body
    assert ([policy["name"] for policy in listed["data"]], listed["unreadable"]) == (["b"], ["a"])
    call = world.place()
    world.end("busy")
    (decided,) = [item["sk"]["S"] for item in world.items() if item["sk"]["S"].startswith("DECISION#")]
    spoil(world, f"CALL#{call['id']}", decided, data)
    listed = world.request("GET", f"/calls/{call['id']}/decisions").json_body
    assert (listed["data"], listed["unreadable"]) == ([], [f"{call['id']} {decided}"])


@pytest.mark.parametrize("data", WRONG)
def test_keys_list_what_can_be_read(world: World, data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    create_key(world.dynamodb, TABLE, workspace="acme", now=world.clock.now(), name="second")
    store = KeyStore(world.dynamodb, TABLE)
    first, second = store.of_workspace("acme")
    spoil(world, f"KEY#{first.hash}", "KEY", data)
    assert [key.id for key in store.of_workspace("acme")] == [second.id]
    said = [line["item"] for line in logged(capsys.readouterr().out) if line["event"] == "item-unreadable"]
    assert said == [f"key {first.id}"]


def test_workspaces_list_what_can_be_read(world: World) -> None:
    store = world.services.ports.workspaces
    for name in ("broken", "whole"):
        store.put(Workspace(name, retention_days=7))
    spoil(world, "WORKSPACE#broken", "WORKSPACE", "text")
    assert [workspace.name for workspace in store.all()] == ["whole"]


@pytest.mark.parametrize("sk", ["CALL", "ATTEMPT#0001"])
@pytest.mark.parametrize("data", WRONG)
def test_a_call_that_cannot_be_read_is_named_by_every_route_of_it(world: World, sk: str, data: Any) -> None:
    call_id = world.place()["id"]
    spoil(world, f"CALL#{call_id}", sk, data)
    routes = [("GET", f"/{kind}/{call_id}") for kind in ("calls", "executions", "call-report")]
    routes += [("GET", f"/calls/{call_id}/decisions"), ("GET", f"/call-logs/{call_id}/retries")]
    for method, path in [*routes, ("POST", f"/calls/{call_id}/cancel")]:
        answer = world.request(method, path)
        said = f"call {call_id} is stored in a form that this release cannot read"
        assert (answer.status_code, said in answer.json_body["detail"]) == (500, True), path
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_callbacks_answer_does_not_name_an_unreadable_call(world: World) -> None:
    call_id = world.place()["id"]
    spoil(world, f"CALL#{call_id}", "CALL", {})
    answer = world.callback(world.twilio.placed[0], "busy")
    assert (answer.status_code, call_id in answer.body.decode()) == (500, False)


@pytest.mark.parametrize("sk", ["CALL", "ATTEMPT#0001"])
def test_a_number_is_opted_out_and_erased_as_far_as_its_calls_can_be_read(world: World, sk: str) -> None:
    path = f"/numbers/{BODY['to_number']}"
    broken_call = world.place()["id"]
    spoil(world, f"CALL#{broken_call}", sk, {})
    other = world.place()["id"]
    assert world.request("POST", f"{path}/contacted").status_code == 200
    assert world.request("PUT", f"{path}/opt-out").json_body["calls_ended"] == 1
    erased = world.request("DELETE", path)
    assert (erased.status_code, f"call {broken_call} is stored" in erased.json_body["detail"]) == (500, True)
    assert (world.call(other)["state"], world.call(other)["to_number"]) == ("final", None)


def test_an_opt_out_ends_the_calls_that_can_be_read(world: World) -> None:
    whole, broken_call = world.place(), world.place(start_at="2026-01-27T10:00:00Z")
    world.end("busy")
    spoil(world, f"CALL#{broken_call['id']}", "CALL", {"state": "dreaming"})
    answer = world.request("PUT", f"/numbers/{BODY['to_number']}/opt-out")
    assert (answer.status_code, answer.json_body["calls_ended"]) == (200, 1)
    assert world.call(whole["id"])["summary_status"] == "blocked"
