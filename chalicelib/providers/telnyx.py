"""Telnyx: Ed25519-signed Call Control events and TeXML callbacks, REST v2 calls."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import quote, urlencode

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.errors import RedialError
from chalicelib.providers.base import (
    CallbackRequest,
    DialRequest,
    DialResult,
    MalformedCallback,
    Now,
    Provider,
    SignatureError,
)
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, rows_of, sure
from chalicelib.providers.forms import instant, is_json, json_object, read_fields, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.placing import ask, place
from chalicelib.providers.signing import secrets_of
from chalicelib.providers.telnyx_events import (
    begun_event,
    hung_up_event,
    payload_in,
    read_event,
    read_texml,
    was_begun,
)
from chalicelib.providers.telnyx_placing import (
    ACCOUNT_FAULTS,
    LEG_ID,
    LIMIT_ERRORS,
    NUMBER_ERRORS,
    call_request,
    read_answer,
)

API_URL = "https://api.telnyx.com"
SIGNATURE_HEADER = "telnyx-signature-ed25519"
TIMESTAMP_HEADER = "telnyx-timestamp"
#: The largest age of a signature in seconds, back or ahead (github.com/team-telnyx/telnyx-python,
#: lib/webhook_verification.py)
TOLERANCE_SEC = 300

#: The age of the oldest events that can be searched without their leg (api-reference/debugging/list-call-events)
LOG_SEARCHED = timedelta(hours=24)
PAGE_SIZE = 50

#: The pages of active calls that hang_up reads, and the largest page
_PAGES = 8
_PAGE_OF_ACTIVE_CALLS = 250
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_CONTROL_ID = re.compile(r"v[0-9]+:[\w=-]{1,124}", re.ASCII)


class Telnyx(Provider):
    """One Call Control application.

    Credentials: ``api_key``, ``connection_id`` (the application's id), ``public_key`` and, optionally, ``api_url``.
    ``public_key`` (base64, from the portal) may be two keys, separated by a comma, while one replaces the other.

    Telnyx fetches no instructions, so a call needs no answer URL: the AI assistant, stream or program behind the
    connection drives the call. An answer URL, if given, is the webhook of the program that drives the call.
    ``call.answered`` then goes to the program and to Redial, the events of OUR_EVENTS go to Redial, and all others go
    to the program. Without an answer URL all events go to Redial, which drives nothing.

    Redial names a call by its ``call_leg_id``, which every event has. AMD events may have no ``call_control_id``.
    """

    name = "telnyx"
    required: ClassVar[tuple[str, ...]] = ("api_key", "connection_id", "public_key")
    signature_headers = ((SIGNATURE_HEADER, TIMESTAMP_HEADER),)
    signature_hint = "set the application's webhook_api_version to 2, whose webhooks are signed"
    calls_per_second = 30.0  # docs/voice/programmable-voice/dials-per-second-limit
    needs_answer_url = False
    ring_timeout_sec = 30  # its own default for timeout_secs

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._keys = [_public_key(text) for text in secrets_of(credentials["public_key"])]
        if not self._keys:
            raise RedialError("TELNYX_PUBLIC_KEY holds no key; expected one, or two separated by a comma")
        self._url = f"{(credentials.get('api_url') or API_URL).rstrip('/')}/v2"

    @property
    def account(self) -> str:
        """The connection id."""
        return self.credentials["connection_id"]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless Telnyx signed the request in the last TOLERANCE_SEC.

        The time is checked first, then the signature.
        """
        timestamp = request.header(TIMESTAMP_HEADER) or ""
        given = request.header(SIGNATURE_HEADER)
        if not given or not timestamp:
            wanted = "set the application's webhook_api_version to 2, whose webhooks are signed"
            raise SignatureError(f"{SIGNATURE_HEADER} or {TIMESTAMP_HEADER} is missing; {wanted}")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise SignatureError(f"{TIMESTAMP_HEADER} is no number of seconds")
        if abs(self.now().timestamp() - int(timestamp)) > TOLERANCE_SEC:
            raise SignatureError(f"{TIMESTAMP_HEADER} is more than {TOLERANCE_SEC} s away; is the request a repeat?")
        signed = f"{timestamp}|".encode() + request.body
        if not _signed_by_any(self._keys, signed, given):
            raise SignatureError(f"{SIGNATURE_HEADER} does not match; is the public key that of the sender's account?")

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a Call Control or TeXML callback.

        Raises MalformedCallback.
        """
        body = json_object(request.body) if request.method.upper() != "GET" and is_json(request) else None
        if body is None or "CallSid" in body:
            return [read_texml(read_fields(request), NUMBER_ERRORS, ACCOUNT_FAULTS | LIMIT_ERRORS)]
        event = body.get("data", body)
        if not isinstance(event, dict):
            raise MalformedCallback("data is no object; expected the event")
        return [read_event(event)]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /v2/calls."""
        asked = call_request(request, self.account)
        return place(lambda: self._send("POST", "/calls", asked), lambda answer: read_answer(answer, self.now))

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return what the log of events says of a call: how it began, and its end if any.

        A call's own status does not say how the call ended, exists for ten minutes only, and has no direction and no
        numbers. None if the log has no hangup and no live call has this leg. The log is asked again after the live
        calls, because the call may end between two requests.
        """
        leg = self._leg_of(provider_call_id)
        if leg is None:
            return None
        hangup = self._hangup_of(leg)
        is_live = hangup is None and self._active(leg) is not None
        hangup = hangup if hangup is not None or is_live else self._hangup_of(leg)
        if hangup is not None:
            found = hung_up_event(_looked_up(provider_call_id, "hangup", hangup.get("event_timestamp")), hangup)
        elif is_live:
            found = _looked_up(provider_call_id, "alive")
        else:
            return None
        begun = self._logged(leg, "call.initiated")
        return found if begun is None else begun_event(found, begun)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls whose beginning is in the log of events.

        Telnyx can search only the last day of the log, so the result is None for an earlier ``since``.
        """
        if self.now() - since > LOG_SEARCHED:
            return None
        return sure(self._between(Wanted(to_number, from_number, since, until)))

    def wrong_setting(self) -> tuple[str, str] | None:
        """Return the webhook version if it is not 2.

        Telnyx does not document that webhooks of version 1 are signed.
        """
        found = self._data(f"/call_control_applications/{quote(self.account, safe='')}", {}).get("data")
        version = scalars(found).get("webhook_api_version") if isinstance(found, dict) else None
        if version in (None, "2"):
            return None
        return f"the application's webhook_api_version is {version}", "set it to 2: Redial takes signed webhooks only"

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call by its ``call_control_id``.

        If the call is named by its leg, the list of active calls gives the ``call_control_id``.
        """
        control = provider_call_id
        if not _CONTROL_ID.fullmatch(control):
            control = scalars(self._active(control) or {}).get("call_control_id", "")
        if not _CONTROL_ID.fullmatch(control):
            return False
        answer = ask(lambda: self._send("POST", f"/calls/{quote(control, safe='')}/actions/hangup", {}))
        return 200 <= answer.status <= 299

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        asked = {
            "filter[name]": "call.initiated",
            "filter[to]": wanted.to_number,
            "filter[from]": wanted.from_number,
            "filter[occurred_at][gte]": wanted.first_second.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for row in every_row(partial(self._log_page, asked), 1):
            if was_begun(row, wanted):
                yield wanted.between(self.lookup(scalars(row).get("call_leg_id", "")))

    def _log_page(self, asked: Mapping[str, str], number: int) -> tuple[Sequence[Row], int | None]:
        """Return a page of logged events and the number of the next page.

        api-reference/debugging/list-call-events
        """
        query = urlencode({**asked, "page[number]": number, "page[size]": PAGE_SIZE})
        body = answered(ask(lambda: self._send("GET", f"/call_events?{query}")))
        meta = body.get("meta")
        pages = meta.get("total_pages") if isinstance(meta, dict) else None
        if not isinstance(pages, int):
            raise Unsure("a page says nothing of how many there are")
        return rows_of(body.get("data")), number + 1 if number < pages else None

    def _leg_of(self, call_id: str) -> str | None:
        """Return the leg that a call's id names, or None.

        A TeXML callback names calls by their call_control_id.
        """
        if _CONTROL_ID.fullmatch(call_id):
            found = self._data(f"/calls/{quote(call_id, safe='')}", {}).get("data")
            call_id = scalars(found).get("call_leg_id", "") if isinstance(found, dict) else ""
        return call_id if LEG_ID.fullmatch(call_id) else None

    def _hangup_of(self, leg: str) -> Mapping[str, object] | None:
        """Return the payload of the call's hangup in the log of events, or None."""
        logged = self._logged(leg, "call.hangup") or {}
        payload = payload_in(logged.get("metadata"), "hangup_cause")
        return {**payload, "event_timestamp": logged.get("event_timestamp")} if payload else None

    def _logged(self, leg: str, name: str) -> Mapping[str, object] | None:
        """Return the first event of that name that the log has of a leg."""
        logged = self._data("/call_events", {"filter[leg_id]": leg, "filter[name]": name}).get("data")
        rows = (each for each in (logged if isinstance(logged, list) else []) if isinstance(each, dict))
        return next((each for each in rows if each.get("name") == name and each.get("call_leg_id") == leg), None)

    def _active(self, leg: str) -> Mapping[str, object] | None:
        """Return the live call of that leg from the connection's active calls, or None."""
        if not LEG_ID.fullmatch(leg):
            return None
        for number in range(1, _PAGES + 1):
            query = {"page[number]": str(number), "page[size]": str(_PAGE_OF_ACTIVE_CALLS)}
            page = self._data(f"/connections/{quote(self.account, safe='')}/active_calls", query)
            calls = page.get("data")
            rows = calls if isinstance(calls, list) else []
            for each in rows:
                if isinstance(each, dict) and each.get("call_leg_id") == leg:
                    return each
            meta = page.get("meta")
            pages = meta.get("total_pages") if isinstance(meta, dict) else None
            if number >= pages if isinstance(pages, int) else len(rows) < _PAGE_OF_ACTIVE_CALLS:
                return None
        return None

    def _data(self, path: str, query: Mapping[str, str]) -> Mapping[str, object]:
        """Return the JSON object at a path; an empty one for any answer but 200."""
        answer = ask(lambda: self._send("GET", path + (f"?{urlencode(query)}" if query else "")))
        return (json_object(answer.body) or {}) if answer.status == 200 else {}

    def _send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.credentials['api_key']}", "Accept": "application/json"}
        if body is None:
            return self.http.request(method, self._url + path, headers=headers)
        headers["Content-Type"] = "application/json"
        return self.http.request(method, self._url + path, headers=headers, body=json.dumps(body).encode())


def _public_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise RedialError(f"TELNYX_PUBLIC_KEY is {text[:12]!r}..; expected the portal's key, 32 bytes in base64")
    return key


def _signed_by_any(keys: list[bytes], signed: bytes, given: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        signature = base64.b64decode(given.encode("ascii"), validate=True)
    except ValueError:
        return False
    found = False
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
            found = True
        except (InvalidSignature, ValueError):
            continue
    return found


def _looked_up(call_id: str, found: str, at: object = None) -> CallEvent:
    return CallEvent(
        event_id=f"{call_id}:lookup:{found}",
        provider_call_id=call_id,
        status=found,
        progress=Progress.INITIATED if found == "alive" else None,
        occurred_at=instant(at) if isinstance(at, str) else None,
    )
