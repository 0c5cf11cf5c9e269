"""Bolna's side of the mock carrier: an agent's calls, executions and webhooks."""

import hmac
import json
import re
import secrets
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from chalicelib.providers.forms import instant, json_object
from chalicelib.providers.words import mapping
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request, utc_now, whole
from ops.local.line import Call, Moment, Order

_AGENT = re.compile(r"/v2/agent/(?P<id>[^/]+)")
_AGENTS_CALLS = re.compile(r"/v2/agent/(?P<id>[^/]+)/executions")
_EXECUTION = re.compile(r"/executions/(?P<id>[^/]+)")
_STOP = re.compile(r"/call/(?P<id>[^/]+)/stop")
_E164 = re.compile(r"\+[1-9]\d{6,14}")

#: moment of a call -> its status from then on
STATUS = {"initiated": "initiated", "ringing": "ringing", "answered": "in-progress", "amd": "in-progress"}

#: end of a line -> status and hangup_reason (bolna.ai/docs/list-phone-call-hangup-status). A rejected call arrives as
#: ``completed``, as Bolna warns that it may.
ENDINGS = {
    "completed": ("completed", "Call recipient hung up"),
    "busy": ("busy", "Call recipient was busy"),
    "no-answer": ("no-answer", "Call unanswered"),
    "canceled": ("canceled", "Call canceled"),
    "failed": ("failed", "Carrier Internal Error"),
    "rejected": ("completed", "Call recipient rejected"),
}

#: scripted fault -> HTTP status and message
FAULTS = {
    "invalid-number": (400, "recipient_phone_number must be a valid E.164 phone number"),
    "error": (500, "Internal server error"),
    "throttled": (429, "Too many requests"),
    "auth": (401, "Unauthorized"),
}

#: the words of ``amd`` for which answered_by_voice_mail is not true
PEOPLE = ("human", "unknown")


def error(status: int, message: str) -> Reply:
    """Return an error in Bolna's JSON."""
    return Reply(status, {"error": status, "message": message})


#: The agent that stands for all agents without a webhook of their own. Bolna has no such agent. With it, the local
#: stack need not know the agents that a user will call with.
EVERY_AGENT = "*"


class Bolna:
    """Bolna's API for one account."""

    provider = "bolna"
    #: 10 s, and another try after anything but a 2xx
    delivery = Delivery(read_timeout_sec=10.0, extra_tries=1, retry_statuses=frozenset(range(300, 600)))

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key
        #: agent -> the URL to which its executions are posted
        self._webhooks: dict[str, str] = {}

    def order(self, request: Request) -> Order | None:
        """Return the order in ``POST /call``, or None."""
        if request.method != "POST" or request.path.rstrip("/") != "/call":
            return None
        body = json_object(request.body) or {}
        return Order(
            call_id=str(uuid.uuid4()),
            to=str(body.get("recipient_phone_number") or ""),
            from_number=str(body.get("from_phone_number") or ""),
            form=body,
            amd="async",
        )

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return the error for wrong credentials or a wrong field."""
        if not self._authorized(request):
            return self.refused("auth", order)
        if not _E164.fullmatch(order.to):
            return self.refused("invalid-number", order)
        if not order.form.get("agent_id"):
            return error(400, "agent_id is required")
        if not isinstance(order.form.get("user_data", {}), dict):
            return error(400, "user_data must be an object")
        if "retry_config" in order.form:
            # Stricter than Bolna, which would redial as well: here a mistake must be seen.
            return error(400, "retry_config would have both sides redial")
        return None

    def invalid(self, field: str, message: str) -> Reply:
        """Return 400 with the field."""
        return error(400, f"{field}: {message}")

    def accepted(self, call: Call) -> Reply:
        """Return 200 with the execution_id."""
        return Reply(200, {"message": "done", "status": "queued", "execution_id": call.order.call_id})

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Bolna's error for a scripted fault, by FAULTS."""
        return error(*FAULTS[fault])

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer a look-up, the list, a stop or an agent's update, else return None."""
        paths = (_AGENT, _EXECUTION, _STOP, _AGENTS_CALLS)
        agent, execution, stop, listed = (path.fullmatch(request.path) for path in paths)
        if not (agent or execution or stop or listed):
            return None
        if not self._authorized(request):
            return error(*FAULTS["auth"])
        if listed:
            return self._list(listed["id"], request, exchange)
        if agent:
            return self._update_agent(agent["id"], request)
        found = execution or stop
        call = exchange.call(self.provider, found["id"]) if found else None
        if call is None:
            return error(404, "Execution not found")
        if execution:
            return Reply(200, _execution(call, utc_now()))
        # "This cannot stop a call already in progress": github.com/bolna-ai/skills, make-call
        if call.at("answered", utc_now()) or call.phase(utc_now()) == "ended":
            return error(400, "Only queued and scheduled calls can be stopped")
        exchange.hang_up(call.order.call_id)
        return Reply(200, {"message": "done", "status": "stopped", "execution_id": call.order.call_id})

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return the execution of a moment for the agent's webhook.

        The end of an answered call posts ``call-disconnected`` first.
        """
        url = self._webhooks.get(str(call.order.form.get("agent_id"))) or self._webhooks.get(EVERY_AGENT)
        if not url or (moment.name == "amd" and not _is_voicemail(call)):
            return []
        posted = [_execution(call, moment.at)]
        if moment.name == "ended" and call.at("answered", moment.at):
            posted.insert(0, posted[0] | {"status": "call-disconnected", "conversation_duration": 0})
        headers = {"Content-Type": "application/json"}
        return [Callback(url, "POST", headers, json.dumps(each).encode(), each) for each in posted]

    def _authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._api_key}".encode())

    def _list(self, agent_id: str, request: Request, exchange: Exchange) -> Reply:
        """Return a page of an agent's executions, newest first.

        bolna.ai/docs/api-reference/executions/get_executions
        """
        query, now = request.query, utc_now()
        since, until = (instant(str(query.get(name, ""))) for name in ("from", "to"))
        calls = [
            call
            for call in exchange.calls(self.provider)
            if call.order.form.get("agent_id") == agent_id
            and (since is None or call.moments[0].at >= since)
            and (until is None or call.moments[0].at <= until)
        ]
        number, size = whole(query, "page_number", 1), min(whole(query, "page_size", 20), 50)
        end = number * size
        page = {"page_number": number, "page_size": size, "total": len(calls), "has_more": end < len(calls)}
        return Reply(200, {**page, "data": [_execution(call, now) for call in calls[end - size : end]]})

    def _update_agent(self, agent_id: str, request: Request) -> Reply:
        """Set the webhook to which an agent's executions are posted.

        The body is ``{"agent_config": {"webhook_url": ...}}``.
        """
        url = mapping((json_object(request.body) or {}).get("agent_config")).get("webhook_url")
        if request.method not in ("PUT", "PATCH") or not isinstance(url, str) or not urlsplit(url).hostname:
            return error(400, "agent_config.webhook_url must be a URL")
        self._webhooks[agent_id] = url
        return Reply(200, {"message": "success", "state": "updated"})


def _execution(call: Call, now: datetime) -> dict[str, Any]:
    ended = call.at("ended", now) is not None
    status, reason = ENDINGS[call.end] if ended else (STATUS[call.phase(now)], None)
    seconds = call.talk_sec(now)
    form = call.order.form
    return {
        "id": call.order.call_id,
        "agent_id": form.get("agent_id"),
        "batch_id": None,
        "created_at": _utc(call.moments[0].at),
        "updated_at": _utc(next(moment.at for moment in reversed(call.moments) if moment.at <= now)),
        "scheduled_at": None,
        "answered_by_voice_mail": True if call.at("amd", now) and _is_voicemail(call) else None,
        "conversation_duration": seconds,
        "total_cost": 0,
        "status": status,
        "error_message": None,
        "transcript": None,
        "telephony_data": {
            "duration": str(seconds),
            "to_number": call.order.to,
            "from_number": call.order.from_number,
            "recording_url": None,
            "hosted_telephony": True,
            "provider_call_id": f"CA{call.order.call_id.replace('-', '')}",
            "call_type": "outbound",
            "provider": "plivo",
            "hangup_by": "Carrier" if reason else None,
            "hangup_reason": reason,
            "hangup_provider_code": None,
        },
        "extracted_data": None,
        "context_details": {"recipient_data": form.get("user_data"), "recipient_phone_number": call.order.to},
    }


def _is_voicemail(call: Call) -> bool:
    word = call.line.amd or ("machine_start" if call.line.behaviour.machine else "human")
    return word not in PEOPLE


def _utc(at: datetime) -> str:
    """Return a time as executions write it: UTC without the name of the zone."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds")


def new_environment() -> dict[str, str]:
    """Return a random account's credentials as the app's environment variables."""
    return {"BOLNA_API_KEY": f"bn-{secrets.token_hex(16)}"}


def personality(environment: Mapping[str, str]) -> Personality:
    """Return Bolna's side of the mock carrier for the account in the environment."""
    return Bolna(environment["BOLNA_API_KEY"])
