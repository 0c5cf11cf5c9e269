"""Vonage's side of the mock carrier: call records, errors and signed events."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from chalicelib.providers.forms import instant
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, rfc3339, utc_now, whole
from ops.local.line import Call, Moment, Order

Form = Mapping[str, Any]

_PATH = re.compile(r"/v1/calls(?:/(?P<id>[^/]+))?/?")
_NUMBER = re.compile(r"[1-9]\d{6,14}")

#: moment of a call before its end -> status of its event
EVENTS = {"initiated": "started", "ringing": "ringing", "answered": "answered"}

#: end of a line -> status, detail and SIP code
#: (https://developer.vonage.com/en/voice/voice-api/webhook-reference#event-webhook)
ENDINGS = {
    "completed": ("completed", "", 200),
    "busy": ("busy", "", 486),
    "no-answer": ("unanswered", "timeout", 480),
    "canceled": ("cancelled", "", 487),
    "failed": ("failed", "internal_error", 503),
    "rejected": ("rejected", "declined", 603),
}

#: scripted fault -> HTTP status, problem type, title and the wrong field
#: (https://developer.vonage.com/en/api-errors)
FAULTS = {
    "invalid-number": (400, "invalid-params", "Bad Request", "to[0].number"),
    "error": (500, "internal-error", "Internal Server Error", ""),
    "throttled": (429, "rate-limit", "Too Many Requests", ""),
    "auth": (401, "unauthorized", "Unauthorized", ""),
}

#: the longest life of a token, and how far its clock may be ahead, in seconds
MAX_TOKEN_SEC = 24 * 3600
CLOCK_SKEW_SEC = 60


def _endpoint(value: object) -> str:
    """Return the number of a phone's endpoint, blank for another endpoint."""
    if not isinstance(value, dict) or value.get("type") != "phone":
        return ""
    return str(value.get("number", ""))


def _to(form: Form) -> str:
    listed = form.get("to")
    return _endpoint(listed[0]) if isinstance(listed, list) and len(listed) == 1 else ""


def _is_urls(form: Form, name: str) -> bool:
    listed = form.get(name)
    if not isinstance(listed, list) or len(listed) != 1:
        return False
    parts = urlsplit(str(listed[0]))
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_timer(form: Form, name: str, most: int) -> bool:
    value = form.get(name, 1)
    return isinstance(value, int) and 1 <= value <= most


#: (field, rule) for each rule of a create-call request. The error names the first broken rule.
#: https://github.com/Nexmo/api-specification, definitions/voice.yml
RULES: tuple[tuple[str, Callable[[Form], bool]], ...] = (
    ("to[0].number", lambda form: _NUMBER.fullmatch(_to(form)) is not None),
    ("from", lambda form: _NUMBER.fullmatch(_endpoint(form.get("from"))) is not None),
    ("answer_url", lambda form: ("ncco" in form) != _is_urls(form, "answer_url")),
    ("answer_method", lambda form: form.get("answer_method", "GET") in ("GET", "POST")),
    ("event_url", lambda form: _is_urls(form, "event_url")),
    ("event_method", lambda form: form.get("event_method", "POST") == "POST"),
    ("machine_detection", lambda form: form.get("machine_detection", "continue") in ("continue", "hangup")),
    ("length_timer", lambda form: _is_timer(form, "length_timer", 7200)),
    ("ringing_timer", lambda form: _is_timer(form, "ringing_timer", 120)),
)


def problem(status: int, kind: str, title: str, field: str = "") -> Reply:
    """Return an error as Vonage's problem+json."""
    body: dict[str, Any] = {"type": f"https://developer.vonage.com/api-errors#{kind}", "title": title}
    body |= {"detail": title, "instance": secrets.token_hex(16)}
    if field:
        body["invalid_parameters"] = [{"name": field, "reason": "is invalid"}]
    return Reply(status, body)


class Vonage:
    """Vonage's voice API for one application."""

    provider = "vonage"
    #: Vonage documents repeats only for requests that expect instructions in the answer. Events expect none.
    delivery = Delivery(connect_timeout_sec=3.0, read_timeout_sec=5.0, extra_tries=0)

    def __init__(self, application_id: str, public_key: rsa.RSAPublicKey, signature_secret: str) -> None:
        self._application_id = application_id
        self._public_key = public_key
        self._secret = signature_secret

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /v1/calls``, or None."""
        path = _PATH.fullmatch(request.path)
        if not path or path["id"] or request.method != "POST":
            return None
        form = _json(request.body)
        ring = form.get("ringing_timer")
        return Order(
            call_id=str(uuid.uuid4()),
            to=_to(form),
            from_number=_endpoint(form.get("from")),
            form=form,
            ring_limit_sec=float(ring) if isinstance(ring, int) else 60.0,
            amd="async" if "machine_detection" in form else "off",
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or for the first broken rule."""
        if not self._authorized(request):
            return self.refused("auth", order)
        broken = next((field for field, holds in RULES if not holds(order.form)), None)
        return problem(400, "invalid-params", "Bad Request", broken) if broken else None

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 as invalid-params with the field."""
        return problem(400, "invalid-params", f"Bad Request: {message}", field)

    def accepted(self, call: Call) -> Reply:
        """Return 201 with the status ``started``."""
        order = call.order
        return Reply(
            201,
            {
                "uuid": order.call_id,
                "status": "started",
                "direction": "outbound",
                "conversation_uuid": f"CON-{order.call_id}",
            },
        )

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Vonage's problem for a scripted fault, by FAULTS."""
        return problem(*FAULTS[fault])

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up, the list or a hangup, else return None."""
        path = _PATH.fullmatch(request.path)
        if not path or request.method not in ("GET", "PUT") or (request.method == "PUT" and not path["id"]):
            return None
        if not self._authorized(request):
            return problem(*FAULTS["auth"])
        if not path["id"]:
            return self._list(request, exchange)
        call = exchange.call(self.provider, path["id"])
        if call is None:
            return problem(404, "not-found", "Not Found")
        if request.method == "GET":
            return Reply(200, self._record(call))
        if _json(request.body) != {"action": "hangup"}:
            return problem(400, "invalid-params", "Bad Request", "action")
        if call.phase(utc_now()) == "ended":
            return problem(404, "not-found", "Not Found")
        exchange.hang_up(call.order.call_id)
        return Reply(204)

    def _list(self, request: Request, exchange: Exchange) -> Reply:
        """List a page of the calls.

        Vonage has no filter by number (developer.vonage.com/api/voice#getCalls).
        """
        query = request.query
        since, until = (instant(str(query.get(name, ""))) for name in ("date_start", "date_end"))
        calls = [
            call
            for call in exchange.calls(self.provider)
            if (since is None or call.moments[0].at >= since) and (until is None or call.moments[0].at <= until)
            if query.get("conversation_uuid", f"CON-{call.order.call_id}") == f"CON-{call.order.call_id}"
        ]
        if query.get("order", "asc") == "asc":
            calls.reverse()
        index, size = whole(query, "record_index", 0), whole(query, "page_size", 10)
        shown = [self._record(call) for call in calls[index : index + size]]
        page = {"count": len(calls), "page_size": len(shown), "record_index": index}
        links = {"self": {"href": f"/calls?{urlencode(query)}"}}
        return Reply(200, {**page, "_links": links, "_embedded": {"calls": shown}})

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the event of a moment. The last one begins with a byte order mark."""
        fields = self._fields(call, moment)
        if moment.name == "amd":
            answered_by = call.line.amd or ("machine_start" if call.line.behaviour.machine else "human")
            if answered_by == "unknown":
                return []
            # Only the event of detection has the call's id under another name: webhook-reference#human-machine
            fields = {
                "call_uuid": fields.pop("uuid"),
                **fields,
                "status": "human" if answered_by == "human" else "machine",
            }
        elif moment.name == "ended":
            status, detail, sip = ENDINGS[call.end]
            fields |= {"status": status, "sip_code": sip} | ({"detail": detail} if detail else {})
            fields |= self._bill(call) if status == "completed" else {}
        else:
            fields["status"] = EVENTS[moment.name]
        url = str(call.order.form["event_url"][0])
        # Some of Vonage's software begins its JSON with a byte order mark. Here the last event does.
        mark = b"\xef\xbb\xbf" if moment.name == "ended" else b""
        return [self._callback(url, mark + json.dumps(fields).encode(), fields)]

    def _authorized(self, request: Request) -> bool:
        """Return whether the token is the application's own, signed with its key by RS256.

        The token must not have expired, come from the future, or be good for more than MAX_TOKEN_SEC.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        try:
            header, claims, signature = token.split(".")
            signed = f"{header}.{claims}".encode()
            self._public_key.verify(_decoded(signature), signed, padding.PKCS1v15(), hashes.SHA256())
            algorithm, granted = json.loads(_decoded(header))["alg"], json.loads(_decoded(claims))
            now, expires_at = utc_now().timestamp(), granted.get("exp", granted["iat"] + 900)
        except (InvalidSignature, ValueError, KeyError, TypeError):
            return False
        return (
            scheme == "Bearer"
            and algorithm == "RS256"
            and granted.get("application_id") == self._application_id
            and bool(granted.get("jti"))
            and granted["iat"] - CLOCK_SKEW_SEC <= now < expires_at <= granted["iat"] + MAX_TOKEN_SEC
        )

    def _record(self, call: Call) -> dict[str, Any]:
        now = utc_now()
        order, phase = call.order, call.phase(now)
        status = EVENTS.get(phase) or ("answered" if phase == "amd" else ENDINGS[call.end][0])
        return {
            "_links": {"self": {"href": f"/calls/{order.call_id}"}},
            "uuid": order.call_id,
            "conversation_uuid": f"CON-{order.call_id}",
            "to": {"type": "phone", "number": order.to},
            "from": {"type": "phone", "number": order.from_number},
            "status": status,
            "direction": "outbound",
            **(self._bill(call) if status == "completed" else {}),
        }

    def _fields(self, call: Call, moment: Moment) -> dict[str, Any]:
        return {
            "headers": {},
            "uuid": call.order.call_id,
            "from": call.order.from_number,
            "to": call.order.to,
            "conversation_uuid": f"CON-{call.order.call_id}",
            "direction": "outbound",
            "timestamp": _milliseconds(rfc3339(moment.at)),
        }

    def _bill(self, call: Call) -> dict[str, str]:
        now = utc_now()
        answered_at, ended_at = call.at("answered", now), call.at("ended", now)
        return {
            "duration": str(call.talk_sec(now)),
            "start_time": _milliseconds(rfc3339(answered_at)) if answered_at else "",
            "end_time": _milliseconds(rfc3339(ended_at)) if ended_at else "",
            "rate": "0.00450000",
            "price": "0.00052500",
            "network": "US-VIRTUAL",
            "disconnected_by": "user",
        }

    def _callback(self, url: str, body: bytes, fields: Form) -> Callback:
        claims = {
            "iat": int(utc_now().timestamp()),
            "jti": str(uuid.uuid4()),
            "iss": "Vonage",
            "payload_hash": hashlib.sha256(body).hexdigest(),
            "api_key": "a1b2c3d4",
            "application_id": self._application_id,
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token(claims, self._secret)}"}
        return Callback(url, "POST", headers, body, fields)


def token(claims: Form, secret: str) -> str:
    """Return a JWT signed by HS256, as Vonage signs its webhooks.

    https://developer.vonage.com/en/getting-started/concepts/webhooks#decoding-signed-webhooks
    """
    head = {"alg": "HS256", "typ": "JWT"}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (head, claims))
    return f"{signed}.{_encoded(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _milliseconds(at: str) -> str:
    return f"{at[:-4]}Z"


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@cache
def _private_key() -> str:
    """Return one key for all mock carriers of a process.

    Making a key takes a tenth of a second or more.
    """
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


def new_environment() -> dict[str, str]:
    """Return a random application's credentials as the app's environment variables."""
    return {
        "VONAGE_APPLICATION_ID": str(uuid.uuid4()),
        "VONAGE_PRIVATE_KEY": _private_key(),
        "VONAGE_SIGNATURE_SECRET": secrets.token_hex(20),
    }


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Vonage's side of the mock carrier for the application in the environment."""
    pem = environment["VONAGE_PRIVATE_KEY"].replace("\\n", "\n").encode()
    private_key = serialization.load_pem_private_key(pem, None)
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise ValueError("VONAGE_PRIVATE_KEY is not an RSA key")
    secret = environment["VONAGE_SIGNATURE_SECRET"].partition(",")[0]
    return Vonage(environment["VONAGE_APPLICATION_ID"], private_key.public_key(), secret)
