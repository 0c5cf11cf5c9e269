"""Bolna's row of the conformance suite: unsigned executions in JSON."""

from collections.abc import Sequence

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from tests.providers.cases import ListedCall, ProviderCase


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    rows = [
        {
            "id": call.call_id,
            "status": "completed",
            "conversation_duration": 12,
            "created_at": call.created_at.isoformat() if call.created_at else None,
            "telephony_data": {
                "provider": "plivo",
                "to_number": call.to_number,
                "from_number": call.from_number,
                "call_type": "inbound" if call.inbound else "outbound",
            },
        }
        for call in calls
    ]
    return {"page_number": 1, "page_size": 50, "total": len(rows), "has_more": False, "data": rows}


CASE = ProviderCase(
    name="bolna",
    credentials={"api_key": "bn-key", "allowed_ips": "203.0.113.7, 2001:db8::/32"},
    sign=lambda request, secret: request,
    content_type="application/json",
    call_id="7e8391e5-0f1d-4d3b-9c55-dfe255c71848",
    progress={
        "scheduled.json": Progress.QUEUED,
        "queued.json": Progress.QUEUED,
        "rescheduled.json": Progress.QUEUED,
        "initiated.json": Progress.INITIATED,
        "ringing.json": Progress.RINGING,
        "in-progress.json": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.json": Outcome.COMPLETED,
        "completed-string-duration.json": Outcome.COMPLETED,
        "completed-inactivity.json": Outcome.COMPLETED,
        "completed-voicemail.json": Outcome.VOICEMAIL,
        "completed-busy.json": Outcome.BUSY,
        "completed-unanswered.json": Outcome.NO_ANSWER,
        "completed-timed-out.json": Outcome.NO_ANSWER,
        "completed-no-conversation.json": Outcome.NO_ANSWER,
        "completed-invalid.json": Outcome.INVALID_NUMBER,
        "completed-rejected.json": Outcome.REJECTED,
        "completed-declined.json": Outcome.REJECTED,
        "completed-congestion.json": Outcome.FAILED,
        "completed-canceled.json": Outcome.CANCELED,
        "busy.json": Outcome.BUSY,
        "busy-rejected.json": Outcome.REJECTED,
        "no-answer.json": Outcome.NO_ANSWER,
        "failed.json": Outcome.FAILED,
        "failed-invalid.json": Outcome.INVALID_NUMBER,
        "canceled.json": Outcome.CANCELED,
        "stopped.json": Outcome.CANCELED,
        "error.json": Outcome.ERROR,
    },
    machine="call-disconnected-voicemail.json",
    human=None,
    legs={
        "completed.json": Leg.OUTGOING,
        "leg-inbound.json": Leg.INBOUND,
    },
    contradictory={"busy-after-a-talk.json": Outcome.COMPLETED},
    unknown="unknown.json",
    fault="balance-low.json",
    signed=False,
    answered_story=("ringing.json", "in-progress.json", "call-disconnected.json", "completed.json"),
    listed=listed,
)
