"""The meaning of Vonage's events and call records.

The status goes first, then its detail, then the SIP code.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from chalicelib.domain.events import CallEvent, Leg, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.providers.base import CallbackRequest, MalformedCallback
from chalicelib.providers.forms import excerpt, instant, is_json, json_object, read_fields, scalars, whole_number
from chalicelib.providers.sip import outcome_of_sip
from chalicelib.providers.words import call_id_or_none, leg_of, mapping, spelled, whole_seconds

#: The progress of a call by its status. This table and the next two follow
#: developer.vonage.com/voice/voice-api/webhook-reference#event-webhook
PROGRESS = {
    "started": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "answered": Progress.IN_PROGRESS,
    "in-progress": Progress.IN_PROGRESS,
    "input": Progress.IN_PROGRESS,  # not a status of Vonage's: see INPUT
}

#: The outcome of a call by its status. ``disconnected`` is a websocket's, not a phone's, so it says nothing of a call.
ENDINGS = {
    "completed": Outcome.COMPLETED,  # unless an earlier event reported an answering machine
    "busy": Outcome.BUSY,
    "unanswered": Outcome.NO_ANSWER,  # "either unreachable or the recipient declined"
    "timeout": Outcome.NO_ANSWER,  # our own ringing_timer
    "rejected": Outcome.REJECTED,  # some carriers send it for a busy line (concepts/call-statuses, disclaimer)
    "failed": Outcome.FAILED,  # the vaguest word: the SIP code may say more
    "cancelled": Outcome.CANCELED,
    "canceled": Outcome.CANCELED,
    # Words of older pages and of the Client SDK's calls (developer.vonage.com, in-app-voice/concepts/call-statuses)
    "complete": Outcome.COMPLETED,
    "no-answer": Outcome.NO_ANSWER,
    "noanswer": Outcome.NO_ANSWER,
    "unreachable": Outcome.NO_ANSWER,
    "declined": Outcome.REJECTED,
}

#: The outcome by (status, detail), if the detail says more than the status
DETAILS = {
    ("unanswered", "unavailable"): Outcome.NO_ANSWER,
    ("unanswered", "timeout"): Outcome.NO_ANSWER,
    ("rejected", "invalid-number"): Outcome.INVALID_NUMBER,
    ("rejected", "restricted"): Outcome.DND,  # by the carrier
    ("rejected", "declined"): Outcome.REJECTED,  # by the person
    ("failed", "cannot-route"): Outcome.DND,  # not supported, or blocked for the account; other numbers may be called
    ("failed", "number-out-of-service"): Outcome.INVALID_NUMBER,
    ("failed", "internal-error"): Outcome.FAILED,
}

#: The AMD result by the status that reports it while the call goes on
DETECTIONS = {
    "human": Amd.HUMAN,
    "machine": Amd.MACHINE,
}

#: The form of a price above zero
_PRICE = re.compile(r"(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,18})?")

#: The words for events without a status: ERROR for an error in the application, INPUT for keys or words of the callee
#: (developer.vonage.com/voice/voice-api/webhook-reference#input)
ERROR = "error"
INPUT = "input"

#: The fields of an event that are kept as evidence
EVIDENCE = (
    "status",
    "detail",
    "sub_state",
    "sip_code",
    "reason",
    "disconnected_by",
    "duration",
    "start_time",
    "end_time",
    "timestamp",
    "conversation_uuid",
    "network",
)


def read_fields_of(request: CallbackRequest) -> dict[str, str]:
    """Return the fields of an event as text.

    Call records hold their numbers in objects; flat() takes them out. Raises MalformedCallback if there are no readable
    fields.
    """
    if request.method.upper() != "GET" and is_json(request):
        found = json_object(request.body)
        if found is not None:
            return flat(found)
    return flat(read_fields(request))


def flat(found: Mapping[str, object]) -> dict[str, str]:
    """Return the texts and numbers of an event or call record.

    A party becomes its number. An input becomes "yes" if there was one.
    """
    parties = {name: party(found.get(name)).get("number", "") for name in ("to", "from")}
    return {**parties, **scalars(found), INPUT: "yes" if _was_pressed_or_said(found) else ""}


def _was_pressed_or_said(found: Mapping[str, object]) -> bool:
    """Return True if an input has keys or words.

    Each is an object; older webhooks have the keys as text, and a GET has the objects as JSON. Both are there, and
    empty, if the time was over.
    """
    dtmf, speech = (_object_or_text(found.get(name)) for name in ("dtmf", "speech"))
    pressed = dtmf if isinstance(dtmf, str) else scalars(dtmf).get("digits")
    results = None if isinstance(speech, str) else speech.get("results")
    spoken = [scalars(mapping(each)).get("text") for each in results] if isinstance(results, list) else []
    return bool(pressed) or any(spoken)


def _object_or_text(value: object) -> Mapping[str, object] | str:
    text = scalars({"text": value}).get("text")
    if text is None:
        return mapping(value)
    return (json_object(text.encode()) or {}) if text.startswith("{") else text.strip()


def party(value: object) -> dict[str, str]:
    """Return the texts of a party of a call.

    A party is an object, or a list of one object in requests and some records. The result is empty for a list of
    several, because the event does not say which of them it is about.
    """
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return {"number": str(value)}
    return scalars(mapping(value))


def read_event(fields: Mapping[str, str]) -> CallEvent:
    """Return the event of a webhook.

    Detection names its call in ``call_uuid``, all other events in ``uuid``. An event that names a conversation only (an
    error in the application's instructions, a recording) is kept under the conversation and decides nothing. Raises
    MalformedCallback if the webhook names neither a call nor a conversation.
    """
    call_id = call_id_or_none(fields.get("uuid") or fields.get("call_uuid"))
    known = call_id or call_id_or_none(fields.get("conversation_uuid"))
    if known is None:
        raise MalformedCallback("uuid, call_uuid and conversation_uuid name no call; expected 1 to 128 characters")
    has_input = bool(fields.get(INPUT))
    status = spelled(fields.get("status")) or (INPUT if has_input else ERROR if fields.get("reason") else None)
    detail, sub_state = spelled(fields.get("detail")), spelled(fields.get("sub_state"))
    outcome, cause = _ending(status, detail, whole_number(fields.get("sip_code"))) if call_id else (None, None)
    if outcome is not None:
        outcome = weighed(outcome, answered=has_input or _was_talked(fields), amd=None)
    sent_at = fields.get("timestamp")
    return CallEvent(
        event_id=f"{known}:{status or (sent_at or '')[:40]}:{sub_state or ''}",
        provider_call_id=known,
        status=status,
        progress=PROGRESS.get(status or "") if call_id else None,
        outcome=outcome,
        occurred_at=instant(sent_at) or instant(fields.get("end_time")) or instant(fields.get("start_time")),
        duration_sec=whole_seconds(fields.get("duration")),
        amd=DETECTIONS.get(status or "") if call_id else None,
        cause=cause,
        to_number=e164_or_none(fields.get("to")),
        from_number=e164_or_none(fields.get("from")),
        leg=_leg(fields),
        session=call_id_or_none(fields.get("conversation_uuid")) if call_id else None,
        evidence=excerpt(fields, EVIDENCE),
    )


def _ending(status: str | None, detail: str | None, sip: int | None) -> tuple[Outcome | None, str | None]:
    """Return the outcome and cause of a terminal event; None twice for a live call."""
    stated = ENDINGS.get(status or "")
    if stated is None:
        return None, None
    by_detail = DETAILS.get((status or "", detail or ""))
    if by_detail is None and stated is Outcome.FAILED:
        by_detail = outcome_of_sip(sip)
    if detail is not None:
        return by_detail or stated, f"vonage:{detail}"
    return by_detail or stated, f"sip:{sip}" if outcome_of_sip(sip) is not None else None


def _was_talked(fields: Mapping[str, str]) -> bool:
    """Return True if the fields prove a conversation.

    A duration proves it together with the answer's time (``start_time``) or a price: unanswered calls have neither.
    """
    answered = bool(fields.get("start_time", "").strip()) or _PRICE.fullmatch(fields.get("price", "").strip())
    return bool(answered) and bool(whole_seconds(fields.get("duration")))


def _leg(fields: Mapping[str, str]) -> Leg:
    """Return the leg that an event is about, as far as the event says it.

    The leg of an NCCO's ``connect`` is ``outbound``, like a call that a program asked for. Only the legs of the
    conversation show the difference; see leg_among().
    """
    leg = leg_of(fields.get("direction"))
    return Leg.UNKNOWN if leg is Leg.OUTGOING else leg


def leg_among(call_id: str, records: Iterable[Mapping[str, object]]) -> Leg:
    """Return the leg of a call, by the records of all legs of its conversation.

    A call that a program asked for is the first leg of its conversation. It is answered before an NCCO connects others.
    """
    legs = [flat(record) for record in records]
    own = next((leg for leg in legs if leg.get("uuid") == call_id), None)
    others = [leg for leg in legs if leg.get("uuid") != call_id]
    direction = leg_of(own.get("direction")) if own is not None else Leg.UNKNOWN
    if own is None or direction is not Leg.OUTGOING or not others:
        return direction
    if any(leg_of(leg.get("direction")) is not Leg.OUTGOING for leg in others):
        return Leg.OTHER
    answered_at = instant(own.get("start_time"))
    answers = [at for leg in others if (at := instant(leg.get("start_time"))) is not None]
    if answered_at is None:
        return Leg.OTHER if answers else Leg.UNKNOWN
    return Leg.OUTGOING if all(answered_at < at for at in answers) else Leg.OTHER


def looked_up_event(record: Mapping[str, object], call_id: str) -> CallEvent | None:
    """Return a call record as an event; None if its id differs or it has no status.

    The last status may be an AMD result, also of a call that has ended: the record then has an ``end_time``.
    """
    fields = flat(record)
    if fields.get("uuid") != call_id or not fields.get("status"):
        return None
    event = read_event(fields)
    outcome = event.outcome
    if event.amd is not None and fields.get("end_time"):
        outcome = Outcome.VOICEMAIL if event.amd.is_machine else Outcome.COMPLETED
    return replace(event, event_id=f"{call_id}:lookup:{event.status}", outcome=outcome)
