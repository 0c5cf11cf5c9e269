"""API keys in requests: who they belong to, when they expire, their last use."""

from datetime import timedelta

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib import ids
from chalicelib.storage.codec import to_attribute
from chalicelib.storage.keys import ApiKey, KeyStore, Role
from ops.data.keys import create_key
from tests.support.world import START, TABLE, World


def stored(world: World, key: str) -> ApiKey:
    found = KeyStore(world.dynamodb, TABLE).find(key)
    assert found is not None
    return found


def writes(world: World) -> int:
    return sum(name in ("UpdateItem", "PutItem", "TransactWriteItems") for name in world.aws.calls)


def test_an_expired_key_is_refused_with_a_reason(world: World) -> None:
    key = create_key(world.dynamodb, TABLE, workspace="acme", now=START, expires_at=START + timedelta(days=1))
    world.clock.turn(to=START + timedelta(days=1, seconds=-1))
    assert world.request("GET", "/calls", key=key).status_code == 200
    world.clock.turn(seconds=1)
    answer = world.request("GET", "/calls", key=key)
    assert (answer.status_code, answer.json_body["detail"]) == (
        401,
        "this API key expired at 2026-01-27T10:00:00Z; ask for a new one",
    )
    # Without authentication it looks like any unknown key.
    assert world.request("GET", "/calls", key=key[:-1]).json_body["detail"] == "this API key is not known"


def test_the_last_use_is_written_once_an_hour(world: World) -> None:
    world.aws.calls.clear()
    for minutes, recorded, written in ((0, 0, 1), (59, 0, 1), (1, 60, 2), (30, 60, 2), (45, 135, 3)):
        world.clock.turn(minutes=minutes)
        assert world.request("GET", "/calls").status_code == 200
        assert stored(world, world.key).last_used_at == START + timedelta(minutes=recorded)
        assert writes(world) == written


def test_of_two_requests_at_once_one_records_the_use_and_neither_fails(world: World) -> None:
    keys = KeyStore(world.dynamodb, TABLE)
    unused = stored(world, world.key)
    keys.record_use(unused, START)
    keys.record_use(unused, START + timedelta(minutes=5))
    assert stored(world, world.key).last_used_at == START


def test_a_use_that_cannot_be_recorded_fails_no_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb.example.com")

    monkeypatch.setattr(world.dynamodb, "update_item", unreachable)
    assert world.request("GET", "/calls").status_code == 200


def test_a_use_does_not_bring_a_revoked_key_back(world: World) -> None:
    keys = KeyStore(world.dynamodb, TABLE)
    key = stored(world, world.key)
    keys.revoke(key)
    keys.record_use(key, START)
    assert keys.find(world.key) is None
    assert world.request("GET", "/calls").json_body["detail"] == "this API key is not known"


def test_only_the_hash_is_stored(world: World) -> None:
    world.request("GET", "/calls")
    table = str(world.dynamodb.scan(TableName=TABLE)["Items"])
    assert world.key.removeprefix("rdl_") not in table
    assert ids.hashed(world.key) in table


def test_a_key_older_than_the_list_is_listed_from_its_next_use(world: World) -> None:
    keys = KeyStore(world.dynamodb, TABLE)
    keys.revoke(stored(world, world.key))
    data = {"workspace": "acme", "role": "write", "name": "old", "created_at": "2025-06-01T08:00:00+00:00"}
    item = {"pk": {"S": f"KEY#{ids.hashed('rdl_old')}"}, "sk": {"S": "KEY"}, "data": to_attribute(data)}
    world.dynamodb.put_item(TableName=TABLE, Item=item)
    assert list(keys.of_workspace("acme")) == []
    assert world.request("GET", "/calls", key="rdl_old").status_code == 200
    listed = list(keys.of_workspace("acme"))
    assert [(k.name, k.role, k.last_used_at, k.expires_at) for k in listed] == [("old", Role.WRITE, START, None)]
