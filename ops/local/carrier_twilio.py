"""Twilio's side of the mock carrier: Call resource, errors and signed callbacks."""

import base64
import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, e164, fields, utc_now, whole
from ops.local.line import Call, Moment, Order

Form = Mapping[str, Any]

API_VERSION = "2010-04-01"
_PATH = re.compile(rf"/{API_VERSION}/Accounts/(?P<account>[^/]+)/Calls(?:/(?P<sid>[^/.]+))?\.json")
_ADDRESS = re.compile(r"\+[1-9]\d{6,14}|sip:\S+|client:\S+")

#: moment of a call -> the StatusCallbackEvent that it fires; ``completed`` fires for every end of a call
EVENTS = {"initiated": "initiated", "ringing": "ringing", "answered": "answered", "ended": "completed"}
#: moment of a call before its end -> CallStatus of the callback
CALLBACK_STATUS = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress"}
#: moment of a call before its end -> status of the Call resource, which has no ``initiated``
RESOURCE_STATUS = {"initiated": "queued", "ringing": "ringing", "answered": "in-progress", "amd": "in-progress"}

#: end of a line -> final CallStatus and SipResponseCode; Twilio has no status for a rejection
ENDINGS = {
    "completed": ("completed", "200"),
    "busy": ("busy", "486"),
    "no-answer": ("no-answer", "487"),
    "canceled": ("canceled", "487"),
    "failed": ("failed", "503"),
    "rejected": ("failed", "603"),
}

#: mode of detection -> its word for an answering machine
#: https://www.twilio.com/docs/voice/answering-machine-detection
MACHINE_WORDS = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}

#: scripted fault -> HTTP status, Twilio's code (https://www.twilio.com/docs/api/errors) and message
FAULTS = {
    "invalid-number": (400, 21211, "The phone number you are attempting to call, {to}, is not valid."),
    "error": (500, 20500, "An internal server error has occurred"),
    "throttled": (429, 20429, "Too Many Requests"),
    "auth": (401, 20003, "Authenticate"),
}

#: fields that are blank if Twilio knows no place of a number; blank fields are signed too
BLANK_FIELDS = tuple(
    f"{party}{place}" for party in ("Called", "Caller", "From", "To") for place in ("City", "Country", "State", "Zip")
)


def _form(request: Request) -> Form:
    return fields(request.body.decode(errors="replace"))


def _text(form: Form, name: str) -> str:
    return (_values(form, name) or [""])[0]


def _values(form: Form, name: str) -> list[str]:
    value = form.get(name, [])
    return value if isinstance(value, list) else [value]


def _is_address(form: Form, name: str) -> bool:
    return _ADDRESS.fullmatch(_text(form, name)) is not None


def _is_url(form: Form, name: str) -> bool:
    parts = urlsplit(_text(form, name))
    # "hostnames with underscores are not permitted": https://www.twilio.com/docs/api/errors/21609
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "_" not in (parts.hostname or "")


def _is_among(form: Form, name: str, allowed: Sequence[str]) -> bool:
    return all(value in allowed for value in _values(form, name))


def _is_timeout(form: Form) -> bool:
    timeout = _text(form, "Timeout")
    return "Timeout" not in form or (timeout.isdecimal() and 1 <= int(timeout) <= 600)


def _has_async_url(form: Form) -> bool:
    return _text(form, "AsyncAmd") != "true" or _is_url(form, "AsyncAmdStatusCallback")


#: (code, message, rule) for each rule of a create-call request. The error names the first broken rule.
#: The rules are stricter than Twilio, which only warns about a call that breaks 21626 or 21262: here a mistake must be
#: seen.
RULES: tuple[tuple[int, str, Callable[[Form], bool]], ...] = (
    (21201, "No 'To' number is specified", lambda form: bool(_text(form, "To"))),
    (FAULTS["invalid-number"][1], FAULTS["invalid-number"][2], lambda form: _is_address(form, "To")),
    (21213, "No 'From' number is specified", lambda form: bool(_text(form, "From"))),
    (21212, "The source phone number provided, {from}, is not valid.", lambda form: _is_address(form, "From")),
    (
        21205,
        "Url parameter is required: one of Url, Twiml, ApplicationSid",
        lambda form: any(_text(form, name) for name in ("Url", "Twiml", "ApplicationSid")),
    ),
    (21205, "Url is not a valid URL", lambda form: "Url" not in form or _is_url(form, "Url")),
    (
        21609,
        "StatusCallback is not a valid URL",
        lambda form: "StatusCallback" not in form or _is_url(form, "StatusCallback"),
    ),
    (
        21626,
        "StatusCallbackEvent must be initiated, ringing, answered or completed, once for each event",
        lambda form: _is_among(form, "StatusCallbackEvent", tuple(EVENTS.values())),
    ),
    (
        21200,
        "StatusCallbackMethod must be GET or POST",
        lambda form: _is_among(form, "StatusCallbackMethod", ("GET", "POST")),
    ),
    (21208, "Timeout must be a whole number of seconds, 1 to 600", _is_timeout),
    (
        21234,
        "MachineDetection must be Enable or DetectMessageEnd",
        lambda form: _is_among(form, "MachineDetection", tuple(MACHINE_WORDS)),
    ),
    (21234, "AsyncAmd must be true or false", lambda form: _is_among(form, "AsyncAmd", ("true", "false"))),
    (21262, "AsyncAmd needs an AsyncAmdStatusCallback that is a valid URL", _has_async_url),
)


def error(status: int, code: int, message: str) -> Reply:
    """Return an error in Twilio's JSON."""
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    return Reply(status, {"code": code, "message": message, "more_info": more_info, "status": status})


def signature(auth_token: str, url: str, form: Mapping[str, str]) -> str:
    """Return the X-Twilio-Signature of a POST, or of a GET with an empty ``form``.

    https://www.twilio.com/docs/usage/security: HMAC-SHA1 over the URL, then each name and value in the names' order.
    """
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


class Twilio:
    """Twilio's voice API for one account."""

    provider = "twilio"
    #: the prefix of the API's paths
    root = ""
    #: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides: the defaults; a 5xx is not retried
    delivery = Delivery(connect_timeout_sec=5.0, read_timeout_sec=15.0, extra_tries=1)

    def __init__(self, account_sid: str, auth_token: str) -> None:
        self._account_sid = account_sid
        self._auth_token = auth_token

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /2010-04-01/Accounts/{sid}/Calls.json``, or None."""
        path = _PATH.fullmatch(request.path)
        if not path or path["sid"] or request.method != "POST":
            return None
        form = _form(request)
        detects = bool(_text(form, "MachineDetection"))
        return Order(
            call_id=f"CA{secrets.token_hex(16)}",
            to=_text(form, "To"),
            from_number=_text(form, "From"),
            form=form,
            ring_limit_sec=float(_text(form, "Timeout") or 60) if _is_timeout(form) else 60.0,
            amd="off" if not detects else "async" if _text(form, "AsyncAmd") == "true" else "sync",
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or for the first broken rule."""
        if not self._authorized(request):
            return self.refused("auth", order)
        for code, message, holds in RULES:
            if not holds(order.form):
                return error(400, code, message.format_map({"to": order.to, "from": order.from_number}))
        return None

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 with Twilio's error 20001."""
        # 20001: "Unknown parameters": https://www.twilio.com/docs/api/errors/20001
        return error(400, 20001, f"{field}: {message}")

    def accepted(self, call: Call) -> Reply:
        """Return 201 with the Call resource."""
        return Reply(201, self._resource(call, call.moments[0].at))

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Twilio's error for a scripted fault, by FAULTS."""
        status, code, message = FAULTS[fault]
        return error(status, code, message.format_map({"to": order.to}))

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up, an update or the list, else return None."""
        path = _PATH.fullmatch(request.path)
        if not path or request.method not in ("GET", "POST"):
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if not path["sid"]:
            return self._list(request, exchange)
        call = exchange.call(self.provider, path["sid"])
        if call is None:
            return error(404, 20404, f"The requested resource {request.path} was not found")
        if request.method == "POST":
            return self._update(_form(request), call, exchange)
        return Reply(200, self._resource(call, utc_now()))

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the status callback of a moment, or the result of detection.

        Only the events in StatusCallbackEvent are posted, by default ``completed``.
        """
        form = call.order.form
        # "With ApplicationSid, StatusCallback is ignored": https://www.twilio.com/docs/voice/api/call-resource
        if "ApplicationSid" in form:
            return []
        if moment.name == "amd":
            url = _text(form, "AsyncAmdStatusCallback")
            method = _text(form, "AsyncAmdStatusCallbackMethod") or "POST"
            return [self._callback(url, method, self._amd_result(call))] if call.order.amd == "async" else []
        asked = _values(form, "StatusCallbackEvent") or ["completed"]
        fired = [each for each in call.moments if EVENTS.get(each.name) in asked]
        if moment not in fired or not _text(form, "StatusCallback"):
            return []
        progress = self._progress(call, moment, fired.index(moment))
        return [self._callback(_text(form, "StatusCallback"), _text(form, "StatusCallbackMethod") or "POST", progress)]

    def _authorized(self, request: Request) -> bool:
        path = _PATH.fullmatch(request.path)
        pair = f"{self._account_sid}:{self._auth_token}".encode()
        wanted = f"Basic {base64.b64encode(pair).decode()}"
        given = request.headers.get("authorization", "")
        return (
            path is not None
            and path["account"] == self._account_sid
            and hmac.compare_digest(given.encode(), wanted.encode())
        )

    def _list(self, request: Request, exchange: Exchange) -> Reply:
        now = utc_now()
        resources = [self._resource(call, now) for call in exchange.calls(self.provider)]
        for parameter, field in (("To", "to"), ("From", "from"), ("Status", "status")):
            wanted = _text(request.query, parameter)
            if wanted:
                resources = [each for each in resources if each[field] in (wanted, e164(wanted))]
        number, size = whole(request.query, "Page", 0), whole(request.query, "PageSize", 50)
        start = number * size
        shown = resources[start : start + size]
        page = {"page": number, "page_size": size, "start": start, "end": start + max(len(shown) - 1, 0)}
        more = start + size < len(resources)
        return Reply(200, page | self._addresses(request, number + 1 if more else None) | {"calls": shown})

    def _addresses(self, request: Request, following: int | None) -> dict[str, str | None]:
        """Return the address of a page, and that of the next page with the same filters."""
        uri = self.root + request.path
        if following is None:
            return {"uri": uri, "next_page_uri": None}
        query = urlencode({**request.query, "Page": following, "PageToken": f"PA{following}"})
        return {"uri": uri, "next_page_uri": f"{uri}?{query}"}

    def _update(self, form: Form, call: Call, exchange: Exchange) -> Reply:
        now = utc_now()
        status = _text(form, "Status")
        if status not in ("", "completed", "canceled"):
            return error(400, 20001, f"Status is {status}; it can be completed or canceled")
        if call.phase(now) == "ended":
            return error(400, 21220, "Call is not in-progress. Cannot redirect.")
        # "canceled" ends a call that is queued or ringing and leaves one in progress alone; "completed" ends both.
        if status == "completed" or (status == "canceled" and call.at("answered", now) is None):
            call = exchange.hang_up(call.order.call_id)
        return Reply(200, self._resource(call, utc_now()))

    def _resource(self, call: Call, now: datetime) -> dict[str, Any]:
        phase = call.phase(now)
        ended_at = call.at("ended", now)
        placed_at = call.moments[0].at
        sid = call.order.call_id
        detected = call.at("amd", now)
        updated_at = next(moment.at for moment in reversed(call.moments) if moment.at <= now)
        return {
            "sid": sid,
            "account_sid": self._account_sid,
            "api_version": API_VERSION,
            "to": call.order.to,
            "to_formatted": call.order.to,
            "from": call.order.from_number,
            "from_formatted": call.order.from_number,
            "status": RESOURCE_STATUS.get(phase) or ENDINGS[call.end][0],
            "direction": "outbound-api",
            "answered_by": _answered_by(call) if detected else None,
            "duration": str(call.talk_sec(now)) if ended_at and call.end == "completed" else None,
            "start_time": None if phase == "initiated" else format_datetime(placed_at),
            "end_time": format_datetime(ended_at) if ended_at else None,
            "date_created": format_datetime(placed_at),
            "date_updated": format_datetime(updated_at),
            "parent_call_sid": None,
            "price": None,
            "price_unit": "USD",
            "uri": f"{self.root}/{API_VERSION}/Accounts/{self._account_sid}/Calls/{sid}.json",
        }

    def _progress(self, call: Call, moment: Moment, sequence: int) -> dict[str, str]:
        order = call.order
        form = dict.fromkeys(BLANK_FIELDS, "") | {
            "CallSid": order.call_id,
            "AccountSid": self._account_sid,
            "From": order.from_number,
            "Caller": order.from_number,
            "To": order.to,
            "Called": order.to,
            "CallStatus": CALLBACK_STATUS.get(moment.name) or ENDINGS[call.end][0],
            "ApiVersion": API_VERSION,
            "Direction": "outbound-api",
            "Timestamp": format_datetime(moment.at),
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(sequence),
        }
        if moment.name != "ended":
            return form
        talk_sec = call.talk_sec(moment.at)
        form |= {"CallDuration": str(talk_sec), "Duration": str(math.ceil(talk_sec / 60))}
        form["SipResponseCode"] = ENDINGS[call.end][1]
        if order.amd == "sync" and call.at("amd", moment.at):
            form["AnsweredBy"] = _answered_by(call)
        return form

    def _amd_result(self, call: Call) -> dict[str, str]:
        at = {moment.name: moment.at for moment in call.moments}
        return {
            "CallSid": call.order.call_id,
            "AccountSid": self._account_sid,
            "AnsweredBy": _answered_by(call),
            "MachineDetectionDuration": str(round((at["amd"] - at["answered"]).total_seconds() * 1000)),
        }

    def _callback(self, url: str, method: str, form: Mapping[str, str]) -> Callback:
        # The fragment holds connection overrides. Twilio neither requests nor signs it.
        url = url.partition("#")[0]
        if method == "GET":
            url += ("&" if "?" in url else "?") + urlencode(form)
            return Callback(url, "GET", self._headers(url, {}), b"", form)
        return Callback(url, "POST", self._headers(url, form), urlencode(form).encode(), form)

    def _headers(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        return {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature(self._auth_token, url, form),
        }


def _answered_by(call: Call) -> str:
    machine = MACHINE_WORDS[_text(call.order.form, "MachineDetection")]
    return call.line.amd or (machine if call.line.behaviour.machine else "human")


def new_environment() -> dict[str, str]:
    """Return a random account's credentials as the app's environment variables."""
    return {"TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}", "TWILIO_AUTH_TOKEN": secrets.token_hex(16)}


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Twilio's side of the mock carrier for the account in the environment."""
    return Twilio(environment["TWILIO_ACCOUNT_SID"], environment["TWILIO_AUTH_TOKEN"])
