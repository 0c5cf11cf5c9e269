"""Plivo Voice: V3-signed form callbacks, calls through the v1 REST API."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import ClassVar
from urllib.parse import quote, urlencode, urlparse

from chalicelib.domain.events import CallEvent
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
)
from chalicelib.providers.dialable import digits, unfit
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, rows_of, sure
from chalicelib.providers.forms import MAX_TEXT, decode_form, excerpt, is_json, json_object, read_fields, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.placing import Meanings, ask, outcome_of_answer, place
from chalicelib.providers.plivo_events import created_at, ended_event, live_event, read_event
from chalicelib.providers.signing import basic_login, matches_any, path_spellings, secrets_of

API_URL = "https://api.plivo.com"

#: The headers of the signature: signed with the token of the account or subaccount that made the call, and with the
#: main account's (github.com/plivo/plivo-python, plivo/utils/signature_v3.py). Each may hold several signatures,
#: separated by commas.
SIGNATURE_HEADERS = ("X-Plivo-Signature-V3", "X-Plivo-Signature-Ma-V3")
NONCE_HEADER = "X-Plivo-Signature-V3-Nonce"
#: The largest number of signatures in one request; no account has so many tokens
MAX_SIGNATURES = 16

#: The ways in which a text names our parameter ``to`` or ``from``, and not the English word
_TO = r"""(?:^to\b|["']to["']|\bto[ _](?:number|param|field|address)|\bdst\b|\bdestination\b)"""
_FROM = r"""(?:^from\b|["']from["']|\bfrom[ _](?:number|param|field|address)|\bsrc\b|\bcaller[ _]?id\b)"""

#: The outcome by the words of a refusal. Plivo documents the statuses only (plivo.com/docs/voice/api/response) and
#: gives the reason in words. So the table looks for the parameter's name, not for the exact words.
REFUSALS = Meanings(
    error_texts=(
        (re.compile(r"\bgeo\b|geo-?permission|\bcountry\b(?! code)", re.I), Outcome.DND),  # as hangup cause 2030
        (re.compile(r"\boverlap", re.I), Outcome.INVALID_NUMBER),  # of src and destination: we call our own number
        (re.compile(rf"{_TO}.*valid|invalid.*{_TO}", re.I), Outcome.INVALID_NUMBER),
    ),
    account=(
        401,
        402,
        403,  # ForbiddenError of the SDK, if it names no country
        404,  # the URL of a new call names the account and nothing else
        405,  # the method is right, so the API's address is wrong
    ),
)

#: The words of a 400 about the caller's number or the account, and so about every other call as well
ACCOUNT_WORDS = re.compile(rf"(?!.*\boverlap)(?:.*{_FROM}|.*\bcredits?\b|.*\bbalance\b)", re.I)

#: The largest page of any list of calls (plivo.com/docs/voice/api/call/retrieve-all-calls)
PAGE_SIZE = 20

#: The form of a call's id in a URL's path. Plivo's own are UUIDs.
_CALL_UUID = re.compile(r"[0-9A-Za-z-]{1,64}")


class Plivo(Provider):
    """One Plivo account or subaccount.

    Credentials: ``auth_id``, ``auth_token`` and, optionally, ``api_url``.

    ``auth_token`` may be two tokens, separated by a comma: Redial accepts callbacks that are signed with either, and
    places calls with the first. The main account's token may follow a subaccount's in the same way.

    Plivo reports to us that the phone rings and that the call has ended. It reports the answer to the answer URL alone.
    """

    name = "plivo"
    required: ClassVar[tuple[str, ...]] = ("auth_id", "auth_token")
    signature_headers = tuple((name, NONCE_HEADER) for name in SIGNATURE_HEADERS)
    calls_per_second = 2.0  # docs.plivo.com/docs/voice/concepts/account-limits: Plivo queues more

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._tokens = secrets_of(credentials["auth_token"])
        if not self._tokens:
            raise RedialError("PLIVO_AUTH_TOKEN holds no token; expected one, or two separated by a comma")
        api_url = (credentials.get("api_url") or API_URL).rstrip("/")
        self._account_url = f"{api_url}/v1/Account/{quote(self.account, safe='')}"

    @property
    def account(self) -> str:
        """The Auth ID of the account or subaccount."""
        return self.credentials["auth_id"]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless one V3 signature holds for one token.

        V2 is no substitute: it covers the URL and not the fields. V3 covers no time, so a repeated request looks like a
        repeated delivery, and changes nothing.
        """
        nonce = request.header(NONCE_HEADER)
        headers = ",".join(request.header(name) or "" for name in SIGNATURE_HEADERS)
        given = secrets_of(headers)
        if not nonce or not given:
            raise SignatureError(f"{SIGNATURE_HEADERS[0]} or {NONCE_HEADER} is missing")
        if len(given) > MAX_SIGNATURES:
            raise SignatureError(f"{len(given)} signatures; at most {MAX_SIGNATURES} are tried")
        if request.method.upper() != "GET" and is_json(request):
            raise SignatureError("the body is JSON; Plivo signs the fields of a form")
        try:
            urls = path_spellings(request.url)  # the query is signed decoded, so its spelling does not matter
            texts = {f"{signed_text(replace(request, url=url))}.{nonce}".encode() for url in urls}
        except ValueError:
            raise SignatureError("the request is no UTF-8 form of a callback's size, so it cannot be signed") from None
        expected = [_signature(token, text) for token in self._tokens for text in texts]
        if not any([matches_any(each, expected) for each in given]):  # noqa: C419 (a generator would end early)
            raise SignatureError(
                f"{SIGNATURE_HEADERS[0]} does not match; are token and public URL those the sender has?"
            )

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a callback. Raises MalformedCallback."""
        return [read_event(read_fields(request))]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /Call/."""
        reason = unfit(request)
        if reason is not None:
            return reason
        body = json.dumps(call_request(request)).encode()
        return place(lambda: self._send("POST", "/Call/", body), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the call from the records, the queued calls or the live calls.

        Plivo has these three places for calls, and each answers 404 for calls of the other two
        (docs.plivo.com/docs/voice/api/call: retrieve a call, a live call, a queued call). None if no place has the
        call. The records are asked first, because most calls have ended, and last, because the call may move to the
        next place between two requests.
        """
        for query in ("", "?status=queued", "?status=live", ""):
            answer = self._ask("GET", "/Call/", provider_call_id, query)
            if answer is None or answer.status not in (200, 404):
                return None
            found = json_object(answer.body) or {}
            if answer.status == 200 and scalars(found).get("call_uuid") == provider_call_id:
                event = live_event(found) if query else ended_event(found)
                if event is not None:
                    return event
        return None

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls from the queued calls, the live calls and the records.

        The search follows the way of a call, so that no call slips from one place to the next unseen.
        """
        return sure(self._between(Wanted(to_number, from_number, since, until)))

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call, or cancel the request of a call that is not dialled yet.

        Cancels the request only if no live call has the id. If no request has the id either, the request may just have
        become a live call, so Redial asks once more to end that call.
        """
        for path in ("/Call/", "/Request/", "/Call/"):
            answer = self._ask("DELETE", path, provider_call_id)
            if answer is None or answer.status != 404:
                return answer is not None and 200 <= answer.status <= 299
        return False

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        for status in ("queued", "live"):
            for row in self._under_way(status):
                fields = scalars(row)
                parties = _is_between(wanted, fields.get("to"), fields.get("from"), fields.get("direction"))
                if parties and wanted.has(created_at(row)):
                    yield wanted.between(live_event(row))
        # Records have the number with ``+`` or without. The filter matches the number's beginning, so search for both.
        for number in (wanted.to_number, digits(wanted.to_number)):
            asked = {"to_number": number, "call_direction": "outbound", "end_time__gte": _utc_minute(wanted.since)}
            for row in every_row(partial(self._ended, asked), 0):
                fields = scalars(row)
                names = ("to_number", "from_number", "call_direction")
                if _is_between(wanted, *map(fields.get, names)) and wanted.has(created_at(row)):
                    yield wanted.between(ended_event(row))

    def _ended(self, asked: Mapping[str, str], offset: int) -> tuple[Sequence[Row], int | None]:
        """Return a page of the calls that have ended, and the offset of the next page."""
        query = urlencode({**asked, "limit": PAGE_SIZE, "offset": offset})
        body = answered(ask(lambda: self._send("GET", f"/Call/?{query}")))
        meta, rows = body.get("meta"), rows_of(body.get("objects"))
        if not isinstance(meta, dict) or "next" not in meta:
            raise Unsure("a page says nothing of the next one")
        return rows, offset + len(rows) if meta["next"] and rows else None

    def _under_way(self, status: str) -> Iterator[Row]:
        """Yield the queued or the live calls.

        Their list has ids only and takes no filter. Raises Unsure for a list that does not fit a page.
        """
        body = answered(ask(lambda: self._send("GET", f"/Call/?status={status}&limit={PAGE_SIZE}&offset=0")))
        ids = body.get("calls")
        if not isinstance(ids, list) or len(ids) >= PAGE_SIZE:
            raise Unsure(f"{status} calls are not listed, or more than fit a page")
        for call_uuid in ids:
            yield answered(self._ask("GET", "/Call/", str(call_uuid), f"?status={status}"))

    def _ask(self, method: str, path: str, call_uuid: str, query: str = "") -> Answer | None:
        if not _CALL_UUID.fullmatch(call_uuid):
            return None
        return ask(lambda: self._send(method, f"{path}{call_uuid}/{query}"))

    def _send(self, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": basic_login(self.account, self._tokens[0]), "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.http.request(method, self._account_url + path, headers=headers, body=body)

    def _read_answer(self, answer: Answer) -> DialResult:
        body = json_object(answer.body) or {}
        error_text = _error_text(body.get("error"))
        # A list of ids would belong to a call to several numbers, and Redial never asks for such a call.
        call_uuid = body.get("request_uuid")
        known = isinstance(call_uuid, str) and _CALL_UUID.fullmatch(call_uuid)
        evidence = excerpt({**scalars(body), "error": error_text}, ("message", "request_uuid", "api_id", "error"))
        if answer.status == 400 and ACCOUNT_WORDS.match(error_text):
            return DeferredByProvider("http:400", fault=True, evidence={"http_status": "400", **evidence})
        return outcome_of_answer(
            answer,
            call_id=str(call_uuid) if known else None,
            error_text=error_text,
            meanings=REFUSALS,
            evidence=evidence,
            now=self.now,
        )


def signed_text(request: CallbackRequest) -> str:
    """Return the text that Plivo signs of a request, without the nonce.

    It is the URL up to its path, ``?``, and the sorted query with decoded values. A POST with fields adds ``.`` (only
    if there is a query; ``?`` is always there) and the sorted fields, names and values without separators
    (plivo-python, plivo/utils/signature_v3.py). Raises ValueError if the URL is invalid, or if the query or body is not
    a form.
    """
    url = urlparse(request.url)
    query = "&".join(f"{name}={value}" for name, value in sorted(decode_form(url.query)))
    fields = [] if request.method.upper() == "GET" else sorted(decode_form(request.body))
    text = f"{url.scheme}://{url.netloc}{url.path}"
    if query or fields:
        text += f"?{query}"
    if query and fields:
        text += "."
    return text + "".join(f"{name}{value}" for name, value in fields)


def _signature(token: str, text: bytes) -> str:
    return base64.b64encode(hmac.new(token.encode(), text, hashlib.sha256).digest()).decode()


def _is_between(wanted: Wanted, to_number: str | None, from_number: str | None, direction: str | None) -> bool:
    return direction != "inbound" and wanted.is_to(to_number) and wanted.is_from(from_number)


def _utc_minute(at: datetime) -> str:
    """Return a time as the filter takes it, in UTC.

    Seconds are cut, so it is a little earlier.
    """
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def call_request(request: DialRequest) -> dict[str, object]:
    """Return the body that creates a call.

    docs.plivo.com/docs/voice/api/call/make-a-call
    """
    asked: dict[str, object] = {
        "from": digits(request.from_number),
        "to": digits(request.to_number),
        "answer_url": request.answer_url,
        "answer_method": "POST",
        "ring_url": request.callback_url,
        "ring_method": "POST",
        "hangup_url": request.callback_url,
        "hangup_method": "POST",
        "ring_timeout": request.ring_timeout_sec,
        "time_limit": request.max_call_sec,
    }
    if request.machine_detection is not MachineDetection.OFF:
        asked["machine_detection"] = "true"
    if request.machine_detection is MachineDetection.ASYNC:
        asked |= {"machine_detection_url": request.callback_url, "machine_detection_method": "POST"}
    return asked


def _error_text(error: object) -> str:
    """Return the reason of a refusal.

    It is mostly a text, sometimes an object with the parameter as its key.
    """
    text = error if isinstance(error, str) else json.dumps(error) if error else ""
    return text.encode("utf-8", "replace").decode()[:MAX_TEXT]
