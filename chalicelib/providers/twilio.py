"""Twilio Programmable Voice: signed status callbacks in, calls out through the 2010-04-01 REST API."""

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from typing import ClassVar
from urllib.parse import quote

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import RedialError
from chalicelib.providers.base import (
    CallbackRequest,
    DialRequest,
    DialResult,
    MachineDetection,
    MalformedCallback,
    Now,
    Placed,
    PlacementUnknown,
    Provider,
    PutOff,
    Refused,
)
from chalicelib.providers.cxml import Vocabulary, read_event, verify
from chalicelib.providers.forms import (
    MAX_TEXT,
    excerpt,
    instant,
    json_object,
    read_fields,
    scalars,
    whole_number,
)
from chalicelib.providers.http import Answer, AnswerLost, Http, NotSent
from chalicelib.providers.signing import secrets_of

API_URL = "https://api.twilio.com"
SIGNATURE_HEADER = "X-Twilio-Signature"

#: StatusCallbackEvent; Twilio's own default is ``completed`` alone (twilio.com/docs/voice/api/call-resource)
CALLBACK_EVENTS = ("initiated", "ringing", "answered", "completed")

#: Error codes that are about the number called -> how the attempt ended, be it that the API refused the call
#: or that a callback says why it failed. Each has its page: twilio.com/docs/api/errors/<code>
NUMBER_ERRORS = {
    "13223": Outcome.INVALID_NUMBER,  # invalid phone number format
    "13224": Outcome.FAILED,  # unsupported or invalid, but its page names a telecom outage as a cause too
    "13225": Outcome.DND,  # blocked by Twilio, as 21216
    "13226": Outcome.INVALID_NUMBER,  # no such country code
    "13227": Outcome.ERROR,  # geo permissions, as 21215
    "21211": Outcome.INVALID_NUMBER,
    "21214": Outcome.INVALID_NUMBER,  # "cannot be reached": no route (twilio.com/docs/iam/test-credentials)
    "21215": Outcome.ERROR,  # geo permissions lack this country; that must not halt the calls to all others
    "21216": Outcome.DND,  # Twilio will not call it (fraud, regulation), so dialling again is of no use
    "21217": Outcome.INVALID_NUMBER,
    "21219": Outcome.ERROR,  # a trial account calls verified numbers only; those it still may call
}

#: Error codes for which the account, its credentials or its caller id is to blame, whatever number is called.
#: Somebody must mend it, and until then each contact would lose an attempt for nothing. Same pages.
ACCOUNT_FAULTS = frozenset(
    {
        "10001",  # account not active: no balance, or suspended
        "10002",  # trial accounts lack the feature
        "10005",  # voice calling disabled for the account
        "20003",  # permission denied: wrong SID or token
        "20005",  # account not active
        "20006",  # access denied
        "20008",  # test credentials used where live ones are needed
        "20403",  # forbidden
        "20404",  # no such account, for that is all that the URL of a new call names
        "21210",  # From is not verified; the callee is blameless, and so is every other number called from it
        "21212",  # From is not valid
        "21213",  # From is missing
        "21606",  # From is not one of the account's numbers that can do this
    }
)

#: Error codes of pace: the call was never processed, and asking again later will do
PACE_LIMITS = frozenset(
    {
        "10004",  # too many concurrent calls
        "20429",  # too many requests; "always safe to retry"
    }
)

#: HTTP statuses that mean what ACCOUNT_FAULTS means where the body holds no code that we know
ACCOUNT_FAULT_STATUSES = (401, 403)

#: The redirects that ask for the same request elsewhere, so nothing was done here (RFC 9110, 15.4.8, 15.4.9):
#: the API's address is set wrong. After any other redirect the call may have been placed; 303 says just that.
NOT_DONE_HERE = (307, 308)

WORDS = Vocabulary(
    vendor="twilio",
    sip_field="SipResponseCode",
    number_errors=NUMBER_ERRORS,
    account_errors=ACCOUNT_FAULTS | PACE_LIMITS,
)

#: The fields of a Call resource -> those of a callback
RESOURCE_FIELDS = {
    "sid": "CallSid",
    "status": "CallStatus",
    "duration": "CallDuration",  # in seconds here
    "answered_by": "AnsweredBy",
    "start_time": "Timestamp",
    "end_time": "Timestamp",  # last, so that it wins where there is one
}

#: What may stand in a URL's path as a call; Twilio's own are CA and 32 hex digits
_CALL_SID = re.compile(r"CA[0-9A-Za-z]{1,64}")
_CODE = re.compile(r"[0-9]{1,9}")


class Twilio(Provider):
    """One Twilio account. Credentials: ``account_sid``, ``auth_token`` and, optionally, ``api_url``.

    ``auth_token`` may be two tokens separated by a comma: callbacks signed with either are taken, and calls
    are placed with the first.
    """

    name = "twilio"
    required: ClassVar[tuple[str, ...]] = ("account_sid", "auth_token")
    calls_per_second = 1.0  # twilio.com/docs/voice/api/call-resource: one a second by default, queued beyond

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._tokens = secrets_of(credentials["auth_token"])
        if not self._tokens:
            raise RedialError("TWILIO_AUTH_TOKEN holds no token; expected one, or two separated by a comma")
        api_url = (credentials.get("api_url") or API_URL).rstrip("/")
        self._calls_url = f"{api_url}/2010-04-01/Accounts/{quote(self.account, safe='')}/Calls"

    @property
    def account(self) -> str:
        return self.credentials["account_sid"]

    def verify(self, request: CallbackRequest) -> None:
        verify(request, header=SIGNATURE_HEADER, keys=self._tokens)

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        fields = read_fields(request)
        account = fields.get("AccountSid")
        if account and account != self.account:
            raise MalformedCallback(f"AccountSid is {account[:40]!r}; expected {self.account!r}")
        return [read_event(fields, WORDS)]

    def dial(self, request: DialRequest) -> DialResult:
        if not request.answer_url:
            return PutOff(cause="no-answer-url", fault=True)
        try:
            answer = self._send("POST", f"{self._calls_url}.json", form=call_form(request))
        except NotSent as error:
            return PutOff(cause="network", fault=False, evidence={"error": str(error)[:MAX_TEXT]})
        except AnswerLost as error:
            return PlacementUnknown(cause="answer-lost", evidence={"error": str(error)[:MAX_TEXT]})
        return self._read_answer(answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        answer = self._ask("GET", provider_call_id)
        if answer is None or answer.status != 200:
            return None
        return call_event(json_object(answer.body) or {}, provider_call_id)

    def hang_up(self, provider_call_id: str) -> bool:
        answer = self._ask("POST", provider_call_id, form=[("Status", "completed")])
        return answer is not None and 200 <= answer.status <= 299

    def _ask(self, method: str, call_sid: str, form: list[tuple[str, str]] | None = None) -> Answer | None:
        """One request about one call; None where the id is none of Twilio's or no answer came."""
        if not _CALL_SID.fullmatch(call_sid):
            return None
        try:
            return self._send(method, f"{self._calls_url}/{call_sid}.json", form=form)
        except (NotSent, AnswerLost):
            return None

    def _send(self, method: str, url: str, form: list[tuple[str, str]] | None) -> Answer:
        pair = base64.b64encode(f"{self.account}:{self._tokens[0]}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Accept": "application/json"}
        return self.http.request(method, url, headers=headers, form=form)

    def _read_answer(self, answer: Answer) -> DialResult:
        """What an answer to a new call means, from the surest sign to the weakest."""
        body = json_object(answer.body) or {}
        code = _error_code(body)
        cause = f"twilio:{code}" if code else f"http:{answer.status}"
        evidence = _evidence(answer, body)
        if 200 <= answer.status <= 299:
            sid = body.get("sid")
            if isinstance(sid, str) and _CALL_SID.fullmatch(sid):
                return Placed(sid, evidence)
            return PlacementUnknown(cause, evidence)
        if answer.status in NOT_DONE_HERE:
            return PutOff(cause, fault=True, evidence=evidence)
        if not 400 <= answer.status <= 499:
            # After a 500 the call may ring all the same (twilio.com/docs/api/errors/20500)
            return PlacementUnknown(cause, evidence)
        if answer.status == 429 or code in PACE_LIMITS:
            return PutOff(cause, fault=False, retry_after_sec=self._retry_after_sec(answer), evidence=evidence)
        if code in NUMBER_ERRORS:
            return Refused(NUMBER_ERRORS[code], cause, evidence)
        if code in ACCOUNT_FAULTS or answer.status in ACCOUNT_FAULT_STATUSES:
            return PutOff(cause, fault=True, evidence=evidence)
        return Refused(Outcome.ERROR, cause, evidence)

    def _retry_after_sec(self, answer: Answer) -> int | None:
        """Retry-After, given in seconds or as a date (RFC 9110, 10.2.3)."""
        text = answer.headers.get("retry-after", "")
        seconds, at = whole_number(text), instant(text)
        if seconds is None and at is not None:
            return max(0, ceil((at - self.now()).total_seconds()))
        return seconds


def call_form(request: DialRequest) -> list[tuple[str, str]]:
    """The form that creates a call (twilio.com/docs/voice/api/call-resource#create-a-call-resource)."""
    form = [
        ("To", request.to_number),
        ("From", request.from_number),
        ("Url", request.answer_url or ""),
        ("Method", "POST"),
        ("StatusCallback", request.callback_url),
        ("StatusCallbackMethod", "POST"),
        *(("StatusCallbackEvent", event) for event in CALLBACK_EVENTS),
        ("Timeout", str(request.ring_timeout_sec)),
        ("TimeLimit", str(request.max_call_sec)),
    ]
    if request.machine_detection is not MachineDetection.OFF:
        form.append(("MachineDetection", "Enable"))
    if request.machine_detection is MachineDetection.ASYNC:
        form += [
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", request.callback_url),
            ("AsyncAmdStatusCallbackMethod", "POST"),
        ]
    return form


def call_event(resource: Mapping[str, object], call_sid: str) -> CallEvent | None:
    """A Call resource as an event; None where it is not the one asked for or has no status."""
    raw = {name: text for name, text in scalars(resource).items() if name in RESOURCE_FIELDS}
    if raw.get("sid") != call_sid or not raw.get("status"):
        return None
    event = read_event({RESOURCE_FIELDS[name]: raw[name] for name in RESOURCE_FIELDS if raw.get(name)}, WORDS)
    found = f"{event.status}:{raw.get('answered_by', '')[:64]}"
    return replace(event, event_id=f"{call_sid}:lookup:{found}", evidence=excerpt(raw, RESOURCE_FIELDS))


def _error_code(body: Mapping[str, object]) -> str | None:
    code = scalars(body).get("code", "")
    return code if _CODE.fullmatch(code) else None


def _evidence(answer: Answer, body: Mapping[str, object]) -> dict[str, str]:
    """What the answer said, in brief; ``message`` is the reason in Twilio's words."""
    said = excerpt(scalars(body), ("sid", "status", "code", "message"))
    return {"http_status": str(answer.status), **said}
