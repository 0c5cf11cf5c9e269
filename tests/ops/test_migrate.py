"""The command `python -m ops migrate`, on moto: it rewrites old items only, once."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chalicelib.storage import items
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.versions import Kind, kind_of, newest, version_of
from ops.__main__ import main
from ops.data import migrate
from ops.data.migrate import Migration, is_old
from tests.support.version_1 import BUSY, ITEMS, LATER, put_all
from tests.support.world import TABLE, World

OLD = [item for item in ITEMS if is_old(item)]


@pytest.fixture
def old(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    put_all(world.dynamodb, TABLE)
    return world


def everything(world: World) -> dict[tuple[str, str], items.Item]:
    found = world.dynamodb.scan(TableName=TABLE)["Items"]
    return {(item["pk"]["S"], item["sk"]["S"]): item for item in found}


def run(world: World, dynamodb: Any = None, **options: Any) -> Counter[str]:
    bookmark = Path("bookmark.json")
    return Migration(dynamodb or world.dynamodb, TABLE, bookmark, workers=1, **options).run()


def test_what_has_a_newer_version_is_old_and_the_rest_is_not() -> None:
    assert sorted(str(kind_of(item)) for item in OLD) == [*["attempt"] * 2, *["call"] * 3, *["decision"] * 2, "policy"]


def test_only_old_items_are_rewritten(old: World) -> None:
    before = everything(old)
    counts = run(old)
    after = everything(old)
    assert counts == {"upgraded": len(OLD), "changed": 0, "current": len(before) - len(OLD)}
    assert {key for key in before if before[key] != after[key]} == {(item["pk"]["S"], item["sk"]["S"]) for item in OLD}
    assert [key for key, item in after.items() if is_old(item)] == []
    attempt = after[f"CALL#{BUSY}", "ATTEMPT#0001"]
    assert attempt == before[f"CALL#{BUSY}", "ATTEMPT#0001"] | {
        "v": {"N": "2"},
        "data": to_attribute({**from_attribute(before[f"CALL#{BUSY}", "ATTEMPT#0001"]["data"]), "slots": []}),
    }


def test_a_future_first_attempt_gets_its_own_shards(old: World) -> None:
    shard = items.shard(LATER)
    assert everything(old)[f"CALL#{LATER}", "CALL"]["due_shard"] == {"S": f"retry#{shard}"}
    run(old)
    assert everything(old)[f"CALL#{LATER}", "CALL"]["due_shard"] == {"S": f"fresh#{shard}"}
    assert everything(old)[f"CALL#{BUSY}", "CALL"]["due_shard"] == {"S": f"retry#{items.shard(BUSY)}"}


def test_what_else_stands_beside_the_data_stays(old: World) -> None:
    call = next(item for item in ITEMS if item["sk"]["S"] == "CALL")
    old.dynamodb.put_item(TableName=TABLE, Item=call | {"expires_at": {"N": "1900000000"}})
    run(old)
    assert everything(old)[call["pk"]["S"], "CALL"]["expires_at"] == {"N": "1900000000"}


def test_a_second_run_has_nothing_to_do(old: World) -> None:
    run(old)
    before = everything(old)
    assert run(old) == {"upgraded": 0, "changed": 0, "current": len(before)}
    assert everything(old) == before


def test_a_dry_run_counts_and_writes_nothing(old: World) -> None:
    before = everything(old)
    assert run(old, dry_run=True)["upgraded"] == len(OLD)
    assert everything(old) == before
    assert not Path("bookmark.json").exists()


class Meddling:
    """A client that runs a function before the n-th write."""

    def __init__(self, dynamodb: Any, before_write: int, what: Any) -> None:
        self._dynamodb, self._left, self._what = dynamodb, before_write, what

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dynamodb, name)

    def put_item(self, **arguments: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            self._what(arguments)
        return self._dynamodb.put_item(**arguments)


def test_a_change_that_came_in_between_is_not_overwritten(old: World) -> None:
    changed: list[items.Item] = []

    def change(arguments: dict[str, Any]) -> None:
        key = (arguments["Item"]["pk"]["S"], arguments["Item"]["sk"]["S"])
        newer = everything(old)[key]
        newer["data"]["M"]["version"] = {"N": "77"}
        old.dynamodb.put_item(TableName=TABLE, Item=newer)
        changed.append(newer)

    counts = run(old, Meddling(old.dynamodb, 1, change))
    assert (counts["upgraded"], counts["changed"]) == (len(OLD) - 1, 1)
    (newer,) = changed
    assert everything(old)[newer["pk"]["S"], newer["sk"]["S"]] == newer


@pytest.mark.parametrize("dies_at", range(1, len(OLD) + 1))
def test_a_run_that_dies_is_taken_up_by_the_next(old: World, dies_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "PAGE", 3)

    def die(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(old, Meddling(old.dynamodb, dies_at, die))
    assert [item for item in everything(old).values() if is_old(item)] != []
    came_to = json.loads(Path("bookmark.json").read_text()) if Path("bookmark.json").exists() else None
    looked_at = sum(run(old).values())
    assert (looked_at < len(everything(old))) == (came_to is not None)
    assert [item for item in everything(old).values() if is_old(item)] == []
    assert not Path("bookmark.json").exists()


def test_the_command_says_what_it_did(old: World, capsys: pytest.CaptureFixture[str]) -> None:
    number = len(everything(old))
    assert main(["migrate", "--stage", "dev", "--workers", "1", "--dry-run"]) == 0
    assert main(["migrate", "--stage", "dev", "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{TABLE}, about {number} items; newest versions: " + ", ".join(
        f"{kind} {newest(kind)}" for kind in Kind
    )
    assert [line for line in lines if "upgrade" in line] == [
        f"would upgrade {len(OLD)}; 0 changed meanwhile; {number - len(OLD)} needed nothing",
        f"upgraded {len(OLD)}; 0 changed meanwhile; {number - len(OLD)} needed nothing",
    ]
    assert {version_of(item) for item in everything(old).values() if kind_of(item) is Kind.CALL} == {4}


def test_a_missing_table_is_named(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate", "--stage", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("error: the table redial-nowhere cannot be read: An error occurred")
