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
from chalicelib.providers.forms import excerpt, instant, scalars, whole_number
from chalicelib.providers.words import call_id_or_none, leg_of, spelled

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
    # Our answer URL or its XML was at fault; after somebody had picked up, the answer counts and not this cause
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

#: What a hangup calls its cause, in lower case with hyphens -> HangupCauseCode, for hangups that name no code. First
#: the names of Plivo's page (HangupCauseName), then FreeSWITCH's, which HangupCause has (Q.850).
CAUSE_NAMES = {
    "unknown": "0",
    "cancelled": "1000",
    "canceled": "1000",
    "cancelled-out-of-credits": "1010",
    "out-of-credits": "1010",
    "cancelled-simultaneous-dial-limit-reached": "1020",
    "simultaneous-dial-limit-reached": "1020",
    "simultaneous-dial-limit": "1020",
    "invalid-destination-address": "2000",
    "invalid-destination": "2000",
    "destination-out-of-service": "2010",
    "endpoint-not-registered": "2020",
    "destination-country-barred": "2030",
    "country-barred": "2030",
    "destination-number-barred": "2040",
    "number-barred": "2040",
    "destination-prefix-barred": "2050",
    "prefix-barred": "2050",
    "loop-detected": "2060",
    "loop": "2060",
    "media-anchoring": "2070",
    "no-answer": "3000",
    "busy-line": "3010",
    "busy": "3010",
    "rejected": "3020",
    "unknown-caller-id": "3030",
    "forbidden": "3040",
    "unallocated-number": "3050",
    "request-timeout": "3070",
    "internal-server-error-from-carrier": "3080",
    "carrier-internal-error": "3080",
    "network-congestion-from-carrier": "3090",
    "carrier-congestion": "3090",
    "busy-everywhere": "3100",
    "declined": "3110",
    "user-does-not-exist-anywhere": "3120",
    "spam-block": "3130",
    "dno-caller-id": "3140",
    "normal-hangup": "4000",
    "end-of-xml-instructions": "4010",
    "network-error": "5000",
    "internal-error": "5010",
    "routing-error": "5020",
    "scheduled-hangup": "6000",
    "ring-timeout-reached": "6010",
    "ring-timeout": "6010",
    "media-timeout": "6020",
    "error-reaching-answer-url": "7011",
    "lost-race": "9000",
    "machine-detected": "9100",
    "originator-cancel": "1000",
    "invalid-number-format": "2000",
    "number-changed": "2000",
    "no-route-destination": "2000",
    "destination-out-of-order": "2010",
    "user-not-registered": "2020",
    "subscriber-absent": "2020",
    "outgoing-call-barred": "2040",
    "incoming-call-barred": "2040",
    "no-user-response": "3000",
    "user-busy": "3010",
    "call-rejected": "3020",
    "recovery-on-timer-expire": "3070",
    "progress-timeout": "3070",
    "normal-temporary-failure": "3080",
    "service-unavailable": "3080",
    "normal-circuit-congestion": "3090",
    "switch-congestion": "3090",
    "unwanted": "3130",
    "normal-clearing": "4000",
    "network-out-of-order": "5000",
    "exchange-routing-error": "5020",
    "allotted-timeout": "6000",
    "lose-race": "9000",
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
_SEPARATORS = re.compile(r"[^a-z0-9]+")
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
    if has_ended and amd is Amd.HUMAN and not _says_that_it_was_answered(fields):
        amd = None  # "no machine" is no person on a call that nobody answered
    outcome, fault = _ending(status, code, fields) if has_ended else (None, None)
    if (outcome or fault) and (amd is not None or _was_talked(fields)):
        outcome, fault = weighed(outcome or Outcome.FAILED, answered=True, amd=amd), None
    code = code or _named_code(fields)
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
    """The leg that a callback is about: a program's call has a request of its own, or is its own first leg.

    ``<Dial>`` makes second legs. Their events name the first one, and those of the ``<Dial>`` itself begin so.
    """
    call, first = fields.get("CallUUID"), fields.get("ALegUUID")
    of_a_dial = any(name.startswith("Dial") for name in fields) or (fields.get("Event") or "").startswith("Dial")
    if fields.get("ParentCallUUID") or of_a_dial or (call and first and call != first):
        return Leg.OTHER
    leg = leg_of(fields.get("Direction"))
    is_known = leg is not Leg.OUTGOING or bool(fields.get("RequestUUID")) or first is not None
    return leg if is_known else Leg.UNKNOWN


def _cause_code(fields: Mapping[str, str]) -> str | None:
    code = fields.get("HangupCauseCode", "").strip()
    return str(int(code)) if _CODE.fullmatch(code) else None


def _named_code(fields: Mapping[str, str]) -> str | None:
    """The code of the cause that the hangup names, in any spelling; None for a name that we do not know."""
    names = (_SEPARATORS.sub("-", fields.get(key, "").lower()).strip("-") for key in ("HangupCauseName", "HangupCause"))
    return next((CAUSE_NAMES[name] for name in names if name in CAUSE_NAMES), None)


def _ending(status: str | None, code: str | None, fields: Mapping[str, str]) -> tuple[Outcome | None, str | None]:
    """The outcome of a call that has ended, or the account's fault in its place.

    Neither where both cause and status are words that we do not know: a lookup may tell.
    """
    named = code or _named_code(fields)
    if named in ACCOUNT_FAULTS:
        return None, f"plivo:{named}"
    outcome = HANGUP_CAUSES.get(named or "")
    stated = ENDINGS.get(status or "")
    if outcome is None or (code is None and outcome is Outcome.COMPLETED):
        # Without a code, a normal hangup says no more than the status.
        outcome = stated or outcome or UNTOLD.get(named or "")
        if outcome is Outcome.COMPLETED and not _was_answered(fields):
            outcome = UNTOLD.get(named or "", Outcome.FAILED)
    return outcome, None


def _was_answered(fields: Mapping[str, str]) -> bool:
    """False where AnswerTime is there and empty. Where it is not there at all, the status must do."""
    return bool(fields.get("AnswerTime", "unsaid").strip())


def _says_that_it_was_answered(fields: Mapping[str, str]) -> bool:
    return bool(fields.get("AnswerTime", "").strip())


def _was_talked(fields: Mapping[str, str]) -> bool:
    """True for an answer time with a duration, and for a billed duration, which only an answered call has.

    Never where the answer time is there and empty.
    """
    if _says_that_it_was_answered(fields) and whole_number(fields.get("Duration")):
        return True
    return _was_answered(fields) and bool(whole_number(fields.get("BillDuration")))


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
