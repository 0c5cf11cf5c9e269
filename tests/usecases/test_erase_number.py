"""DELETE /numbers/{e164} removes a person's data in all circumstances.

The person is never called again.
"""

import json
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.providers.http import AnswerLost
from chalicelib.storage.numbers import NumberStore
from chalicelib.storage.retention import Retention
from chalicelib.storage.transact import StaleWrite
from chalicelib.storage.workspaces import WorkspaceStore
from chalicelib.usecases.calls.claim import consider
from chalicelib.usecases.numbers.erase_number import erase_number
from ops.data.keys import create_key
from tests.support.fake_http import answer
from tests.support.world import BODY, PUBLIC_URL, START, TABLE, World

NUMBER: str = BODY["to_number"]
DIGITS = NUMBER.removeprefix("+")
KEYS = count()
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems")


class Died(BaseException):
    """The Lambda's death, which no code catches."""


def stored(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for page in world.dynamodb.get_paginator("scan").paginate(TableName=TABLE):
        items += page["Items"]
    return items


def holding(world: World, digits: str = DIGITS) -> list[tuple[str, str]]:
    """Return the keys of the items that contain the digits."""
    return [(item["pk"]["S"], item["sk"]["S"]) for item in stored(world) if digits in json.dumps(item)]


def erase(world: World, number: str = NUMBER, status: int = 200) -> dict[str, Any]:
    answered = world.request("DELETE", f"/numbers/{number}")
    assert answered.status_code == status, answered.body
    body: dict[str, Any] = answered.json_body
    return body


def place(world: World, number: str = NUMBER, **changes: Any) -> dict[str, Any]:
    """Place a call with the number in every place in which a user can put it."""
    about = {"phone": number, number: [number.removeprefix("+")]}
    body = {
        **BODY,
        "to_number": number,
        "metadata": about,
        "variables": {"callee": number},
        "target": {"url": f"https://example.com/answer.xml?to={number.removeprefix('+')}"},
        **changes,
    }
    key = {"Idempotency-Key": f"welcome {number} {next(KEYS)}"}
    answered = world.request("POST", "/calls", body, headers=key)
    assert answered.status_code == 201, answered.body
    call: dict[str, Any] = answered.json_body
    return call


def end(world: World, status: str, number: str = NUMBER) -> None:
    world.end(status, To=number, From="+14155550100", ErrorMessage=f"{number} said {status}")


def furnish(world: World, number: str = NUMBER) -> tuple[str, str]:
    """Create one ended call with retries and an unknown word, and one that waits."""
    ended = place(world, number)
    world.callback(world.twilio.placed[-1], "parked", To=number, ErrorMessage=f"{number} was parked")
    world.callback(world.twilio.placed[-1], "in-progress", To=number)
    end(world, "completed", number)
    waiting = place(world, number)
    end(world, "busy", number)
    return ended["id"], waiting["id"]


def test_an_erasure_removes_the_digits_and_keeps_the_history(world: World) -> None:
    ended, waiting = furnish(world)
    assert holding(world) != []
    assert erase(world) == {
        "number": NUMBER,
        "erased_at": "2026-01-26T10:00:00Z",
        "complete": True,
        "calls": 2,
        "calls_ended": 1,
        "attempts": 2,
        "events": 4,
        "decisions": 0,
    }
    assert holding(world) == []
    first, second = world.call(ended), world.call(waiting)
    assert (first["state"], first["summary_status"], first["reason"]) == ("final", "completed", "reached")
    assert (second["state"], second["summary_status"], second["reason"]) == ("final", "canceled", "erased")
    for call in (first, second):
        assert [
            call[name] for name in ("to_number", "erased_at", "variables", "metadata", "webhook_url", "target")
        ] == [
            None,
            "2026-01-26T10:00:00Z",
            {},
            {},
            None,
            None,
        ]
    assert [a["outcome"] for call in (first, second) for a in call["attempts"]] == ["completed", "busy"]
    assert [a["evidence"] for call in (first, second) for a in call["attempts"]] == [{}, {}]
    history = world.request("GET", "/calls").json_body["data"]
    assert {entry["call_id"]: entry["to_number"] for entry in history} == {waiting: None, ended: None}


def test_an_erased_number_is_refused_and_its_refusal_keeps_nothing_of_it(world: World) -> None:
    erase(world)
    call = place(world)
    assert (call["state"], call["summary_status"], call["reason"]) == ("final", "blocked", "opted-out")
    assert (call["to_number"], call["attempts"]) == (None, [])
    body = {"agent_id": "a", "recipient_phone_number": NUMBER, "from_phone_number": "+14155550100"}
    assert world.request("POST", "/call", body).status_code == 200
    assert world.twilio.placed == []
    assert holding(world) == []


def test_erasing_again_changes_nothing_and_says_so(world: World) -> None:
    furnish(world)
    erase(world)
    before = stored(world)
    world.clock.turn(hours=1)
    nothing = {"calls": 0, "calls_ended": 0, "attempts": 0, "events": 0, "decisions": 0}
    assert erase(world) == {"number": NUMBER, "erased_at": "2026-01-26T10:00:00Z", "complete": True, **nothing}
    keys = [item for item in before if not item["pk"]["S"].startswith("KEY#")]
    assert [item for item in stored(world) if not item["pk"]["S"].startswith("KEY#")] == keys


def test_an_opt_out_outlives_the_erasure_and_can_be_taken_back(world: World) -> None:
    world.request("PUT", f"/numbers/{NUMBER}/opt-out", {"reason": f"asked from {NUMBER}"})
    world.clock.turn(hours=1)
    erase(world)
    assert world.request("GET", f"/numbers/{NUMBER}/opt-out").json_body == {
        "number": NUMBER,
        "opted_out": True,
        "opted_out_at": "2026-01-26T10:00:00Z",
        "reason": None,
    }
    world.request("PUT", f"/numbers/{NUMBER}/opt-out", {"reason": "again"})
    assert holding(world) == []
    assert world.request("DELETE", f"/numbers/{NUMBER}/opt-out").status_code == 204
    assert world.request("GET", f"/numbers/{NUMBER}/opt-out").status_code == 404
    assert place(world)["state"] == "dialing"


def test_no_late_callback_restores_the_number_of_a_live_attempt(world: World) -> None:
    call = place(world)
    assert erase(world)["calls_ended"] == 1
    (placed,) = world.twilio.placed
    said = {"To": NUMBER, "From": "+14155550100", "ErrorMessage": f"{NUMBER} was there"}
    for status, effect in (("ringing", "enriched"), ("in-progress", "enriched"), ("parked", "nothing-new")):
        taken = world.callback(placed, status, **said)
        assert (taken.status_code, taken.json_body["events"][0]["decision"]) == (200, effect)
    world.clock.turn(minutes=1)
    assert world.callback(placed, "completed", CallDuration="40", **said).status_code == 200
    assert world.callback(placed, None, AnsweredBy="machine_start", **said).status_code == 200
    after = world.call(call["id"])
    (attempt,) = after["attempts"]
    assert (attempt["outcome"], attempt["duration_sec"], attempt["evidence"]) == ("completed", 40, {})
    assert (after["state"], after["summary_status"], after["next_attempt_at"]) == ("final", "canceled", None)
    assert holding(world) == []


def test_late_amd_after_an_erasure_does_not_reopen_a_reached_call(world: World) -> None:
    call = place(world, retry={"max_retries": 2, "wait_minutes": 30, "retry_on_voicemail": True})
    end(world, "completed")
    erase(world)
    assert world.callback(world.twilio.placed[0], None, AnsweredBy="machine_start", To=NUMBER).status_code == 200
    after = world.call(call["id"])
    assert (after["state"], after["summary_status"], after["next_attempt_at"]) == ("final", "completed", None)


def test_the_sweep_ends_an_erased_attempt_without_callbacks(world: World) -> None:
    call = place(world)
    erase(world)
    world.twilio.known[world.twilio.placed[0].sid] = {"status": "busy", "to": NUMBER}
    world.clock.turn(hours=2)
    assert world.sweep() == {"silent-ended": 1}
    assert world.call(call["id"])["attempts"][0]["outcome"] == "busy"
    assert holding(world) == []


def test_an_unknown_placement_is_not_searched_after_the_erasure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.twilio.answers = [AnswerLost("no answer")]
    call = place(world)
    erase(world)
    monkeypatch.setattr(type(world.services.ports.provider("twilio")), "find", lambda *_: pytest.fail("was asked"))
    world.clock.turn(hours=2)
    assert world.sweep() == {"silent-ended": 1}
    assert world.call(call["id"])["attempts"][0]["cause"] == "no-callback"


def test_a_refusal_in_the_providers_words_is_not_kept_of_an_erased_call(world: World) -> None:
    def erased_meanwhile(_: object) -> None:
        erase(world)

    world.twilio.on_place = erased_meanwhile
    refused = answer(400, {"code": 21211, "message": f"The 'To' number {NUMBER} is not valid"})
    request = world.twilio.request

    def refuse(*args: Any, **kwargs: Any) -> Any:
        request(*args, **kwargs)
        return refused

    world.twilio.request = refuse  # type: ignore[method-assign]
    call = place(world)
    assert world.call(call["id"])["attempts"][0]["outcome"] == "invalid-number"
    assert holding(world) == []


def test_no_write_that_began_before_the_erasure_is_committed_after_it(world: World) -> None:
    waiting = place(world, start_at="2026-01-26T12:00:00Z")
    ports = world.services.ports
    record = ports.calls.load(waiting["id"])
    assert record is not None
    world.clock.turn(to=START + timedelta(hours=2))
    claimed = consider(ports, record)
    load = ports.numbers.load
    raced: list[str] = []

    def load_then_erase(workspace: str, number: str) -> Any:
        known = load(workspace, number)
        if not raced:
            raced.append(number)
            erase_number(ports, workspace, number)
        return known

    ports.numbers.load = load_then_erase  # type: ignore[method-assign]
    assert place(world)["summary_status"] == "blocked"
    assert raced == [NUMBER]
    with pytest.raises(StaleWrite):
        ports.calls.commit(claimed.transition, claimed.also)
    assert world.twilio.placed == []
    assert holding(world) == []


def test_an_erasure_that_dies_after_any_write_is_finished_by_asking_again(world: World) -> None:
    """Erase a new number in each round, and ask again after a crash.

    The Lambda dies one write later in each round.
    """
    writes_left = 0

    def die(http_response: object, parsed: object, model: Any, **_: object) -> None:
        nonlocal writes_left
        if model.name in WRITES and writes_left > 0:
            writes_left -= 1
            if writes_left == 0:
                raise Died

    world.dynamodb.meta.events.register("after-call.dynamodb.*", die)
    ports = world.services.ports
    for dies_after in range(1, 60):
        number = f"+1650555{1000 + dies_after}"
        digits = number.removeprefix("+")
        ended, waiting = furnish(world, number)
        writes_left = dies_after
        try:
            erase_number(ports, "acme", number)
        except Died:
            # No call is placed any more, even if the erasure is incomplete.
            assert place(world, number)["summary_status"] == "blocked"
        else:
            break
        finally:
            writes_left = 0
        assert erase_number(ports, "acme", number).complete
        assert holding(world, digits) == [], f"died after write {dies_after}"
        assert [world.call(call)["to_number"] for call in (ended, waiting)] == [None, None]
    # The mark; end, blank, trail and index of one call, and of the other that has ended already; the number's item.
    assert dies_after == 1 + (4 + 3 + 1 + 1)


def test_more_calls_than_one_request_can_erase_take_more_requests(world: World) -> None:
    for _ in range(3):
        place(world, start_at="2026-01-26T12:00:00Z")
    ports = world.services.ports
    done = [erase_number(ports, "acme", NUMBER, most_calls=2) for _ in range(2)]
    assert [(d.complete, d.calls, d.calls_ended) for d in done] == [(False, 2, 2), (True, 1, 1)]
    assert holding(world) == []


def test_a_call_of_the_users_code_to_an_erased_number_is_not_adopted(world: World) -> None:
    made = world.request("PUT", "/policies/reminders", {"retry": {"max_retries": 2, "wait_minutes": 30}})
    url = made.json_body["adoption"]["address"]
    form = {"AccountSid": "AC" + "0" * 32, "To": NUMBER, "From": "+14155550100", "Direction": "outbound-api"}
    before = {**form, "CallSid": "CA1", "CallStatus": "busy"}
    assert world.post_signed(url, before).json_body["events"][0]["decision"] == "decided"
    assert erase(world)["calls"] == 1
    late = {**before, "CallStatus": "completed", "CallDuration": "5"}
    assert world.post_signed(url, late).status_code == 200
    assert world.post_signed(url, {**before, "CallStatus": "ringing"}).status_code == 200
    other = world.post_signed(url, {**form, "CallSid": "CA2", "CallStatus": "busy"})
    assert other.json_body["events"] == [{"decision": "erased", "call_id": "", "attempt": 0}]
    assert holding(world) == []


def test_an_erasure_is_the_workspaces_own_and_takes_an_admins_key(world: World) -> None:
    other = create_key(world.dynamodb, TABLE, workspace="other", role="admin", now=START)
    writer = create_key(world.dynamodb, TABLE, workspace="acme", role="write", now=START)
    assert world.request("DELETE", f"/numbers/{NUMBER}", key=writer).status_code == 403
    kept = world.request("POST", "/calls", BODY, key=other).json_body
    erase(world)
    assert world.request("GET", f"/calls/{kept['id']}", key=other).json_body["to_number"] == NUMBER
    assert world.request("POST", "/calls", BODY, key=other).json_body["state"] == "dialing"


def test_the_kept_mark_cannot_be_derived_from_the_number_alone(world: World) -> None:
    erase(world)
    marks = [item["pk"]["S"] for item in stored(world) if item["sk"]["S"] == "ERASED"]
    assert len(marks) == 1
    assert ids.hashed(NUMBER) not in marks[0]
    other = create_key(world.dynamodb, TABLE, workspace="other", role="admin", now=START)
    world.request("DELETE", f"/numbers/{NUMBER}", key=other)
    hashes = [item["pk"]["S"].rpartition("#")[2] for item in stored(world) if item["sk"]["S"] == "ERASED"]
    assert len(set(hashes)) == 2


def test_concurrent_first_erasures_share_one_salt(world: World) -> None:
    class BeforeTheOther:
        """The table as a process sees it that reads before the other process has written."""

        def get_item(self, **_: object) -> dict[str, Any]:
            return {}

        def __getattr__(self, name: str) -> Any:
            return getattr(world.dynamodb, name)

    erase(world)
    retention = Retention(WorkspaceStore(world.dynamodb, TABLE, world.clock.now), 365, world.clock.now)
    other = NumberStore(BeforeTheOther(), TABLE, retention)
    other.mark_erased(other.load("acme", NUMBER), world.clock.now())
    assert len([item for item in stored(world) if item["sk"]["S"] == "ERASED"]) == 1


def test_an_unknown_callback_address_is_still_unknown(world: World) -> None:
    call = place(world)
    placed = world.twilio.placed[0]
    for token in (f"{call['id']}.1.{'0' * 32}", f"call_{'0' * 26}.1.{'0' * 32}", placed.callback_url[-60:]):
        form = {"CallSid": placed.sid, "AccountSid": "AC" + "0" * 32, "CallStatus": "ringing"}
        assert world.post_signed(f"{PUBLIC_URL}/callbacks/twilio/{token}", form).status_code == 404
