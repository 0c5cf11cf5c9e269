"""What Plivo's callbacks and call records say: the hangup cause first, then the call's status."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.providers.base import MalformedCallback
from chalicelib.providers.forms import excerpt, instant, scalars, whole_number
from chalicelib.providers.words import call_id_or_none, is_inbound, spelled

#: CallStatus -> how far the call has come (plivo.com/docs/voice/xml/request/call-status)
PROGRESS = {
    "queued": Progress.QUEUED,  # in a call record only
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
}

#: CallStatus -> how the call ended, where the hangup cause does not say
ENDINGS = {
    "completed": Outcome.COMPLETED,  # if it was answered: one page says that every call ends so, answered or not
    "busy": Outcome.BUSY,
    "failed": Outcome.FAILED,
    "timeout": Outcome.NO_ANSWER,  # "while connecting", a carrier's or Plivo's; causes 3070 and 6010 count as it does
    "no-answer": Outcome.NO_ANSWER,
    "cancel": Outcome.CANCELED,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
}

#: HangupCauseCode -> how the call ended. It goes before CallStatus, on which Plivo's pages disagree: hangups with
#: CallStatus=completed carry 3000, 3010 and 6010 too (docs.plivo.com/docs/voice/troubleshooting/hangup-causes)
HANGUP_CAUSES = {
    "1000": Outcome.CANCELED,
    "2000": Outcome.INVALID_NUMBER,
    "2010": Outcome.FAILED,  # "out of service", but also "unavailable", and the advice is to try later
    "2020": Outcome.NO_ANSWER,  # the SIP endpoint is offline, as a phone that is switched off
    "2030": Outcome.DND,  # barred: the country is not among the account's, nor are
    "2040": Outcome.DND,  # premium numbers or
    "2050": Outcome.DND,  # that prefix. The calls to all others go on
    "2060": Outcome.FAILED,  # loop
    "2070": Outcome.FAILED,  # media anchoring, India
    "3000": Outcome.NO_ANSWER,
    "3010": Outcome.BUSY,
    "3020": Outcome.REJECTED,
    "3030": Outcome.FAILED,  # unknown caller id: some carriers refuse what others put through
    "3040": Outcome.DND,  # forbidden
    "3050": Outcome.INVALID_NUMBER,  # unallocated
    "3070": Outcome.NO_ANSWER,
    "3080": Outcome.FAILED,
    "3090": Outcome.FAILED,
    "3100": Outcome.BUSY,
    "3110": Outcome.REJECTED,
    "3120": Outcome.INVALID_NUMBER,  # exists nowhere
    "3130": Outcome.DND,  # blocked as spam
    "4000": Outcome.COMPLETED,
    "4010": Outcome.COMPLETED,
    "4020": Outcome.COMPLETED,
    "4030": Outcome.COMPLETED,
    "5000": Outcome.FAILED,
    "5010": Outcome.FAILED,
    "5020": Outcome.FAILED,
    "6000": Outcome.COMPLETED,  # our own time limit
    "6010": Outcome.NO_ANSWER,  # our own ring timeout
    # Our answer URL or its XML was at fault, after somebody had picked up and heard nothing
    **dict.fromkeys(map(str, (*range(7011, 7015), *range(7022, 7035), *range(8011, 8015))), Outcome.FAILED),
    "9000": Outcome.CANCELED,  # lost race: another of the numbers answered first
    "9100": Outcome.VOICEMAIL,
}

#: HangupCauseCode for which the account is to blame, or its pace; same page
ACCOUNT_FAULTS = frozenset(
    {
        "1010",  # out of credits
        "1020",  # too many dials at once
        "3140",  # our caller id is on the Do Not Originate list, whomever we call
    }
)

#: HangupCauseCode -> the outcome of a call that nobody had answered, for causes that leave that open
UNTOLD = {
    "0": Outcome.FAILED,  # unknown; also set by the API that ends all calls
    "6020": Outcome.FAILED,  # no media; after an answer somebody was there
}

#: Machine -> what detection heard. Without detection, or while it listens, there is no such field
MACHINE = {"true": Amd.MACHINE, "false": Amd.HUMAN}

#: What is kept of a callback as evidence
EVIDENCE = (
    "Event",
    "CallStatus",
    "HangupCause",
    "HangupCauseCode",
    "HangupCauseName",
    "HangupSource",
    "Machine",
    "Duration",
    "BillDuration",
    "SessionStart",
    "StartTime",
    "AnswerTime",
    "EndTime",
    "STIRAttestation",
)

#: The fields of a call record -> those of a hangup callback (docs.plivo.com/docs/voice/api/call/the-call-object)
RECORD_FIELDS = {
    "call_uuid": "CallUUID",
    "from_number": "From",
    "to_number": "To",
    "call_duration": "Duration",
    "bill_duration": "BillDuration",
    "answer_time": "AnswerTime",
    "end_time": "EndTime",
    "hangup_cause_name": "HangupCauseName",
    "hangup_cause_code": "HangupCauseCode",
    "hangup_source": "HangupSource",
}
#: ... and those of a live or queued call -> those of any callback
LIVE_FIELDS = {
    "call_uuid": "CallUUID",
    "from": "From",
    "to": "To",
    "call_status": "CallStatus",
    "session_start": "SessionStart",
}

#: the longest call is one day (time_limit of docs.plivo.com/docs/voice/api/call/make-a-call), and it rings before
_LONGEST = timedelta(hours=25)
_CODE = re.compile(r"[0-9]{1,9}")
_NAMES_ITS_ZONE = re.compile(r".*\d(Z|[+-]\d\d:?\d\d)", re.DOTALL)


def read_event(fields: Mapping[str, str]) -> CallEvent:
    """The event that a callback carries. Raises MalformedCallback where it names no call."""
    call_id = call_id_or_none(_call_uuid(fields))
    if call_id is None:
        raise MalformedCallback("RequestUUID and CallUUID name no call; expected 1 to 128 visible characters")
    kind = spelled(fields.get("Event")) or ""
    status = spelled(fields.get("CallStatus"))
    code = _cause_code(fields)
    has_ended = kind in ("", "hangup") or code is not None
    amd = MACHINE.get(fields.get("Machine", "").strip().lower())
    outcome, fault = _ending(status, code, amd, fields) if has_ended else (None, None)
    return CallEvent(
        event_id=f"{call_id}:{kind}:{status or ''}",
        provider_call_id=call_id,
        status=status,
        progress=PROGRESS.get(status or "") if outcome is None and fault is None and amd is None else None,
        outcome=outcome,
        occurred_at=_occurred_at(fields),
        duration_sec=whole_number(fields.get("Duration")),  # BillDuration is rounded up
        amd=amd,
        cause=f"plivo:{code}" if code and (outcome or fault) else None,
        fault=fault,
        to_number=e164_or_none(fields.get("To")),
        from_number=e164_or_none(fields.get("From")),
        inbound=is_inbound(fields.get("Direction")),
        evidence=excerpt(fields, EVIDENCE),
    )


def ended_event(record: Mapping[str, object]) -> CallEvent | None:
    """A call record as an event; None where the call has not ended yet."""
    raw = scalars(record)
    if not raw.get("end_time") and not raw.get("hangup_cause_code"):
        return None
    fields = {name: raw.get(key, "") for key, name in RECORD_FIELDS.items()}
    event = read_event({**fields, "Event": "Hangup", "CallStatus": "completed"})
    ended_at = instant(fields["EndTime"]) if _NAMES_ITS_ZONE.fullmatch(fields["EndTime"]) else None
    found = f"{event.provider_call_id}:lookup:{fields['HangupCauseCode'][:20]}"
    return replace(event, event_id=found, occurred_at=ended_at, evidence=excerpt(raw, RECORD_FIELDS))


def live_event(record: Mapping[str, object]) -> CallEvent | None:
    """A live or queued call as an event; None where its status says that it is neither."""
    raw = scalars(record)
    fields = {name: raw.get(key, "") for key, name in LIVE_FIELDS.items()}
    event = read_event({**fields, "Event": "Lookup"})
    if event.progress is None:
        return None
    return replace(
        event, event_id=f"{event.provider_call_id}:lookup:{event.status}", evidence=excerpt(raw, LIVE_FIELDS)
    )


def created_at(record: Mapping[str, object]) -> datetime | None:
    """When a call of a list was asked for; None where that cannot be known.

    ``session_start`` of a live call is in UTC. ``initiation_time`` of one that ended is in the console's time zone, and
    only some accounts' records name that. A queued call has neither.
    """
    raw = scalars(record)
    initiated = raw.get("initiation_time", "")
    if _NAMES_ITS_ZONE.fullmatch(initiated):
        return instant(initiated)
    return None if initiated else instant(raw.get("session_start"))


def _call_uuid(fields: Mapping[str, str]) -> str:
    """The id that the answer to our request named, else the call's own. For an outgoing call they are the same.

    A second leg's events name the request of the first one as ALegRequestUUID, so that is never taken for theirs.
    """
    return fields.get("RequestUUID") or fields.get("CallUUID") or ""


def _cause_code(fields: Mapping[str, str]) -> str | None:
    code = fields.get("HangupCauseCode", "").strip()
    return str(int(code)) if _CODE.fullmatch(code) else None


def _ending(
    status: str | None, code: str | None, amd: Amd | None, fields: Mapping[str, str]
) -> tuple[Outcome | None, str | None]:
    """The outcome of a call that has ended, or the account's fault in its place.

    Neither where both cause and status are words that we do not know: a lookup may tell.
    """
    if code in ACCOUNT_FAULTS:
        return None, f"plivo:{code}"
    outcome = HANGUP_CAUSES.get(code or "")
    if outcome is None:
        outcome = ENDINGS.get(status or "") or UNTOLD.get(code or "")
        if outcome is Outcome.COMPLETED and not _was_answered(fields):
            outcome = UNTOLD.get(code or "", Outcome.FAILED)
    if outcome is Outcome.COMPLETED and amd is not None and amd.is_machine:
        return Outcome.VOICEMAIL, None
    return outcome, None


def _was_answered(fields: Mapping[str, str]) -> bool:
    """False where AnswerTime is there and empty. Where it is not there at all, the status must do."""
    return bool(fields.get("AnswerTime", "unsaid").strip())


def _occurred_at(fields: Mapping[str, str]) -> datetime | None:
    """When the event happened, in UTC.

    SessionStart is in UTC. StartTime and EndTime are in the time zone set in the account's console, which they do
    not name, so that only the time between them can be used.
    """
    session_at = instant(fields.get("SessionStart"))
    start, end = instant(fields.get("StartTime")), instant(fields.get("EndTime"))
    if session_at is None or start is None or end is None or not timedelta(0) <= end - start <= _LONGEST:
        return session_at
    try:
        return session_at + (end - start)
    except OverflowError:
        return session_at
