"""What Plivo's callbacks and call records say: the hangup cause first, then the call's status."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.providers.base import MalformedCallback
from chalicelib.providers.forms import excerpt, instant, scalars
from chalicelib.providers.plivo_causes import ACCOUNT_FAULTS, UNTOLD, Cause, cause_in
from chalicelib.providers.words import call_id_or_none, leg_of, spelled, whole_seconds

#: CallStatus -> how far the call has come (plivo.com/docs/voice/xml/request/call-status)
PROGRESS = {
    "queued": Progress.QUEUED,  # in a call record only
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
    "answered": Progress.IN_PROGRESS,
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
_MAX_LENGTH = timedelta(hours=25)
_NAMES_ITS_ZONE = re.compile(r".*\d(Z|[+-]\d\d:?\d\d)", re.DOTALL)


def read_event(fields: Mapping[str, str]) -> CallEvent:
    """The event that a callback carries. Raises MalformedCallback where it names no call."""
    call_id = call_id_or_none(_call_uuid(fields))
    if call_id is None:
        raise MalformedCallback("RequestUUID and CallUUID name no call; expected 1 to 128 visible characters")
    kind = spelled(fields.get("Event")) or ""
    status = spelled(fields.get("CallStatus"))
    cause = cause_in(fields)
    has_ended = kind in ("", "hangup") or bool(fields.get("HangupCauseCode", "").strip())
    amd = MACHINE.get(fields.get("Machine", "").strip().lower())
    if has_ended and amd is Amd.HUMAN and not _says_that_it_was_answered(fields):
        amd = None  # "no machine" is no person on a call that nobody answered
    outcome, fault = _ending(status, cause, fields) if has_ended else (None, None)
    if (outcome or fault) and (amd is not None or _was_talked(fields)):
        outcome, fault = weighed(outcome or Outcome.FAILED, answered=True, amd=amd), None
    return CallEvent(
        event_id=f"{call_id}:{kind}:{status or ''}",
        provider_call_id=call_id,
        status=status,
        progress=PROGRESS.get(status or "") if outcome is None and fault is None and amd is None else None,
        outcome=outcome,
        occurred_at=_occurred_at(fields),
        duration_sec=whole_seconds(fields.get("Duration")),  # BillDuration is rounded up
        amd=amd,
        cause=f"plivo:{cause.code}" if cause.code and (outcome or fault) else None,
        fault=fault,
        to_number=e164_or_none(fields.get("To")),
        from_number=e164_or_none(fields.get("From")),
        leg=_leg(fields),
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
    leg = leg_of(raw.get("call_direction"), raw.get("parent_call_uuid"))
    return replace(event, event_id=found, occurred_at=ended_at, leg=leg, evidence=excerpt(raw, RECORD_FIELDS))


def live_event(record: Mapping[str, object]) -> CallEvent | None:
    """A live or queued call as an event; None where its status says that it is neither."""
    raw = scalars(record)
    fields = {name: raw.get(key, "") for key, name in LIVE_FIELDS.items()}
    event = read_event({**fields, "Event": "Lookup"})
    if event.progress is None:
        return None
    leg = leg_of(raw.get("direction"), raw.get("parent_call_uuid"))
    found = f"{event.provider_call_id}:lookup:{event.status}"
    return replace(event, event_id=found, leg=leg, evidence=excerpt(raw, LIVE_FIELDS))


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


def _leg(fields: Mapping[str, str]) -> Leg:
    """Return the leg that a callback is about: a program's call has a request of its own, or is its own first leg.

    ``<Dial>`` makes second legs. Their events name the first one, and those of the ``<Dial>`` itself begin so.
    """
    call, first = fields.get("CallUUID"), fields.get("ALegUUID")
    of_a_dial = any(name.startswith("Dial") for name in fields) or (fields.get("Event") or "").startswith("Dial")
    if fields.get("ParentCallUUID") or of_a_dial or (call and first and call != first):
        return Leg.OTHER
    leg = leg_of(fields.get("Direction"))
    is_known = leg is not Leg.OUTGOING or bool(fields.get("RequestUUID")) or first is not None
    return leg if is_known else Leg.UNKNOWN


def _ending(status: str | None, cause: Cause, fields: Mapping[str, str]) -> tuple[Outcome | None, str | None]:
    """The outcome of a call that has ended, or the account's fault in its place.

    Neither where both cause and status are words that we do not know: a lookup may tell.
    """
    code = cause.code or ""
    if code in ACCOUNT_FAULTS:
        return None, f"plivo:{code}"
    outcome = cause.outcome
    if outcome is None or (cause.is_named and outcome is Outcome.COMPLETED):
        # Without a code, a normal hangup says no more than the status.
        outcome = ENDINGS.get(status or "") or outcome or UNTOLD.get(code)
        if outcome is Outcome.COMPLETED and not _was_answered(fields):
            outcome = UNTOLD.get(code, Outcome.FAILED)
    return outcome, None


def _was_answered(fields: Mapping[str, str]) -> bool:
    """False where AnswerTime is there and empty. Where it is not there at all, the status must do."""
    return bool(fields.get("AnswerTime", "unsaid").strip())


def _says_that_it_was_answered(fields: Mapping[str, str]) -> bool:
    return bool(fields.get("AnswerTime", "").strip())


def _was_talked(fields: Mapping[str, str]) -> bool:
    """Return True for an answer time with a duration, and for a billed duration, which only an answered call has.

    Never where the answer time is there and empty.
    """
    if _says_that_it_was_answered(fields) and whole_seconds(fields.get("Duration")):
        return True
    return _was_answered(fields) and bool(whole_seconds(fields.get("BillDuration")))


def _occurred_at(fields: Mapping[str, str]) -> datetime | None:
    """When the event happened, in UTC.

    SessionStart is in UTC. StartTime and EndTime are in the time zone set in the account's console, which they do
    not name, so that only the time between them can be used.
    """
    session_at = instant(fields.get("SessionStart"))
    start, end = instant(fields.get("StartTime")), instant(fields.get("EndTime"))
    if session_at is None or start is None or end is None or not timedelta(0) <= end - start <= _MAX_LENGTH:
        return session_at
    try:
        return session_at + (end - start)
    except OverflowError:
        return session_at
