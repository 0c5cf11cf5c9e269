"""The meaning of Plivo's callbacks and call records.

The hangup cause goes before the call's status.
"""

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
from chalicelib.providers.plivo_causes import ACCOUNT_FAULTS, UNANSWERED, Cause, cause_in
from chalicelib.providers.words import call_id_or_none, leg_of, spelled, whole_seconds

#: The progress of a call by CallStatus (plivo.com/docs/voice/xml/request/call-status)
PROGRESS = {
    "queued": Progress.QUEUED,  # in a call record only
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
    "answered": Progress.IN_PROGRESS,
}

#: The outcome of a call by CallStatus, if the hangup cause does not say
ENDINGS = {
    "completed": Outcome.COMPLETED,  # if it was answered: one page says that every call ends so, answered or not
    "busy": Outcome.BUSY,
    "failed": Outcome.FAILED,
    "timeout": Outcome.NO_ANSWER,  # "while connecting", a carrier's or Plivo's; causes 3070 and 6010 count the same
    "no-answer": Outcome.NO_ANSWER,
    "cancel": Outcome.CANCELED,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
}

#: The AMD result by Machine. Without AMD, or while AMD runs, the field is missing.
MACHINE = {"true": Amd.MACHINE, "false": Amd.HUMAN}

#: The fields of a callback that are kept as evidence
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

#: The hangup callback's field for each field of a call record (docs.plivo.com/docs/voice/api/call/the-call-object)
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
#: The callback's field for each field of a live or queued call
LIVE_FIELDS = {
    "call_uuid": "CallUUID",
    "from": "From",
    "to": "To",
    "call_status": "CallStatus",
    "session_start": "SessionStart",
}

#: The longest time from StartTime to EndTime. The longest call is one day (time_limit of
#: docs.plivo.com/docs/voice/api/call/make-a-call), after the ringing.
_MAX_LENGTH = timedelta(hours=25)
_NAMES_ITS_ZONE = re.compile(r".*\d(Z|[+-]\d\d:?\d\d)", re.DOTALL)


def read_event(fields: Mapping[str, str]) -> CallEvent:
    """Return the event of a callback. Raises MalformedCallback if it names no call."""
    call_id = call_id_or_none(_call_uuid(fields))
    if call_id is None:
        raise MalformedCallback("RequestUUID and CallUUID name no call; expected 1 to 128 visible characters")
    kind = spelled(fields.get("Event")) or ""
    status = spelled(fields.get("CallStatus"))
    cause = cause_in(fields)
    has_ended = kind in ("", "hangup") or bool(fields.get("HangupCauseCode", "").strip())
    amd = MACHINE.get(fields.get("Machine", "").strip().lower())
    if has_ended and amd is Amd.HUMAN and not _says_that_it_was_answered(fields):
        amd = None  # "not an answering machine" is not a person on a call that nobody answered
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
    """Return a call record as an event; None if the call has not ended yet."""
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
    """Return a live or queued call as an event; None if its status is neither."""
    raw = scalars(record)
    fields = {name: raw.get(key, "") for key, name in LIVE_FIELDS.items()}
    event = read_event({**fields, "Event": "Lookup"})
    if event.progress is None:
        return None
    leg = leg_of(raw.get("direction"), raw.get("parent_call_uuid"))
    found = f"{event.provider_call_id}:lookup:{event.status}"
    return replace(event, event_id=found, leg=leg, evidence=excerpt(raw, LIVE_FIELDS))


def created_at(record: Mapping[str, object]) -> datetime | None:
    """Return the time at which a call of a list was asked for; None if it is unknown.

    ``session_start`` of a live call is in UTC. ``initiation_time`` of a call that has ended is in the console's time
    zone, and only some accounts' records name that zone. A queued call has neither.
    """
    raw = scalars(record)
    initiated = raw.get("initiation_time", "")
    if _NAMES_ITS_ZONE.fullmatch(initiated):
        return instant(initiated)
    return None if initiated else instant(raw.get("session_start"))


def _call_uuid(fields: Mapping[str, str]) -> str:
    """Return the id in the answer to our request, else the call's own.

    For an outgoing call the two are the same. A second leg's events name the request of the first leg as
    ALegRequestUUID, so that field never counts.
    """
    return fields.get("RequestUUID") or fields.get("CallUUID") or ""


def _leg(fields: Mapping[str, str]) -> Leg:
    """Return the leg that a callback is about.

    A program's call has a request of its own, or is its own first leg. ``<Dial>`` makes second legs. Their events name
    the first leg, and the events of the ``<Dial>`` itself have fields or an Event that begin with Dial.
    """
    call, first = fields.get("CallUUID"), fields.get("ALegUUID")
    of_a_dial = any(name.startswith("Dial") for name in fields) or (fields.get("Event") or "").startswith("Dial")
    if fields.get("ParentCallUUID") or of_a_dial or (call and first and call != first):
        return Leg.OTHER
    leg = leg_of(fields.get("Direction"))
    is_known = leg is not Leg.OUTGOING or bool(fields.get("RequestUUID")) or first is not None
    return leg if is_known else Leg.UNKNOWN


def _ending(status: str | None, cause: Cause, fields: Mapping[str, str]) -> tuple[Outcome | None, str | None]:
    """Return the outcome of a call that has ended, or else the account's fault.

    Both are None if cause and status are unknown words: a lookup may say more.
    """
    code = cause.code or ""
    if code in ACCOUNT_FAULTS:
        return None, f"plivo:{code}"
    outcome = cause.outcome
    if outcome is None or (cause.is_named and outcome is Outcome.COMPLETED):
        # Without a code, a normal hangup says no more than the status.
        outcome = ENDINGS.get(status or "") or outcome or UNANSWERED.get(code)
        if outcome is Outcome.COMPLETED and not _was_answered(fields):
            outcome = UNANSWERED.get(code, Outcome.FAILED)
    return outcome, None


def _was_answered(fields: Mapping[str, str]) -> bool:
    """Return False if AnswerTime is there and empty.

    Without AnswerTime the status decides, so the result is True.
    """
    return bool(fields.get("AnswerTime", "unsaid").strip())


def _says_that_it_was_answered(fields: Mapping[str, str]) -> bool:
    return bool(fields.get("AnswerTime", "").strip())


def _was_talked(fields: Mapping[str, str]) -> bool:
    """Return True if the fields prove a conversation.

    An answer time with a duration proves it, and so does a billed duration, which only an answered call has. Nothing
    proves it if the answer time is there and empty.
    """
    if _says_that_it_was_answered(fields) and whole_seconds(fields.get("Duration")):
        return True
    return _was_answered(fields) and bool(whole_seconds(fields.get("BillDuration")))


def _occurred_at(fields: Mapping[str, str]) -> datetime | None:
    """Return the time of the event in UTC.

    SessionStart is in UTC. StartTime and EndTime are in the time zone of the account's console. They do not name the
    zone, so only the difference between them is usable.
    """
    session_at = instant(fields.get("SessionStart"))
    start, end = instant(fields.get("StartTime")), instant(fields.get("EndTime"))
    if session_at is None or start is None or end is None or not timedelta(0) <= end - start <= _MAX_LENGTH:
        return session_at
    try:
        return session_at + (end - start)
    except OverflowError:
        return session_at
