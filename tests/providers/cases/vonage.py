"""Vonage, as the conformance suite sees it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from ops.local.carrier_vonage import token
from tests.providers.cases import NOW, ListedCall, ProviderCase

SECRETS = ("6d1f0c5e8b7a49d2a3c4", "0e9d8c7b6a5f4e3d2c1b")
APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    claims = {
        "iat": int(NOW.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(request.body).hexdigest(),
        "api_key": "a1b2c3d4",
        "application_id": APPLICATION,
    }
    return replace(request, headers={**request.headers, "Authorization": f"Bearer {token(claims, SECRETS[secret])}"})


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    rows = [
        {
            "uuid": call.call_id,
            "to": {"type": "phone", "number": call.to_number.removeprefix("+")},
            "from": {"type": "phone", "number": call.from_number.removeprefix("+")},
            "status": "completed",
            "direction": "inbound" if call.inbound else "outbound",
            "duration": "12",
            **({"start_time": call.created_at.isoformat()} if call.created_at else {}),
        }
        for call in calls
    ]
    return {"count": len(rows), "page_size": len(rows), "record_index": 0, "_embedded": {"calls": rows}}


CASE = ProviderCase(
    name="vonage",
    credentials={
        "application_id": APPLICATION,
        "private_key": "for dialling only",
        "signature_secret": ",".join(SECRETS),
    },
    sign=sign,
    content_type="application/json",
    call_id="3f0c5a52-8d1e-4b7a-b5a4-9a6f2c7d1e05",
    progress={
        "started.json": Progress.INITIATED,
        "ringing.json": Progress.RINGING,
        "answered.json": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.json": Outcome.COMPLETED,
        "completed-byte-order-mark.json": Outcome.COMPLETED,
        "completed-listed-parties.json": Outcome.COMPLETED,
        "busy.json": Outcome.BUSY,
        "unanswered.json": Outcome.NO_ANSWER,
        "unanswered-unavailable.json": Outcome.NO_ANSWER,
        "unanswered-timeout.json": Outcome.NO_ANSWER,
        "timeout.json": Outcome.NO_ANSWER,
        "rejected.json": Outcome.REJECTED,
        "rejected-declined.json": Outcome.REJECTED,
        "rejected-invalid-number.json": Outcome.INVALID_NUMBER,
        "rejected-restricted.json": Outcome.DND,
        "failed.json": Outcome.FAILED,
        "failed-sip.json": Outcome.BUSY,
        "failed-cannot-route.json": Outcome.DND,
        "failed-out-of-service.json": Outcome.INVALID_NUMBER,
        "failed-internal-error.json": Outcome.FAILED,
        "cancelled.json": Outcome.CANCELED,
    },
    machine="machine.json",
    human="human.json",
    unknown="unknown.json",
    # An NCCO's connect legs are ``outbound``, too: no event alone tells them from a call of the API's.
    legs={
        "busy.json": Leg.UNKNOWN,
        "started.json": Leg.UNKNOWN,
        "completed.json": Leg.UNKNOWN,
        "leg-inbound.json": Leg.INBOUND,
        "leg-dtmf.json": Leg.UNKNOWN,
    },
    contradictory={
        "failed-after-a-talk.json": Outcome.COMPLETED,
        "timeout-after-a-talk.json": Outcome.COMPLETED,
        "rejected-after-a-talk.json": Outcome.COMPLETED,
    },
    fault=None,  # a fault of the account is told by the answer to the request alone
    replay_sec=300,
    answered_story=("started.json", "ringing.json", "answered.json", "human.json", "completed.json"),
    listed=listed,
)
