"""The create-call request to Telnyx, and the meaning of its answer."""

import base64
import json
import re
import uuid
from collections.abc import Mapping

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.base import (
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    Now,
    Placed,
    PlacementUnknown,
    Refused,
)
from chalicelib.providers.forms import excerpt, json_object, scalars
from chalicelib.providers.http import Answer
from chalicelib.providers.placing import AMBIGUOUS, NOT_DONE_HERE, retry_after_sec
from chalicelib.providers.telnyx_events import DETECTIONS, refusal_in

#: The bounds of time_limit_secs. Error 90029 says 60 to 14,000, the reference 14,400; these are the narrower ones.
TIME_LIMIT_SEC = (60, 14_000)

#: The events that Redial needs. If another application drives the call, only these go to Redial.
OUR_EVENTS = ("call.initiated", "call.hangup", *DETECTIONS)

#: The outcome by API error code, for the codes that are about the number called unless their pointer names another
#: field. This table and the two below: developers.telnyx.com/development/api-fundamentals/api-errors
NUMBER_ERRORS = {
    "10002": Outcome.INVALID_NUMBER,
    "10016": Outcome.INVALID_NUMBER,  # "must be in +E.164 format"
}

#: The API error codes that blame the account, its key or its connection, for every number
ACCOUNT_FAULTS = frozenset(
    {
        "10001",  # the phone number is inactive: From, because From is our number
        "10009",  # authentication failed
        "10010",  # authorization failed; with D13 at the end of its text, the number's country is the reason
        "10017",  # the associated resource does not exist: the connection
        "10035",  # locked, "contact Telnyx support"
        "10038",  # feature not permitted at this account level
        "10039",  # feature limited at this account level
        "20001",  # wrong API key, and so on to 20009
        "20002",
        "20003",
        "20005",
        "20006",
        "20008",
        "20009",
        "20012",  # account inactive, maybe out of funds
        "20013",  # account blocked
        "20014",  # account unverified, and so on to 20017
        "20015",
        "20016",
        "20017",
        "20100",  # insufficient funds
    }
)

#: The API error codes of rate and concurrency limits: a later retry works
LIMIT_ERRORS = frozenset(
    {
        "10011",  # too many requests
        "90041",  # the account's channels are all in use
        "90042",  # the same for the outbound voice profile
        "90043",  # the same for the connection
        "90103",  # dials per second: docs/voice/programmable-voice/dials-per-second-limit
    }
)

#: The fields of our request that are the same for every number. An error that points to one is the account's.
ACCOUNT_FIELDS = ("from", "connection_id", "webhook_url", "webhook_urls", "webhook_url_method")

#: The HTTP statuses that blame the account if the body holds no known code
ACCOUNT_FAULT_STATUSES = (401, 402, 403)

LEG_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def call_request(request: DialRequest, connection_id: str) -> dict[str, object]:
    """Return the body that creates a call.

    developers.telnyx.com/api-reference/call-commands/dial
    """
    least, most = TIME_LIMIT_SEC
    asked: dict[str, object] = {
        "connection_id": connection_id,
        "to": request.to_number,
        "from": request.from_number,
        "timeout_secs": request.ring_timeout_sec,
        "time_limit_secs": min(max(request.max_call_sec, least), most),
        "command_id": command_id(request.call_id, request.attempt),
        "client_state": _client_state(request),
        "webhook_url": request.answer_url or request.callback_url,
        "webhook_url_method": "POST",
    }
    if request.answer_url:
        urls = {kind: [request.callback_url] for kind in OUR_EVENTS}
        # The program that drives the call starts at the answer. Our copy gives the answer's time, and so the duration.
        urls["call.answered"] = [request.answer_url, request.callback_url]
        asked |= {"webhook_urls": urls, "webhook_urls_method": "POST"}
    if request.machine_detection is not MachineDetection.OFF:
        # Telnyx never holds the call for AMD, so sync and async are the same.
        asked["answering_machine_detection"] = "detect"
    return asked


def command_id(call_id: str, attempt: int) -> str:
    """Return a UUID that is always the same for the same attempt.

    Telnyx ignores a second dial with the same command_id, and wants a UUID.
    """
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"redial:{call_id}:{attempt}"))


def _client_state(request: DialRequest) -> str:
    """Return the state that every event of the call carries.

    It shows the program that drives the call which call of Redial this is.
    """
    state = {"call_id": request.call_id, "attempt": request.attempt, "agent_version_id": request.agent_version_id}
    return base64.b64encode(json.dumps(state).encode()).decode()


def read_answer(answer: Answer, now: Now) -> DialResult:
    """Return what an answer to a new call means, from the surest sign to the weakest."""
    body = json_object(answer.body) or {}
    data, error = body.get("data"), _first_error(body)
    refusal = refusal_in(error.get("detail"), error.get("title"))
    code = refusal.reason if refusal else error.get("code")
    cause = f"telnyx:{code}" if code else f"http:{answer.status}"
    evidence = {"http_status": str(answer.status), **excerpt(error, ("code", "title", "detail", "pointer"))}
    if 200 <= answer.status <= 299:
        ids = scalars(data) if isinstance(data, dict) else {}
        if LEG_ID.fullmatch(ids.get("call_leg_id", "")):
            named = excerpt(ids, ("call_control_id", "call_session_id"))
            return Placed(ids["call_leg_id"], {**evidence, **named})
        return PlacementUnknown(cause, evidence)
    if answer.status in NOT_DONE_HERE:
        return DeferredByProvider(cause, fault=True, evidence=evidence)
    if not 400 <= answer.status <= 499 or answer.status in AMBIGUOUS:
        return PlacementUnknown(cause, evidence)
    if answer.status == 429 or code in LIMIT_ERRORS or (refusal and refusal.is_limit):
        return DeferredByProvider(cause, fault=False, retry_after_sec=_wait_sec(answer, now), evidence=evidence)
    if refusal:
        outcome = refusal.outcome
        return (
            Refused(outcome, cause, evidence) if outcome else DeferredByProvider(cause, fault=True, evidence=evidence)
        )
    if _points_at_account(error) or code in ACCOUNT_FAULTS or answer.status in ACCOUNT_FAULT_STATUSES:
        return DeferredByProvider(cause, fault=True, evidence=evidence)
    return Refused(NUMBER_ERRORS.get(code or "", Outcome.ERROR), cause, evidence)


def _wait_sec(answer: Answer, now: Now) -> int | None:
    """Return the seconds until the limit is lifted, or None.

    Retry-After says so, or x-ratelimit-reset (api-fundamentals/rate-limiting).
    """
    asked = retry_after_sec(answer, now)
    return retry_after_sec(answer, now, "x-ratelimit-reset") if asked is None else asked


def _first_error(body: Mapping[str, object]) -> dict[str, str]:
    """Return the first of an answer's errors.

    ``pointer`` is the field of our request that the error blames.
    """
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return {}
    source = first.get("source")
    pointers = scalars(source) if isinstance(source, dict) else {}
    return {**scalars(first), "pointer": pointers.get("pointer") or pointers.get("parameter") or ""}


def _points_at_account(error: Mapping[str, str]) -> bool:
    return error.get("pointer", "").strip("/").split("/")[-1] in ACCOUNT_FIELDS
