"""SignalWire, as the conformance suite sees it."""

import hmac
from dataclasses import replace

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from ops.local.carrier_signalwire import signature
from tests.providers.cases import ProviderCase
from tests.providers.cases.twilio import listed

KEYS = ("PSKcurrent", "PSKformer")


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    """Sign as the vendor does: JSON whole and in hex, a form by its sorted fields."""
    signed = signature(KEYS[secret], request.url, request.body)
    if request.body.startswith(b"{"):
        signed = hmac.new(KEYS[secret].encode(), request.url.encode() + request.body, "sha1").hexdigest()
    return replace(request, headers={**request.headers, "X-SignalWire-Signature": signed})


CASE = ProviderCase(
    name="signalwire",
    credentials={
        "space_url": "example.signalwire.com",
        "project_id": "8a7f2c1e-0b4d-4f7e-a1c3-6d5e4f3a2b1c",
        "api_token": "PTtoken",
        "signing_key": ",".join(KEYS),
    },
    sign=sign,
    content_type="application/x-www-form-urlencoded",
    call_id="2f6c8a54-7d1e-4b7b-9d0c-5a3f1e8b6c01",
    progress={
        "queued.form": Progress.QUEUED,
        "initiated.form": Progress.INITIATED,
        "ringing.form": Progress.RINGING,
        "in-progress.form": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.form": Outcome.COMPLETED,
        "completed.json": Outcome.COMPLETED,
        "completed-machine.form": Outcome.VOICEMAIL,
        "busy.form": Outcome.BUSY,
        "no-answer.form": Outcome.NO_ANSWER,
        "canceled.form": Outcome.CANCELED,
        "failed.form": Outcome.FAILED,
        "failed-rejected.form": Outcome.REJECTED,
        "failed-no-such-number.form": Outcome.INVALID_NUMBER,
    },
    machine="machine.form",
    human="human.form",
    unknown="unknown-status.form",
    legs={
        "busy.form": Leg.OUTGOING,
        "initiated.form": Leg.OUTGOING,
        "leg-inbound.form": Leg.INBOUND,
        "leg-of-a-dial.form": Leg.OTHER,
        "leg-with-a-parent.form": Leg.OTHER,
        "leg-unsaid.form": Leg.UNKNOWN,
    },
    contradictory={
        "busy-after-a-talk.form": Outcome.COMPLETED,
        "failed-after-a-person.form": Outcome.COMPLETED,
        "account-fault-after-a-talk.form": Outcome.COMPLETED,
        "no-answer-after-a-machine.form": Outcome.VOICEMAIL,
    },
    fault="account-fault.form",
    answered_story=("initiated.form", "ringing.form", "in-progress.form", "human.form", "completed.form"),
    listed=listed,
)
