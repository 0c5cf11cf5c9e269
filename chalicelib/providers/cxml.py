"""The signature and callbacks that Twilio began, and that SignalWire's cXML and Telnyx's TeXML share."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.providers.base import CallbackRequest, MalformedCallback, SignatureError
from chalicelib.providers.forms import decode_form, excerpt, instant, is_json, query_of, whole_number
from chalicelib.providers.signing import matches_any, url_spellings, with_and_without_port
from chalicelib.providers.sip import outcome_of_sip
from chalicelib.providers.words import leg_of, whole_seconds

#: CallStatus -> how far the call has come (twilio.com/docs/voice/api/call-resource#call-status-values)
PROGRESS = {
    "queued": Progress.QUEUED,
    "initiated": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
    "answered": Progress.IN_PROGRESS,  # the event's name, where a vendor or a proxy gives that for the status
}

#: CallStatus -> how the call ended, before anything else is asked
ENDINGS = {
    "completed": Outcome.COMPLETED,  # somebody or something answered: AnsweredBy tells which
    "busy": Outcome.BUSY,  # even where the SIP code is 487, as has been seen; may hide a rejection
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,  # the vaguest word of all: the SIP code says more
    "canceled": Outcome.CANCELED,  # we ended it before it was answered
    "cancelled": Outcome.CANCELED,
}

#: AnsweredBy -> what detection heard (twilio.com/docs/voice/answering-machine-detection)
ANSWERED_BY = {
    "human": Amd.HUMAN,
    "machine_start": Amd.MACHINE,
    "machine_end_beep": Amd.MACHINE,
    "machine_end_silence": Amd.MACHINE,
    "machine_end_other": Amd.MACHINE,
    "machine": Amd.MACHINE,  # SignalWire's and TeXML's shorter word
    "fax": Amd.FAX,
    "unknown": Amd.UNKNOWN,  # counts as a person: better one call too few than to ring someone twice
}

#: The endings in which nobody was reached, so that a vendor's error code may tell more. An error code after
#: an answer is of something else, a <Dial> within the call say, and must not have the person called again.
UNREACHED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED)

#: What the person called has pressed or said: ``<Gather>`` posts it, in Telnyx's TeXML without a CallStatus
#: (twilio.com/docs/voice/twiml/gather, developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/gather)
HEARD_FIELDS = ("Digits", "SpeechResult")

#: What is kept of a callback as evidence, beside the vendor's name for the SIP code
EVIDENCE = (
    "CallStatus",
    "AnsweredBy",
    "MachineDetectionDuration",
    "ErrorCode",
    "ErrorMessage",
    "CallDuration",
    "SequenceNumber",
    "Timestamp",
    "CallbackSource",
    "StirStatus",
)

#: Visible ASCII: what any of these vendors has ever made a call's id of, and safe to use as a key
_CALL_ID = re.compile(r"[!-~]{1,128}")
_ERROR_CODE = re.compile(r"[0-9]{1,9}")

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What one vendor of the family calls things.

    ``number_errors`` maps the error codes that are about the number called to outcomes; ``account_errors``
    are those for which nobody but the account is to blame. ``evidence`` names the fields to keep. ``talk_fields`` hold
    the seconds or minutes that were talked, 0 on a call that nobody answered; none where they may be of ringing.
    """

    vendor: str
    sip_field: str
    number_errors: Mapping[str, Outcome]
    account_errors: Collection[str]
    evidence: tuple[str, ...] = EVIDENCE
    talk_fields: tuple[str, ...] = ("CallDuration", "Duration")


def sorted_params(params: Params) -> str:
    """Parameters as Twilio signs them: by name then value, no separators, each (name, value) once.

    As RequestValidator of Twilio's own library does (github.com/twilio/twilio-python, request_validator.py).
    """
    return "".join(f"{name}{value}" for name, value in sorted(set(params)))


def verify(
    request: CallbackRequest,
    *,
    header: str,
    keys: Sequence[str],
    digest: str = "sha1",
    flatten: Callable[[Params], str] = sorted_params,
    json_fields: Callable[[bytes], Params | None] = lambda body: None,
    spellings: Callable[[str], Iterable[str]] = with_and_without_port,
) -> None:
    """Raise SignatureError unless ``header`` holds base64(HMAC(key, URL + parameters)) for one key.

    A GET is signed by its URL alone. A body is signed as form parameters, or through its SHA-256 in the URL
    (twilio.com/docs/usage/webhooks/webhooks-security). ``spellings`` are the ways to write the URL's port that
    may have been signed. ``json_fields`` are the parameters in a body of JSON, for a vendor that signs it as a form.
    """
    given = request.header(header)
    if not given:
        raise SignatureError(f"{header} is missing")
    try:
        params, body_holds = _signed_params(request, flatten, json_fields)
        urls = dict.fromkeys(each for url in url_spellings(request.url) for each in spellings(url))
        texts = [f"{url}{params}".encode() for url in urls]
    except ValueError:
        raise SignatureError("the body is no UTF-8 form of a callback's size, so it cannot have been signed") from None
    signature_holds = matches_any(given, [_signature(key, text, digest) for key in keys for text in texts])
    if not (signature_holds and body_holds):
        raise SignatureError(f"{header} does not match; are the secret and the public URL those the sender has?")


def _signed_params(
    request: CallbackRequest, flatten: Callable[[Params], str], json_fields: Callable[[bytes], Params | None]
) -> tuple[str, bool]:
    """The parameters that the signature covers, and whether a body signed by hash is the one that came."""
    if request.method.upper() == "GET":
        return "", True
    digest = dict(reversed(decode_form(query_of(request.url)))).get("bodySHA256")
    if digest is not None:
        return "", matches_any(digest, [hashlib.sha256(request.body).hexdigest()])
    if not is_json(request):
        return flatten(decode_form(request.body)), True
    fields = json_fields(request.body)
    if fields is None:
        raise SignatureError("the JSON body is unsigned: the URL's query has no bodySHA256")
    return flatten(fields), True


def _signature(key: str, text: bytes, digest: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text, digest).digest()).decode()


def read_event(fields: Mapping[str, str], words: Vocabulary) -> CallEvent:
    """The event that a status or AMD callback carries. Raises MalformedCallback where it names no call."""
    call_id = fields.get("CallSid", "")
    if not _CALL_ID.fullmatch(call_id):
        raise MalformedCallback(f"CallSid is {call_id[:40]!r}; expected the call's id, 1 to 128 visible characters")
    status = _spelled(fields.get("CallStatus"))
    answered_by = fields.get("AnsweredBy", "").strip().lower()[:64]
    amd = ANSWERED_BY.get(answered_by)
    error = _error_code(fields)
    sip = whole_number(fields.get(words.sip_field))
    outcome, fault = _ending(status, error, sip, words)
    stated = ENDINGS.get(status or "")
    heard = any(fields.get(name, "").strip() for name in HEARD_FIELDS)
    talked = heard or any(whole_seconds(fields.get(name)) for name in words.talk_fields)
    if stated is not None and (talked or amd is not None):
        # What the event itself tells of a conversation counts more than its word and its error code.
        outcome, fault = weighed(stated, answered=True, amd=amd), None
    return CallEvent(
        event_id=_event_id(call_id, fields.get("SequenceNumber", ""), status, answered_by),
        provider_call_id=call_id,
        status=status,
        progress=Progress.IN_PROGRESS if heard and stated is None else PROGRESS.get(status or ""),
        outcome=outcome,
        occurred_at=instant(fields.get("Timestamp")),
        duration_sec=whole_number(fields.get("CallDuration")),  # Duration is in minutes, rounded up
        sequence=whole_number(fields.get("SequenceNumber")),
        amd=amd,
        cause=_cause(status, error, sip, words),
        fault=fault,
        to_number=e164_or_none(fields.get("To")),
        from_number=e164_or_none(fields.get("From")),
        leg=leg_of(fields.get("Direction"), fields.get("ParentCallSid")),
        evidence=excerpt(fields, (*words.evidence, words.sip_field)),
    )


def _ending(
    status: str | None, error: str | None, sip: int | None, words: Vocabulary
) -> tuple[Outcome | None, str | None]:
    """The outcome of a terminal event, or the account's fault in its place; neither while the call lives."""
    stated = ENDINGS.get(status or "")
    if stated in UNREACHED and error in words.account_errors:
        return None, f"{words.vendor}:{error}"
    if stated in UNREACHED and error in words.number_errors:
        return words.number_errors[error or ""], None
    if stated is Outcome.FAILED:
        return outcome_of_sip(sip) or stated, None
    return stated, None


def _cause(status: str | None, error: str | None, sip: int | None, words: Vocabulary) -> str | None:
    if status not in ENDINGS:
        return None
    if error is not None:
        return f"{words.vendor}:{error}"
    return f"sip:{sip}" if outcome_of_sip(sip) is not None else None


def _event_id(call_id: str, sequence: str, status: str | None, answered_by: str) -> str:
    """The same for each delivery of one event. Asynchronous AMD has no number, and happens once a call."""
    if status is None and answered_by:
        return f"{call_id}:amd:{answered_by}"
    return f"{call_id}:{sequence[:20]}:{status or ''}"


def _error_code(fields: Mapping[str, str]) -> str | None:
    code = fields.get("ErrorCode", "").strip()
    return code if _ERROR_CODE.fullmatch(code) and int(code) else None


def _spelled(word: str | None) -> str | None:
    """A vendor's word in lower case with hyphens, cut to what a word can be; None where there is none."""
    spelled = (word or "").strip().lower().replace("_", "-")[:64]
    return spelled or None
