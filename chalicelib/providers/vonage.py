"""Vonage Voice: JWT-signed JSON events, calls through the v1 REST API."""

import codecs
import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import RedialError
from chalicelib.providers.base import (
    CallbackRequest,
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    Now,
    Provider,
    SignatureError,
    Unanswered,
)
from chalicelib.providers.dialable import digits, unfit
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, rows_of, sure
from chalicelib.providers.forms import MAX_TEXT, excerpt, instant, json_object, query_of, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.jwt import read_hs256, sign_rs256
from chalicelib.providers.placing import AMBIGUOUS, Meanings, ask, outcome_of_answer, place
from chalicelib.providers.signing import matches_any, secrets_of
from chalicelib.providers.vonage_events import flat, leg_among, looked_up_event, party, read_event, read_fields_of
from chalicelib.providers.words import mapping

API_URL = "https://api.nexmo.com"

#: The largest age of a signed webhook in seconds, back or ahead. Vonage names no number, and its SDK checks no time
#: (github.com/Vonage/vonage-python-sdk, jwt/src/vonage_jwt/verify_jwt.py). Other vendors allow this much.
TOLERANCE_SEC = 300

#: The life of our token in seconds, and the time before its end at which a new one is signed. Vonage uses the same life
#: if a token names none (developer.vonage.com/getting-started/concepts/authentication).
TOKEN_SEC = 900
RENEWED_BEFORE_SEC = 120

#: The bounds of the timers in seconds. The longest call is 7200 in github.com/Nexmo/api-specification,
#: definitions/voice.yml, and 86400 in the newer reference. Vonage accepts the smaller one by both.
LENGTH_TIMER_SEC = (1, 7200)
RINGING_TIMER_SEC = (1, 120)

#: The largest page of the list of calls, which has no filter by number (developer.vonage.com/api/voice#getCalls)
PAGE_SIZE = 100
MAX_PAGES = 10

#: The longest time that a call rings. A record's only time is start_time, the time of the answer, so a call that was
#: made in the span may have been answered that long after it.
MAX_RING = timedelta(seconds=RINGING_TIMER_SEC[1])

#: The outcome by the words of a refusal. Errors are RFC 7807 problems (developer.vonage.com/api-errors) whose
#: ``invalid_parameters`` name the field. Older errors have words only, so the table looks for the field's name.
REFUSALS = Meanings(
    error_texts=(
        (re.compile(r"(?:^|[\s$.])to(?![A-Za-z_])"), Outcome.INVALID_NUMBER),
        # ``number`` alone is the number in ``to``. A number in ``from`` is named together with it, see ACCOUNT_FIELDS.
        (re.compile(r"(?:^|[\s$.])number(?![A-Za-z_])"), Outcome.INVALID_NUMBER),
    ),
    account=(
        401,
        402,
        403,  # out of credit, suspended, not provisioned
        404,  # the URL of a new call names nothing but the API
        405,
    ),
)
#: The fields of our request that are the same for every number. An error that names one is the account's.
ACCOUNT_FIELDS = re.compile(r"(?:^|[\s$.])(?:from|event_url|event_method|answer_method)(?![A-Za-z_])")
#: The types of problems that blame the account with any status (same page, generic errors)
ACCOUNT_PROBLEMS = re.compile(
    r"#?(?:low-balance|out-of-credit|unauthorized|forbidden|unprovisioned|account-suspended|jwt-expired|jwt-revoked"
    r"|invalid-api-key|invalid-signature)\b"
)

#: The form of a call's id in a URL's path. Vonage's own are UUIDs, older ones 32 hex digits.
_CALL_UUID = re.compile(r"[0-9A-Za-z-]{1,64}")
_BEARER = re.compile(r"\s*bearer\s+(\S+)\s*", re.I)


class Vonage(Provider):
    r"""One Vonage application.

    Credentials: ``application_id``, ``private_key``, ``signature_secret`` and, optionally, ``api_url`` (for example of
    a regional endpoint).

    ``private_key`` is the application's, in PEM; its line breaks may be written ``\n``. ``signature_secret`` is the
    account's. It may be two secrets, separated by a comma: Redial accepts webhooks that are signed with either.
    """

    name = "vonage"
    required: ClassVar[tuple[str, ...]] = ("application_id", "private_key", "signature_secret")
    signature_headers = (("Authorization",),)
    signature_hint = "turn signed webhooks on for the application"
    calls_per_second = 3.0  # developer.vonage.com/voice/voice-api/guides/troubleshooting#capacity

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._secrets = secrets_of(credentials["signature_secret"])
        if not self._secrets:
            raise RedialError("VONAGE_SIGNATURE_SECRET holds no secret; expected one, or two separated by a comma")
        self._calls_url = f"{(credentials.get('api_url') or API_URL).rstrip('/')}/v1/calls"
        #: The time at which the current token was signed, and the token
        self._signed: tuple[int, str] | None = None

    @property
    def account(self) -> str:
        """The application id."""
        return self.credentials["application_id"]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless Vonage signed the request in the last TOLERANCE_SEC.

        The signature covers the body (developer.vonage.com/getting-started/concepts/webhooks#decoding-signed-webhooks).
        A token without ``payload_hash`` says nothing of the body, so Redial accepts it only for a request without a
        body, although Vonage's own SDK accepts it for any. No token covers the query of a GET.
        """
        token = _BEARER.fullmatch(request.header("Authorization") or "")
        if token is None:
            raise SignatureError("Authorization holds no Bearer token; are signed webhooks on for the application?")
        claims = read_hs256(token[1], self._secrets)
        now = self.now().timestamp()
        issued_at, expires_at = _seconds(claims.get("iat")), _seconds(claims.get("exp"))
        if issued_at is None or not abs(now - issued_at) <= TOLERANCE_SEC:
            raise SignatureError(f"iat is not within {TOLERANCE_SEC} s; is the request a repeat?")
        if "exp" in claims and (expires_at is None or not now < expires_at):
            raise SignatureError("the token has expired")
        given, actual = claims.get("payload_hash"), hashlib.sha256(request.body).hexdigest()
        if (request.body or given is not None) and not matches_any(str(given).lower(), [actual]):
            raise SignatureError("payload_hash is not that of the body")
        if request.method.upper() == "GET" and query_of(request.url):
            raise SignatureError("the query of a GET is not signed; event_method must be POST")

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        # .NET's fixtures begin with a byte order mark, which is not JSON and hides that the rest is JSON.
        """Return the one event of a webhook. Raises MalformedCallback."""
        body = request.body.removeprefix(codecs.BOM_UTF8)
        return [read_event(read_fields_of(replace(request, body=body)))]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /v1/calls."""
        reason = unfit(request)
        if reason is not None:
            return reason
        try:
            headers = self._headers()
        except ValueError as error:
            return DeferredByProvider(cause="private-key", fault=True, evidence={"error": str(error)})
        body = json.dumps(call_request(request)).encode()
        return place(lambda: self._send("POST", self._calls_url, headers, body), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the event of GET /v1/calls/{uuid}; None if Vonage knows no such call.

        If the record leaves the leg open, the legs of its conversation decide.
        """
        answer = self._ask("GET", provider_call_id)
        if answer is None or answer.status != 200:
            return None
        record = json_object(answer.body) or {}
        event = looked_up_event(record, provider_call_id)
        conversation = scalars(record).get("conversation_uuid")
        if event is None or event.leg is not Leg.UNKNOWN or not conversation:
            return event
        return replace(event, leg=self._leg(provider_call_id, conversation))

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls from the list of all calls since then.

        "start_time is only sent if status is completed", so a call between the two numbers that rings, or that ended
        unanswered, leaves the answer open. No page says whether ``date_start`` leaves out calls without a start_time,
        so an empty list says nothing either: the result is then None.
        """
        return sure(self._between(Wanted(to_number, from_number, since, until))) or None

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call: PUT /v1/calls/{uuid} with the action ``hangup``."""
        answer = self._ask("PUT", provider_call_id, json.dumps({"action": "hangup"}).encode())
        return answer is not None and 200 <= answer.status <= 299

    def _leg(self, call_uuid: str, conversation: str) -> Leg:
        """Return the leg of a call in its conversation.

        UNKNOWN if the conversation's legs cannot be listed now.
        """
        try:
            legs, more = self._page({"conversation_uuid": conversation}, 0)
        except (Unsure, Unanswered):
            return Leg.UNKNOWN
        return Leg.UNKNOWN if more is not None else leg_among(call_uuid, legs)

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        since = wanted.first_second.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for row in every_row(partial(self._page, {"date_start": since}), 0, MAX_PAGES):
            record = flat(row)
            if record.get("direction") == "inbound" or not _has_phones(row):
                continue
            if wanted.is_to(record["to"]) and wanted.is_from(record["from"]):
                answered_at = instant(record.get("start_time"))
                if answered_at is not None and wanted.until < answered_at <= wanted.until + MAX_RING:
                    raise Unsure("a call was answered so soon after the span that it may have been made in it")
                if wanted.has(answered_at):
                    yield wanted.between(looked_up_event(row, record.get("uuid", "")))

    def _page(self, wanted: Mapping[str, str], index: int) -> tuple[Sequence[Row], int | None]:
        """Return a page of the calls, the earliest first, and the index of the next page."""
        query = urlencode({**wanted, "order": "asc", "page_size": PAGE_SIZE, "record_index": index})
        try:
            headers = self._headers()
        except ValueError as error:
            raise Unsure("the private key cannot sign") from error
        body = answered(ask(lambda: self._send("GET", f"{self._calls_url}?{query}", headers)))
        count, rows = body.get("count"), rows_of(mapping(body.get("_embedded")).get("calls"))
        if not isinstance(count, int) or (not rows and index < count):
            raise Unsure("a page says nothing of how many calls there are, or lacks some of them")
        return rows, index + len(rows) if index + len(rows) < count else None

    def _ask(self, method: str, call_uuid: str, body: bytes | None = None) -> Answer | None:
        """Send one request about one call and return its answer.

        None if the id is not Vonage's or our key cannot sign. Raises Unanswered.
        """
        if not _CALL_UUID.fullmatch(call_uuid):
            return None
        try:
            headers = self._headers()
        except ValueError:
            return None
        url = f"{self._calls_url}/{call_uuid}"
        return ask(lambda: self._send(method, url, headers, body))

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        answer = self.http.request(method, url, headers=headers, body=body)
        if answer.status == 401:
            self._signed = None  # Vonage rejected the token, so the next request gets a new one
        return answer

    def _headers(self) -> dict[str, str]:
        """Return the headers of a request.

        Raises ValueError if the private key cannot sign.
        """
        return {
            "Authorization": f"Bearer {self._token()}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }

    def _token(self) -> str:
        """Return the token of this key, signed once for its whole life.

        Raises ValueError, as sign_rs256 does.
        """
        at = int(self.now().timestamp())
        if self._signed is not None and 0 <= at - self._signed[0] < TOKEN_SEC - RENEWED_BEFORE_SEC:
            return self._signed[1]
        claims = {"application_id": self.account, "iat": at, "exp": at + TOKEN_SEC, "jti": str(uuid.uuid4())}
        token = sign_rs256(claims, self.credentials["private_key"])
        self._signed = at, token
        return token

    def _read_answer(self, answer: Answer) -> DialResult:
        body = json_object(answer.body) or {}
        call_uuid = body.get("uuid")
        known = isinstance(call_uuid, str) and _CALL_UUID.fullmatch(call_uuid)
        named = _invalid_fields(body)
        evidence = excerpt(
            {**scalars(body), "invalid_parameters": named},
            ("uuid", "status", "conversation_uuid", "type", "title", "error_title", "detail", "invalid_parameters"),
        )
        refused = 400 <= answer.status <= 499 and answer.status not in (*AMBIGUOUS, 429)
        if refused and (ACCOUNT_PROBLEMS.search(str(body.get("type"))) or ACCOUNT_FIELDS.search(named)):
            known_too = {"http_status": str(answer.status), **evidence}
            return DeferredByProvider(f"http:{answer.status}", fault=True, evidence=known_too)
        return outcome_of_answer(
            answer,
            call_id=str(call_uuid) if known else None,
            error_text=named,
            meanings=REFUSALS,
            evidence=evidence,
            now=self.now,
        )


def call_request(request: DialRequest) -> dict[str, object]:
    """Return the body that creates a call (developer.vonage.com/api/voice#createCall).

    Events report the AMD result, ``human`` or ``machine``, while the call goes on. Vonage has no AMD for which a call
    waits.
    """
    asked: dict[str, object] = {
        "to": [{"type": "phone", "number": digits(request.to_number)}],
        "from": {"type": "phone", "number": digits(request.from_number)},
        "answer_url": [request.answer_url],
        "answer_method": "GET",
        "event_url": [request.callback_url],
        "event_method": "POST",
        "ringing_timer": _within(request.ring_timeout_sec, RINGING_TIMER_SEC),
        "length_timer": _within(request.max_call_sec, LENGTH_TIMER_SEC),
    }
    if request.machine_detection is not MachineDetection.OFF:
        asked["machine_detection"] = "continue"
    return asked


def _has_phones(record: Row) -> bool:
    """Return False if a party of the call is not a phone.

    Such a party is a websocket, a SIP address or an app's user.
    """
    return all(party(record.get(name)).get("type", "phone") == "phone" for name in ("to", "from"))


def _within(seconds: int, bounds: tuple[int, int]) -> int:
    least, most = bounds
    return min(max(seconds, least), most)


def _seconds(value: object) -> float | None:
    """Return a NumericDate (RFC 7519, 2), or None.

    None if the value is not a number, or is larger than a float.
    """
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _invalid_fields(body: Mapping[str, object]) -> str:
    """Return the names of the fields that a refusal says are wrong, as text.

    They come as a list of objects now, and came as an object formerly.
    """
    listed = body.get("invalid_parameters")
    if isinstance(listed, dict):
        names = [str(name) for name in listed]
    elif isinstance(listed, list):
        names = [scalars(mapping(each)).get("name", "") for each in listed]
    else:
        names = []
    return ", ".join(filter(None, names)).encode("utf-8", "replace").decode()[:MAX_TEXT]
