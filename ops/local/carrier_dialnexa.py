"""DialNexa's side of the mock carrier: an agent's calls, and signed webhooks."""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from chalicelib.providers.forms import instant, json_object
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, rfc3339, send, utc_now, whole
from ops.local.line import Call, Moment, Order

_CALLS = "/v1/calls"
_CALL = re.compile(rf"{_CALLS}/(?P<id>[^/]+)")
_WEBHOOKS = "/v1/user-webhooks"
_E164 = re.compile(r"\+[1-9]\d{6,14}")

#: moment of a call -> its status from then on
STATUS = {"initiated": "initiated", "ringing": "initiated", "answered": "in_progress", "amd": "in_progress"}

#: end of a line -> status and hangup_reason. ``hangup`` is a call that never connected. No page has a reason for a
#: rejection, which the networks signal as busy, nor a status for a cancel.
ENDINGS = {
    "completed": ("completed", "user_hangup"),
    "busy": ("hangup", "user_busy"),
    "no-answer": ("hangup", "user_did_not_pick_up"),
    "canceled": ("canceled", None),
    "failed": ("hangup", "network_failure"),
    "rejected": ("hangup", "user_busy"),
}
VOICEMAIL = ("hangup", "voicemail_detected")

#: scripted fault -> HTTP status, message and the status in words
FAULTS = {
    "invalid-number": (400, "phone_number must be a valid E.164 phone number", "Bad Request"),
    "error": (500, "Internal server error", "Internal Server Error"),
    "throttled": (429, "Too many requests", "Too Many Requests"),
    "auth": (401, "API key is missing or invalid", "Unauthorized"),
}

#: the words of ``amd`` that are not a voicemail
PEOPLE = ("human", "unknown")


def error(status: int, message: str, name: str = "Bad Request") -> Reply:
    """Return an error in DialNexa's JSON."""
    return Reply(status, {"statusCode": status, "message": message, "error": name})


def signature(secret: str, body: bytes) -> str:
    """Return the x-dialnexa-signature of a webhook."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class DialNexa:
    """DialNexa's API for one workspace."""

    provider = "dialnexa"
    #: Both are settings of a webhook: 0 to 3 tries, and 1 to 60 s.
    delivery = Delivery(read_timeout_sec=10.0, extra_tries=3, retry_statuses=frozenset(range(300, 600)))

    def __init__(self, api_key: str, webhook_secret: str) -> None:
        self._api_key = api_key
        self._secret = webhook_secret
        #: the URLs to which the workspace's events are posted
        self._urls: list[str] = []

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /v1/calls``, or None."""
        if request.method != "POST" or request.path.rstrip("/") != _CALLS:
            return None
        body = json_object(request.body) or {}
        return Order(
            call_id=f"call_{secrets.token_hex(7)}",
            to=str(body.get("phone_number") or ""),
            from_number="+918047104890",  # the agent's own: the request names none
            form=body,
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or a wrong field."""
        if not self._authorized(request):
            return self.refused("auth", order)
        if not _E164.fullmatch(order.to):
            return self.refused("invalid-number", order)
        if not isinstance(order.form.get("metadata"), dict):
            return error(400, "metadata must be an object")
        if not order.form.get("agent_id"):
            return error(400, "agent_id should not be empty")
        return None

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 with the field."""
        return error(400, f"{field}: {message}")

    def accepted(self, call: Call) -> Reply:
        """Return 201 with the call's id."""
        agent_id = call.order.form["agent_id"]
        placed = {"id": call.order.call_id, "to_phone_number": call.order.to}
        return Reply(201, {**placed, "agent_id": agent_id, "agent_version_number": 1})

    def refused(self, fault: str, order: Order) -> Reply:
        """Return DialNexa's error for a scripted fault, by FAULTS."""
        return error(*FAULTS[fault])

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up, the list or the registration of a webhook, else return None."""
        path = _CALL.fullmatch(request.path)
        registers = request.method == "POST" and request.path == _WEBHOOKS
        lists = request.path == _CALLS and request.method == "GET"
        if not registers and not lists and not (path and request.method == "GET"):
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if lists:
            return self._list(request, exchange)
        if registers:
            return self._register(json_object(request.body) or {})
        call = exchange.call(self.provider, path["id"]) if path else None
        return Reply(200, _log_of(call, utc_now())) if call else error(404, "Call not found", "Not Found")

    def _list(self, request: Request, exchange: Exchange) -> Reply:
        """Return a page of the calls as a bare list.

        The newest call is first unless the query asks for another order.
        """
        query, now = request.query, utc_now()
        since = instant(str(query.get("start_date", "")))
        calls = [
            call
            for call in exchange.calls(self.provider)
            if query.get("to", call.order.to) == call.order.to and (since is None or call.moments[0].at >= since)
        ]
        if query.get("created_at") == "asc":
            calls.reverse()
        size = min(whole(query, "limit", 20), 200)
        start = (whole(query, "page", 1) - 1) * size
        return Reply(200, [_log_of(call, now) for call in calls[start : start + size]])

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return ``call_initiated`` or ``call_ended`` for each webhook of the workspace."""
        event = {"initiated": "call_initiated", "ended": "call_ended"}.get(moment.name)
        if event is None:
            return []
        content = {"event_type": event, "payload": {"call": _webhook_call(call, moment)}}
        return [self._callback(url, content) for url in self._urls]

    def _authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._api_key}".encode())

    def _register(self, body: Mapping[str, Any]) -> Reply:
        """Register a URL for webhooks after it has answered the verification event."""
        url = body.get("url")
        if not isinstance(url, str) or not urlsplit(url).hostname:
            return error(400, "url must be a valid URL")
        content = {"event_type": "verification", "payload": {"message": "Verify", "timestamp": rfc3339(utc_now())}}
        status, _, _ = send(self._callback(url, content), self.delivery)
        if status is None or not 200 <= status <= 299:
            return error(400, f"the endpoint answered the verification with {status}")
        if url not in self._urls:
            self._urls.append(url)
        return Reply(201, {"id": f"webhook_{secrets.token_hex(6)}", "url": url, "is_active": True})

    def _callback(self, url: str, content: Mapping[str, Any]) -> Callback:
        body = json.dumps(content, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "DialNexa-External-Webhook/1.0",
            "x-dialnexa-signature": signature(self._secret, body),
        }
        return Callback(url, "POST", headers, body, content)


def _ending(call: Call) -> tuple[str, str | None]:
    word = call.line.amd or ("machine_start" if call.line.behaviour.machine else "human")
    return VOICEMAIL if call.end == "completed" and word not in PEOPLE else ENDINGS[call.end]


def _webhook_call(call: Call, moment: Moment) -> dict[str, Any]:
    content: dict[str, Any] = {
        "id": call.order.call_id,
        "direction": "outbound",
        "type": "phone_call",
        "category": "single",
        "category_id": None,
        "from_number": call.order.from_number.removeprefix("+"),
        "to_number": call.order.to.removeprefix("+"),
        "status": "initiated",
        "agent_id": call.order.form["agent_id"],
        "initiated_at": rfc3339(call.moments[0].at),
        "metadata": call.order.form["metadata"],
    }
    if moment.name != "ended":
        return content
    status, reason = _ending(call)
    content |= {
        "status": status,
        "ended_at": rfc3339(moment.at),
        "hangup_reason": reason,
        "disconnection_reason": reason,
    }
    return content | ({"duration": call.talk_sec(moment.at)} if status == "completed" else {})


def _log_of(call: Call, now: datetime) -> dict[str, Any]:
    """Return the call as ``GET /v1/calls/{id}`` shows it."""
    ended = call.at("ended", now)
    status, reason = _ending(call) if ended else (STATUS[call.phase(now)], None)
    return {
        "id": call.order.call_id,
        "agent_id": call.order.form["agent_id"],
        "to_number": call.order.to,
        "from_number": call.order.from_number,
        "status": status,
        "call_direction": "outbound",
        "createdAt": rfc3339(call.moments[0].at),
        "duration": call.talk_sec(now),
        "end_reason": reason,
    }


def new_environment() -> dict[str, str]:
    """Return a random workspace's credentials as the app's environment variables."""
    return {
        "DIALNEXA_API_KEY": f"key_{secrets.token_hex(6)}:{secrets.token_hex(16)}",
        "DIALNEXA_WEBHOOK_SECRET": secrets.token_hex(32),
    }


def personality(environment: Mapping[str, str]) -> Personality:
    """Return DialNexa's side of the mock carrier for the workspace in the environment."""
    return DialNexa(environment["DIALNEXA_API_KEY"], environment["DIALNEXA_WEBHOOK_SECRET"].partition(",")[0])
