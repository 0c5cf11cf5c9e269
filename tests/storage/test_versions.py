"""Items of every version: this release uses old items and tolerates newer ones."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.policy import Policy
from chalicelib.storage import items
from chalicelib.storage.adapters import adapter
from chalicelib.storage.codec import from_attribute, to_attribute
from chalicelib.storage.versions import UPGRADES, Kind, data_of, kind_of, newest, stored, version_of
from tests.support.version_1 import BUSY, ITEMS, LATER, LIVE, LIVE_SID, OPTED_OUT, item, put_all
from tests.support.world import START, TABLE, Placed, World


@pytest.fixture
def upgraded(world: World) -> World:
    """Run this release on the table of the first release."""
    put_all(world.dynamodb, TABLE)
    return world


def stored_item(world: World, pk: str, sk: str) -> items.Item:
    found: items.Item = world.dynamodb.get_item(TableName=TABLE, Key=items.key(pk, sk))["Item"]
    return found


def test_the_history_of_the_first_release_reads_as_it_was(upgraded: World) -> None:
    page = upgraded.request("GET", "/calls").json_body["data"]
    assert sorted((entry["call_id"], entry["status"]) for entry in page) == [
        (LATER, "scheduled"),
        (BUSY, "busy"),
        (LIVE, "ringing"),
    ]
    assert upgraded.call(LATER)["metadata"] == {"order": 17}
    assert upgraded.history(BUSY) == [(1, "busy")]
    reasons = [each["reason"] for each in upgraded.request("GET", f"/calls/{BUSY}/decisions").json_body["data"]]
    assert reasons == ["retry"]
    assert upgraded.request("GET", "/policies/reminders").json_body["policy"]["max_retries"] == 2
    assert upgraded.request("GET", f"/numbers/{OPTED_OUT}/opt-out").json_body["reason"] == "asked"


def test_calls_of_the_first_release_are_dialled_and_end(upgraded: World) -> None:
    upgraded.clock.turn(to=START + timedelta(minutes=30))
    upgraded.redial(START + timedelta(minutes=30))
    assert upgraded.history(BUSY) == [(1, "busy"), (2, "placed")]
    upgraded.end("completed", CallDuration="12")
    assert upgraded.call(BUSY)["summary_status"] == "completed"
    upgraded.clock.turn(to=START + timedelta(hours=2))
    upgraded.redial(START + timedelta(hours=2))
    assert upgraded.history(LATER) == [(1, "placed")]


def test_an_attempt_that_the_first_release_dialled_ends_by_its_callback(upgraded: World) -> None:
    token = from_attribute(item(f"CALL#{LIVE}", "ATTEMPT#0001")["data"])["token"]
    form = {"StatusCallback": f"https://redial.example.com/api/callbacks/twilio/{token}"}
    upgraded.twilio.placed.append(Placed(form, LIVE_SID, START))
    upgraded.end("no-answer")
    assert upgraded.history(LIVE) == [(1, "no-answer")]


def test_what_is_changed_is_written_in_the_newest_shape(upgraded: World) -> None:
    upgraded.clock.turn(to=START + timedelta(minutes=30))
    upgraded.redial(START + timedelta(minutes=30))
    call = stored_item(upgraded, f"CALL#{BUSY}", "CALL")
    second = stored_item(upgraded, f"CALL#{BUSY}", "ATTEMPT#0002")
    untouched = stored_item(upgraded, f"CALL#{BUSY}", "ATTEMPT#0001")
    assert (version_of(call), version_of(second), version_of(untouched)) == (4, 2, 1)
    assert from_attribute(second["data"])["slots"] == []


def test_an_attempt_of_version_1_holds_no_slots() -> None:
    first = item(f"CALL#{BUSY}", "ATTEMPT#0001")
    assert data_of(Kind.ATTEMPT, first) == {**from_attribute(first["data"]), "slots": []}
    assert items.read_attempt(first).slots == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"holidays": "FR"}, {"holidays": ["FR"]}),
        ({"timezone": "recipient"}, {"timezone": "recipient", "holidays": []}),
        ({"holidays": ["US", "US-CA"]}, {"holidays": ["US", "US-CA"]}),
        (None, None),
    ],
)
@pytest.mark.parametrize("kind", [Kind.CALL, Kind.POLICY])
def test_a_window_with_one_calendar_is_read_with_a_list_of_them(kind: Kind, before: Any, after: Any) -> None:
    data = {"policy": {"max_retries": 1, **({"window": before} if before else {})}}
    read = data_of(kind, {"data": to_attribute(data)})
    assert read["policy"].get("window") == after
    policy = adapter(Policy).validate_python(read["policy"])
    assert (policy.window.holidays if policy.window else None) == (tuple(after["holidays"]) if after else None)


RENAMED = {"moved": "rescheduled", "paced": "rate-limited", "put-off-by-provider": "deferred-by-provider"}


@pytest.mark.parametrize(("before", "after"), [*RENAMED.items(), ("retry", "retry"), (None, None)])
def test_the_reasons_of_earlier_releases_have_the_names_of_today(before: str | None, after: str | None) -> None:
    call = {"policy": {}, "put_offs": 3, "reason": before}
    read = data_of(Kind.CALL, {"data": to_attribute(call)} | {"v": to_attribute(3)})
    assert (read["deferrals"], read.get("reason"), "put_offs" in read) == (3, after, False)
    if before is not None:
        decision = {"data": to_attribute({"reason": before, "steps": []}), "v": to_attribute(1)}
        assert data_of(Kind.DECISION, decision) == {"reason": after, "steps": []}


@pytest.mark.parametrize("old", ITEMS, ids=lambda old: f"{old['pk']['S'][:8]} {old['sk']['S'][:8]}")
def test_an_upgrade_leaves_what_it_was_given_alone_and_may_be_made_twice(old: items.Item) -> None:
    kind = kind_of(old)
    if kind is None:
        assert old["pk"]["S"].startswith("WAKE#") or old["sk"]["S"].startswith("CALL#")
        return
    before = from_attribute(old["data"])
    new = data_of(kind, old)
    assert from_attribute(old["data"]) == before
    assert data_of(kind, old | stored(kind, new)) == new
    again = new
    for upgrade in UPGRADES[kind]:
        again = upgrade(again)
    assert again == new


@pytest.mark.parametrize("kind", list(Kind))
def test_an_item_says_the_version_that_it_is_written_in(kind: Kind) -> None:
    assert stored(kind, {"a": 1}) == {"data": {"M": {"a": {"N": "1"}}}, "v": {"N": str(len(UPGRADES[kind]) + 1)}}


def of_a_later_release(old: items.Item) -> items.Item:
    """Return the item as a later release might write it: newer, with unknown fields."""
    kind = kind_of(old)
    assert kind is not None
    data: dict[str, Any] = {**data_of(kind, old), "mood": "hopeful", "weights": [1, {"of": "later"}]}
    return old | {"data": to_attribute(data), "v": to_attribute(newest(kind) + 1), "shade": {"S": "blue"}}


def test_items_of_a_later_release_are_read_and_their_calls_go_on(world: World) -> None:
    put_all(world.dynamodb, TABLE)
    for old in ITEMS:
        if kind_of(old) is not None:
            world.dynamodb.put_item(TableName=TABLE, Item=of_a_later_release(old))
    assert world.call(LATER)["metadata"] == {"order": 17}
    assert world.request("GET", "/policies/reminders").status_code == 200
    assert world.request("GET", f"/calls/{BUSY}/decisions").status_code == 200
    world.clock.turn(to=START + timedelta(minutes=30))
    world.redial(START + timedelta(minutes=30))
    world.end("completed", CallDuration="12")
    assert world.history(BUSY) == [(1, "busy"), (2, "completed")]
    # Items that this release writes have its own shape and version.
    call = stored_item(world, f"CALL#{BUSY}", "CALL")
    assert version_of(call) == newest(Kind.CALL)
    assert "mood" not in from_attribute(call["data"])
