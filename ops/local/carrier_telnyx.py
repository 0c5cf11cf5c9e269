"""Telnyx's side of the mock carrier: Call Control's dial, events, hangup and log."""

import base64
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chalicelib.providers.forms import instant
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, rfc3339, utc_now, whole
from ops.local.line import Call, Moment, Order

Body = Mapping[str, Any]

_CALLS = "/v2/calls"
_CALL = re.compile(rf"{_CALLS}/v3:(?P<leg>[^/]+)(?P<hangup>/actions/hangup)?")
_ACTIVE = re.compile(r"/v2/connections/(?P<connection>[^/]+)/active_calls")
_EVENTS = "/v2/call_events"
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

DETECTION_MODES = ("premium", "detect", "detect_beep", "detect_words", "greeting_end", "disabled")

#: end of a line -> hangup_cause, hangup_source and sip_hangup_cause
ENDINGS = {
    "completed": ("normal_clearing", "callee", "200"),
    "busy": ("user_busy", "callee", "486"),
    "no-answer": ("timeout", "caller", "487"),
    "canceled": ("originator_cancel", "caller", "487"),
    "failed": ("unspecified", "unknown", "503"),
    "rejected": ("call_rejected", "callee", "603"),
}

#: ``amd`` of a script -> result of standard detection, if the two differ
RESULTS = {"machine_start": "machine", "fax": "machine", "unknown": "not_sure"}

#: scripted fault -> HTTP status, Telnyx's code, title, detail and the wrong field
FAULTS = {
    "invalid-number": (
        422,
        "10016",
        "Phone number must be in +E.164 format",
        "The specified phone number parameter must be in +E.164 format.",
        "/to",
    ),
    "error": (500, "10007", "Unexpected error", "An unexpected error occured.", None),
    "throttled": (429, "10011", "Too many requests", "You have exceeded the maximum number of allowed requests.", None),
    "auth": (401, "10009", "Authentication failed", "The required authentication headers were invalid.", None),
}


def _is_url(body: Body, name: str) -> bool:
    parts = urlsplit(str(body.get(name) or ""))
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_within(body: Body, name: str, least: int, most: int) -> bool:
    value = body.get(name, least)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _are_urls(body: Body, name: str) -> bool:
    """Return whether each event has an array of URLs: each subscriber gets a copy."""
    urls = body.get(name, {})
    return isinstance(urls, dict) and all(
        kind.startswith("call.") and isinstance(listed, list) and all(_is_url({"url": url}, "url") for url in listed)
        for kind, listed in urls.items()
    )


def _is_base64(body: Body, name: str) -> bool:
    try:
        return bool(base64.b64decode(str(body.get(name, "eA==")), validate=True))
    except ValueError:
        return False


#: (field, code, title, rule) for each rule of a dial request. The error names the first broken rule.
RULES: tuple[tuple[str, str, str, Callable[[Body], bool]], ...] = (
    ("to", "10004", "Missing required parameter", lambda body: bool(body.get("to"))),
    ("to", "10016", FAULTS["invalid-number"][2], lambda body: _E164.fullmatch(str(body["to"])) is not None),
    ("from", "10004", "Missing required parameter", lambda body: bool(body.get("from"))),
    ("from", "10016", FAULTS["invalid-number"][2], lambda body: _E164.fullmatch(str(body["from"])) is not None),
    ("webhook_url", "10003", "Invalid URL", lambda body: "webhook_url" not in body or _is_url(body, "webhook_url")),
    (
        "webhook_urls",
        "90057",
        "Invalid call control event type for webhook_urls",
        lambda body: _are_urls(body, "webhook_urls"),
    ),
    ("timeout_secs", "90028", "Invalid value for timeout_secs", lambda body: _is_within(body, "timeout_secs", 5, 600)),
    (
        "time_limit_secs",
        "90029",
        "Invalid value for time_limit_secs",
        lambda body: _is_within(body, "time_limit_secs", 60, 14_400),
    ),
    ("client_state", "90017", "Invalid value for client_state", lambda body: _is_base64(body, "client_state")),
    (
        "command_id",
        "10015",
        "Bad Request",
        lambda body: "command_id" not in body or _UUID.fullmatch(str(body["command_id"])) is not None,
    ),
    (
        "answering_machine_detection",
        "10032",
        "Invalid enumerated value",
        lambda body: body.get("answering_machine_detection", "disabled") in DETECTION_MODES,
    ),
)


def error(status: int, code: str, title: str, detail: str, pointer: str | None = None) -> Reply:
    """Return an error in Telnyx's JSON."""
    source = {"source": {"pointer": pointer}} if pointer else {}
    return Reply(status, {"errors": [{"code": code, "title": title, "detail": detail, **source}]})


def signature(seed: bytes, timestamp: str, body: bytes) -> str:
    """Return the telnyx-signature-ed25519 of a webhook.

    ``seed`` is the private key's 32 bytes.
    """
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).sign(f"{timestamp}|".encode() + body)).decode()


def public_key(seed: bytes) -> str:
    """Return the public key of a private one, as Telnyx's portal shows it."""
    return base64.b64encode(Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()).decode()


def control_id(call: Call) -> str:
    """Return the call_control_id of a call.

    The mock carrier's own id of the call is the id of its leg.
    """
    return f"v3:{call.order.call_id}"


class Telnyx:
    """Telnyx's Call Control API for one application."""

    provider = "telnyx"
    #: developers.telnyx.com/docs/voice/programmable-voice/receiving-webhooks: 2 s; 408, 429 and 5xx are retried
    delivery = Delivery(
        connect_timeout_sec=2.0,
        read_timeout_sec=2.0,
        extra_tries=2,
        retry_statuses=frozenset({408, 429, *range(500, 600)}),
    )

    def __init__(self, api_key: str, connection_id: str, seed: bytes) -> None:
        self._api_key = api_key
        self._connection_id = connection_id
        self._seed = seed
        #: command_id -> the answer that its first dial got
        self._answered: dict[str, Reply] = {}

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /v2/calls``, or None."""
        if request.method != "POST" or request.path.rstrip("/") != _CALLS:
            return None
        body = _json_object(request.body)
        mode = body.get("answering_machine_detection", "disabled")
        limit = body.get("timeout_secs", 30)
        return Order(
            call_id=str(uuid.uuid4()),
            to=str(body.get("to") or ""),
            from_number=str(body.get("from") or ""),
            form=body,
            ring_limit_sec=float(limit) if isinstance(limit, int) else 30.0,
            amd="off" if mode == "disabled" else "async",
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or for the first broken rule.

        A second dial of a command_id returns the answer of the first one.
        """
        if not self._authorized(request):
            return self.refused("auth", order)
        if order.form.get("connection_id") != self._connection_id:
            return error(422, "10015", "Bad Request", "Invalid value for connection_id", "/connection_id")
        for field, code, title, holds in RULES:
            if not holds(order.form):
                return error(422, code, title, f"{field} is {order.form.get(field)!r}", f"/{field}")
        # Telnyx ignores a second dial of a command_id, and answers it like the first.
        return self._answered.get(str(order.form.get("command_id")))

    def invalid(self, field: str, message: str) -> Reply:
        """Return 422 with error 10015 and the field."""
        return error(422, "10015", "Bad Request", message, f"/{field}")

    def accepted(self, call: Call) -> Reply:
        """Return 200 with the call, and remember the answer for its command_id."""
        reply = Reply(200, {"data": self._resource(call, is_alive=False)})
        if "command_id" in call.order.form:
            self._answered[str(call.order.form["command_id"])] = reply
        return reply

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Telnyx's error for a scripted fault, by FAULTS."""
        return error(*FAULTS[fault])

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer look-ups, hangups, active calls and the log of events, else return None."""
        path, active = _CALL.fullmatch(request.path), _ACTIVE.fullmatch(request.path)
        if not (path or active or request.path == _EVENTS):
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if active and request.method == "GET":
            return self._active_calls(active["connection"], request, exchange)
        if request.path == _EVENTS and request.method == "GET":
            return self._log(request, exchange)
        call = exchange.call(self.provider, path["leg"]) if path else None
        if path is None or call is None:
            return error(404, "10005", "Resource not found", "The requested resource or URL could not be found.")
        ended = call.phase(utc_now()) == "ended"
        if request.method == "GET" and not path["hangup"]:
            return Reply(200, {"data": self._resource(call, is_alive=not ended)})
        if request.method != "POST" or not path["hangup"]:
            return error(405, "10030", "Method not allowed", "The URL is valid, but the method is not allowed.")
        if ended:
            return error(422, "90018", "Call has already ended", "This call is no longer active.")
        exchange.hang_up(call.order.call_id)
        return Reply(200, {"data": {"result": "ok"}})

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the event of a moment, one callback for each subscriber."""
        event = self._event(call, moment)
        if event is None:
            return []
        form = call.order.form
        default = [form["webhook_url"]] if form.get("webhook_url") else []
        urls = form.get("webhook_urls", {}).get(event["event_type"]) or default
        return [self._signed(event, url) for url in urls]

    def _signed(self, event: Mapping[str, Any], url: str) -> Callback:
        content = {"data": event, "meta": {"attempt": 1, "delivered_to": url}}
        body = json.dumps(content, separators=(",", ":")).encode()
        timestamp = str(int(utc_now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "telnyx-webhooks",
            "telnyx-timestamp": timestamp,
            "telnyx-signature-ed25519": signature(self._seed, timestamp, body),
        }
        return Callback(url, "POST", headers, body, content)

    def _authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._api_key}".encode())

    def _ids(self, call: Call) -> dict[str, str]:
        leg = call.order.call_id
        return {"call_control_id": control_id(call), "call_leg_id": leg, "call_session_id": leg}

    def _resource(self, call: Call, *, is_alive: bool) -> dict[str, Any]:
        return {"record_type": "call", **self._ids(call), "is_alive": is_alive}

    def _active_calls(self, connection: str, request: Request, exchange: Exchange) -> Reply:
        now = utc_now()
        live = [call for call in exchange.calls(self.provider) if call.phase(now) != "ended"]
        found = [{"record_type": "call", **self._ids(call)} for call in live]
        return _page(request, found if connection == self._connection_id else [])

    def _log(self, request: Request, exchange: Exchange) -> Reply:
        """Return a page of the log: the events of a leg, or of all calls.

        developers.telnyx.com, api-reference/debugging/list-call-events
        """
        query, now = request.query, utc_now()
        since = instant(str(query.get("filter[occurred_at][gte]", "")))
        leg = query.get("filter[leg_id]")
        entries = [
            self._log_entry(event)
            for call in reversed(exchange.calls(self.provider))
            for moment in call.moments
            if moment.at <= now and (since is None or moment.at >= since) and leg in (None, call.order.call_id)
            if query.get("filter[to]") in (None, call.order.to)
            and query.get("filter[from]") in (None, call.order.from_number)
            if (event := self._event(call, moment)) and query.get("filter[name]") in (None, event["event_type"])
        ]
        return _page(request, entries)

    def _log_entry(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "record_type": "call_event",
            "type": "webhook",
            "name": event["event_type"],
            "call_leg_id": event["payload"]["call_leg_id"],
            "call_session_id": event["payload"]["call_session_id"],
            "event_timestamp": event["occurred_at"],
            "metadata": {"event": event},
        }

    def _event(self, call: Call, moment: Moment) -> dict[str, Any] | None:
        """Return the event of a moment, or None: Telnyx has no event for ringing."""
        kind, details = _KINDS.get(moment.name, (None, lambda call: {}))
        if kind is None:
            return None
        payload = {
            **self._ids(call),
            "connection_id": self._connection_id,
            "client_state": call.order.form.get("client_state"),
            "from": call.order.from_number,
            "to": call.order.to,
            "start_time": rfc3339(_start(call)),
        }
        return {
            "record_type": "event",
            "event_type": kind,
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{call.order.call_id}:{kind}")),
            "occurred_at": rfc3339(moment.at),
            "payload": payload | details(call),
        }


def _page(request: Request, rows: list[dict[str, Any]]) -> Reply:
    """Return a page of a list, with the number of rows and pages."""
    number, size = whole(request.query, "page[number]", 1), whole(request.query, "page[size]", 20)
    meta = {"total_pages": -(-len(rows) // size), "total_results": len(rows)}
    meta |= {"page_number": number, "page_size": size}
    return Reply(200, {"data": rows[(number - 1) * size : number * size], "meta": meta})


def _start(call: Call) -> datetime:
    return call.moments[0].at


def _detected(call: Call) -> dict[str, str]:
    word = call.line.amd or ("machine" if call.line.behaviour.machine else "human")
    return {"result": "machine" if word.startswith("machine_") else RESULTS.get(word, word)}


def _hung_up(call: Call) -> dict[str, str]:
    cause, source, sip = ENDINGS[call.end]
    return {"state": "hangup", "hangup_cause": cause, "hangup_source": source, "sip_hangup_cause": sip}


#: moment of a call -> the event that it fires, and what its payload has beside the ids
_KINDS: dict[str, tuple[str, Callable[[Call], dict[str, str]]]] = {
    "initiated": ("call.initiated", lambda call: {"direction": "outgoing", "state": "bridging"}),
    "answered": ("call.answered", lambda call: {"state": "answered"}),
    "amd": ("call.machine.detection.ended", _detected),
    "ended": ("call.hangup", _hung_up),
}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def new_environment() -> dict[str, str]:
    """Return a random application's credentials as the app's environment variables.

    The private key that signs the webhooks is derived from the API key. So a mock carrier that gets both variables
    again signs as before.
    """
    api_key = f"KEY{secrets.token_hex(24)}"
    return {
        "TELNYX_API_KEY": api_key,
        "TELNYX_CONNECTION_ID": str(1_000_000_000_000_000_000 + secrets.randbelow(10**18)),
        "TELNYX_PUBLIC_KEY": public_key(_seed_of(api_key)),
    }


def _seed_of(api_key: str) -> bytes:
    return hmac.new(b"telnyx webhooks", api_key.encode(), "sha256").digest()


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Telnyx's side of the mock carrier for the application in the environment."""
    api_key = environment["TELNYX_API_KEY"]
    return Telnyx(api_key, environment["TELNYX_CONNECTION_ID"], _seed_of(api_key))
