"""SignalWire's side of the mock carrier.

It is Twilio's Call resource in SignalWire's words, signed with SignalWire's key.
"""

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from ops.local.carrier_twilio import ENDINGS, Twilio, error
from ops.local.exchange import Callback, Delivery, Exchange, Personality, Reply, Request
from ops.local.line import Call, Moment, Order

_ROOT = "/api/laml"

#: SIP response -> its phrase in SipInviteResultPhrase (RFC 3261, 21)
PHRASES = {
    "200": "OK",
    "486": "Busy Here",
    "487": "Request Terminated",
    "503": "Service Unavailable",
    "603": "Decline",
}
#: Twilio's words for an answering machine -> SignalWire's, which has one
MACHINES = {"machine_start": "machine", "machine_end_beep": "machine"}
#: prefixes of the fields of Twilio's callbacks that SignalWire's callbacks do not have
FOREIGN = ("Called", "Caller", "FromCity", "FromCountry", "FromState", "FromZip", "To", "Duration", "SipResponseCode")


def signature(signing_key: str, url: str, body: bytes) -> str:
    """Return the X-SignalWire-Signature of a form.

    It is Twilio's signature, but the values of a repeated name are in the order sent.
    github.com/signalwire/signalwire-python, core/security/webhook_validator.py, scheme B.
    """
    pairs = sorted(parse_qsl(body.decode(), keep_blank_values=True), key=lambda pair: pair[0])
    signed = url + "".join(name + value for name, value in pairs)
    return base64.b64encode(hmac.new(signing_key.encode(), signed.encode(), hashlib.sha1).digest()).decode()


class SignalWire(Twilio):
    """SignalWire's cXML API for one project. Its calls have UUIDs."""

    provider = "signalwire"
    root = _ROOT
    #: signalwire.com/docs, webhooks and common-webhook-errors: 2 s to connect, 5 s to answer, two more tries
    delivery = Delivery(
        connect_timeout_sec=2.0, read_timeout_sec=5.0, extra_tries=2, retry_statuses=frozenset(range(500, 600))
    )

    def __init__(self, project_id: str, api_token: str, signing_key: str) -> None:
        super().__init__(project_id, api_token)
        self._signing_key = signing_key

    def order(self, request: Request) -> Order | None:
        """Return the order of Twilio's request below ``/api/laml``, or None.

        The call's id is a UUID.
        """
        order = super().order(_as_twilios(request))
        return replace(order, call_id=str(uuid.uuid4())) if order else None

    def refusal(self, request: Request, order: Order) -> Reply | None:
        """Return Twilio's error without the link to Twilio's page."""
        return _without_more_info(super().refusal(_as_twilios(request), order))

    def refused(self, fault: str, order: Order) -> Reply:
        """Return Twilio's error for a scripted fault without the link to Twilio's page."""
        reply = super().refused(fault, order)
        return _without_more_info(reply) or reply

    def invalid(self, field: str, message: str) -> Reply:
        """Return 422 with error 20001."""
        reply = error(422, 20001, f"{field}: {message}")
        return _without_more_info(reply) or reply

    def accepted(self, call: Call) -> Reply:
        """Return 200 with the Call resource."""
        return replace(super().accepted(call), status=200)

    def manage(self, request: Request, exchange: Exchange) -> Reply | None:
        """Answer what Twilio answers, below ``/api/laml``, else return None."""
        return _without_more_info(super().manage(_as_twilios(request), exchange))

    def callbacks(self, call: Call, moment: Moment) -> list[Callback]:
        """Return Twilio's callbacks in SignalWire's words and with its signature."""
        return [self._signed(callback) for callback in super().callbacks(call, moment)]

    def _signed(self, callback: Callback) -> Callback:
        signed = signature(self._signing_key, callback.url, callback.body)
        headers = {
            "Content-Type": callback.headers["Content-Type"],
            "User-Agent": "SignalWire",
            "X-SignalWire-Signature": signed,
            "X-Twilio-Signature": signed,
        }
        return replace(callback, headers=headers)

    def _resource(self, call: Call, now: datetime) -> dict[str, Any]:
        # The duration is a number, and the SIP code is null until the end:
        # https://signalwire.com/docs/compatibility-api/rest/calls/retrieve-a-call
        resource = super()._resource(call, now)
        resource["answered_by"] = MACHINES.get(resource["answered_by"], resource["answered_by"])
        resource["duration"] = int(resource["duration"] or 0)
        resource["sip_result_code"] = ENDINGS[call.end][1] if call.at("ended", now) else None
        return resource

    def _progress(self, call: Call, moment: Moment, sequence: int) -> dict[str, str]:
        form = _in_signalwires_words(super()._progress(call, moment, sequence))
        if form["CallStatus"] != "completed":
            form.pop("CallDuration", None)
        return form

    def _amd_result(self, call: Call) -> dict[str, str]:
        return _in_signalwires_words(super()._amd_result(call))


def _as_twilios(request: Request) -> Request:
    """Return the request with Twilio's path. SignalWire's ``.json`` is optional."""
    if not request.path.startswith(f"{_ROOT}/"):
        return replace(request, path="/")
    path = request.path.removeprefix(_ROOT)
    return replace(request, path=path if re.search(r"\.json$", path) else f"{path}.json")


def _in_signalwires_words(form: Mapping[str, str]) -> dict[str, str]:
    words = {name: value for name, value in form.items() if name == "To" or not name.startswith(FOREIGN)}
    sip = form.get("SipResponseCode")
    if sip is not None:
        words |= {"SipResultCode": sip, "SipInviteResultPhrase": PHRASES[sip]}
    if "AnsweredBy" in words:
        words["AnsweredBy"] = MACHINES.get(words["AnsweredBy"], words["AnsweredBy"])
    return words


def _without_more_info(reply: Reply | None) -> Reply | None:
    """Return an error without the link to Twilio's page; other answers as they are."""
    if reply is None or not isinstance(reply.body, dict) or "more_info" not in reply.body:
        return reply
    return replace(reply, body={name: value for name, value in reply.body.items() if name != "more_info"})


def new_environment() -> dict[str, str]:
    """Return a random project's credentials as the app's environment variables."""
    return {
        "SIGNALWIRE_SPACE_URL": "local.signalwire.com",
        "SIGNALWIRE_PROJECT_ID": str(uuid.uuid4()),
        "SIGNALWIRE_API_TOKEN": f"PT{secrets.token_hex(24)}",
        "SIGNALWIRE_SIGNING_KEY": f"PSK{secrets.token_hex(16)}",
    }


def personality(environment: Mapping[str, str]) -> Personality:
    """Return SignalWire's side of the mock carrier for the project in the environment."""
    names = ("PROJECT_ID", "API_TOKEN", "SIGNING_KEY")
    return SignalWire(*(environment[f"SIGNALWIRE_{name}"] for name in names))
