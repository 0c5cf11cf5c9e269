"""Telnyx, as the conformance suite sees it."""

from collections.abc import Sequence
from dataclasses import replace

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from ops.local.carrier_telnyx import public_key, signature
from tests.providers.cases import NOW, ListedCall, ProviderCase

SEEDS = (bytes(range(32)), bytes(range(32, 64)))


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    timestamp = str(int(NOW.timestamp()))
    signed = signature(SEEDS[secret], timestamp, request.body)
    headers = {"telnyx-timestamp": timestamp, "telnyx-signature-ed25519": signed}
    return replace(request, headers={**request.headers, **headers})


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    if "active_calls" in url:
        return {"data": [], "meta": {"cursors": {"after": None}}}
    if "call.initiated" not in url:
        hung_up = {"name": "call.hangup", "event_timestamp": NOW.isoformat()}
        ended = {"payload": {"hangup_cause": "normal_clearing", "sip_hangup_cause": "200"}}
        return {"data": [{**hung_up, "call_leg_id": call.call_id, "metadata": ended} for call in calls]}
    rows = [
        {
            "name": "call.initiated",
            "call_leg_id": call.call_id,
            "event_timestamp": call.created_at.isoformat() if call.created_at else None,
            "metadata": {
                "payload": {
                    "to": call.to_number,
                    "from": call.from_number,
                    "direction": "incoming" if call.inbound else "outgoing",
                }
            },
        }
        for call in calls
    ]
    return {"data": rows, "meta": {"total_pages": 1, "total_results": len(rows), "page_number": 1, "page_size": 50}}


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
    legs={
        "initiated.json": Leg.OUTGOING,
        "answered.json": Leg.UNKNOWN,
        "leg-inbound.json": Leg.INBOUND,
    },
    contradictory={"hangup-timeout-after-an-answer.json": Outcome.COMPLETED},
    unknown="unknown-event.json",
    fault="hangup-account-fault.json",
    replay_sec=300,
    answered_story=("initiated.json", "answered.json", "human.json", "hangup-normal-clearing.json"),
    listed=listed,
)
