"""DialNexa's row of the conformance suite.

Its signature is an HMAC-SHA256 of the raw body. It has two vocabularies of events.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from tests.providers.cases import ListedCall, ProviderCase

SECRETS = ("whsec-new", "whsec-old")


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    """Return the signed request.

    The header is that of the webhook page, or with the old secret that of the other pages.
    """
    digest = hmac.new(SECRETS[secret].encode(), request.body, hashlib.sha256).hexdigest()
    header = {"x-nexa-signature": f"sha256={digest}"} if secret else {"X-DialNexa-Signature": digest}
    return replace(request, headers={**request.headers, **header})


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    if "page=1" not in url:
        return []
    return [
        {
            "id": call.call_id,
            "to_number": call.to_number,
            "from_number": call.from_number,
            "status": "completed",
            "call_direction": "inbound" if call.inbound else "outbound",
            "createdAt": call.created_at.isoformat() if call.created_at else None,
            "duration": 12,
        }
        for call in calls
    ]


CASE = ProviderCase(
    name="dialnexa",
    credentials={"api_key": "key_1:secret", "webhook_secret": ",".join(SECRETS)},
    sign=sign,
    content_type="application/json",
    call_id="call_mfgsn90vwcozgb",
    progress={
        "call-initiated.json": Progress.INITIATED,
        "dotted-initiated.json": Progress.INITIATED,
        "transfer-completed.json": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.json": Outcome.COMPLETED,
        "completed-voicemail.json": Outcome.VOICEMAIL,
        "hangup-user-did-not-pick-up.json": Outcome.NO_ANSWER,
        "hangup-user-busy.json": Outcome.BUSY,
        "hangup-voicemail-detected.json": Outcome.VOICEMAIL,
        "hangup-user-unreachable.json": Outcome.NO_ANSWER,
        "hangup-unallocated-phone-number.json": Outcome.INVALID_NUMBER,
        "hangup-invalid-phone-number.json": Outcome.INVALID_NUMBER,
        "hangup-network-failure.json": Outcome.FAILED,
        "hangup-sip-trunk-unreachable.json": Outcome.FAILED,
        "hangup-unknown.json": Outcome.FAILED,
        "dotted-completed.json": Outcome.COMPLETED,
        "dotted-failed.json": Outcome.FAILED,
        "dotted-no-answer.json": Outcome.NO_ANSWER,
        "dotted-ended-busy.json": Outcome.BUSY,
        "dotted-ended-canceled.json": Outcome.CANCELED,
        "dotted-ended-voicemail.json": Outcome.VOICEMAIL,
    },
    machine=None,
    human=None,
    legs={
        "completed.json": Leg.OUTGOING,
        "leg-inbound.json": Leg.INBOUND,
    },
    contradictory={"hangup-user-busy-after-a-talk.json": Outcome.COMPLETED},
    unknown="unknown.json",
    fault="hangup-sip-auth-failed.json",
    answered_story=("call-initiated.json", "transfer-completed.json", "completed.json"),
    listed=listed,
)
