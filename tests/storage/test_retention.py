"""The retention of a call and its items.

An expired item counts as gone before DynamoDB deletes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.storage.workspaces import Workspace
from chalicelib.usecases.numbers.erase_number import erase_number
from tests.support.world import BODY, START, TABLE, World

NUMBER = BODY["to_number"]
DAY = timedelta(days=1)
#: the end of the policy (72 h), and the day in which the last attempt ends
ENDS_BY = START + 3 * DAY + DAY


def expiries(world: World) -> dict[str, datetime | None]:
    """Return when each kind of item of a call expires; the latest item of a kind."""
    found: dict[str, datetime | None] = {}
    for item in world.dynamodb.scan(TableName=TABLE)["Items"]:
        kind = item["sk"]["S"].partition("#")[0]
        if item["pk"]["S"].startswith("NUMBER#"):
            kind = {"CALL": "found by number", "NUMBER": "number"}[kind]
        elif not item["pk"]["S"].startswith(("CALL#", "IDEMPOTENCY#")):
            continue
        at = datetime.fromtimestamp(int(item["expires_at"]["N"]), UTC) if "expires_at" in item else None
        found[kind] = max(at, found[kind]) if at and found.get(kind) else at  # type: ignore[type-var]
    return found


def set_days(world: World, days: int) -> None:
    world.services.ports.workspaces.put(Workspace("acme", retention_days=days))


def place(world: World, **changes: Any) -> str:
    answer = world.request("POST", "/calls", {**BODY, **changes}, headers={"Idempotency-Key": "one"})
    call_id: str = answer.json_body["id"]
    return call_id


def test_a_call_is_kept_for_a_year_after_its_end_by_default(world: World) -> None:
    place(world)
    world.callback(world.twilio.placed[0], "ringing")
    year = 365 * DAY
    live = {
        "CALL": None,
        "ATTEMPT": ENDS_BY + year,
        "EVENT": START + 90 * DAY,
        "IDEMPOTENCY": START + DAY,
        "found by number": ENDS_BY + year,
        "number": START + 31 * DAY,
    }
    assert expiries(world) == live
    world.clock.turn(minutes=1)
    world.end("completed")
    later = timedelta(minutes=1)
    ended = {"CALL": START + year + later, "DECISION": ENDS_BY + year, "EVENT": START + 90 * DAY + later}
    assert expiries(world) == live | ended


@pytest.mark.parametrize("env_days", [None, "60"])
def test_a_workspaces_own_time_goes_before_the_deployments(
    world: World, monkeypatch: pytest.MonkeyPatch, env_days: str | None
) -> None:
    if env_days:
        monkeypatch.setenv("RETENTION_DAYS", env_days)
    set_days(world, 10)
    place(world)
    for status in ("initiated", "ringing", "in-progress"):
        world.callback(world.twilio.placed[0], status)
    world.end("completed")
    assert expiries(world) == {
        "CALL": START + 10 * DAY,
        "ATTEMPT": ENDS_BY + 10 * DAY,
        # This includes events that were recorded without the call: their writer did not know the retention.
        "EVENT": ENDS_BY + 10 * DAY,
        "DECISION": ENDS_BY + 10 * DAY,
        "IDEMPOTENCY": START + DAY,
        "found by number": ENDS_BY + 10 * DAY,
        "number": START + 31 * DAY,
    }


def test_what_belongs_to_a_call_never_expires_before_it(world: World) -> None:
    set_days(world, 1)
    place(world, retry={**BODY["retry"], "expires_after_hours": 1})
    world.clock.turn(minutes=59)
    world.end("busy")
    call = expiries(world)["CALL"]
    assert call is not None
    kept = [at for kind, at in expiries(world).items() if kind in ("ATTEMPT", "EVENT", "DECISION", "found by number")]
    assert [at for at in kept if at is None or at < call] == []


def test_an_expired_call_is_gone_before_it_is_deleted(world: World) -> None:
    set_days(world, 10)
    call_id = place(world)
    world.end("completed")
    world.clock.turn(to=START + 10 * DAY - timedelta(seconds=1))
    assert world.request("GET", f"/calls/{call_id}").status_code == 200
    assert len(world.request("GET", "/calls").json_body["data"]) == 1
    world.clock.turn(seconds=1)
    for path in (f"/calls/{call_id}", f"/calls/{call_id}/decisions", f"/call-logs/{call_id}/retries"):
        assert world.request("GET", path).status_code == 404
    assert world.request("GET", "/calls").json_body["data"] == []
    assert world.callback(world.twilio.placed[0], "completed", CallDuration="5").status_code == 404
    assert erase_number(world.services.ports, "acme", NUMBER).calls == 0


def test_a_live_call_never_expires(world: World) -> None:
    set_days(world, 1)
    call_id = place(world, retry={"max_retries": 1, "wait_minutes": 28_800, "expires_after_hours": 720})
    world.end("busy")
    world.clock.turn(to=START + 19 * DAY)
    assert world.call(call_id)["state"] == "scheduled"
    assert expiries(world)["CALL"] is None


def test_an_expired_idempotency_key_is_ignored_before_its_deletion(world: World) -> None:
    first = place(world)
    world.clock.turn(hours=23, minutes=59)
    assert place(world) == first
    world.clock.turn(minutes=1)
    assert place(world) != first


def test_an_opt_out_never_expires(world: World) -> None:
    place(world)
    world.end("busy")
    world.request("PUT", f"/numbers/{NUMBER}/opt-out")
    assert expiries(world)["number"] is None


def test_an_old_call_that_is_still_kept_is_erased_with_its_number(
    world: World,
) -> None:
    call_id = place(world)
    world.end("completed")
    world.clock.turn(days=200)
    ports = world.services.ports
    assert (list(ports.numbers.calls("acme", NUMBER)), list(ports.numbers.every_call("acme", NUMBER))) == (
        [],
        [call_id],
    )
    assert erase_number(ports, "acme", NUMBER).calls == 1
    assert world.call(call_id)["to_number"] is None


def test_events_that_cannot_be_shortened_fail_no_callback(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_days(world, 10)
    call_id = place(world)
    world.callback(world.twilio.placed[0], "ringing")
    fail = {"Error": {"Code": "ThrottlingException"}}

    def throttled(**_: object) -> None:
        raise ClientError(fail, "UpdateItem")  # type: ignore[arg-type]

    monkeypatch.setattr(world.dynamodb, "update_item", throttled)
    world.end("completed")
    assert world.call(call_id)["summary_status"] == "completed"
