"""The signature and callbacks of Twilio's family.

Twilio defined them; SignalWire's cXML and Telnyx's TeXML share them.
"""

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

#: The progress of a call by CallStatus (twilio.com/docs/voice/api/call-resource#call-status-values)
PROGRESS = {
    "queued": Progress.QUEUED,
    "initiated": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
    "answered": Progress.IN_PROGRESS,  # the event's name, if a vendor or a proxy sends it as the status
}

#: The outcome of a call by CallStatus, before error codes and detection count
ENDINGS = {
    "completed": Outcome.COMPLETED,  # a person or an answering machine answered: AnsweredBy says which
    "busy": Outcome.BUSY,  # even if the SIP code is 487, as some callbacks had; may hide a rejection
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,  # the vaguest word: the SIP code says more
    "canceled": Outcome.CANCELED,  # we ended it before it was answered
    "cancelled": Outcome.CANCELED,
}

#: The AMD result by AnsweredBy (twilio.com/docs/voice/answering-machine-detection)
ANSWERED_BY = {
    "human": Amd.HUMAN,
    "machine_start": Amd.MACHINE,
    "machine_end_beep": Amd.MACHINE,
    "machine_end_silence": Amd.MACHINE,
    "machine_end_other": Amd.MACHINE,
    "machine": Amd.MACHINE,  # SignalWire's and TeXML's shorter word
    "fax": Amd.FAX,
    "unknown": Amd.UNKNOWN,  # counts as a person: one call too few is better than to call somebody twice
}

#: The endings in which nobody was reached, so a vendor's error code may say more. An error code after an answer is
#: about something else, such as a <Dial> within the call. It must not cause another call to the person.
UNREACHED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED)

#: The keys or words of the callee: ``<Gather>`` posts them, in Telnyx's TeXML without a CallStatus
#: (twilio.com/docs/voice/twiml/gather, developers.telnyx.com/docs/voice/programmable-voice/texml-verbs/gather)
INPUT_FIELDS = ("Digits", "SpeechResult")

#: The fields of a callback that are kept as evidence, beside the vendor's field for the SIP code
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

#: The error about a signature, after the name of its header
NO_MATCH = "does not match; are the secret and the public URL those the sender has?"

#: The form of a call's id: visible ASCII, which all of these vendors use so far, and which is safe as a key
_CALL_ID = re.compile(r"[!-~]{1,128}")
_ERROR_CODE = re.compile(r"[0-9]{1,9}")

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one vendor of the family.

    ``number_errors`` maps the error codes that are about the number called to outcomes. ``account_errors`` are the
    codes that blame the account alone. ``evidence`` names the fields to keep. ``talk_fields`` hold the seconds or
    minutes of the conversation, 0 on a call that nobody answered; the tuple is empty if a vendor's fields may include
    ringing.
    """

    vendor: str
    sip_field: str
    number_errors: Mapping[str, Outcome]
    account_errors: Collection[str]
    evidence: tuple[str, ...] = EVIDENCE
    talk_fields: tuple[str, ...] = ("CallDuration", "Duration")


def sorted_params(params: Params) -> str:
    """Return parameters as Twilio signs them.

    They are sorted by name, then by value, without separators, each (name, value) once. RequestValidator of Twilio's
    own library does the same (github.com/twilio/twilio-python, request_validator.py).
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
    """Raise SignatureError unless ``header`` holds a signature with one of the keys.

    The signature is base64(HMAC(key, URL + parameters)). A GET is signed by its URL alone. A body is signed as form
    parameters, or through its SHA-256 in the URL (twilio.com/docs/usage/webhooks/webhooks-security). ``spellings``
    returns the ways to write the URL's port that may have been signed. ``json_fields`` returns the parameters in a body
    of JSON, for a vendor that signs JSON like a form.
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
        raise SignatureError(f"{header} {NO_MATCH}")


def _signed_params(
    request: CallbackRequest, flatten: Callable[[Params], str], json_fields: Callable[[bytes], Params | None]
) -> tuple[str, bool]:
    """Return the signed parameters, and whether a body matches its hash.

    The second value is False only for a body that is signed by its hash and differs from it.
    """
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
    """Return the event of a status or AMD callback.

    Raises MalformedCallback if it names no call.
    """
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
    has_input = any(fields.get(name, "").strip() for name in INPUT_FIELDS)
    talked = has_input or any(whole_seconds(fields.get(name)) for name in words.talk_fields)
    if stated is not None and (talked or amd is not None):
        # What the event itself says of a conversation counts more than its word and its error code.
        outcome, fault = weighed(stated, answered=True, amd=amd), None
    return CallEvent(
        event_id=_event_id(call_id, fields.get("SequenceNumber", ""), status, answered_by),
        provider_call_id=call_id,
        status=status,
        progress=Progress.IN_PROGRESS if has_input and stated is None else PROGRESS.get(status or ""),
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
    """Return the outcome of a terminal event, or the account's fault in its place.

    Both are None while the call is live.
    """
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
    """Return an id that is the same for each delivery of one event.

    Asynchronous AMD has no sequence number and happens once per call.
    """
    if status is None and answered_by:
        return f"{call_id}:amd:{answered_by}"
    return f"{call_id}:{sequence[:20]}:{status or ''}"


def _error_code(fields: Mapping[str, str]) -> str | None:
    code = fields.get("ErrorCode", "").strip()
    return code if _ERROR_CODE.fullmatch(code) and int(code) else None


def _spelled(word: str | None) -> str | None:
    """Return a vendor's word in lower case with hyphens, or None.

    A word has at most 64 characters; the rest is cut.
    """
    spelled = (word or "").strip().lower().replace("_", "-")[:64]
    return spelled or None
