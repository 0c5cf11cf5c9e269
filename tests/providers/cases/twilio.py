"""Twilio's rows of the conformance matrix, signed with Twilio's own library."""

from collections.abc import Sequence
from dataclasses import replace
from email.utils import format_datetime
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator

from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import CallbackRequest
from tests.providers.cases import ListedCall, ProviderCase

#: a callback that Twilio sent
BUSY_BODY = (
    b"Called=%2B441111111111&ToState=&CallerCountry=US&Direction=outbound-api"
    b"&Timestamp=Wed%2C+08+Oct+2025+13%3A54%3A12+%2B0000&CallbackSource=call-progress-events"
    b"&SipResponseCode=487&CallerState=WA&ToZip=&SequenceNumber=2&CallSid=CA8367245817625617832576245724"
    b"&To=%2B441111111111&CallerZip=98631&ToCountry=GB&CalledZip=&ApiVersion=2010-04-01&CalledCity="
    b"&CallStatus=busy&Duration=0&From=%2B11111111111&CallDuration=0&AccountSid=AC37682153267845716245762454a"
    b"&CalledCountry=GB&CallerCity=RAYMOND&ToCity=&FromCountry=US&Caller=%2B11111111111&FromCity=RAYMOND"
    b"&CalledState=&FromZip=12345&FromState=WA"
)
TOKENS = ("primary-auth-token", "secondary-auth-token")


def sign(request: CallbackRequest, secret: int) -> CallbackRequest:
    params = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
    signature = RequestValidator(TOKENS[secret]).compute_signature(request.url, params)
    return replace(request, headers={**request.headers, "X-Twilio-Signature": signature})


def listed(url: str, calls: Sequence[ListedCall]) -> object:
    rows = [
        {
            "sid": call.call_id,
            "to": call.to_number,
            "from": call.from_number,
            "status": "completed",
            "direction": "inbound" if call.inbound else "outbound-api",
            "duration": "12",
            "date_created": format_datetime(call.created_at) if call.created_at else None,
        }
        for call in calls
    ]
    return {"calls": rows, "next_page_uri": None}


CASE = ProviderCase(
    name="twilio",
    credentials={"account_sid": "AC0123456789abcdef0123456789abcdef", "auth_token": ",".join(TOKENS)},
    sign=sign,
    content_type="application/x-www-form-urlencoded; charset=UTF-8",
    call_id="CA0123456789abcdef0123456789abcdef",
    progress={
        "queued.txt": Progress.QUEUED,
        "initiated.txt": Progress.INITIATED,
        "ringing.txt": Progress.RINGING,
        "in-progress.txt": Progress.IN_PROGRESS,
    },
    terminal={
        "completed.txt": Outcome.COMPLETED,
        "completed-by-machine.txt": Outcome.VOICEMAIL,
        "completed-by-fax.txt": Outcome.VOICEMAIL,
        "busy.txt": Outcome.BUSY,
        "no-answer.txt": Outcome.NO_ANSWER,
        "canceled.txt": Outcome.CANCELED,
        "failed.txt": Outcome.FAILED,
        "failed-unallocated.txt": Outcome.INVALID_NUMBER,
        "failed-declined.txt": Outcome.REJECTED,
        "failed-unavailable.txt": Outcome.NO_ANSWER,
        "failed-blocked.txt": Outcome.DND,
    },
    machine="machine.txt",
    human="human.txt",
    unknown="unknown.txt",
    legs={
        "busy.txt": Leg.OUTGOING,
        "initiated.txt": Leg.OUTGOING,
        "machine.txt": Leg.UNKNOWN,
        "leg-inbound.txt": Leg.INBOUND,
        "leg-of-a-dial.txt": Leg.OTHER,
        "leg-with-a-parent.txt": Leg.OTHER,
        "leg-of-a-trunk.txt": Leg.OTHER,
        "leg-unsaid.txt": Leg.UNKNOWN,
    },
    contradictory={
        "busy-after-a-talk.txt": Outcome.COMPLETED,
        "failed-after-a-person.txt": Outcome.COMPLETED,
        "failed-concurrency-after-a-talk.txt": Outcome.COMPLETED,
        "no-answer-after-a-machine.txt": Outcome.VOICEMAIL,
    },
    fault="failed-concurrency.txt",
    answered_story=("initiated.txt", "ringing.txt", "in-progress.txt", "human.txt", "completed.txt"),
    listed=listed,
)
