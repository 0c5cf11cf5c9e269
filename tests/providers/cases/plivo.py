"""Plivo, as the conformance suite sees it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta, timezone
from urllib.parse import parse_qsl

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from ops.local.carrier_plivo import signature
from tests.providers.cases import ListedCall, ProviderCase

TOKENS = ("Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIy", "NGRhMDMyYjQ4ZjQ3YTQ4NDI3OGI5ZTU5ZjQw")
#: that of the console
ZONE = timezone(timedelta(hours=5, minutes=30))
NONCE = "05429567804466091622"


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    signed = signature(TOKENS[secret], request.url, NONCE, fields)
    return replace(
        request,
        headers={**request.headers, "X-Plivo-Signature-V3": signed, "X-Plivo-Signature-V3-Nonce": NONCE},
    )


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    if "status=" in url:
        return {"api_id": "1", "calls": []}
    rows = [
        {
            "call_uuid": call.call_id,
            "to_number": call.to_number.removeprefix("+"),
            "from_number": call.from_number,  # records have both spellings
            "call_direction": "inbound" if call.inbound else "outbound",
            "call_duration": 12,
            "answer_time": "2026-01-26 03:00:00+05:30",
            "end_time": "2026-01-26 03:00:12+05:30",
            "initiation_time": call.created_at.astimezone(ZONE).isoformat(" ") if call.created_at else None,
            "hangup_cause_code": 4000,
        }
        for call in calls
    ]
    return {"meta": {"limit": 20, "next": None, "offset": 0, "total_count": len(rows)}, "objects": rows}


CASE = ProviderCase(
    name="plivo",
    credentials={"auth_id": "MAYWJIZTLKODK5NTM3ND", "auth_token": ",".join(TOKENS)},
    sign=sign,
    content_type="application/x-www-form-urlencoded",
    call_id="c7f3a9de-6b54-4f0e-9a51-2f6f0d1c8e11",
    progress={"ringing.form": Progress.RINGING, "in-progress.form": Progress.IN_PROGRESS},
    terminal={
        "completed.form": Outcome.COMPLETED,
        "completed-end-of-xml.form": Outcome.COMPLETED,
        "completed-time-limit.form": Outcome.COMPLETED,
        "completed-by-machine.form": Outcome.VOICEMAIL,
        "machine-detected.form": Outcome.VOICEMAIL,
        "completed-no-answer.form": Outcome.NO_ANSWER,
        "completed-ring-timeout.form": Outcome.NO_ANSWER,
        "completed-busy.form": Outcome.BUSY,
        "busy.form": Outcome.BUSY,
        "no-answer.form": Outcome.NO_ANSWER,
        "no-answer-by-name.form": Outcome.NO_ANSWER,
        "busy-and-no-machine.form": Outcome.BUSY,
        "no-answer-without-cause.form": Outcome.NO_ANSWER,
        "timeout.form": Outcome.NO_ANSWER,
        "rejected.form": Outcome.REJECTED,
        "cancel.form": Outcome.CANCELED,
        "failed.form": Outcome.FAILED,
        "failed-unknown.form": Outcome.FAILED,
        "failed-invalid-destination.form": Outcome.INVALID_NUMBER,
        "failed-unallocated.form": Outcome.INVALID_NUMBER,
        "failed-spam-block.form": Outcome.DND,
        "failed-barred.form": Outcome.DND,
    },
    machine="machine.form",
    human=None,  # detection tells of machines only
    unknown="unknown.form",
    legs={
        "busy.form": Leg.OUTGOING,
        "ringing.form": Leg.OUTGOING,
        "no-answer-by-name.form": Leg.OUTGOING,
        "leg-inbound.form": Leg.INBOUND,
        "leg-with-a-parent.form": Leg.OTHER,
        "leg-b.form": Leg.OTHER,
        "leg-of-a-dial.form": Leg.OTHER,
        "leg-unsaid.form": Leg.UNKNOWN,
        "leg-without-a-request.form": Leg.UNKNOWN,
    },
    contradictory={
        "failed-5000-after-a-talk.form": Outcome.COMPLETED,
        "failed-3080-after-a-talk.form": Outcome.COMPLETED,
        "failed-3090-after-a-talk.form": Outcome.COMPLETED,
        "failed-answer-url.form": Outcome.COMPLETED,  # they were rung, and a redial would meet the same URL
        "account-fault-after-a-talk.form": Outcome.COMPLETED,
        "busy-after-a-machine.form": Outcome.VOICEMAIL,
    },
    fault="account-fault.form",
    answered_story=("ringing.form", "in-progress.form", "completed.form"),
    listed=listed,
)
