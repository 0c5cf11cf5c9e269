"""Plivo's side of the mock carrier: call records, errors and V3-signed callbacks."""

import base64
import hashlib
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from chalicelib.providers.forms import instant
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, utc_now, whole
from ops.local.line import Call, Moment, Order

Form = Mapping[str, Any]

_PATH = re.compile(r"/v1/Account/(?P<account>[^/]+)/(?P<kind>Call|Request)/(?:(?P<id>[^/]+)/)?")
_NUMBER = re.compile(r"\+?[1-9]\d{6,14}|sip:\S+")

#: The zone in the settings of the account's console. Callbacks give times in this zone without naming it.
CONSOLE_ZONE = timezone(timedelta(hours=5, minutes=30))

#: end of a line -> CallStatus, and code, name and source of the hangup
#: (https://docs.plivo.com/docs/voice/troubleshooting/hangup-causes)
ENDINGS = {
    "completed": ("completed", 4000, "Normal Hangup", "Callee"),
    "busy": ("busy", 3010, "Busy Line", "Callee"),
    # One of Plivo's pages says that every hangup is "completed". Here some are.
    "no-answer": ("completed", 3000, "No Answer", "Carrier"),
    "canceled": ("cancel", 1000, "Canceled", "API Request"),
    "failed": ("failed", 5000, "Network Error", "Carrier"),
    "rejected": ("failed", 3020, "Rejected", "Callee"),
}

#: scripted fault -> HTTP status and error text (https://www.plivo.com/docs/voice/api/response)
FAULTS = {
    "invalid-number": (400, "to parameter is not a valid phone number"),
    "error": (500, "internal server error"),
    "throttled": (429, "too many requests, rate limited"),
    "auth": (401, "could not verify your access level for that URL"),
}

#: moment of a call -> the list that has the call, ``live`` for other moments; the empty word is the list of ended calls
PLACES = {"initiated": "queued", "ended": ""}
#: the maximum on a page of any list (plivo.com/docs/voice/api/call/retrieve-all-calls)
MAX_LISTED = 20

_URLS = ("answer_url", "ring_url", "hangup_url", "fallback_url", "machine_detection_url")


def _text(form: Form, name: str) -> str:
    value = form.get(name)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _is_url(form: Form, name: str) -> bool:
    parts = urlsplit(_text(form, name))
    return name not in form or (parts.scheme in ("http", "https") and bool(parts.hostname))


def _is_seconds(form: Form, name: str) -> bool:
    return name not in form or (isinstance(form[name], int) and form[name] >= 0)


#: (error text, rule) for each rule of a create-call request. The error names the first broken rule. Many numbers in one
#: ``to`` break a rule, though Plivo takes them: here they would be a mistake.
RULES: tuple[tuple[str, Callable[[Form], bool]], ...] = (
    ("from parameter is not a valid phone number", lambda form: _NUMBER.fullmatch(_text(form, "from")) is not None),
    (FAULTS["invalid-number"][1], lambda form: _NUMBER.fullmatch(_text(form, "to")) is not None),
    ("src and destination cannot overlap", lambda form: _text(form, "from") != _text(form, "to")),
    ("answer_url is missing", lambda form: bool(_text(form, "answer_url"))),
    *((f"{name} is not a valid URL", lambda form, name=name: _is_url(form, name)) for name in _URLS),
    ("ring_timeout is not a number of seconds", lambda form: _is_seconds(form, "ring_timeout")),
    ("time_limit is not a number of seconds", lambda form: _is_seconds(form, "time_limit")),
    (
        "machine_detection must be true or hangup",
        lambda form: form.get("machine_detection", "true") in ("true", "hangup"),
    ),
)


def error(status: int, text: str) -> Reply:
    """Return an error in Plivo's JSON."""
    return Reply(status, {"api_id": str(uuid.uuid4()), "error": text})


def signature(auth_token: str, url: str, nonce: str, form: Form) -> str:
    """Return the X-Plivo-Signature-V3 of a POST.

    https://github.com/plivo/plivo-python, plivo/utils/signature_v3.py: HMAC-SHA256 over the URL without its query,
    ``?``, the sorted query decoded, ``.`` if both are there, each name and value in the names' order, ``.``, nonce.
    """
    parts = urlsplit(url)
    query = "&".join(sorted(f"{name}={value}" for name, value in parse_qsl(parts.query, keep_blank_values=True)))
    signed = f"{parts.scheme}://{parts.netloc}{parts.path}"
    signed += f"?{query}" if query or form else ""
    signed += "." if query and form else ""
    signed += "".join(name + form[name] for name in sorted(form)) + f".{nonce}"
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha256).digest()).decode()


class Plivo:
    """Plivo's voice API for one account."""

    provider = "plivo"
    #: https://docs.plivo.com/docs/voice/concepts/callbacks: the defaults; a 5xx is not retried
    delivery = Delivery(connect_timeout_sec=2.0, read_timeout_sec=40.0, extra_tries=1)

    def __init__(self, auth_id: str, auth_token: str) -> None:
        self._auth_id = auth_id
        self._auth_token = auth_token

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /v1/Account/{id}/Call/``, or None."""
        path = _PATH.fullmatch(request.path)
        if not path or path["kind"] != "Call" or path["id"] or request.method != "POST":
            return None
        form = _json(request.body)
        ring = form.get("ring_timeout")
        asked = _text(form, "machine_detection")
        return Order(
            call_id=str(uuid.uuid4()),
            to=_text(form, "to"),
            from_number=_text(form, "from"),
            form=form,
            ring_limit_sec=float(ring) if isinstance(ring, int) else 120.0,
            amd="off" if not asked else "async" if _text(form, "machine_detection_url") else "sync",
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or for the first broken rule."""
        if not self._authorized(request):
            return self.refused("auth", order)
        return next((error(400, text) for text, holds in RULES if not holds(order.form)), None)

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 with the field."""
        return error(400, f"{field} is not valid: {message}")

    def accepted(self, call: Call) -> Reply:
        """Return 201 with the request_uuid, which is the call's id too."""
        call_id = call.order.call_id
        return Reply(201, {"message": "call fired", "request_uuid": call_id, "api_id": str(uuid.uuid4())})

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Plivo's error for a scripted fault, by FAULTS."""
        return error(*FAULTS[fault])

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up, the list or a hangup, else return None."""
        path = _PATH.fullmatch(request.path)
        lists = request.method == "GET" and path is not None and path["kind"] == "Call"
        if not path or not (path["id"] or lists) or request.method not in ("GET", "DELETE"):
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if not path["id"]:
            return self._list(request, exchange)
        call = exchange.call(self.provider, path["id"])
        phase = call.phase(utc_now()) if call else "unknown"
        if request.method == "DELETE":
            # A call that rings has been dialled: it is a Call and no longer a Request.
            kind = {"initiated": "Request", "ended": "", "unknown": ""}.get(phase, "Call")
            if path["kind"] != kind:
                return error(404, "not found")
            exchange.hang_up(path["id"])
            return Reply(204)
        place = PLACES.get(phase, "live")
        if call is None or path["kind"] != "Call" or request.query.get("status", "") != place:
            return error(404, "not found")
        return Reply(200, self._record(call) if phase == "ended" else self._live(call, place))

    def _list(self, request: Request, exchange: Exchange) -> Reply:
        """List the ended calls, newest first, or the ids of live or queued calls.

        The ended calls come in pages of records.
        """
        now, query = utc_now(), request.query
        place = _text(query, "status")
        calls = [call for call in exchange.calls(self.provider) if PLACES.get(call.phase(now), "live") == place]
        start, limit = whole(query, "offset", 0), min(whole(query, "limit", MAX_LISTED), MAX_LISTED)
        if place:
            ids = [call.order.call_id for call in calls[start : start + limit]]
            return Reply(200, {"api_id": str(uuid.uuid4()), "calls": ids})
        since = instant(_text(query, "end_time__gte"))
        records = [
            self._record(call)
            for call in calls
            if call.order.to.startswith(_text(query, "to_number"))
            and call.order.from_number.startswith(_text(query, "from_number"))
            and _text(query, "call_direction") in ("", "outbound")
            and (since is None or (call.at("ended", now) or now) >= since)
        ]
        following = start + limit if start + limit < len(records) else None
        address = f"{request.path}?limit={limit}&offset={following}" if following else None
        meta = {"limit": limit, "next": address, "offset": start, "previous": None, "total_count": len(records)}
        shown = records[start : start + limit]
        return Reply(200, {"api_id": str(uuid.uuid4()), "meta": meta, "objects": shown})

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the ring, machine detection or hangup callback of a moment."""
        form, machine = call.order.form, _is_machine(call)
        if moment.name == "ringing":
            return self._callback(_text(form, "ring_url"), self._fields(call, "Ring", "ringing"))
        if moment.name == "amd" and call.order.amd == "async" and machine:
            detected = {"Machine": "true", "IfMachine": "continue"}
            fields = self._fields(call, "MachineDetection", "in-progress") | detected
            return self._callback(_text(form, "machine_detection_url"), fields)
        if moment.name == "ended":
            # "Defaults to answer_url": https://www.plivo.com/docs/api/call/
            return self._callback(_text(form, "hangup_url") or _text(form, "answer_url"), self._hangup(call))
        return []

    def _authorized(self, request: Request) -> bool:
        path = _PATH.fullmatch(request.path)
        pair = f"{self._auth_id}:{self._auth_token}".encode()
        wanted = f"Basic {base64.b64encode(pair).decode()}"
        given = request.headers.get("authorization", "")
        return (
            path is not None
            and path["account"] == self._auth_id
            and hmac.compare_digest(given.encode(), wanted.encode())
        )

    def _record(self, call: Call) -> dict[str, Any]:
        _, code, name, source = ENDINGS[call.end]
        at = {moment.name: moment.at.astimezone(CONSOLE_ZONE) for moment in call.moments}
        talk_sec = call.talk_sec(utc_now())
        return {
            "answer_time": _zoned(at["answered"]) if "answered" in at else None,
            "api_id": str(uuid.uuid4()),
            "bill_duration": talk_sec,
            "billed_duration": -(-talk_sec // 60) * 60,
            "call_direction": "outbound",
            "call_duration": talk_sec,
            "call_uuid": call.order.call_id,
            "end_time": _zoned(at["ended"]),
            "from_number": call.order.from_number,
            "hangup_cause_code": code,
            "hangup_cause_name": name,
            "hangup_source": source,
            "initiation_time": _zoned(at["initiated"]),
            "parent_call_uuid": None,
            "resource_uri": f"/v1/Account/{self._auth_id}/Call/{call.order.call_id}/",
            "to_number": call.order.to,
            "total_amount": "0.00000",
            "total_rate": "0.00500",
        }

    def _live(self, call: Call, place: str) -> dict[str, Any]:
        live = "in-progress" if call.at("answered", utc_now()) else "ringing"
        record = {
            "api_id": str(uuid.uuid4()),
            "call_status": "queued" if place == "queued" else live,
            "call_uuid": call.order.call_id,
            "caller_name": "",
            "direction": "outbound",
            "from": call.order.from_number,
            "request_uuid": call.order.call_id,
            "to": call.order.to,
        }
        return record if place == "queued" else record | {"session_start": _session_start(call)}

    def _fields(self, call: Call, event: str, status: str) -> dict[str, str]:
        call_id = call.order.call_id
        return {
            "ALegRequestUUID": call_id,
            "ALegUUID": call_id,
            "BillRate": "0.005",
            "CallStatus": status,
            "CallUUID": call_id,
            "Direction": "outbound",
            "Event": event,
            "From": call.order.from_number,
            "ParentAuthID": self._auth_id,
            "RequestUUID": call_id,
            "SessionStart": _session_start(call),
            "To": call.order.to,
        }

    def _hangup(self, call: Call) -> dict[str, str]:
        status, code, name, source = ENDINGS[call.end]
        at = {moment.name: moment.at.astimezone(CONSOLE_ZONE) for moment in call.moments}
        talk_sec = call.talk_sec(utc_now())
        fields = self._fields(call, "Hangup", status) | {
            "AnswerTime": _local(at["answered"]) if "answered" in at else "",
            "BillDuration": str(-(-talk_sec // 60) * 60),
            "Duration": str(talk_sec),
            "EndTime": _local(at["ended"]),
            "HangupCause": "NORMAL_CLEARING" if code == 4000 else name.upper().replace(" ", "_"),
            "HangupCauseCode": str(code),
            "HangupCauseName": name,
            "HangupSource": source,
            "STIRAttestation": "Not Applicable",
            "STIRVerification": "Not Applicable",
            "StartTime": _local(at["initiated"]),
            "TotalCost": "0.00000",
        }
        # If the call waited for detection, "any later URL carries Machine=true".
        detected = call.order.amd == "sync" and "amd" in at
        return fields | {"Machine": "true"} if detected and _is_machine(call) else fields

    def _callback(self, url: str, fields: Mapping[str, str]) -> list[Callback]:
        # The fragment holds delivery options. Plivo neither requests nor signs it.
        url = url.partition("#")[0]
        if not url:
            return []
        nonce = str(secrets.randbelow(10**20))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "Plivo",
            "X-Plivo-Signature-V3": signature(self._auth_token, url, nonce, fields),
            "X-Plivo-Signature-Ma-V3": signature(self._auth_token, url, nonce, fields),
            "X-Plivo-Signature-V3-Nonce": nonce,
        }
        return [Callback(url, "POST", headers, urlencode(fields).encode(), fields)]


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _is_machine(call: Call) -> bool:
    answered_by = call.line.amd or ("machine_start" if call.line.behaviour.machine else "human")
    return answered_by not in ("human", "unknown")


def _session_start(call: Call) -> str:
    return call.moments[0].at.strftime("%Y-%m-%d %H:%M:%S.%f")


def _local(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _zoned(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds")


def new_environment() -> dict[str, str]:
    """Return a random account's credentials as the app's environment variables."""
    return {"PLIVO_AUTH_ID": f"MA{secrets.token_hex(9).upper()}", "PLIVO_AUTH_TOKEN": secrets.token_hex(20)}


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Plivo's side of the mock carrier for the account in the environment."""
    return Plivo(environment["PLIVO_AUTH_ID"], environment["PLIVO_AUTH_TOKEN"].partition(",")[0])
