"""Adopted calls from the callback to the dial, through every provider.

The tests also cover callbacks that never lead to a dial.
"""

import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from chalicelib.api import current
from chalicelib.providers import REGISTRY, CallbackRequest
from chalicelib.providers.http import Answer
from ops.data.keys import create_key
from ops.local.carrier_vonage import new_environment
from tests.providers.cases import ProviderCase, case
from tests.support.fake_http import Asked, Replying, answer
from tests.support.world import PUBLIC_URL, START, TABLE, World

NAMES = sorted(REGISTRY)
#: the address from which chalice's test client calls
HERE = "127.0.0.1"
#: the payloads are about attempts of Redial's own; a foreign call has no token of Redial
OUR_TOKEN = re.compile(rb"call_01\.1\.[0-9a-f]{32}")
POLICY = {
    "retry": {"max_retries": 2, "wait_minutes": 30},
    "target": {"url": "https://example.com/again"},
    "agent_version_id": "av_01hx",
}
#: the callbacks of a busy call that the user's own code placed, up to its end
STORIES: Mapping[str, Sequence[str]] = {
    "bolna": ["busy.json"],
    "dialnexa": ["call-initiated.json", "hangup-user-busy.json"],
    "exotel": ["busy.json"],
    "plivo": ["ringing.form", "busy.form"],
    "signalwire": ["initiated.form", "busy.form"],
    "telnyx": ["initiated.json", "hangup-user-busy.json"],
    "twilio": ["initiated.txt", "busy.txt"],
    "vonage": ["started.json", "busy.json"],
}
#: providers whose outgoing callbacks are adopted without a look-up
AT_ONCE = ("dialnexa", "plivo", "signalwire", "telnyx", "twilio")
#: an event of the same call that does not say which leg it is about, if the provider has such an event
LEG_UNSAID = {"telnyx": "hangup-user-busy.json", "vonage": "busy.json"}


@dataclass
class Vendor(Replying):
    """A vendor's API: it looks calls up in ``records`` and accepts every new call.

    A record matches if the URL of the look-up contains its key.
    """

    records: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)

    def reply(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            self.asked.append(asked.url)
            found = next((record for part, record in self.records.items() if part in asked.url), None)
            return answer(404, {}) if found is None else answer(200, found)
        self.placed.append(asked.body.decode() if asked.body is not None else urlencode(list(asked.form or [])))
        call = f"0000000{len(self.placed)}-fa43-41f0-9c3b-02420a0d0870"
        names = ("sid", "uuid", "request_uuid", "execution_id", "id")
        whole = {"Call": {"Sid": call.replace("-", ""), "Status": "in-progress"}, "data": {"call_leg_id": call}}
        taken: dict[str, Any] = dict.fromkeys(names, call) | whole | {"status": "queued"}
        if asked.url.endswith("/2010-04-01/Accounts/" + case("twilio").credentials["account_sid"] + "/Calls.json"):
            taken["sid"] = "CA" + call.replace("-", "")
        return answer(201, taken)


@dataclass
class Deployment:
    """Redial with every provider set up, and the vendors' APIs.

    It has two workspaces with an adoption address each.
    """

    world: World
    vendor: Vendor
    tokens: tuple[str, str]
    keys: tuple[str, str]

    def post(self, name: str, body: bytes, workspace: int = 0, *, signed: bool = True) -> list[str]:
        """Post a callback to a workspace's adoption address, and return the decisions."""
        url = f"{PUBLIC_URL}/callbacks/{name}/adopt/{self.tokens[workspace]}"
        sender = case(name)
        headers = {"Content-Type": sender.content_type, **sender.extra_headers}
        request = CallbackRequest("POST", url, headers, body, HERE)
        request = sender.sign(request, 0) if signed else request
        path = url.removeprefix(PUBLIC_URL)
        answer = self.world.client.http.post(path, headers=dict(request.headers), body=body)
        assert answer.status_code == 200, answer.body
        return [each["decision"] for each in answer.json_body["events"]]

    def tell(self, name: str, *payloads: str, workspace: int = 0) -> list[str]:
        return [each for payload in payloads for each in self.post(name, foreign(case(name), payload), workspace)]

    def json(self, name: str, *events: Mapping[str, Any]) -> list[str]:
        return [each for event in events for each in self.post(name, json.dumps(event).encode())]

    def calls(self, workspace: int = 0) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.world.request("GET", "/calls", key=self.keys[workspace]).json_body["data"]
        return found

    def unadopted(self, workspace: str = "acme") -> list[str]:
        return [each.reason for each in self.world.services.ports.adoptions.unadopted(workspace)]

    def pass_time(self) -> None:
        """Let time pass beyond the longest waits for a look-up and for a retry.

        The sweep runs now and then, and every rule fires.
        """
        for minute in (1, 2, 3, 6, 11, 17, 31, 33, 36, 40):
            self.world.sweep()
            self.world.pump(START + timedelta(minutes=minute))


def foreign(sender: ProviderCase, payload: str) -> bytes:
    """Return a payload as it would be for a call of the user's own code."""
    return OUR_TOKEN.sub(b"their-own", sender.request(payload).body)


@pytest.fixture
def redial(world: World, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    for name in NAMES:
        for key, value in case(name).credentials.items():
            monkeypatch.setenv(f"{name.upper()}_{key.upper()}", HERE if key == "allowed_ips" else value)
    monkeypatch.setenv("VONAGE_PRIVATE_KEY", new_environment()["VONAGE_PRIVATE_KEY"])
    vendor = Vendor()
    current.restart(world.clock, vendor)
    keys = (world.key, create_key(world.dynamodb, TABLE, workspace="other", now=START))
    tokens = [adoption_token(world, key) for key in keys]
    return Deployment(world, vendor, (tokens[0], tokens[1]), keys)


def adoption_token(world: World, key: str) -> str:
    answer = world.request("PUT", "/policies/adopted", POLICY, key=key)
    assert answer.status_code == 200, answer.body
    return str(answer.json_body["adoption"]["address"]).rsplit("/", 1)[1]


def records_of(name: str) -> dict[str, object]:
    """Return the vendor's records of the payloads' call.

    They say that it is the outgoing call, and that it was busy.
    """
    sender = case(name)
    call_id = sender.call_id
    if name == "bolna":
        return {f"/executions/{call_id}": json.loads(foreign(sender, "busy.json"))}
    if name == "exotel":
        told = json.loads(foreign(sender, "busy.json"))
        names = ("From", "To", "PhoneNumberSid", "Status", "Direction", "EndTime")
        return {f"/Calls/{call_id}.json": {"Call": {"Sid": call_id, **{each: told[each] for each in names}}}}
    if name == "vonage":
        record = json.loads(foreign(sender, "busy.json"))
        parties = {each: {"type": "phone", "number": record[each]} for each in ("to", "from")}
        listed = {"count": 1, "page_size": 1, "record_index": 0, "_embedded": {"calls": [record | parties]}}
        return {f"/calls/{call_id}": record | parties, "conversation_uuid=": listed}
    if name == "telnyx":
        return {
            "=call.initiated": logged(json.loads(foreign(sender, "initiated.json"))),
            "=call.hangup": logged(json.loads(foreign(sender, "hangup-user-busy.json"))),
        }
    return {}


def logged(webhook: Mapping[str, Any]) -> object:
    event = webhook["data"]
    ids = {name: event["payload"][name] for name in ("call_leg_id", "call_session_id")}
    return {
        "data": [{"name": event["event_type"], **ids, "event_timestamp": "2026-01-26T10:00:00Z", "metadata": event}]
    }


def numbers_in(name: str) -> tuple[str, str]:
    """Return the called number and the calling number of the payloads, in digits."""
    return ("9876543210", "8047104890") if name in ("bolna", "dialnexa", "exotel") else ("16505550199", "14155550100")


def assert_redialled_once(redial: Deployment, name: str) -> None:
    (asked,) = redial.vendor.placed
    to, caller = numbers_in(name)
    assert to in asked
    assert caller in asked or name == "dialnexa"  # its agent calls from its own number
    assert [(call["attempt"], call["provider"]) for call in redial.calls()] == [(2, name), (1, name)]
    assert redial.unadopted() == []


@pytest.mark.parametrize("name", NAMES)
def test_an_outgoing_call_is_adopted_and_redialled(redial: Deployment, name: str) -> None:
    redial.vendor.records = records_of(name)
    decisions = redial.tell(name, *STORIES[name])
    waits = name not in AT_ONCE
    assert set(decisions) == {"pending"} if waits else decisions[-1] == "decided"
    redial.pass_time()
    assert_redialled_once(redial, name)


@pytest.mark.parametrize("name", NAMES)
def test_repeated_and_concurrent_callbacks_adopt_a_call_once(redial: Deployment, name: str) -> None:
    redial.vendor.records = records_of(name)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: redial.tell(name, *STORIES[name]), range(3)))
    redial.pass_time()
    assert_redialled_once(redial, name)


@pytest.mark.parametrize("name", sorted(LEG_UNSAID))
def test_an_event_that_leaves_the_leg_out_waits_for_the_look_up(redial: Deployment, name: str) -> None:
    redial.vendor.records = records_of(name)
    assert redial.tell(name, LEG_UNSAID[name]) == ["pending"]
    redial.pass_time()
    assert_redialled_once(redial, name)


@pytest.mark.parametrize("name", NAMES)
def test_an_inbound_call_is_never_adopted(redial: Deployment, name: str) -> None:
    (inbound,) = [payload for payload in case(name).legs if payload.startswith("leg-inbound")]
    redial.vendor.records = inbound_records(name)
    waits = name in ("bolna", "exotel")
    assert redial.tell(name, inbound)[0] in ("inbound", *(["pending"] if waits else []))
    redial.pass_time()
    assert (redial.vendor.placed, redial.calls()) == ([], [])


@pytest.mark.parametrize(("name", "field"), [("bolna", "call_type"), ("exotel", "Direction"), ("telnyx", "direction")])
def test_a_record_of_an_inbound_call_outweighs_the_callback(redial: Deployment, name: str, field: str) -> None:
    redial.vendor.records = inbound_records(name)
    assert redial.tell(name, LEG_UNSAID.get(name, STORIES[name][-1])) == ["pending"]
    redial.pass_time()
    assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], [])


def inbound_records(name: str) -> dict[str, object]:
    text = json.dumps(records_of(name))
    return dict(json.loads(re.sub(r'"(outbound-api|outbound|outgoing)"', '"inbound"', text)))


@pytest.mark.parametrize("name", ["bolna", "exotel"])
def test_a_forged_callback_from_an_allowed_address_leads_to_no_dial(redial: Deployment, name: str) -> None:
    assert redial.tell(name, *STORIES[name]) == ["pending"]
    redial.pass_time()
    assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], ["not-confirmed"])


@pytest.mark.parametrize("name", ["bolna", "exotel"])
def test_a_known_calls_id_with_a_forged_number_leads_to_no_dial(redial: Deployment, name: str) -> None:
    redial.vendor.records = records_of(name)
    body = foreign(case(name), STORIES[name][-1]).replace(b"9876543210", b"9876500000")
    assert redial.post(name, body) == ["pending"]
    redial.pass_time()
    assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], ["numbers-differ"])


def test_a_record_without_numbers_is_given_to_support(redial: Deployment) -> None:
    ((url, record),) = records_of("bolna").items()
    redial.vendor.records = {url: json.loads(json.dumps(record).replace('"from_number"', '"not_said"'))}
    assert redial.tell("bolna", *STORIES["bolna"]) == ["pending"]
    redial.pass_time()
    assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], ["no-numbers"])


@pytest.mark.parametrize("name", ["dialnexa", "telnyx", "vonage"])
@pytest.mark.parametrize("swept_between", [True, False])
def test_a_replay_at_another_workspaces_address_adopts_nothing(
    redial: Deployment, name: str, swept_between: bool
) -> None:
    """Replay a callback at another workspace's address. It adopts nothing.

    These vendors sign the body and not the address, so the same request verifies at both.
    """
    redial.vendor.records = records_of(name)
    redial.tell(name, *STORIES[name])
    if swept_between:
        redial.world.sweep()
    replayed = redial.tell(name, *STORIES[name], workspace=1)
    assert set(replayed) <= {"adopted-elsewhere", "pending"}
    redial.pass_time()
    assert_redialled_once(redial, name)
    assert redial.calls(1) == []
    assert set(redial.unadopted("other")) == {"adopted-elsewhere"}


class TestTelnyx:
    """The legs of one session. Only the leg that began the session may be adopted."""

    INBOUND: Mapping[str, str] = {
        "call_control_id": "v3:AbC",
        "call_leg_id": "b0457f28-53da-11f1-9961-02420aef271f",
        "call_session_id": "b04574f6-53da-11f1-8e4b-02420aef271f",
        "connection_id": "2963572552552678752",
        "to": "+13055550100",
        "from": "+18125550199",
    }
    AGENT: Mapping[str, str] = {
        **INBOUND,
        "call_control_id": "v3:DeF",
        "call_leg_id": "c1568a39-53da-11f1-9961-02420aef271f",
        "to": "+13055550777",
        "from": "+13055550100",
    }

    def event(self, kind: str, payload: Mapping[str, str], **more: str) -> dict[str, Any]:
        about = {"record_type": "event", "id": f"{payload['call_leg_id']}-{kind}", "event_type": f"call.{kind}"}
        return {"data": about | {"occurred_at": "2026-01-26T10:00:00Z", "payload": {**payload, **more}}}

    def busy(self, payload: Mapping[str, str]) -> dict[str, Any]:
        said = {"hangup_cause": "user_busy", "hangup_source": "callee", "sip_hangup_cause": "486"}
        return self.event("hangup", payload, **said)

    def agent(self) -> Sequence[dict[str, Any]]:
        return (
            self.event("initiated", self.AGENT, direction="outgoing", state="bridging"),
            self.event("bridged", self.AGENT),
            self.busy(self.AGENT),
        )

    def test_an_inbound_calls_later_events_are_left_alone(self, redial: Deployment) -> None:
        story = (
            self.event("initiated", self.INBOUND, direction="incoming", state="parked"),
            self.event("answered", self.INBOUND, calling_party_type="pstn"),
            self.busy(self.INBOUND),
        )
        assert redial.json("telnyx", *story) == ["inbound"] * 3
        redial.pass_time()
        assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], [])

    def test_an_agents_leg_of_an_inbound_call_is_left_alone(self, redial: Deployment) -> None:
        redial.json("telnyx", self.event("initiated", self.INBOUND, direction="incoming", state="parked"))
        assert redial.json("telnyx", *self.agent()) == ["other-leg"] * 3
        redial.pass_time()
        assert (redial.vendor.placed, redial.calls()) == ([], [])

    def test_an_agents_leg_of_an_adopted_call_is_left_alone(self, redial: Deployment) -> None:
        customer = {**self.INBOUND, "to": "+16505550199", "from": "+13055550100"}
        redial.json("telnyx", self.event("initiated", customer, direction="outgoing", state="bridging"))
        assert redial.json("telnyx", *self.agent()) == ["other-leg"] * 3
        assert [call["to_number"] for call in redial.calls()] == ["+16505550199"]

    def test_an_agents_leg_of_a_call_that_redial_placed_is_left_alone(self, redial: Deployment) -> None:
        placed = redial.world.place(provider="telnyx")
        sent = json.loads(redial.vendor.placed[0])
        ours = {**self.INBOUND, "call_leg_id": "00000001-fa43-41f0-9c3b-02420a0d0870"}
        event = self.event("initiated", ours, direction="outgoing", state="bridging")
        request = case("telnyx").sign(
            CallbackRequest(
                "POST", sent["webhook_url"], {"Content-Type": "application/json"}, json.dumps(event).encode()
            ),
            0,
        )
        path = request.url.removeprefix(PUBLIC_URL)
        assert redial.world.client.http.post(path, headers=dict(request.headers), body=request.body).status_code == 200
        assert redial.json("telnyx", *self.agent()) == ["other-leg"] * 3
        assert [call["retry_group_id"] for call in redial.calls()] == [placed["retry_group_id"]]

    def test_a_leg_without_event_or_log_is_not_adopted(self, redial: Deployment) -> None:
        hangup = self.busy(self.INBOUND)
        redial.vendor.records = {"=call.hangup": logged(hangup)}
        assert redial.json("telnyx", self.event("answered", self.INBOUND), hangup) == ["pending"] * 2
        redial.pass_time()
        assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], ["leg-unknown"])


class TestVonage:
    """The leg of an NCCO's ``connect``, which looks like a call that a program placed."""

    AGENT: Mapping[str, Any] = {
        "uuid": "1eaf0000-8d1e-4b7a-b5a4-9a6f2c7d1e05",
        "conversation_uuid": "CON-1",
        "status": "busy",
        "direction": "outbound",
        "from": "13055550100",
        "to": "13055550777",
        "sip_code": 486,
    }
    INBOUND: Mapping[str, Any] = {
        **AGENT,
        "uuid": "1eaf0001-8d1e-4b7a-b5a4-9a6f2c7d1e05",
        "status": "answered",
        "direction": "inbound",
        "from": "18125550199",
        "to": "13055550100",
    }

    def test_a_look_up_of_the_conversation_leaves_an_agents_leg_alone(self, redial: Deployment) -> None:
        legs = {"count": 2, "_embedded": {"calls": [self.INBOUND, self.AGENT]}}
        redial.vendor.records = {f"/calls/{self.AGENT['uuid']}": self.AGENT, "conversation_uuid=": legs}
        assert redial.json("vonage", self.AGENT) == ["pending"]
        redial.pass_time()
        assert (redial.vendor.placed, redial.calls(), redial.unadopted()) == ([], [], [])

    def test_a_known_inbound_conversation_leaves_an_agents_leg_alone_at_once(self, redial: Deployment) -> None:
        assert redial.json("vonage", self.INBOUND, self.AGENT) == ["inbound", "other-leg"]
        redial.pass_time()
        assert (redial.vendor.placed, redial.vendor.asked, redial.calls()) == ([], [], [])
