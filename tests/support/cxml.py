"""The forms and the calls that Twilio and SignalWire share.

SignalWire's Call resource is Twilio's, in SignalWire's words.
"""

from dataclasses import replace
from typing import Any

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DeferredByProvider, MachineDetection, PlacementUnknown, Refused
from tests.support.carrier_caller import DIAL, CarrierCase
from tests.support.carrier_client import basic

ANSWERED = ("initiated", "ringing", "in-progress", "completed")


def headers(user: str, password: str) -> dict[str, str]:
    """Return the headers of a request to the API."""
    return {**basic(user, password), "Accept": "application/json"}


def call_form(callback: str) -> list[tuple[str, str]]:
    """Return the form of a dial that both vendors take."""
    return [
        ("To", "+16505550199"),
        ("From", "+14155550100"),
        ("Url", "https://example.com/answer?call_id=call_1"),
        ("Method", "POST"),
        ("StatusCallback", callback),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing"),
        ("StatusCallbackEvent", "answered"),
        ("StatusCallbackEvent", "completed"),
        ("Timeout", "30"),
    ]


def carrier_case(name: str, **own: Any) -> CarrierCase:
    """Return the vendor's case on the mock carrier, with the fields that are its own."""
    return CarrierCase(
        name=name,
        dial=replace(DIAL, machine_detection=MachineDetection.OFF),
        answered=ANSWERED,
        endings=[
            ("completed", ANSWERED, Outcome.COMPLETED, None),
            ("busy", ("initiated", "ringing", "busy"), Outcome.BUSY, "sip:486"),
            ("no-answer", ("initiated", "ringing", "no-answer"), Outcome.NO_ANSWER, "sip:487"),
            ("canceled", ("initiated", "ringing", "canceled"), Outcome.CANCELED, "sip:487"),
            ("failed", ("initiated", "failed"), Outcome.FAILED, "sip:503"),
            ("rejected", ("initiated", "ringing", "failed"), Outcome.REJECTED, "sip:603"),
        ],
        refusals=[
            ("invalid-number", Refused(Outcome.INVALID_NUMBER, f"{name}:21211")),
            ("error", PlacementUnknown(f"{name}:20500")),
            ("throttled", DeferredByProvider(f"{name}:20429", fault=False)),
            ("auth", DeferredByProvider(f"{name}:20003", fault=True)),
        ],
        placed=("queued", Progress.QUEUED),
        hang_ups=[
            ({"ring_sec": 2}, Progress.RINGING, Outcome.CANCELED),
            ({"talk_sec": 30}, Progress.IN_PROGRESS, Outcome.COMPLETED),
        ],
        **own,
    )
