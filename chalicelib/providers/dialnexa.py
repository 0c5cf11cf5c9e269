"""DialNexa voice agents: an agent makes the calls, signed webhooks report them.

The webhooks belong to the workspace and are signed with HMAC-SHA256.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.numbers import e164_or_none
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.reached import weighed
from chalicelib.errors import RedialError
from chalicelib.providers.base import (
    CallbackRequest,
    DialRequest,
    DialResult,
    MalformedCallback,
    Now,
    Provider,
    Refused,
    SignatureError,
)
from chalicelib.providers.correlation import TOKEN_KEY, find_token, token_of
from chalicelib.providers.dialable import digits
from chalicelib.providers.finding import Row, Unsure, Wanted, every_row, rows_of, sure
from chalicelib.providers.forms import excerpt, instant, json_object, json_value, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.placing import Meanings, ask, outcome_of_answer, place
from chalicelib.providers.q850 import outcome_of_cause
from chalicelib.providers.signing import matches_any, secrets_of
from chalicelib.providers.words import call_id_or_none, is_inbound, leg_of, mapping, spelled, whole_seconds

API_URL = "https://api.dialnexa.com"

#: The headers of the signature. The page on webhooks has the first, with the bare digest. The OpenAPI's createWebhook
#: has the second, with ``sha256=`` before the digest; the page on authentication has the second too
#: (dialnexa.com/docs/api-reference/webhooks).
SIGNATURE_HEADERS = ("x-dialnexa-signature", "x-nexa-signature")

#: The progress of a call by event_type, with hyphens for dots and underscores. The webhook page has
#: ``call_initiated``; other versions of the page have ``call.initiated``.
EVENT_PROGRESS = {
    "call-initiated": Progress.INITIATED,
    "call-ringing": Progress.RINGING,
    "call-started": Progress.INITIATED,
    "call-answered": Progress.IN_PROGRESS,
    "transfer-completed": Progress.IN_PROGRESS,  # the agent has handed over to a person; the call goes on
}

#: The status that an event_type stands for if the call has none. ``call_ended`` stands for no status.
EVENT_STATUS = {
    "call-completed": "completed",
    "call-failed": "failed",
    "call-no-answer": "no-answer",
    "call-busy": "busy",
}

#: The event_types of events that end a call, in all versions of the pages
ENDED = ("call-ended", *EVENT_STATUS)

#: The progress of a call by its status, if the event says nothing
PROGRESS = {
    "scheduled": Progress.QUEUED,
    "queued": Progress.QUEUED,
    "initiated": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
    "ongoing": Progress.IN_PROGRESS,
}

#: The outcome of a call by its status. Webhooks have ``completed`` or ``hangup``; the history of retries has the
#: others, spelled ``no_answer`` in one sample and ``no-answer`` in the next (GET /v1/call-logs/{id}/retries).
ENDINGS = {
    "completed": Outcome.COMPLETED,
    "hangup": Outcome.FAILED,  # it never connected: the reason says why
    "no-answer": Outcome.NO_ANSWER,
    "busy": Outcome.BUSY,
    "failed": Outcome.FAILED,
    "voicemail": Outcome.VOICEMAIL,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
}

#: The outcome by hangup_reason, or by its older name disconnection_reason (webhook page, call_ended)
HANGUP_REASONS = {
    "user-did-not-pick-up": Outcome.NO_ANSWER,
    "user-busy": Outcome.BUSY,
    "voicemail-detected": Outcome.VOICEMAIL,
    "user-unreachable": Outcome.NO_ANSWER,  # switched off or out of reach, as SIP 480 is
    "unallocated-phone-number": Outcome.INVALID_NUMBER,
    "invalid-phone-number": Outcome.INVALID_NUMBER,  # the same reason in older versions
    "network-failure": Outcome.FAILED,
    "sip-trunk-unreachable": Outcome.FAILED,
    "unknown": Outcome.FAILED,
}

#: The reasons that blame the account: its trunk refuses its own login, for every number
ACCOUNT_FAULTS = frozenset({"sip-auth-failed"})

#: The statuses of a call in which nobody was reached, so the reason may say more. After ``completed`` the reason says
#: who hung up first.
UNREACHED = ("hangup", "failed", "no-answer", "busy")

#: The statuses that say less than the events ``call.no_answer`` and ``call.busy``
VAGUE = ("hangup", "failed")

#: The refusals. 402 is an empty wallet, 403 a workspace without KYC. A destination that is not enabled must not stop
#: the calls to other destinations. The same holds for 404, which is about the agent that this call names.
MEANINGS = Meanings(
    error_texts=(
        (re.compile(r"phone_number must be a valid"), Outcome.INVALID_NUMBER),
        (re.compile(r"destination country or network prefix", re.IGNORECASE), Outcome.ERROR),
    ),
    error_text_statuses=(400, 403),
    account=(401, 402, 403),
    limits=(409, 429),
)

#: The paths to the call in a webhook, or to its bare object, in all published versions
CALL_PATHS = (("payload", "call"), ("data", "call"), ("call",), ("payload",), ("data",), ())

EVIDENCE = (
    "status",
    "hangup_reason",
    "disconnection_reason",
    "end_reason",
    "duration",
    "direction",
    "category",
    "initiated_at",
    "ended_at",
)

#: The largest page of the list of calls (listCalls in DialNexa's OpenAPI)
PAGE_SIZE = 200

#: The form of a call's id in a URL's path
_CALL_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class DialNexa(Provider):
    """One DialNexa workspace.

    Credentials: ``api_key`` (``key_id:secret``), ``webhook_secret`` and, optionally, ``api_url``. ``webhook_secret``
    may be two secrets, separated by a comma.

    The agent that ``agent_version_id`` names makes the call, from the number that is set on that agent: the API takes
    no number. Webhooks belong to the workspace and not to a call, so our token travels in ``metadata`` under TOKEN_KEY.
    If the token does not come back, Redial knows the call by its id.
    """

    name = "dialnexa"
    required: ClassVar[tuple[str, ...]] = ("api_key", "webhook_secret")
    signature_headers = tuple((name,) for name in SIGNATURE_HEADERS)
    calls_per_second = 1.0  # no rate is published; a 429 says when to retry
    needs_answer_url = False
    needs_agent = True
    callback_per_call = False

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        key_id, _, secret = credentials["api_key"].partition(":")
        if not key_id or not secret:
            raise RedialError("DIALNEXA_API_KEY is not of the form key_id:secret")
        self._secrets = secrets_of(credentials["webhook_secret"])
        if not self._secrets:
            raise RedialError("DIALNEXA_WEBHOOK_SECRET holds no secret; expected one, or two separated by a comma")
        self._account = key_id
        self._calls_url = (credentials.get("api_url") or API_URL).rstrip("/") + "/v1/calls"

    @property
    def account(self) -> str:
        """The id of the API key."""
        return self._account

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless a header holds hex(HMAC-SHA256(secret, body)).

        One of the secrets must match. The signature covers no time, so a repeated delivery verifies; Redial recognizes
        the repeat by its ``event_id``.
        """
        given = next((value for name in SIGNATURE_HEADERS if (value := request.header(name))), None)
        if given is None:
            raise SignatureError(f"{SIGNATURE_HEADERS[0]} is missing")
        digest = given.removeprefix("sha256=")
        expected = [hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest() for secret in self._secrets]
        if not matches_any(digest, expected):
            raise SignatureError("the signature does not match; is the webhook secret the one the sender has?")

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the event of a webhook.

        The webhook that verifies the URL has no event; it needs the 200 only. Raises MalformedCallback.
        """
        webhook = json_object(request.body)
        if webhook is None:
            raise MalformedCallback("the body is no JSON object; expected a webhook")
        event = _event_type(webhook)
        return [] if event == "verification" else [read_event(_call_of(webhook), event, webhook)]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /v1/calls."""
        if not request.agent_version_id:
            return Refused(Outcome.ERROR, "no-agent")
        body = json.dumps(call_body(request)).encode()
        return place(lambda: self._send("POST", self._calls_url, body), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the event of GET /v1/calls/{id}; None if DialNexa knows no such call."""
        if not _CALL_ID.fullmatch(provider_call_id):
            return None
        answer = ask(lambda: self._send("GET", f"{self._calls_url}/{provider_call_id}"))
        if answer.status != 200:
            return None
        return _looked_up(json_object(answer.body) or {}, provider_call_id)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls to the number, from any number.

        The agent's own number is the caller; Redial cannot choose it.
        """
        return sure(self._between(Wanted(to_number, from_number, since, until)))

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        # Calls and webhooks have the same number with ``+`` and without, so both are asked for. "start_date (ISO
        # format)" may mean a whole day in an unknown time zone, so the list begins one day early.
        since = (wanted.since.astimezone(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for number in (wanted.to_number, digits(wanted.to_number)):
            asked = {"to": number, "start_date": since, "created_at": "asc", "limit": str(PAGE_SIZE)}
            for row in every_row(partial(self._page, asked), 1):
                fields = scalars(row)
                inbound = is_inbound(fields.get("call_direction") or fields.get("direction"))
                created_at = instant(fields.get("createdAt"))
                if not inbound and wanted.is_to(fields.get("to_number")) and wanted.has(created_at):
                    found = wanted.between(_looked_up(row, fields.get("id", "")))
                    yield replace(found, from_number=e164_or_none(fields.get("from_number")))

    def _page(self, asked: Mapping[str, str], page: int) -> tuple[Sequence[Row], int | None]:
        """Return a page of calls and the number of the next page.

        A page is a bare list that says nothing of other pages. The last page is the empty one.
        """
        url = f"{self._calls_url}?{urlencode({**asked, 'page': page})}"
        answer = ask(lambda: self._send("GET", url))
        if answer.status != 200:
            raise Unsure("no page came")
        rows = rows_of(json_value(answer.body))
        return rows, page + 1 if rows else None

    def _send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.credentials['api_key']}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.http.request(method, url, headers=headers, body=body)

    def _read_answer(self, answer: Answer) -> DialResult:
        body = json_object(answer.body) or {}
        fields = scalars(body)
        call_id = fields.get("id", "")
        message = body.get("message")
        error_text = (
            "; ".join(each for each in message if isinstance(each, str))
            if isinstance(message, list)
            else fields.get("message", "")
        )
        return outcome_of_answer(
            answer,
            call_id=call_id if _CALL_ID.fullmatch(call_id) else None,
            error_text=error_text,
            meanings=MEANINGS,
            evidence=excerpt({**fields, "message": error_text}, ("id", "message", "error")),
            now=self.now,
        )


def call_body(request: DialRequest) -> dict[str, object]:
    """Return the body that creates a call (POST /v1/calls in DialNexa's OpenAPI).

    ``metadata`` is required.
    """
    return {
        "agent_id": request.agent_version_id,
        "phone_number": request.to_number,
        "metadata": {**request.variables, TOKEN_KEY: token_of(request)},
    }


def _event_type(webhook: Mapping[str, object]) -> str | None:
    fields = scalars(webhook)
    event = fields.get("event_type") or fields.get("event") or fields.get("type")
    return spelled((event or "").replace(".", "-"))


def _call_of(webhook: Mapping[str, object]) -> Mapping[str, object]:
    """Return the call of a webhook: the first object in CALL_PATHS that has an id."""
    for path in CALL_PATHS:
        found = webhook
        for name in path:
            found = mapping(found.get(name))
        if scalars(found).get("id"):
            return found
    return {}


def read_event(call: Mapping[str, object], event: str | None, webhook: Mapping[str, object]) -> CallEvent:
    """Return the event of a call and of the webhook around it.

    Raises MalformedCallback if they name no call.
    """
    fields = scalars(call)
    call_id = call_id_or_none(fields.get("id"))
    if call_id is None:
        raise MalformedCallback("the webhook has no payload.call with an id of 1 to 128 visible characters")
    status = spelled(fields.get("status")) or EVENT_STATUS.get(event or "")
    reason = spelled(next((fields[name] for name in EVIDENCE[1:4] if fields.get(name)), None))
    outcome, fault = (None, None) if event in EVENT_PROGRESS else _ending(event, status, reason)
    if _talked(fields, outcome) and (outcome is not None or fault is not None):
        # A stated conversation counts more than the word of the end.
        outcome, fault = weighed(outcome or Outcome.FAILED, answered=True, amd=None), None
    over = outcome is not None or fault is not None
    amd = Amd.MACHINE if reason == "voicemail-detected" or status == "voicemail" else None
    return CallEvent(
        event_id=f"{call_id}:{event or ''}:{status or ''}",
        provider_call_id=call_id,
        status=status or event,
        progress=None if over else _progress(event, status, fields),
        outcome=outcome,
        occurred_at=instant(fields.get("ended_at") if over else fields.get("initiated_at")),
        duration_sec=whole_seconds(fields.get("duration")),
        amd=amd,
        cause=f"dialnexa:{reason}" if over and reason else None,
        fault=fault,
        to_number=e164_or_none(fields.get("to_number")),
        from_number=e164_or_none(fields.get("from_number")),
        leg=leg_of(fields.get("direction") or fields.get("call_direction")),
        token=find_token(mapping(each.get("metadata")) for each in (call, mapping(webhook.get("payload")), webhook)),
        evidence=excerpt({"event_type": event or "", **fields}, ("event_type", *EVIDENCE)),
    )


def _progress(event: str | None, status: str | None, fields: Mapping[str, str]) -> Progress | None:
    """Return the progress of a live call. A transcript proves a conversation."""
    if fields.get("transcript", "").strip():
        return Progress.IN_PROGRESS
    return EVENT_PROGRESS.get(event or "") or PROGRESS.get(status or "")


def _talked(fields: Mapping[str, str], outcome: Outcome | None) -> bool:
    """Return True if a call that has ended states a conversation.

    No page says whether ``duration`` includes ringing. So beside a word such as ``no-answer`` it counts only together
    with an answer time.
    """
    vague = outcome in (None, Outcome.FAILED, Outcome.ERROR)
    lasted = bool(whole_seconds(fields.get("duration"))) and (vague or bool(fields.get("answered_at", "").strip()))
    return lasted or bool(fields.get("transcript", "").strip())


def _looked_up(call: Mapping[str, object], call_id: str) -> CallEvent | None:
    """Return a call of the REST API as an event.

    None if its id differs or it has no status.
    """
    if scalars(call).get("id") != call_id or not scalars(call).get("status"):
        return None
    event = read_event(call, None, {})
    return replace(event, event_id=f"{call_id}:lookup:{event.status}:{event.cause or ''}")


def _ending(event: str | None, status: str | None, reason: str | None) -> tuple[Outcome | None, str | None]:
    """Return the outcome of a call that has ended, or else the account's fault.

    Both are None while the call is live.
    """
    event_status = EVENT_STATUS.get(event or "")
    known = status if status in ENDINGS and not (status in VAGUE and event_status in UNREACHED) else event_status
    by_reason = HANGUP_REASONS.get(reason or "") or outcome_of_cause(reason)
    if by_reason is Outcome.COMPLETED:
        by_reason = None  # a regular end says no more than the status
    if known is None:
        # The call is over, but its word is unknown: only the reason may say how it ended.
        return (by_reason, None) if event in ENDED else (None, None)
    if known in UNREACHED:
        if reason in ACCOUNT_FAULTS:
            return None, f"dialnexa:{reason}"
        return by_reason or ENDINGS[known], None
    if by_reason is Outcome.VOICEMAIL:
        return Outcome.VOICEMAIL, None
    return ENDINGS[known], None
