"""Opt-outs, and customers who called back."""

from datetime import timedelta
from urllib.parse import quote

import pytest

from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls.claim import consider
from ops.data.keys import create_key
from tests.support.world import BODY, START, TABLE, World

NUMBER = BODY["to_number"]
PATH = f"/numbers/{NUMBER}/opt-out"
DUE = START + timedelta(minutes=30)


def test_an_opt_out_is_put_read_and_taken_back(world: World) -> None:
    assert world.request("GET", PATH).status_code == 404
    put = world.request("PUT", PATH, {"reason": "asked on the phone"})
    wanted = {
        "number": NUMBER,
        "opted_out": True,
        "opted_out_at": "2026-01-26T10:00:00Z",
        "reason": "asked on the phone",
    }
    assert put.json_body == {**wanted, "calls_ended": 0}
    world.clock.turn(minutes=5)
    assert world.request("PUT", PATH).json_body["opted_out_at"] == "2026-01-26T10:00:00Z"
    assert world.request("GET", PATH.replace("+", "%2B")).json_body == wanted
    assert world.request("DELETE", PATH).status_code == 204
    assert world.request("GET", PATH).status_code == 404


def test_what_get_shows_of_an_opt_out_can_be_put_back(world: World) -> None:
    put = world.request("PUT", PATH, {"reason": "asked on the phone"}).json_body
    shown = world.request("GET", PATH).json_body
    for body in (put, shown):
        assert world.request("PUT", PATH, body).status_code == 200
    assert world.request("GET", PATH).json_body == shown
    for change, pointer in (({"opted_out": False}, "/opted_out"), ({"number": BODY["from_number"]}, "/number")):
        answer = world.request("PUT", PATH, shown | change)
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, pointer)


def test_a_number_that_opted_out_is_not_dialled_any_more(world: World) -> None:
    call = world.place()
    world.end("busy")
    assert world.request("PUT", PATH).json_body["calls_ended"] == 1
    world.pump(START + timedelta(hours=2))
    after = world.call(call["id"])
    assert (after["state"], after["summary_status"], after["reason"]) == ("final", "blocked", "opted-out")
    blocked = world.place()
    assert (blocked["state"], blocked["summary_status"], blocked["attempts"]) == ("final", "blocked", [])
    assert len(world.twilio.placed) == 1


def test_a_live_attempt_of_a_number_that_opts_out_is_the_last(world: World) -> None:
    call = world.place()
    world.request("PUT", PATH)
    world.end("busy")
    after = world.call(call["id"])
    assert (after["summary_status"], after["attempts"][0]["outcome"]) == ("blocked", "busy")


def test_no_claim_that_began_before_an_opt_out_can_be_committed_after_it(world: World) -> None:
    call = world.place()
    world.end("busy")
    world.clock.turn(to=DUE)
    ports = world.services.ports
    record = ports.calls.load(call["id"])
    assert record is not None
    claimed = consider(ports, record)
    # The number's own item is enough, even before the waiting calls have ended.
    ports.numbers.set_opt_out("acme", NUMBER, world.clock.now(), None)
    with pytest.raises(StaleWrite):
        ports.calls.commit(claimed.transition, claimed.also)
    assert world.redial(DUE) == {"left": 0, "ended": 1}
    assert world.call(call["id"])["reason"] == "opted-out"


def test_an_opt_out_is_the_workspaces_own(world: World) -> None:
    world.request("PUT", PATH)
    other = create_key(world.dynamodb, TABLE, workspace="other", now=START)
    assert world.request("POST", "/calls", BODY, key=other).json_body["state"] == "dialing"


#: spellings of +16505550410 and of other numbers that are not E.164
WRONG = [
    "6505550410",
    "16505550410",
    " 16505550410",  # a "+" that was decoded as in a form
    "+16505550410 ",
    "+1 650 555 0410",
    "+1-650-555-0410",
    "(650) 555-0410",
    "%2B16505550410",  # encoded twice in a path
    "0016505550410",
    "+016505550410",
    "+\uff11\uff16\uff15\uff10\uff15\uff15\uff15\uff10\uff14\uff11\uff10",  # full-width digits
    "\uff0b16505550410",  # a full-width plus sign
    "+\u0661\u0666\u0665\u0660\u0665\u0665\u0665\u0660\u0664\u0661\u0660",  # Arabic digits
    "+123456",
    "+1234567890123456",
    "+",
    "abc",
    "+16505550410\n",
    "++16505550410",
    "tel:+16505550410",
]
ROUTES = [
    ("PUT", "/numbers/{}/opt-out"),
    ("GET", "/numbers/{}/opt-out"),
    ("DELETE", "/numbers/{}/opt-out"),
    ("POST", "/numbers/{}/contacted"),
    ("DELETE", "/numbers/{}"),
]


@pytest.mark.parametrize("number", WRONG)
def test_a_number_that_is_not_e164_is_refused_by_every_route(world: World, number: str) -> None:
    placed = world.request("POST", "/calls", {**BODY, "to_number": number})
    said = placed.json_body["errors"][0]["detail"].removeprefix("to_number ")
    assert (placed.status_code, "is not an E.164 number" in said) == (422, True)
    before = world.items()
    for method, route in ROUTES:
        answer = world.request(method, route.format(quote(number)))
        assert (answer.status_code, answer.json_body["errors"]) == (
            422,
            [{"pointer": "/number", "detail": f"number {said}"}],
        )
    for path, body, pointer in (
        ("/call", {"agent_id": "a", "recipient_phone_number": number}, "/recipient_phone_number"),
        ("/v1/Accounts/x/Campaigns", {"name": "P", "caller_id": "+918047112233", "numbers": [number]}, "/numbers/0"),
    ):
        answer = world.request("POST", path, body)
        detail = f"{pointer.rpartition('/')[2]} {said}"
        assert (answer.status_code, answer.json_body["errors"]) == (422, [{"pointer": pointer, "detail": detail}])
    assert world.items() == before


def test_an_opt_out_stops_the_dial_only_under_the_right_number(world: World) -> None:
    call = world.place(to_number="+16505550410")
    world.end("busy")
    for wrong in ("6505550410", "16505550410", "%2016505550410"):
        assert world.request("PUT", f"/numbers/{wrong}/opt-out").status_code == 422
    assert world.call(call["id"])["state"] == "scheduled"
    assert world.request("PUT", "/numbers/%2B16505550410/opt-out").json_body["calls_ended"] == 1
    world.pump(DUE + timedelta(hours=2))
    assert world.call(call["id"])["summary_status"] == "blocked"
    assert len(world.twilio.placed) == 1


class TestContacted:
    """The route POST /numbers/{e164}/contacted."""

    def post(self, world: World, body: object = None) -> dict[str, object]:
        answer = world.request("POST", f"/numbers/{NUMBER}/contacted", body)
        assert answer.status_code == 200, answer.body
        shown: dict[str, object] = answer.json_body
        return shown

    def test_pending_redials_end(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        elsewhere = world.place(to_number="+16505550123")
        world.end("busy")
        assert self.post(world) == {"number": NUMBER, "calls_changed": 1, "postpone_until": None}
        after = world.call(call["id"])
        assert (after["state"], after["summary_status"], after["reason"]) == ("final", "canceled", "contacted")
        assert world.call(elsewhere["id"])["state"] == "scheduled"

    def test_pending_redials_are_postponed(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        assert self.post(world, {"postpone_minutes": 240})["calls_changed"] == 1
        assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T14:00:00Z"
        world.pump(START + timedelta(hours=5))
        assert [p.at for p in world.twilio.placed] == [START, START + timedelta(hours=4)]

    def test_putting_off_never_makes_a_redial_sooner(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        assert self.post(world, {"postpone_minutes": 5})["calls_changed"] == 0
        assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T10:30:00Z"

    def test_putting_off_past_the_policys_end_ends_the_call(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        self.post(world, {"postpone_until": "2026-02-20T10:00:00Z"})
        assert world.call(call["id"])["summary_status"] == "canceled"

    def test_a_call_that_is_being_dialled_goes_on(self, world: World) -> None:
        world.place()
        assert self.post(world)["calls_changed"] == 0

    def test_two_ways_at_once_are_refused(self, world: World) -> None:
        body = {"postpone_minutes": 5, "postpone_until": "2026-02-20T10:00:00Z"}
        assert world.request("POST", f"/numbers/{NUMBER}/contacted", body).status_code == 422
