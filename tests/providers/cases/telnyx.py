"""Telnyx, as the conformance suite sees it."""

from dataclasses import replace

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from ops.local.carrier_telnyx import public_key, signature
from tests.providers.cases import NOW, ProviderCase

SEEDS = (bytes(range(32)), bytes(range(32, 64)))


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    timestamp = str(int(NOW.timestamp()))
    signed = signature(SEEDS[secret], timestamp, request.body)
    headers = {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": signed}
    return replace(request, headers={**request.headers, **headers})


CASE = ProviderCase(
    name="telnyx",
    credentials={
        "api_key": "KEY0123",
        "connection_id": "1684641123236054244",
        "public_key": ",".join(public_key(seed) for seed in SEEDS),
    },
    sign=sign,
    content_type="application/json",
    call_id="7e1d5a90-fa43-11f0-9c3b-02420a0d0870",
    progress={
        "initiated.json": Progress.INITIATED,
        "answered.json": Progress.IN_PROGRESS,
        "bridged.json": Progress.IN_PROGRESS,
    },
    terminal={
        "hangup-normal-clearing.json": Outcome.COMPLETED,
        "hangup-time-limit.json": Outcome.COMPLETED,
        "hangup-call-rejected.json": Outcome.REJECTED,
        "hangup-originator-cancel.json": Outcome.CANCELED,
        "hangup-timeout.json": Outcome.NO_ANSWER,
        "hangup-no-answer.json": Outcome.NO_ANSWER,
        "hangup-user-busy.json": Outcome.BUSY,
        "hangup-not-found.json": Outcome.INVALID_NUMBER,
        "hangup-unspecified.json": Outcome.FAILED,
        "hangup-country-not-enabled.json": Outcome.ERROR,
    },
    machine="machine.json",
    human="human.json",
    unknown="unknown-event.json",
    fault="hangup-account-fault.json",
    replay_sec=300,
    answered_story=("initiated.json", "answered.json", "human.json", "hangup-normal-clearing.json"),
)
