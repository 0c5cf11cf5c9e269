"""The command ``python -m ops keys``: create, list, rotate, revoke."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.errors import Conflict, NotFound
from chalicelib.storage.keys import ApiKey, KeyStore, Role
from ops.__main__ import main
from ops.data.keys import create_key, key_lines, rotate_key
from tests.support.app_output import spoken
from tests.support.world import START, TABLE, World

DAY = timedelta(days=1)


def run(*arguments: str) -> int:
    return main(["keys", *arguments])


def found(world: World, key: str) -> ApiKey:
    stored = KeyStore(world.dynamodb, TABLE).find(key)
    assert stored is not None
    return stored


def test_a_rotated_key_works_beside_its_successor_until_the_overlap_ends(world: World) -> None:
    store = KeyStore(world.dynamodb, TABLE)
    first = create_key(world.dynamodb, TABLE, workspace="acme", role="write", now=START, name="crm")
    second = rotate_key(store, found(world, first), START + DAY)
    now = found(world, second)
    assert (now.workspace, now.role, now.name, now.created_at, now.expires_at) == (
        "acme",
        Role.WRITE,
        "crm",
        START + DAY,
        None,
    )
    world.clock.turn(to=START + 2 * DAY - timedelta(seconds=1))
    assert [world.request("GET", "/calls", key=key).status_code for key in (first, second)] == [200, 200]
    world.clock.turn(seconds=1)
    assert [world.request("GET", "/calls", key=key).status_code for key in (first, second)] == [401, 200]


def test_a_key_may_write_by_default(world: World) -> None:
    assert found(world, create_key(world.dynamodb, TABLE, workspace="acme", now=START)).role is Role.WRITE


def test_a_rotated_key_gives_its_lifetime_to_its_successor(world: World) -> None:
    store = KeyStore(world.dynamodb, TABLE)
    first = create_key(world.dynamodb, TABLE, workspace="acme", now=START, expires_at=START + 30 * DAY)
    second = rotate_key(store, found(world, first), START + 29.5 * DAY)
    assert found(world, first).expires_at == START + 30 * DAY
    assert found(world, second).expires_at == START + 59.5 * DAY
    with pytest.raises(Conflict, match="expired at 2026-02-25"):
        rotate_key(store, found(world, first), START + 30 * DAY)


def test_a_key_that_was_revoked_meanwhile_gets_no_successor(world: World) -> None:
    store = KeyStore(world.dynamodb, TABLE)
    old = found(world, create_key(world.dynamodb, TABLE, workspace="acme", now=START))
    store.revoke(old)
    with pytest.raises(NotFound, match=f"key {old.id} was revoked meanwhile"):
        rotate_key(store, old, START)
    assert [key.hash for key in store.of_workspace("acme")] == [found(world, world.key).hash]


def test_the_list_shows_what_is_known_of_each_key_and_no_key(world: World) -> None:
    create_key(world.dynamodb, TABLE, workspace="other", now=START)
    expiring = create_key(
        world.dynamodb, TABLE, workspace="acme", role="read", now=START + DAY, name="crm", expires_at=START + 2 * DAY
    )
    world.request("GET", "/calls")
    ids = [found(world, key).id for key in (world.key, expiring)]
    assert [len(key_id) for key_id in ids] == [12, 12]
    assert key_lines(KeyStore(world.dynamodb, TABLE).of_workspace("acme"), START + 3 * DAY) == [
        "id            name  workspace  role   created            expires                      last used",
        f"{ids[0]}  -     acme       admin  2026-01-26T10:00Z  never                        2026-01-26T10:00Z",
        f"{ids[1]}  crm   acme       read   2026-01-27T10:00Z  2026-01-28T10:00Z (expired)  never",
    ]


def test_a_key_is_made_listed_rotated_and_revoked_by_command(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "--workspace", "bar", "--role", "read", "--name", "ci", "--expires-in-days", "30") == 0
    first = capsys.readouterr().out.strip()
    world.clock.turn(to=datetime.now(UTC))
    made = found(world, first)
    assert made.created_at is not None
    assert made.expires_at == made.created_at + 30 * DAY
    assert run("rotate", "--workspace", "bar", "--id", made.id, "--overlap-hours", "0") == 0
    second = capsys.readouterr().out.strip()
    world.clock.turn(to=datetime.now(UTC))
    assert [world.request("GET", "/calls", key=key).status_code for key in (first, second)] == [401, 200]
    assert run("list", "--workspace", "bar") == 0
    assert [line.split()[0] for line in spoken(capsys.readouterr().out)] == [
        "id",
        made.id,
        found(world, second).id,
    ]
    assert run("revoke", "--workspace", "bar", "--id", found(world, second).id) == 0
    assert world.request("GET", "/calls", key=second).status_code == 401


def test_a_key_of_another_workspace_is_not_found(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    key_id = found(world, world.key).id
    assert run("revoke", "--workspace", "other", "--id", key_id) == 1
    assert f"workspace 'other' has no key '{key_id}'" in capsys.readouterr().err
    assert world.request("GET", "/calls").status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--workspace", "a#b"], "'a#b' is no workspace name"),
        (["create", "--workspace", "a", "--expires-in-days", "0"], "whole number of days from 1 to 3650"),
        (["rotate", "--workspace", "a", "--id", "x", "--overlap-hours", "-1"], "whole number of hours from 0 to 2160"),
    ],
)
def test_a_wrong_argument_is_said_to_be(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*arguments)
    assert said in capsys.readouterr().err


def test_a_new_key_may_write_by_default(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "--workspace", "bar") == 0
    assert run("create", "--workspace", "bar", "--role", "admin") == 0
    roles = [key.role for key in KeyStore(world.dynamodb, TABLE).of_workspace("bar")]
    assert sorted(roles) == ["admin", "write"]
