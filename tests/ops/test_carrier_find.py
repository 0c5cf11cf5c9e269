"""The mock carrier's lists of calls, searched for a call of unknown id."""

import importlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import REGISTRY, DialRequest, Placed, PlacementUnknown, Unanswered, load
from chalicelib.runtime.settings import Settings
from tests.support.carrier_client import CarrierClient, wait_until

NAMES = sorted(REGISTRY)
TO, OTHER, FROM = "+919876543210", "+919876543211", "+918047104890"  # Indian, for Exotel calls no others
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
#: provider -> the module that has its PAGE_SIZE
SIZES = {
    "bolna": "bolna",
    "dialnexa": "dialnexa",
    "exotel": "exotel_times",
    "plivo": "plivo",
    "signalwire": "cxml_calls",
    "telnyx": "telnyx",
    "twilio": "cxml_calls",
    "vonage": "vonage",
}
#: what the search finds of a ringing call; None if the list does not show enough of it
RINGING = {
    "bolna": Progress.RINGING,
    "dialnexa": Progress.INITIATED,
    "exotel": None,
    "plivo": Progress.RINGING,
    "signalwire": Progress.RINGING,
    "telnyx": Progress.INITIATED,
    "twilio": Progress.RINGING,
    "vonage": None,
}


@dataclass
class Desk:
    """Dials and searches through one provider.

    ``hours_later`` is the time of the search, because Exotel's list does not show live calls.
    """

    name: str
    carrier: CarrierClient
    hours_later: int = 0

    def __post_init__(self) -> None:
        credentials = Settings.from_env(self.carrier.environment).credentials(self.name)
        self.since = datetime.now(UTC)
        self.provider = load(self.name, credentials, now=self.now)

    @property
    def none(self) -> list[CallEvent] | None:
        """Return the result of a search that finds nothing.

        Vonage's empty list gives no answer.
        """
        return None if self.name == "vonage" else []

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=self.hours_later)

    def dial(self, to_number: str = TO) -> Placed | PlacementUnknown:
        request = DialRequest(
            call_id="call_01",
            attempt=len(self.carrier.requests("")) + 1,
            from_number=FROM,
            to_number=to_number,
            answer_url=None if self.name == "exotel" else "https://example.com/answer",
            callback_url=f"{self.carrier.sink.url}/callbacks/{self.name}/t0k3n",
            agent_version_id=AGENT,
        )
        placed = self.provider.dial(request)
        assert isinstance(placed, Placed | PlacementUnknown)
        return placed

    def place(self, to_number: str = TO) -> str:
        placed = self.dial(to_number)
        assert isinstance(placed, Placed)
        return placed.provider_call_id

    def find(self, since: datetime | None = None, until: datetime | None = None) -> list[CallEvent] | None:
        return self.provider.find(TO, FROM, since or self.since, until or datetime.now(UTC), AGENT)

    def wait_for(self, call_id: str) -> CallEvent:
        """Wait for the end of the call, and return it as the look-up shows it."""
        found: list[CallEvent] = []

        def has_ended() -> bool:
            event = self.provider.lookup(call_id)
            found[:] = [event] if event is not None and event.is_terminal else []
            return bool(found)

        wait_until(has_ended)
        return found[0]

    def script(self, *outcomes: object) -> None:
        body = json.dumps({"outcomes": outcomes})
        assert self.carrier.ask("PUT", f"/script/{TO}", body)[0] == 200


@pytest.fixture(params=NAMES)
def desk(request: pytest.FixtureRequest, carrier: CarrierClient) -> Desk:
    return Desk(request.param, carrier)


def test_a_call_is_found_as_it_is_looked_up_and_others_are_not(desk: Desk) -> None:
    desk.place(OTHER)
    looked_up = desk.wait_for(desk.place())

    said = {"to_number": TO, "from_number": FROM}
    if desk.name == "vonage":
        said["leg"] = Leg.UNKNOWN  # a look-up also requests the other legs of the conversation
    assert desk.find() == [replace(looked_up, **said)]  # type: ignore[arg-type]


def test_a_call_whose_answer_was_lost_is_found(desk: Desk) -> None:
    desk.script("server-error-but-placed")
    assert isinstance(desk.dial(), PlacementUnknown)

    wait_until(lambda: any(event.is_terminal for event in desk.find() or []))
    (event,) = desk.find() or []
    assert event.outcome is Outcome.COMPLETED
    looked_up = desk.provider.lookup(event.provider_call_id)
    assert looked_up is not None
    assert looked_up.event_id == event.event_id


def test_nothing_is_found_if_nothing_was_placed(desk: Desk) -> None:
    desk.wait_for(desk.place(OTHER))

    desk.hours_later = 5 if desk.name == "exotel" else 0
    assert desk.find() == desk.none


def test_a_call_before_the_span_or_after_it_is_not_found(desk: Desk) -> None:
    desk.wait_for(desk.place())

    now, minutes = datetime.now(UTC), timedelta(minutes=3)
    desk.hours_later = 5 if desk.name == "exotel" else 0
    assert desk.find(now - 2 * minutes, now - minutes) == desk.none
    assert desk.find(now + minutes, now + 2 * minutes) == desk.none


def test_all_pages_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module(f"chalicelib.providers.{SIZES[desk.name]}"), "PAGE_SIZE", 2)
    placed = [desk.place() for _ in range(5)]
    for call_id in placed:
        desk.wait_for(call_id)

    assert sorted(event.provider_call_id for event in desk.find() or []) == sorted(placed)


def test_the_search_stops_at_a_list_without_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module(f"chalicelib.providers.{SIZES[desk.name]}"), "PAGE_SIZE", 1)
    for call_id in [desk.place() for _ in range(11)]:
        desk.wait_for(call_id)

    assert desk.find() is None


@pytest.mark.parametrize("name", NAMES)
def test_a_ringing_call_is_found_if_the_list_has_it(name: str, carrier: CarrierClient) -> None:
    desk = Desk(name, carrier)
    desk.script({"outcome": "completed", "ring_sec": 1.2, "talk_sec": 30})
    call_id = desk.place()
    ringing_at = datetime.now(UTC) + timedelta(seconds=0.31)
    wait_until(lambda: datetime.now(UTC) > ringing_at)

    found = desk.find()
    if RINGING[name] is None:
        assert found is None
    else:
        assert [(each.provider_call_id, each.progress, each.outcome) for each in found or []] == [
            (call_id, RINGING[name], None)
        ]


def test_a_call_queued_at_plivo_leaves_the_search_unanswered(carrier: CarrierClient) -> None:
    desk = Desk("plivo", carrier)
    desk.script({"outcome": "completed", "ring_sec": 30})
    desk.place()

    assert desk.find() is None


def test_the_calls_of_another_agent_of_bolnas_are_not_asked_for(carrier: CarrierClient) -> None:
    desk = Desk("bolna", carrier)
    desk.wait_for(desk.place())

    assert desk.provider.find(TO, FROM, desk.since, datetime.now(UTC), "another-agent") == []
    assert desk.provider.find(TO, FROM, desk.since, datetime.now(UTC)) is None


def test_a_list_is_refused_without_the_right_credentials(desk: Desk) -> None:
    credentials = Settings.from_env(desk.carrier.environment).credentials(desk.name)
    wrong = {
        "bolna": "api_key",
        "dialnexa": "api_key",
        "exotel": "api_token",
        "plivo": "auth_token",
        "signalwire": "api_token",
        "telnyx": "api_key",
        "twilio": "auth_token",
        "vonage": "application_id",
    }[desk.name]
    stranger = load(desk.name, {**credentials, wrong: "wrong:one"}, now=lambda: datetime.now(UTC))

    with pytest.raises(Unanswered):  # the list says nothing, and better credentials may come
        stranger.find(TO, FROM, desk.since, datetime.now(UTC), AGENT)
