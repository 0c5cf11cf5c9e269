"""The meaning of Telnyx's Call Control events, TeXML callbacks and refusals.

A refusal is about the number called, or blames the account.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.providers.base import MalformedCallback
from chalicelib.providers.cxml import EVIDENCE as CXML_EVIDENCE
from chalicelib.providers.cxml import UNREACHED, Vocabulary
from chalicelib.providers.cxml import read_event as read_cxml_event
from chalicelib.providers.finding import Wanted
from chalicelib.providers.forms import excerpt, instant, scalars
from chalicelib.providers.q850 import outcome_of_cause
from chalicelib.providers.sip import outcome_of_sip
from chalicelib.providers.words import call_id_or_none, is_inbound, leg_of, spelled

#: The progress of a call by event_type (developers.telnyx.com/docs/voice/programmable-voice/voice-api-webhooks). All
#: underscores are dots here, because version 1 has underscores only.
PROGRESS = {
    "call.initiated": Progress.INITIATED,
    "call.answered": Progress.IN_PROGRESS,
    "call.bridged": Progress.IN_PROGRESS,
    # A key was pressed, or an assistant has talked. Both happen on an answered call only.
    "call.dtmf.received": Progress.IN_PROGRESS,
    "call.conversation.ended": Progress.IN_PROGRESS,
    "call.conversation.insights.generated": Progress.IN_PROGRESS,
    "call.ai.gather.ended": Progress.IN_PROGRESS,
}

#: The end of a gathering of digits. ``digits`` are the pressed ones, if any.
GATHERED = "call.gather.ended"

#: The outcome by call.hangup's hangup_cause (developers.telnyx.com/api-reference/callbacks/call-hangup). For
#: ``unspecified`` and words that are not here, the SIP code decides.
HANGUP_CAUSES = {
    "normal_clearing": Outcome.COMPLETED,
    "time_limit": Outcome.COMPLETED,  # our own time_limit_secs, counted from the answer
    "call_rejected": Outcome.REJECTED,
    "originator_cancel": Outcome.CANCELED,
    "timeout": Outcome.NO_ANSWER,  # our own timeout_secs
    "no_answer": Outcome.NO_ANSWER,  # the same, if retry_on_timeout is false
    "user_busy": Outcome.BUSY,
    "not_found": Outcome.INVALID_NUMBER,
    "busy": Outcome.BUSY,  # seen in events, but not documented, like the names of Q.850 below
}

#: The words for a regular end, seen in events and not documented. A SIP failure beside them says that nobody answered.
#: Without a SIP failure they count like normal_clearing: one call too few is better than to call a person twice.
REGULAR_ENDS = frozenset({"normal", "user_hangup"})

#: The hangup causes that never come from a refusal of Telnyx's
NOT_REFUSED = ("normal_clearing", "time_limit", "originator_cancel")

#: The AMD result by event_type and result. The two greeting events come only after AMD has found an answering machine,
#: so every result confirms it (team-telnyx/knowledge-base, answering-machine-detection).
DETECTIONS = {
    "call.machine.detection.ended": {
        "human": Amd.HUMAN,
        "machine": Amd.MACHINE,
        "not_sure": Amd.UNKNOWN,  # "treat as human"
    },
    "call.machine.greeting.ended": {
        "beep_detected": Amd.MACHINE,
        "ended": Amd.MACHINE,
        "not_sure": Amd.MACHINE,  # not sure when the greeting ended
    },
    "call.machine.premium.detection.ended": {
        "human_residence": Amd.HUMAN,
        "human_business": Amd.HUMAN,
        "machine": Amd.MACHINE,
        "fax_detected": Amd.FAX,
        "silence": Amd.UNKNOWN,
        "not_sure": Amd.UNKNOWN,
    },
    "call.machine.premium.greeting.ended": {
        "beep_detected": Amd.MACHINE,
        "no_beep_detected": Amd.MACHINE,
    },
}

#: The outcome by Telnyx's own reason for a refusal, for the reasons that are about the number called. They end the text
#: of an error or SIP reason, as in "403 Dialed number is not included in whitelisted countries D13"
#: (developers.telnyx.com/docs/voice/sip-trunking/troubleshooting/response-codes).
NUMBER_REASONS = {
    "D13": Outcome.ERROR,  # its country is not enabled; that must not stop the calls to other countries
    "D24": Outcome.ERROR,  # a call there costs more a minute than the profile allows
    "D40": Outcome.FAILED,  # 404, but the number exists: there is no route to it now
    "D41": Outcome.ERROR,  # its prefix is forbidden, against fraud
    "D59": Outcome.INVALID_NUMBER,  # a special or short number of another region
    "PE1": Outcome.FAILED,  # no routes, and so on to PE6
    "PE2": Outcome.FAILED,
    "PE3": Outcome.FAILED,
    "PE4": Outcome.FAILED,
    "PE5": Outcome.FAILED,
    "PE6": Outcome.FAILED,
    "TM1": Outcome.ERROR,  # Telnyx has no rates for the prefix
    "TV1": Outcome.FAILED,  # the carrier downstream
}

#: The reasons of rate and concurrency limits: the same call may be placed later, and nobody has to repair anything. A
#: callback reports them as the account's fault, so that the failed call does not count as an attempt.
LIMIT_REASONS = frozenset({"D1", "D2", "D3", "D9", "D22", "P05"})

#: The form of a reason. Every reason in no table is the account's fault, although some look like the callee's: D5 and
#: D56 come as 486 (channel billing), D18 and D19 as 404 (connection inactive, account blocked), D21 and RG1 as 480
#: (nothing registered).
_REASON = re.compile(r"\b(D[0-9]{1,2}|P[0-9]{2}|PE[1-6]|R[0-9]{2}|RG1|TM1|TV1|B3)\b")
_SIP = re.compile(r"\s*([1-6][0-9]{2})\b")

#: The fields in which a reason may stand. An event's other texts are the callee's and prove nothing.
_REASON_FIELDS = ("sip_hangup_cause", "sip_hangup_phrase", "hangup_cause", "hangup_reason")
_TEXML_REASON_FIELDS = ("ErrorCode", "ErrorMessage", "HangupCause", "SipHangupCause")

#: The fields of an event that are kept as evidence
EVIDENCE = (
    "event_type",
    "occurred_at",
    "call_control_id",
    "call_session_id",
    "hangup_cause",
    "hangup_source",
    "sip_hangup_cause",
    "sip_hangup_phrase",
    "result",
    "state",
    "start_time",
)

#: The ids of an event's call, the surest first. AMD events may have no call_control_id.
CALL_IDS = ("call_leg_id", "call_control_id", "call_session_id")

#: The form of an id: visible ASCII, like all ids that Telnyx has shown
ID = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One of Telnyx's own reasons not to make a call.

    The reason is about the number if ``outcome`` is set; otherwise it blames the account. ``is_limit`` is True for a
    rate or concurrency limit.
    """

    reason: str
    outcome: Outcome | None
    is_limit: bool


def refusal_in(*texts: str | None) -> Refusal | None:
    """Return Telnyx's own reason, such as D13, from the first text that holds one.

    The last reason in a text counts.
    """
    for text in texts:
        found = _REASON.findall(text or "")
        if found:
            return Refusal(found[-1], NUMBER_REASONS.get(found[-1]), found[-1] in LIMIT_REASONS)
    return None


def read_event(event: Mapping[str, object]) -> CallEvent:
    """Return the event of a Call Control webhook.

    ``event`` is the object under ``data``, or a whole webhook of v1. v1 writes ``call_hangup`` for ``call.hangup``, and
    has the time of the event inside the payload
    (developers.telnyx.com/development/migration/call-control-migration-guide). Raises MalformedCallback.
    """
    payload = event.get("payload")
    if not isinstance(payload, dict):
        raise MalformedCallback("the event has no payload; expected an object with the ids of its call")
    texts = scalars(payload)
    call_id = next((texts[name] for name in CALL_IDS if ID.fullmatch(texts.get(name, ""))), None)
    if call_id is None:
        raise MalformedCallback(f"the event names no call; expected one of {', '.join(CALL_IDS)}")
    about = scalars(event)
    kind = (spelled(about.get("event_type")) or "").replace("-", ".")  # v1 has call_hangup
    read = CallEvent(
        event_id=_event_id(about, call_id, kind),
        provider_call_id=call_id,
        status=_spelled(kind.removeprefix("call.")),
        progress=Progress.IN_PROGRESS if kind == GATHERED and texts.get("digits") else PROGRESS.get(kind),
        occurred_at=instant(about.get("occurred_at") or texts.get("occurred_at") or about.get("created_at")),
        amd=DETECTIONS.get(kind, {}).get(_word(texts.get("result"))),
        to_number=e164_or_none(texts.get("to")),
        from_number=e164_or_none(texts.get("from")),
        leg=leg_of(texts.get("direction")),
        session=call_id_or_none(texts.get("call_session_id")),
        evidence=excerpt({**texts, **about}, EVIDENCE),
    )
    return _hung_up(read, texts) if kind == "call.hangup" else read


def hung_up_event(event: CallEvent, payload: Mapping[str, object]) -> CallEvent:
    """Return the event with the ending from a hangup's payload."""
    texts = scalars(payload)
    return replace(_hung_up(event, texts), evidence={**event.evidence, **excerpt(texts, EVIDENCE)})


def begun_event(event: CallEvent, logged: Mapping[str, object]) -> CallEvent:
    """Return the event with leg, numbers and session from the logged call.initiated."""
    texts = scalars(payload_in(logged.get("metadata"), "direction") or {})
    return replace(
        event,
        to_number=e164_or_none(texts.get("to")),
        from_number=e164_or_none(texts.get("from")),
        leg=leg_of(texts.get("direction")),
        session=call_id_or_none(scalars(logged).get("call_session_id") or texts.get("call_session_id")),
    )


def _hung_up(event: CallEvent, payload: Mapping[str, str]) -> CallEvent:
    cause = _word(payload.get("hangup_cause"))
    sip = _sip_code(payload.get("sip_hangup_cause"))
    refusal = None if cause in NOT_REFUSED else refusal_in(*(payload.get(name) for name in _REASON_FIELDS))
    outcome = _outcome(cause, sip)
    ended = replace(event, status=_spelled(cause) or "hangup", outcome=outcome, cause=_cause(cause, sip))
    return _refused(ended, refusal) if refusal else ended


def _outcome(cause: str, sip: int | None) -> Outcome:
    """Return the outcome of a hangup, which always ends the call.

    The hangup's cause decides, else the SIP code, else nobody was reached.
    """
    by_cause = _outcome_of_cause(cause)
    if sip is not None and 200 <= sip <= 299 and by_cause is not Outcome.CANCELED:
        return Outcome.COMPLETED  # it was answered; one call too few is better than to call somebody twice
    regular = Outcome.COMPLETED if cause in REGULAR_ENDS else Outcome.FAILED
    return by_cause or outcome_of_sip(sip) or regular


def _outcome_of_cause(cause: str) -> Outcome | None:
    return HANGUP_CAUSES.get(cause) or outcome_of_cause(cause)


def _word(text: str | None) -> str:
    """Return a word in the spelling of the tables: ``User-Busy`` is ``user_busy``."""
    return (spelled(text) or "").replace("-", "_")


def _cause(cause: str, sip: int | None) -> str | None:
    if _outcome_of_cause(cause) is None and outcome_of_sip(sip) is not None:
        return f"sip:{sip}"
    return f"telnyx:{cause}" if cause else None


def _refused(event: CallEvent, refusal: Refusal) -> CallEvent:
    code = f"telnyx:{refusal.reason}"
    fault = None if refusal.outcome else code
    return replace(event, outcome=refusal.outcome, cause=code, fault=fault)


def payload_in(metadata: object, field: str, depth: int = 4) -> Mapping[str, object] | None:
    """Return the nested object that has the field, or None.

    The place of the raw event in the log is not documented.
    """
    if not isinstance(metadata, dict) or depth == 0:
        return None
    if field in metadata:
        return metadata
    return next((found for each in metadata.values() if (found := payload_in(each, field, depth - 1))), None)


def was_begun(logged: Mapping[str, object], wanted: Wanted) -> bool:
    """Return True if a logged event is the beginning of a wanted call.

    Raises Unsure if the event does not say so.
    """
    fields, payload = scalars(logged), scalars(payload_in(logged.get("metadata"), "to") or {})
    if fields.get("name") != "call.initiated" or is_inbound(payload.get("direction")):
        return False
    parties = wanted.is_to(payload.get("to")) and wanted.is_from(payload.get("from"))
    return parties and wanted.has(instant(fields.get("event_timestamp")))


def read_texml(fields: Mapping[str, str], number: Mapping[str, Outcome], account: frozenset[str]) -> CallEvent:
    """Return the event of a TeXML status or AMD callback.

    ``number`` and ``account`` are the API's error codes. Raises MalformedCallback.
    """
    words = Vocabulary(
        vendor="telnyx",
        sip_field="SipHangupCause",
        number_errors=number,
        account_errors=account,
        evidence=(*CXML_EVIDENCE, "HangupCause", "HangupSource"),
        talk_fields=(),
    )
    event = _with_premium_words(read_cxml_event(fields, words), fields)
    if event.outcome not in UNREACHED:
        return event
    refusal = refusal_in(*(fields.get(name) for name in _TEXML_REASON_FIELDS))
    if refusal:
        return _refused(event, refusal)
    cause = _word(fields.get("HangupCause"))
    by_cause = _outcome_of_cause(cause)
    if event.outcome is Outcome.FAILED and by_cause is not None and cause not in NOT_REFUSED:
        return replace(event, outcome=by_cause, cause=f"telnyx:{cause}")
    return event


def _with_premium_words(event: CallEvent, fields: Mapping[str, str]) -> CallEvent:
    """Return the event with the AMD result of DetectionMode=Premium, if it has one.

    AnsweredBy may then hold the words of Call Control's premium detection.
    """
    answered_by = fields.get("AnsweredBy", "").strip().lower()
    amd = event.amd or DETECTIONS["call.machine.premium.detection.ended"].get(answered_by)
    if amd is None or amd is event.amd or (event.outcome is None and event.fault is None):
        return replace(event, amd=amd)
    return replace(event, amd=amd, fault=None, outcome=weighed(event.outcome or Outcome.FAILED, answered=True, amd=amd))


def _event_id(about: Mapping[str, str], call_id: str, kind: str) -> str:
    """Return an id that is the same for each delivery of the event.

    It is Telnyx's own id (data.id), else it is made from other stable fields.
    """
    given = about.get("id", "")
    at = about.get("occurred_at") or about.get("created_at") or ""
    return given if ID.fullmatch(given) else f"{call_id}:{kind}:{at[:40]}"


def _sip_code(text: str | None) -> int | None:
    """Return the code at the start of ``486`` or ``486 Busy Here``, or None.

    ``unspecified`` has no code.
    """
    match = _SIP.match(text or "")
    return int(match[1]) if match else None


def _spelled(word: str) -> str | None:
    return re.sub(r"[._\s]+", "-", word).strip("-") or None
