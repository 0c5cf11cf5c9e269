"""Exotel's side of the mock carrier: calls, Call details and unsigned callbacks."""

import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode, urlsplit

from chalicelib.domain.numbers import national_to_e164
from chalicelib.providers.signing import basic_login
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, fields, utc_now, whole
from ops.local.line import Call, Moment, Order

Form = Mapping[str, Any]

IST = timezone(timedelta(hours=5, minutes=30))
_PATH = re.compile(r"/v1/Accounts/(?P<account>[^/]+)/Calls(?:/(?P<sid>[0-9a-zA-Z]+))?\.json")
_RANGE = re.compile(r"gte:(?P<first>[^;]+);lte:(?P<last>[^;]+)")
_E164 = re.compile(r"\+[1-9]\d{6,14}")

JSON_TYPE, MULTIPART_TYPE = "application/json", "multipart/form-data"
EVENTS = ("terminal", "answered")

#: end of a line -> Status of the call and of its leg. Exotel has no word for a rejection, which the networks signal as
#: busy, and the callback's Status has none for a cancel.
ENDINGS = {
    "completed": ("completed", "completed"),
    "busy": ("busy", "busy"),
    "no-answer": ("no-answer", "no-answer"),
    "canceled": ("failed", "canceled"),
    "failed": ("failed", "failed"),
    "rejected": ("busy", "busy"),
}

#: ``amd`` of a script -> AnsweredBy; the other words become ``Machine``
ANSWERED_BY = {"human": "Human", "unknown": "NotSure"}

#: scripted fault -> HTTP status and message
FAULTS = {
    "invalid-number": (400, "Invalid parameter From: {to}"),
    "error": (500, "Internal Server Error"),
    "throttled": (429, "Too Many Requests"),
    "auth": (401, "Unauthorized"),
}


def _text(form: Form, name: str) -> str:
    return str(form.get(name, ""))


def _is_url(form: Form, name: str) -> bool:
    parts = urlsplit(_text(form, name))
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _is_number(form: Form, name: str) -> bool:
    return _E164.fullmatch(national_to_e164(_text(form, name))) is not None


def _is_at_most(form: Form, name: str, most: int) -> bool:
    text = _text(form, name)
    return name not in form or (text.isdecimal() and int(text) <= most)


#: (message, rule) for each rule of a create-call request. The error names the first broken rule.
RULES: tuple[tuple[str, Callable[[Form], bool]], ...] = (
    (FAULTS["invalid-number"][1], lambda form: _is_number(form, "From")),
    ("Invalid parameter CallerId", lambda form: _is_number(form, "CallerId")),
    ("Mandatory parameter missing: To or Url", lambda form: _is_url(form, "Url")),
    ("Invalid parameter TimeLimit", lambda form: _is_at_most(form, "TimeLimit", 14_400)),
    ("Invalid parameter TimeOut", lambda form: _is_at_most(form, "TimeOut", 600)),
    ("Invalid parameter CustomField", lambda form: len(_text(form, "CustomField")) <= 128),
    (
        "Invalid parameter StatusCallback",
        lambda form: "StatusCallback" not in form or _is_url(form, "StatusCallback"),
    ),
    ("Invalid parameter StatusCallbackEvents", lambda form: all(event in EVENTS for event in _events(form))),
    (
        "Invalid parameter StatusCallbackContentType",
        lambda form: _text(form, "StatusCallbackContentType") in ("", JSON_TYPE, MULTIPART_TYPE),
    ),
)


def _events(form: Form) -> list[str]:
    return [_text(form, f"StatusCallbackEvents[{n}]") for n in (0, 1) if f"StatusCallbackEvents[{n}]" in form]


def error(status: int, message: str) -> Reply:
    """Return an error in Exotel's JSON."""
    return Reply(status, {"RestException": {"Status": status, "Message": message}})


def national(number: str) -> str:
    """Return a number as Exotel writes it.

    An Indian number has ``0`` in place of ``+91``.
    """
    return f"0{number[3:]}" if re.fullmatch(r"\+91\d{10}", number) else number


def indian_time(at: datetime | None) -> str | None:
    """Return a time as v1 writes it: Indian time without the name of the zone."""
    return at.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S") if at else None


def multipart(form: Mapping[str, str]) -> tuple[str, bytes]:
    """Return the Content-Type and the body of a form as multipart/form-data."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    ]
    return f"{MULTIPART_TYPE}; boundary={boundary}", "".join([*parts, f"--{boundary}--\r\n"]).encode()


class Exotel:
    """Exotel's voice API v1 for one account."""

    provider = "exotel"
    #: 15 s, and two more tries after anything but a 2xx. Exotel waits 5 and 15 minutes before them, the mock carrier
    #: does not wait.
    delivery = Delivery(read_timeout_sec=15.0, extra_tries=2, retry_statuses=frozenset(range(300, 600)))

    def __init__(self, account_sid: str, api_key: str, api_token: str) -> None:
        self._account_sid = account_sid
        self._login = basic_login(api_key, api_token)

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /v1/Accounts/{sid}/Calls/connect.json``, or None."""
        path = _PATH.fullmatch(request.path)
        if not path or path["sid"] != "connect" or request.method != "POST":
            return None
        form = fields(request.body.decode(errors="replace"))
        limit = _text(form, "TimeOut")
        return Order(
            call_id=secrets.token_hex(16),
            to=national_to_e164(_text(form, "From")),
            from_number=national_to_e164(_text(form, "CallerId")),
            form=form,
            ring_limit_sec=float(limit) if limit.isdecimal() else 60.0,
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or for the first broken rule."""
        if not self._authorized(request):
            return self.refused("auth", order)
        for message, holds in RULES:
            if not holds(order.form):
                return error(400, message.format_map({"to": order.to}))
        return None

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 with the field."""
        return error(400, f"Invalid parameter {field}: {message}")

    def accepted(self, call: Call) -> Reply:
        """Return 200 with the Call."""
        return Reply(200, {"Call": self._resource(call, call.moments[0].at)})

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Exotel's error for a scripted fault, by FAULTS."""
        status, message = FAULTS[fault]
        return error(status, message.format_map({"to": order.to}))

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up or the list, else return None."""
        path = _PATH.fullmatch(request.path)
        if not path or request.method != "GET":
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if not path["sid"]:
            return self._list(request, exchange)
        call = exchange.call(self.provider, path["sid"])
        if call is None:
            return error(404, "The requested resource was not found")
        now = utc_now()
        details = {"Details": _details(call, now)} if request.query.get("details") == "true" else {}
        return Reply(200, {"Call": self._resource(call, now) | details})

    def _list(self, request: Request, exchange: Exchange) -> Reply:
        """Return a page of the calls that have ended.

        The list "will not provide ongoing calls' details" (developer.exotel.com/api/call-details-bulk). The cursor is
        the number of calls before the page.
        """
        query, now = request.query, utc_now()
        asked = _RANGE.fullmatch(_text(query, "DateCreated"))
        wanted = {national(each) for each in _text(query, "From").split(",")}
        ended = [self._resource(call, now) for call in exchange.calls(self.provider) if call.at("ended", now)]
        found = [
            each
            for each in ended
            if ("From" not in query or each["From"] in wanted)
            and (asked is None or asked["first"] <= each["DateCreated"] <= asked["last"])
        ]
        if _text(query, "SortBy") == "DateCreated:asc":
            found.reverse()
        start, size = whole(query, "After", 0), min(whole(query, "PageSize", 50), 100)
        end = start + size
        following = f"{request.path}?{urlencode({**query, 'After': end})}" if end < len(found) else None
        metadata = {"Total": len(found), "PageSize": size, "FirstPageUri": request.path, "PrevPageUri": None}
        return Reply(200, {"Metadata": {**metadata, "NextPageUri": following}, "Calls": found[start:end]})

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the status callback of a moment, by default only of the end.

        It has more fields if the request names StatusCallbackEvents.
        """
        form = call.order.form
        url, asked = _text(form, "StatusCallback"), _events(form)
        event = {"answered": "answered", "ended": "terminal"}.get(moment.name)
        if not url or event not in (asked or ["terminal"]):
            return []
        content = self._extended(call, moment, event) if asked else self._bare(call, moment)
        if _text(form, "StatusCallbackContentType") == JSON_TYPE:
            return [Callback(url, "POST", {"Content-Type": JSON_TYPE}, json.dumps(content).encode(), content)]
        flat = {name: json.dumps(value) if name == "Legs" else str(value or "") for name, value in content.items()}
        content_type, body = multipart(flat)
        return [Callback(url, "POST", {"Content-Type": content_type}, body, content)]

    def _authorized(self, request: Request) -> bool:
        path = _PATH.fullmatch(request.path)
        given = request.headers.get("authorization", "")
        ours = path is not None and path["account"] == self._account_sid
        return ours and hmac.compare_digest(given.encode(), self._login.encode())

    def _bare(self, call: Call, moment: Moment) -> dict[str, Any]:
        status = ENDINGS[call.end][0] if moment.name == "ended" else "in-progress"
        updated = {"DateUpdated": indian_time(moment.at), "Status": status, "RecordingUrl": None}
        return {"CallSid": call.order.call_id, **updated}

    def _extended(self, call: Call, moment: Moment, event: str | None) -> dict[str, Any]:
        exophone = national(call.order.from_number)
        return self._bare(call, moment) | {
            "EventType": event,
            "DateCreated": indian_time(call.moments[0].at),
            "To": exophone,
            "From": national(call.order.to),
            "PhoneNumberSid": exophone,
            "StartTime": indian_time(call.moments[0].at),
            "EndTime": indian_time(call.at("ended", moment.at)),
            "ConversationDuration": call.talk_sec(moment.at),
            "Direction": "outbound-api",
            "CustomField": _text(call.order.form, "CustomField"),
            "Legs": [_leg(call, moment.at)],
        }

    def _resource(self, call: Call, now: datetime) -> dict[str, Any]:
        ended_at = call.at("ended", now)
        exophone = national(call.order.from_number)
        return {
            "Sid": call.order.call_id,
            "ParentCallSid": None,
            "DateCreated": indian_time(call.moments[0].at),
            "DateUpdated": indian_time(ended_at or now),
            "AccountSid": self._account_sid,
            "To": exophone,
            "From": national(call.order.to),
            "PhoneNumberSid": exophone,
            "Status": ENDINGS[call.end][0] if ended_at else "in-progress",
            "StartTime": indian_time(call.moments[0].at),
            "EndTime": indian_time(ended_at),
            "Duration": str(call.talk_sec(now)) if ended_at else None,
            "Price": None,
            "Direction": "outbound-api",
            "AnsweredBy": _answered_by(call).lower() if ended_at and call.end == "completed" else None,
            "RecordingUrl": None,
        }


def _leg(call: Call, now: datetime) -> dict[str, Any]:
    ended, answered = call.at("ended", now), call.at("answered", now)
    status = ENDINGS[call.end][1] if ended else None
    answered_by = _answered_by(call) if answered else "NA"
    return {"OnCallDuration": call.talk_sec(now), "Status": status, "AnsweredBy": answered_by}


def _details(call: Call, now: datetime) -> dict[str, Any]:
    leg = _leg(call, now)
    legs = [{"Leg": {"Id": 1, "OnCallDuration": leg["OnCallDuration"]}}]
    return {"ConversationDuration": 0, "Leg1Status": leg["Status"], "Leg2Status": None, "Legs": legs}


def _answered_by(call: Call) -> str:
    word = call.line.amd or ("machine_start" if call.line.behaviour.machine else "human")
    return ANSWERED_BY.get(word, "Machine")


def new_environment() -> dict[str, str]:
    """Return a random account's credentials as the app's environment variables."""
    return {
        "EXOTEL_ACCOUNT_SID": f"local{secrets.token_hex(4)}",
        "EXOTEL_API_KEY": secrets.token_hex(24),
        "EXOTEL_API_TOKEN": secrets.token_hex(24),
    }


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Exotel's side of the mock carrier for the account in the environment."""
    return Exotel(environment["EXOTEL_ACCOUNT_SID"], environment["EXOTEL_API_KEY"], environment["EXOTEL_API_TOKEN"])
