"""Calls of the user's own code: Redial adopts them by callback and redials them."""

import json
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from chalice.test import HTTPResponse

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.outcome import Outcome
from chalicelib.providers.exotel import Exotel
from chalicelib.storage.adoptions import MAX_PENDING_EVENTS
from chalicelib.storage.gates import account_scope
from ops.data.adoptions import lines
from ops.data.keys import create_key
from tests.support.app_output import figures, logged
from tests.support.world import ENV, PUBLIC_URL, START, TABLE, World, answer_json

SID = "CA" + "7" * 32
POLICY = {"retry": {"max_retries": 2, "wait_minutes": 30}, "target": {"url": "https://example.com/again.xml"}}
FORM = {
    "CallSid": SID,
    "AccountSid": ENV["TWILIO_ACCOUNT_SID"],
    "From": "+14155550100",
    "To": "+16505550199",
    "Direction": "outbound-api",
}


class Adopting:
    """A world with a policy and its adoption address."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.address = make_policy(world)

    def post(self, status: str, url: str | None = None, **fields: str) -> HTTPResponse:
        return self.world.post_signed(url or self.address, {**FORM, "CallStatus": status, **fields})

    def decision(self, status: str, url: str | None = None, **fields: str) -> str:
        answer = self.post(status, url, **fields)
        assert answer.status_code == 200, answer.body
        return str(answer.json_body["events"][0]["decision"])

    @property
    def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.request("GET", "/calls").json_body["data"]
        return found

    def unadopted(self, workspace: str = "acme") -> list[tuple[str, str]]:
        found = self.world.services.ports.adoptions.unadopted(workspace)
        return [(each.provider_call_id, each.reason) for each in found]


def make_policy(world: World, name: str = "adopted", key: str | None = None) -> str:
    answer = world.request("PUT", f"/policies/{name}", POLICY, key=key)
    assert answer.status_code == 200, answer.body
    return str(answer.json_body["adoption"]["address"])


@pytest.fixture
def adopting(world: World) -> Adopting:
    return Adopting(world)


def test_a_foreign_call_is_adopted_and_redialled_under_the_named_policy(adopting: Adopting) -> None:
    world = adopting.world
    taken = adopting.post("busy", SequenceNumber="3").json_body["events"][0]
    call_id = taken.pop("call_id")
    assert taken == {"decision": "decided", "attempt": 1, "reason": "retry", "retry_at": "2026-01-26T10:30:00Z"}
    world.pump(START + timedelta(minutes=30))
    (redial,) = world.twilio.placed
    assert (redial.form["To"], redial.form["From"]) == ("+16505550199", "+14155550100")
    assert redial.form["Url"] == "https://example.com/again.xml"
    assert redial.callback_url.startswith(f"{PUBLIC_URL}/callbacks/twilio/{call_id}.2.")
    world.end("completed")
    assert world.history(call_id) == [(1, "busy"), (2, "completed")]
    assert world.call(call_id)["attempts"][0]["provider_call_id"] == SID


def test_repeated_and_reordered_callbacks_adopt_a_call_once(adopting: Adopting) -> None:
    ids = set()
    for status in ("completed", "ringing", "in-progress", "completed", "initiated"):
        ids.add(adopting.post(status).json_body["events"][0]["call_id"])
    (call_id,) = ids
    assert adopting.world.history(call_id) == [(1, "completed")]
    assert len(adopting.calls) == 1


@pytest.mark.parametrize("field", ["To", "From"])
@pytest.mark.parametrize("number", ["%2B16505550199", "%252B16505550199", "client:ada", ""])
def test_a_callback_whose_number_cannot_be_dialled_adopts_nothing(adopting: Adopting, field: str, number: str) -> None:
    answer = adopting.post("busy", **{field: number})
    assert answer.status_code == 400
    assert answer.json_body["detail"].startswith("the callback names no E.164 numbers to call from and to")
    assert adopting.calls == []


def test_an_adopted_attempt_counts_against_the_caps_of_its_number(adopting: Adopting) -> None:
    adopting.post("ringing")
    capped = adopting.world.place(retry={"caps": [{"max_attempts": 1, "per_hours": 24}]})
    assert capped["next_attempt_at"] == "2026-01-27T10:00:00Z"


@pytest.mark.parametrize(
    ("said", "decision"),
    [
        ({"Direction": "inbound"}, "inbound"),
        ({"Direction": "outbound-dial"}, "other-leg"),
        ({"ParentCallSid": "CA" + "6" * 32}, "other-leg"),
    ],
)
def test_another_leg_is_left_alone_with_its_later_events(
    adopting: Adopting, said: dict[str, str], decision: str
) -> None:
    assert adopting.decision("ringing", **said) == decision
    assert adopting.decision("busy", Direction="") == decision
    assert adopting.calls == []
    adopting.world.sweep()
    adopting.world.pump(START + timedelta(hours=2))
    assert (adopting.world.twilio.placed, adopting.unadopted()) == ([], [])


def test_an_unknown_leg_is_adopted_once_the_provider_confirms_it(adopting: Adopting) -> None:
    world = adopting.world
    assert adopting.decision("busy", Direction="") == "pending"
    assert adopting.calls == []
    world.twilio.known[SID] = {"status": "busy", "direction": "outbound-api", "to": FORM["To"], "from": FORM["From"]}
    world.sweep()
    world.pump(START + timedelta(minutes=31))
    assert [(p.form["To"], p.form["From"]) for p in world.twilio.placed] == [(FORM["To"], FORM["From"])]


def test_a_call_that_the_provider_does_not_know_is_given_to_support(adopting: Adopting) -> None:
    world = adopting.world
    assert adopting.decision("busy", Direction="") == "pending"
    for _ in range(17):
        world.clock.turn(minutes=1)
        world.sweep()
    assert (adopting.calls, adopting.unadopted()) == ([], [(SID, "not-confirmed")])
    (line,) = lines(world.services.ports.adoptions.unadopted("acme"))
    assert line.split() == ["2026-01-26T10:15:00Z", "not-confirmed", "twilio", SID, "policy", "adopted"]
    assert list(world.services.ports.adoptions.pending()) == []


def test_one_call_is_adopted_by_one_workspace_only(adopting: Adopting) -> None:
    world = adopting.world
    other = create_key(world.dynamodb, TABLE, workspace="other", now=START)
    elsewhere = make_policy(world, key=other)
    assert adopting.decision("ringing") == "noted"
    assert adopting.decision("busy", elsewhere) == "adopted-elsewhere"
    assert world.request("GET", "/calls", key=other).json_body["data"] == []
    assert adopting.unadopted("other") == [(SID, "adopted-elsewhere")]


def test_a_fault_of_an_adopted_call_pauses_no_other_call(adopting: Adopting) -> None:
    world = adopting.world
    assert adopting.decision("failed", ErrorCode="21212") == "decided"
    gates = world.services.ports.gates.closed([account_scope("twilio:" + ENV["TWILIO_ACCOUNT_SID"])])
    assert gates == []
    assert world.place(to_number="+16505550111")["state"] == "dialing"


def test_a_redial_that_the_account_rejects_ends_the_adopted_call_alone(adopting: Adopting) -> None:
    world = adopting.world
    call_id = adopting.post("busy").json_body["events"][0]["call_id"]
    world.twilio.answers = [answer_json(400, {"code": 21212, "message": "Invalid From Number"})]
    world.pump(START + timedelta(minutes=30))
    assert world.history(call_id) == [(1, "busy"), (2, "error")]
    assert world.place(to_number="+16505550111")["state"] == "dialing"


@pytest.mark.parametrize("query", ["", "?policy=adopted", "?policy=adopted&workspace=acme", "?policy=a&policy=b"])
def test_nothing_in_the_query_adopts_a_call(adopting: Adopting, query: str) -> None:
    assert adopting.post("busy", f"{PUBLIC_URL}/callbacks/twilio{query}").status_code == 404
    assert adopting.calls == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [("/callbacks/twilio/adopt/nobody", "unknown-token"), ("/callbacks/twilio", "unknown-call")],
)
def test_a_refused_callback_is_a_line_and_a_figure(
    adopting: Adopting, capsys: pytest.CaptureFixture[str], address: str, reason: str
) -> None:
    capsys.readouterr()
    assert adopting.post("busy", f"{PUBLIC_URL}{address}").status_code == 404
    out = capsys.readouterr().out
    (line,) = [line for line in logged(out) if line["event"] == "callback-refused"]
    assert (line["provider"], line["reason"], line["level"]) == ("twilio", reason, "WARNING")
    assert figures(out)[f"CallbacksRefused {reason}"] == [1]
    assert "nobody" not in out


def test_a_call_that_is_not_adopted_is_a_line_and_a_figure(
    adopting: Adopting, capsys: pytest.CaptureFixture[str]
) -> None:
    adopting.world.request("POST", "/policies/adopted/adoption-token", {"revoke_old": True})
    capsys.readouterr()
    assert adopting.post("busy").status_code == 404
    out = capsys.readouterr().out
    (line,) = [line for line in logged(out) if line["event"] == "call-not-adopted"]
    assert (line["workspace"], line["policy"], line["call"]) == ("acme", "adopted", SID)
    assert figures(out)["CallsNotAdopted token-replaced"] == [1]


def test_an_unsigned_request_learns_nothing_of_the_tokens(adopting: Adopting) -> None:
    for address in (adopting.address, f"{PUBLIC_URL}/callbacks/twilio/adopt/nobody"):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        path = address.removeprefix(PUBLIC_URL)
        assert adopting.world.client.http.post(path, headers=headers, body=b"CallSid=1").status_code == 403


def test_a_callback_without_numbers_cannot_be_adopted(adopting: Adopting) -> None:
    answer = adopting.post("busy", To="client:ada")
    assert (answer.status_code, adopting.unadopted()) == (400, [(SID, "no-numbers")])
    assert "no E.164 numbers" in answer.json_body["detail"]


def test_the_address_is_shown_once_and_its_token_is_stored_nowhere(adopting: Adopting) -> None:
    world = adopting.world
    token = adopting.address.rsplit("/", 1)[1]
    for answer in (world.request("PUT", "/policies/adopted", POLICY), world.request("GET", "/policies/adopted")):
        assert answer.json_body["adoption"]["token_since"] == "2026-01-26T10:00:00Z"
        assert "address" not in answer.json_body["adoption"]
        assert "/policies/adopted/adoption-token" in answer.json_body["adoption"]["help"]
    assert token not in json.dumps(world.items(), default=str)


def test_a_replaced_token_stays_valid_for_a_day(adopting: Adopting) -> None:
    world = adopting.world
    made = world.request("POST", "/policies/adopted/adoption-token").json_body["adoption"]["address"]
    assert adopting.decision("ringing") == "noted"
    assert adopting.decision("busy", made) == "decided"
    world.clock.turn(hours=24)
    assert adopting.post("busy", CallSid="CA" + "8" * 32).status_code == 404
    assert adopting.unadopted() == [("CA" + "8" * 32, "token-replaced")]


def test_a_revoked_token_ends_at_once(adopting: Adopting) -> None:
    path = "/policies/adopted/adoption-token"
    assert adopting.world.request("POST", path, {"revoke_old": True}).status_code == 200
    assert adopting.post("busy").status_code == 404


def test_a_deleted_policy_takes_its_token_along(adopting: Adopting) -> None:
    adopting.world.request("DELETE", "/policies/adopted")
    assert adopting.post("busy").status_code == 404
    assert make_policy(adopting.world) != adopting.address
    assert adopting.post("busy").status_code == 404
    assert adopting.calls == []


def test_only_a_write_key_makes_a_token_and_of_a_known_policy(adopting: Adopting) -> None:
    world = adopting.world
    reader = create_key(world.dynamodb, TABLE, workspace="acme", role="read", now=START)
    assert world.request("POST", "/policies/adopted/adoption-token", key=reader).status_code == 403
    assert world.request("POST", "/policies/nobody/adoption-token").status_code == 404
    assert world.request("POST", "/policies/adopted/adoption-token", {"revoke": True}).status_code == 422


class TestUnsigned:
    """Exotel's unsigned callbacks, which Redial believes after a look-up."""

    REPORT: ClassVar = {"CallSid": "EX1", "Status": "busy", "To": "+919876543210", "From": "+918045678900"}

    @pytest.fixture
    def known(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, CallEvent]:
        for name in ("ACCOUNT_SID", "API_KEY", "API_TOKEN"):
            monkeypatch.setenv(f"EXOTEL_{name}", "acme1")
        monkeypatch.setenv("EXOTEL_ANSWER_URL", "http://my.exotel.com/acme1/exoml/start_voice/1")
        monkeypatch.setenv("EXOTEL_ALLOWED_IPS", "127.0.0.0/8")
        known: dict[str, CallEvent] = {}
        monkeypatch.setattr(Exotel, "lookup", lambda self, call_id: known.get(call_id))
        return known

    def post(self, world: World, address: str) -> str:
        path = address.removeprefix(PUBLIC_URL).replace("/twilio/", "/exotel/")
        headers = {"Content-Type": "application/json"}
        answer = world.client.http.post(path, headers=headers, body=json.dumps(self.REPORT).encode())
        assert answer.status_code == 200, answer.body
        return str(answer.json_body["events"][0]["decision"])

    def test_a_forged_callback_leads_to_no_dial(self, known: dict[str, CallEvent], world: World) -> None:
        adopting = Adopting(world)
        assert self.post(world, adopting.address) == "pending"
        for _ in range(17):
            world.clock.turn(minutes=1)
            world.sweep()
        world.pump(START + timedelta(hours=3))
        assert (adopting.calls, world.twilio.placed) == ([], [])
        assert adopting.unadopted() == [("EX1", "not-confirmed")]
        assert not any(method == "POST" for method, _ in world.twilio.requests)

    def test_the_look_up_and_not_the_callback_sets_the_end(self, known: dict[str, CallEvent], world: World) -> None:
        adopting = Adopting(world)
        self.post(world, adopting.address)
        known["EX1"] = CallEvent(
            "looked-up",
            "EX1",
            "completed",
            outcome=Outcome.COMPLETED,
            duration_sec=40,
            to_number="+919876543210",
            from_number="+918045678900",
            leg=Leg.OUTGOING,
        )
        world.sweep()
        (call,) = adopting.calls
        assert (call["status"], list(world.services.ports.adoptions.pending())) == ("completed", [])

    def test_what_waits_for_one_call_is_bounded(self, known: dict[str, CallEvent], world: World) -> None:
        adopting = Adopting(world)
        decisions = [self.post(world, adopting.address) for _ in range(MAX_PENDING_EVENTS + 1)]
        assert decisions == ["pending"] * MAX_PENDING_EVENTS + ["too-many-pending"]
        assert adopting.unadopted() == [("EX1", "too-many-pending")]


def test_an_adopted_call_takes_the_default_cap(world: World) -> None:
    adopting = Adopting(world)
    adopting.decision("busy")
    policy = world.call(adopting.calls[0]["call_id"])["policy"]
    assert policy["caps"] == [{"max_attempts": 5, "per_hours": 24, "per": "hours", "is_default": True}]
