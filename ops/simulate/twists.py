"""Unusual callbacks of real providers.

These are ends that contradict an answer, legs of other calls, and callbacks without a direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from ops.local import carrier_plivo, carrier_twilio
from ops.local.exchange import Callback, Reply

#: The reported end -> Twilio's CallStatus and SipResponseCode
TWILIO_WORDS = {"busy": ("busy", "486"), "no-answer": ("no-answer", "487"), "failed": ("failed", "503")}
#: The reported end -> Plivo's CallStatus, and the code and the name of its hangup cause
PLIVO_WORDS = {
    "busy": ("busy", "3010", "Busy Line"),
    "no-answer": ("completed", "3000", "No Answer"),
    "failed": ("failed", "5000", "Network Error"),
}
#: The fields that show a conversation in Twilio's and Plivo's end, with the values of an unanswered call
UNPROVEN = {
    "twilio": {"CallDuration": "0", "Duration": "0"},
    "plivo": {"AnswerTime": "", "Duration": "0", "BillDuration": "0"},
}
#: The fields of Plivo's record for a call that failed because the account is out of credits
OUT_OF_CREDITS = {"hangup_cause_code": 1010, "hangup_cause_name": "Out of Credits", "hangup_source": "Plivo"}
#: A status that no table has, and the fields of a live call that hold it
LIMBO, STATUS_FIELDS = "limbo", ("status", "call_status")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An end that contradicts the answer.

    If it is ``proven``, the other fields of the callback show the conversation.
    """

    end: str
    proven: bool = True


def contradicting(env: Mapping[str, str], provider: str, callback: Callback, contradiction: Contradiction) -> Callback:
    """Return the callback of an end with another end than the true one, signed again."""
    if provider == "twilio":
        status, sip = TWILIO_WORDS[contradiction.end]
        said = {"CallStatus": status, "SipResponseCode": sip}
    else:
        status, code, name = PLIVO_WORDS[contradiction.end]
        hangup = {"HangupCauseCode": code, "HangupCauseName": name, "HangupCause": name.upper().replace(" ", "_")}
        said = {"CallStatus": status, **hangup}
    unproven = {} if contradiction.proven else UNPROVEN[provider]
    return signed(env, provider, callback, {**callback.form, **said, **unproven})


def without_direction(env: Mapping[str, str], provider: str, callback: Callback) -> Callback:
    """Return the callback without the field that says who called whom."""
    kept = {name: value for name, value in callback.form.items() if name != "Direction"}
    return signed(env, provider, callback, kept)


def of_a_child(env: Mapping[str, str], provider: str, callback: Callback, child: str) -> Callback:
    """Return the end of an unanswered leg from the call itself to an agent's phone."""
    if provider == "twilio":
        ours = callback.form["CallSid"]
        own = {"CallSid": child, "ParentCallSid": ours, "Direction": "outbound-dial", "To": "+14155550177"}
        fields = {**callback.form, **own, "CallStatus": "no-answer", "SipResponseCode": "487"}
        fields |= UNPROVEN["twilio"]
    else:
        fields = {name: value for name, value in callback.form.items() if name != "RequestUUID"}
        own = {"CallUUID": child, "ParentCallUUID": callback.form["CallUUID"], "To": "+14155550177"}
        fields |= own | {"CallStatus": "no-answer", "HangupCauseCode": "3000"} | UNPROVEN["plivo"]
    return signed(env, provider, callback, fields)


def signed(env: Mapping[str, str], provider: str, callback: Callback, fields: Mapping[str, Any]) -> Callback:
    """Return the callback with these fields, signed as its provider signs."""
    headers = dict(callback.headers)
    if provider == "twilio":
        headers["X-Twilio-Signature"] = carrier_twilio.signature(env["TWILIO_AUTH_TOKEN"], callback.url, fields)
    else:
        nonce = headers["X-Plivo-Signature-V3-Nonce"]
        signature = carrier_plivo.signature(env["PLIVO_AUTH_TOKEN"], callback.url, nonce, fields)
        headers |= {"X-Plivo-Signature-V3": signature, "X-Plivo-Signature-Ma-V3": signature}
    return replace(callback, headers=headers, body=urlencode(fields).encode(), form=fields)


def with_faults(reply: Reply, in_limbo: frozenset[str], out_of_credits: frozenset[str]) -> Reply:
    """Return the answer to a look-up, or a list, with the faults of these calls in it.

    Calls in limbo have an unknown status, and the others are out of credits.
    """
    if not isinstance(reply.body, dict):
        return reply
    rows = [reply.body, *reply.body.get("calls", ()), *reply.body.get("objects", ())]
    for row in (each for each in rows if isinstance(each, dict)):
        call_id = row.get("sid") or row.get("call_uuid")
        if call_id in in_limbo:
            row.update({name: LIMBO for name in STATUS_FIELDS if name in row})
        if call_id in out_of_credits and "hangup_cause_code" in row:
            row.update(OUT_OF_CREDITS)
    return reply
