"""Exotel's row of the conformance suite: unsigned, in three encodings."""

from collections.abc import Sequence
from datetime import timedelta, timezone

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from tests.providers.cases import ListedCall, ProviderCase

INDIA = timezone(timedelta(hours=5, minutes=30))


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    rows = [
        {
            "Sid": call.call_id,
            "From": call.to_number,  # who is called first, and to a flow there is no second
            "To": call.from_number,
            "PhoneNumberSid": call.from_number,
            "Status": "completed",
            "Direction": "inbound" if call.inbound else "outbound-api",
            "DateCreated": f"{call.created_at.astimezone(INDIA):%Y-%m-%d %H:%M:%S}" if call.created_at else None,
            "Duration": "12",
        }
        for call in calls
    ]
    if "/Calls.json?" in url:
        return {"Metadata": {"Total": len(rows), "PageSize": 100, "NextPageUri": None}, "Calls": rows}
    return {"Call": next(row for row in rows if f"/Calls/{row['Sid']}.json" in url)}


CASE = ProviderCase(
    name="exotel",
    credentials={"account_sid": "acme1", "api_key": "key", "api_token": "token", "allowed_ips": "203.0.113.0/24"},
    sign=lambda request, secret: request,
    content_type="application/json",
    call_id="80bfbec2d78bbbf10fb851f4fa165211",
    progress={
        "queued.json": Progress.QUEUED,
        "in-progress.json": Progress.INITIATED,
        "ringing.json": Progress.RINGING,
        "answered.json": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.json": Outcome.COMPLETED,
        "completed-bare.json": Outcome.COMPLETED,
        "completed-notsure.json": Outcome.COMPLETED,
        "campaign-completed.json": Outcome.COMPLETED,
        "completed-machine.json": Outcome.VOICEMAIL,
        "completed-two-numbers-unanswered.json": Outcome.NO_ANSWER,
        "busy.json": Outcome.BUSY,
        "busy.form": Outcome.BUSY,
        "no-answer.json": Outcome.NO_ANSWER,
        "no-answer.multipart": Outcome.NO_ANSWER,
        "failed.json": Outcome.FAILED,
        "failed-leg-canceled.json": Outcome.CANCELED,
        "canceled.json": Outcome.CANCELED,
        "from-leg-unanswered.json": Outcome.NO_ANSWER,
        "to-leg-unanswered.json": Outcome.NO_ANSWER,
        "from-leg-cancelled.json": Outcome.CANCELED,
        "from-leg-no-dial.json": Outcome.ERROR,
        "to-leg-no-dial.json": Outcome.ERROR,
    },
    machine=None,
    human=None,
    legs={
        "completed.json": Leg.OUTGOING,
        "leg-inbound.json": Leg.INBOUND,
    },
    contradictory={"no-answer-after-a-talk.json": Outcome.COMPLETED},
    unknown="unknown.json",
    signed=False,
    answered_story=("answered.json", "completed.json"),
    listed=listed,
)
