"""Bolna voice agents: an agent makes the calls, unsigned callbacks report them.

Bolna posts an execution each time that it changes.
"""

import hashlib
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
from chalicelib.providers.allowlist import Allowlist
from chalicelib.providers.base import (
    CallbackRequest,
    DialRequest,
    DialResult,
    MalformedCallback,
    Now,
    Provider,
    Refused,
)
from chalicelib.providers.correlation import TOKEN_KEY, find_token, token_of
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, rows_of, sure
from chalicelib.providers.forms import excerpt, instant, json_object, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.placing import Meanings, ask, outcome_of_answer, place
from chalicelib.providers.q850 import outcome_of_cause
from chalicelib.providers.words import call_id_or_none, is_inbound, leg_of, mapping, spelled, whole_seconds

API_URL = "https://api.bolna.ai"

#: The progress of a call by its status (bolna.ai/docs/api-reference/executions/payload). ``call-disconnected`` is not
#: here, and not an ending: it says that the line is free, even after a call that nobody answered. ``completed`` says
#: how the call went, two or three minutes later.
PROGRESS = {
    "scheduled": Progress.QUEUED,
    "queued": Progress.QUEUED,
    "rescheduled": Progress.QUEUED,  # by Bolna's calling guardrails: the time lies outside the agent's hours
    "initiated": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "in-progress": Progress.IN_PROGRESS,
}

#: The outcome of a call by its status, before Redial looks at the conversation and at the reason for the hangup
ENDINGS = {
    "completed": Outcome.COMPLETED,  # "does not mean that a conversation happened"; same page
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "failed": Outcome.FAILED,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
    "stopped": Outcome.CANCELED,  # by our own POST /call/{id}/stop, or the dashboard's
    "error": Outcome.ERROR,
}

#: The faults of the account by status. Until somebody repairs the account, each dial would waste an attempt.
ACCOUNT_FAULTS = {"balance-low": "bolna:balance-low"}

#: The outcome of an attempt by hangup_reason, spelled with hyphens (bolna.ai/docs/list-phone-call-hangup-status)
HANGUP_REASONS = {
    "call-recipient-was-busy": Outcome.BUSY,
    "call-unanswered": Outcome.NO_ANSWER,
    "call-timed-out": Outcome.NO_ANSWER,
    "call-recipient-number-invalid": Outcome.INVALID_NUMBER,
    "call-recipient-rejected": Outcome.REJECTED,
    "carrier-declined": Outcome.REJECTED,  # blocked on the way, as SIP 608 is
    "network-congestion-from-carrier": Outcome.FAILED,
    "carrier-internal-error": Outcome.FAILED,
    "telephony-internal-error": Outcome.FAILED,
    "call-canceled": Outcome.CANCELED,
    "call-completed": Outcome.COMPLETED,
    "call-ended": Outcome.COMPLETED,
    "call-recipient-hung-up": Outcome.COMPLETED,
    "inactivity-timeout": Outcome.COMPLETED,
    "llm-prompted-hangup": Outcome.COMPLETED,
    "call-recipient-hungup": Outcome.COMPLETED,
}

#: The reasons that prove that somebody picked up, even if nobody spoke: "the callee hung up immediately"
#: (call-statuses, in bolna-ai/skills)
PICKED_UP = frozenset({"call-recipient-hung-up", "call-recipient-hungup"})

#: The endings in which nobody was reached, so the reason for the hangup may say more
UNREACHED = (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.ERROR)

#: The refusals. 404 is about the agent of this call, 400 and 422 about a field of it: none holds for other calls.
MEANINGS = Meanings(
    error_texts=((re.compile(r"recipient_phone_number"), Outcome.INVALID_NUMBER),),
    error_text_statuses=(400, 422),
    account=(401, 402, 403),
)

EVIDENCE = (
    "status",
    "error_message",
    "termination_reason",  # since October 2026; its words are not relied on yet
    "conversation_duration",
    "conversation_time",
    "retry_count",
    "updated_at",
)
TELEPHONY_EVIDENCE = (
    "provider",
    "provider_call_id",
    "duration",
    "ring_duration",
    "hangup_by",
    "hangup_reason",
    "hangup_provider_code",
    "hangup_code",  # the same field's name on the page on hangups
)

#: The largest page of an agent's executions (bolna.ai/docs/api-reference/executions/get_executions). The list has no
#: filter by number.
PAGE_SIZE = 50
MAX_PAGES = 10

#: The providers in telephony_data that ring no phone (same page)
NO_PHONES = ("web-call", "websocket")

#: The form of an execution's id in a URL's path. Bolna's own ids are UUIDs, although one page says integer.
_EXECUTION_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Bolna(Provider):
    """One Bolna account.

    Credentials: ``api_key`` and, optionally, ``allowed_ips`` and ``api_url``.

    The agent that ``agent_version_id`` names makes the call. Bolna posts to the URL that is set on that agent, the same
    for all its calls. So our token travels in ``user_data`` under TOKEN_KEY.

    Bolna signs nothing. If ``allowed_ips`` is set (addresses or CIDR networks, comma-separated), Redial refuses
    callbacks from other addresses. Bolna's pages disagree on its addresses, so there is no default. Without the
    setting, only the unguessable token proves a callback: the token in the URL, or the token in the execution.

    AMD and the ring timeout are settings of the agent, so Redial does not send them. Redial never asks for the agent's
    own retries: two systems that redial would call a person twice.
    """

    name = "bolna"
    required: ClassVar[tuple[str, ...]] = ("api_key",)
    calls_per_second = 8.0  # 500 a minute on /call
    needs_answer_url = False
    needs_agent = True
    callback_per_call = False
    signs_callbacks = False

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._allowlist = Allowlist(credentials.get("allowed_ips"), "BOLNA_ALLOWED_IPS")
        self._api_url = (credentials.get("api_url") or API_URL).rstrip("/")

    @property
    def account(self) -> str:
        """A fingerprint of the API key.

        Bolna has no name for an account that a request would hold.
        """
        return hashlib.sha256(self.credentials["api_key"].encode()).hexdigest()[:12]

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless the request came from an allowed address."""
        self._allowlist.check(request)

    def knows_sender(self, request: CallbackRequest) -> bool:
        """Return True if ``allowed_ips`` is set, because verify() then checks the address."""
        return self._allowlist.is_set

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a posted execution. Raises MalformedCallback."""
        execution = json_object(request.body)
        if execution is None:
            raise MalformedCallback("the body is no JSON object; expected an execution")
        return [read_event(execution)]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /call."""
        if not request.agent_version_id:
            return Refused(Outcome.ERROR, "no-agent")
        body = json.dumps(call_body(request)).encode()
        return place(lambda: self._send("POST", f"{self._api_url}/call", body), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the event of GET /executions/{id}; None if Bolna knows no such execution."""
        if not _EXECUTION_ID.fullmatch(provider_call_id):
            return None
        answer = ask(lambda: self._send("GET", f"{self._api_url}/executions/{provider_call_id}"))
        if answer.status != 200:
            return None
        return _looked_up(json_object(answer.body) or {}, provider_call_id)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the executions from the agent's list.

        None without an agent, because Bolna has no list for all agents.
        """
        if not _EXECUTION_ID.fullmatch(agent_version_id or ""):
            return None
        list_url = f"{self._api_url}/v2/agent/{agent_version_id}/executions"
        return sure(self._between(list_url, Wanted(to_number, from_number, since, until)))

    def hang_up(self, provider_call_id: str) -> bool:
        """Stop a queued or scheduled call.

        Bolna cannot stop a call that is under way (make-call, in bolna-ai/skills).
        """
        if not _EXECUTION_ID.fullmatch(provider_call_id):
            return False
        answer = ask(lambda: self._send("POST", f"{self._api_url}/call/{provider_call_id}/stop"))
        return 200 <= answer.status <= 299

    def _between(self, list_url: str, wanted: Wanted) -> Iterator[CallEvent]:
        # The pages do not say which of an execution's times is filtered. None is before its creation or in the future.
        span = {"from": _iso(wanted.first_second), "to": _iso(max(self.now(), wanted.until) + timedelta(days=1))}
        for row in every_row(partial(self._page, list_url, span), 1, MAX_PAGES):
            telephony, context = (
                scalars(mapping(row.get("telephony_data"))),
                scalars(mapping(row.get("context_details"))),
            )
            if telephony.get("provider") in NO_PHONES or is_inbound(telephony.get("call_type")):
                continue
            parties = wanted.is_to(telephony.get("to_number") or context.get("recipient_phone_number"))
            if parties and wanted.is_from(telephony.get("from_number")):
                fields = scalars(row)
                if wanted.has(instant(fields.get("created_at"))):
                    yield wanted.between(_looked_up(row, fields.get("id", "")))

    def _page(self, list_url: str, span: Mapping[str, str], number: int) -> tuple[Sequence[Row], int | None]:
        """Return a page of executions and the number of the next page.

        bolna.ai/docs/api-reference/pagination
        """
        query = urlencode({**span, "page_number": number, "page_size": PAGE_SIZE})
        body = answered(ask(lambda: self._send("GET", f"{list_url}?{query}")))
        more = body.get("has_more")
        if not isinstance(more, bool):
            raise Unsure("has_more is missing")
        return rows_of(body.get("data")), number + 1 if more else None

    def _send(self, method: str, url: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.credentials['api_key']}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.http.request(method, url, headers=headers, body=body)

    def _read_answer(self, answer: Answer) -> DialResult:
        body = json_object(answer.body) or {}
        fields = scalars(body)
        # The pages on executions say "execution_id or call_id".
        execution_id = fields.get("execution_id") or fields.get("call_id") or ""
        return outcome_of_answer(
            answer,
            call_id=execution_id if _EXECUTION_ID.fullmatch(execution_id) else None,
            error_text=answer.body[:4096].decode("utf-8", "replace"),
            meanings=MEANINGS,
            evidence=excerpt(fields, ("execution_id", "status", "message", "error", "detail")),
            now=self.now,
        )


def call_body(request: DialRequest) -> dict[str, object]:
    """Return the body that creates a call (references/openapi.yml in bolna-ai/skills).

    It has no ``retry_config``; the docstring of Bolna says why.
    """
    return {
        "agent_id": request.agent_version_id,
        "recipient_phone_number": request.to_number,
        "from_phone_number": request.from_number,
        "user_data": {**request.variables, TOKEN_KEY: token_of(request)},
    }


def read_event(execution: Mapping[str, object]) -> CallEvent:
    """Return the event that an execution reports.

    Raises MalformedCallback if the execution has no id.
    """
    fields, telephony = scalars(execution), scalars(mapping(execution.get("telephony_data")))
    context = mapping(execution.get("context_details"))
    call_id = call_id_or_none(fields.get("id") or fields.get("execution_id"))
    if call_id is None:
        raise MalformedCallback("id is missing; expected the execution's, 1 to 128 visible characters")
    status = spelled(fields.get("status"))
    amd = _detected(execution.get("answered_by_voice_mail"))
    seconds = _conversation_sec(fields, telephony)
    reason = telephony.get("hangup_reason", "").strip()[:64]
    talked = _talked_sec(fields) or fields.get("transcript", "").strip()
    fault = None if talked else ACCOUNT_FAULTS.get(status or "")
    code = telephony.get("hangup_provider_code") or telephony.get("hangup_code")
    outcome, cause = (None, fault) if fault else _ending(status, amd, seconds, reason, outcome_of_cause(code))
    if talked and (outcome is not None or status in ACCOUNT_FAULTS):
        # A stated conversation counts more than the word of the end, and more than an account that ran empty.
        outcome = weighed(outcome or Outcome.FAILED, answered=True, amd=amd)
        cause = cause or ACCOUNT_FAULTS.get(status or "")
    return CallEvent(
        event_id=f"{call_id}:{status or ''}{':voicemail' if amd else ''}",
        provider_call_id=call_id,
        status=status,
        progress=_progress(status, amd, talked=bool(talked) and outcome is None),
        outcome=outcome,
        occurred_at=instant(fields.get("updated_at") or fields.get("created_at")),
        duration_sec=seconds,
        amd=amd,
        cause=cause,
        fault=fault,
        to_number=e164_or_none(telephony.get("to_number") or scalars(context).get("recipient_phone_number")),
        from_number=e164_or_none(telephony.get("from_number")),
        token=_token(execution),
        leg=leg_of(telephony.get("call_type")),
        evidence=_evidence(fields, telephony, amd),
    )


def _progress(status: str | None, amd: Amd | None, *, talked: bool) -> Progress | None:
    """Return the progress of a call; None if AMD has a result.

    An event reports either its progress or an AMD result.
    """
    if amd is not None:
        return None
    return Progress.IN_PROGRESS if talked else PROGRESS.get(status or "")


def _looked_up(execution: Mapping[str, object], execution_id: str) -> CallEvent | None:
    """Return an execution as an event; None if its id differs or it has no status."""
    fields = scalars(execution)
    if fields.get("id") != execution_id or not fields.get("status"):
        return None
    event = read_event(execution)
    return replace(event, event_id=f"{execution_id}:lookup:{event.status}:{event.amd or ''}")


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _detected(answered_by_voice_mail: object) -> Amd | None:
    """Return an answering machine if Bolna says so, else None.

    ``false`` and null are there from the start, so they do not mean a person.
    """
    return Amd.MACHINE if answered_by_voice_mail is True or answered_by_voice_mail == "true" else None


def _conversation_sec(fields: Mapping[str, str], telephony: Mapping[str, str]) -> int | None:
    """Return the length of the conversation in seconds, or None.

    The telephony's duration is a string on one page and a number on another.
    """
    stated = (fields.get("conversation_duration"), fields.get("conversation_time"), telephony.get("duration"))
    return next((seconds for text in stated if (seconds := whole_seconds(text)) is not None), None)


def _ending(
    status: str | None, amd: Amd | None, seconds: int | None, reason: str, by_code: Outcome | None
) -> tuple[Outcome | None, str | None]:
    """Return the outcome and cause of an execution that has ended, else None twice.

    The outcome says whether a person was reached and, if not, why. ``by_code`` is the outcome of the telephony
    provider's code, if that code is one of Q.850.
    """
    word = spelled(reason) or ""
    stated = ENDINGS.get(status or "")
    by_reason = HANGUP_REASONS.get(word) or outcome_of_cause(reason) or by_code
    cause = f"bolna:{reason}" if stated is not None and reason else None
    if stated is None:
        return None, None
    if amd is not None:
        return weighed(stated, answered=True, amd=amd), cause
    if stated is Outcome.COMPLETED and not seconds and word not in PICKED_UP:
        if by_reason not in (None, Outcome.COMPLETED):
            return by_reason, cause
        # An end without any time counts as a conversation: one call too few is better than one too many.
        return (stated, cause) if seconds is None else (Outcome.NO_ANSWER, cause or "bolna:no-conversation")
    if stated in UNREACHED and by_reason not in (None, Outcome.COMPLETED):
        return by_reason, cause
    return stated, cause


def _talked_sec(fields: Mapping[str, str]) -> int | None:
    """Return the stated length of a conversation in seconds, or None.

    The telephony's duration does not count, because it may include ringing.
    """
    stated = (fields.get("conversation_duration"), fields.get("conversation_time"))
    return next((seconds for text in stated if (seconds := whole_seconds(text)) is not None), None)


def _token(execution: Mapping[str, object]) -> str | None:
    """Return our token from the variables of the call, or None.

    Bolna's pages and samples disagree on the place of the variables, so all places are searched.
    """
    context = mapping(execution.get("context_details"))
    holders = (execution, context)
    data = [mapping(each.get(name)) for each in holders for name in ("user_data", "recipient_data")]
    return find_token([*data, context])


def _evidence(fields: Mapping[str, str], telephony: Mapping[str, str], amd: Amd | None) -> dict[str, str]:
    voicemail = {"answered_by_voice_mail": "true"} if amd else {}
    return excerpt(fields, EVIDENCE) | voicemail | excerpt(telephony, TELEPHONY_EVIDENCE)
