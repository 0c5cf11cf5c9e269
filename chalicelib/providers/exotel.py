"""Exotel Voice v1: calls that connect a number to a flow, and status callbacks that nobody signs."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

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
    PutOff,
)
from chalicelib.providers.correlation import token_of, token_or_none
from chalicelib.providers.exotel_times import bulk_query, indian_instant, is_in_span
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, next_query, rows_of, sure
from chalicelib.providers.forms import excerpt, is_json, json_object, read_fields, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.multipart import decode_multipart, is_multipart
from chalicelib.providers.placing import Meanings, ask, outcome_of_answer, place
from chalicelib.providers.signing import basic_login
from chalicelib.providers.words import call_id_or_none, leg_of, mapping, spelled, whole_seconds

API_URL = "https://api.exotel.com"  # Singapore; accounts in Mumbai have https://api.in.exotel.com
COUNTRY_CODE = "91"
MOST_CALL_SEC = 14_400  # developer.exotel.com/docs/voice-v1/api-reference/connect-to-flow: TimeLimit

#: after which no call is under way any more: the longest, after a queue and two phones that ring
LONGEST_LIFE = timedelta(seconds=MOST_CALL_SEC, minutes=30)

#: Status -> how far the call has come (developer.exotel.com/docs/references/error-codes#call-status-values)
PROGRESS = {
    "queued": Progress.QUEUED,
    "ringing": Progress.RINGING,
    # Said from the start: the create call's own answer has it, before any phone rings
    "in-progress": Progress.INITIATED,
}

#: EventType -> how far the call has come, whatever its Status; ``terminal`` is the other one
EVENTS = {"answered": Progress.IN_PROGRESS}

#: Status -> how the call ended. The callback page lists the first four, the status page ``canceled`` as well, and
#: v3 has words of its own (developer.exotel.com/docs/voice-v3/api-reference/call-details)
ENDINGS = {
    "completed": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "busy": Outcome.BUSY,
    "no-answer": Outcome.NO_ANSWER,
    "canceled": Outcome.CANCELED,
    "cancelled": Outcome.CANCELED,
    "from-leg-unanswered": Outcome.NO_ANSWER,  # in a call to a flow that is the customer's leg
    "to-leg-unanswered": Outcome.NO_ANSWER,
    "from-leg-cancelled": Outcome.CANCELED,
    "to-leg-cancelled": Outcome.CANCELED,
    "from-leg-no-dial": Outcome.ERROR,  # it never got as far as the network
    "to-leg-no-dial": Outcome.ERROR,
}

#: What stands for the Status of a leg that was never dialled
NOTHING_SAID = (None, "null", "none", "na")

#: The Status words that the customer's own leg may correct: both say little of who was reached
VAGUE = ("completed", "failed")

#: AnsweredBy of a leg. The table has ``Human``, the sample beside it ``HUMAN``; ``NA`` is for no detection
ANSWERED_BY = {"human": Amd.HUMAN, "machine": Amd.MACHINE, "notsure": Amd.UNKNOWN, "not-sure": Amd.UNKNOWN}

#: developer.exotel.com/docs/references/error-codes. 403 is a suspended account or an address that is not allowed,
#: 404 the account that the URL names. The words for do-not-disturb are those that callers of Exotel pass on
#: (docs.sarvam.ai/api-reference/instant-outbound/webhook-payload: "registered under TRAI NDNC").
MEANINGS = Meanings(
    said=((re.compile(r"\bNDNC\b|\bDND\b|do.not.disturb", re.IGNORECASE), Outcome.DND),),
    said_at=(400, 403),
    account=(401, 402, 403, 404),
    pace=(409, 429),  # 409: "check the resource's current state before retrying"
)

#: The campaign callback's names -> those of all others (developer.exotel.com/docs/references/webhooks)
ALIASES = {"call_sid": "CallSid", "status": "Status", "date_updated": "DateUpdated", "number": "To"}

EVIDENCE = ("Status", "EventType", "ConversationDuration", "Duration", "Direction", "DateUpdated", "EndTime")

_CALL_SID = re.compile(r"[0-9A-Za-z]{1,64}")
_FLOW_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_FLOW_PATH = re.compile(r".*/exoml/start_voice/[^/]+")
_LEG_FIELD = re.compile(r"Legs\[([0-9])\]\[(\w{1,32})\]")
_INDIAN = re.compile(r"\+91([1-9][0-9]{9})")

Leg = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Report:
    """A callback or a Call resource, in the callback's names; ``legs`` in the order in which they were dialled."""

    fields: Mapping[str, str]
    legs: Sequence[Leg]

    @property
    def exophone(self) -> str | None:
        """The account's number that the call was made from."""
        return e164_or_none(self.fields.get("PhoneNumberSid"), COUNTRY_CODE)

    @property
    def joins_two_numbers(self) -> bool:
        """True where From is the user's agent and To the customer. A call to a flow has no To, or the ExoPhone."""
        to = e164_or_none(self.fields.get("To"), COUNTRY_CODE)
        return to is not None and to != self.exophone

    @property
    def customer(self) -> str | None:
        """The number of the person called."""
        return e164_or_none(self.fields.get("To" if self.joins_two_numbers else "From"), COUNTRY_CODE)

    @property
    def customer_leg(self) -> Leg:
        """What is said of the customer's own leg; empty where nothing is."""
        index = 1 if self.joins_two_numbers else 0
        return self.legs[index] if index < len(self.legs) else {}

    @property
    def customer_talked(self) -> bool:
        """True where a time is stated that the customer was on the line. The call's own Duration includes ringing."""
        stated = [self.customer_leg.get("OnCallDuration")]
        if self.joins_two_numbers or not self.legs:
            stated.append(self.fields.get("ConversationDuration"))
        return any(whole_seconds(text) for text in stated)

    @property
    def never_rang_customer(self) -> bool:
        """True where a call that joins two numbers tells of the agent's leg, and of the customer's nothing."""
        agent = spelled(self.legs[0].get("Status")) if self.legs else None
        customer = spelled(self.customer_leg.get("Status"))
        return self.joins_two_numbers and agent not in NOTHING_SAID and customer in NOTHING_SAID


class Exotel(Provider):
    """One Exotel account. Credentials: ``account_sid``, ``api_key``, ``api_token`` and, optionally, ``allowed_ips``
    and ``api_url``.

    Exotel signs nothing. Where ``allowed_ips`` (addresses or CIDR networks, comma-separated) is set, callbacks from
    elsewhere are refused; where it is not, the unguessable token in the callback's URL alone must do.
    """

    name = "exotel"
    required: ClassVar[tuple[str, ...]] = ("account_sid", "api_key", "api_token")
    calls_per_second = 3.0  # developer.exotel.com/docs/references/error-codes#rate-limits: 200 a minute
    needs_answer_url = False  # the flow may be named by its id in place of a URL
    signs_callbacks = False

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._allowlist = Allowlist(credentials.get("allowed_ips"), "EXOTEL_ALLOWED_IPS")
        api_url = (credentials.get("api_url") or API_URL).rstrip("/")
        self._calls_url = f"{api_url}/v1/Accounts/{quote(self.account, safe='')}/Calls"

    @property
    def account(self) -> str:
        return self.credentials["account_sid"]

    def lacks(self, answer_url: str | None, agent: str | None) -> tuple[str, str] | None:
        if answer_url or agent:
            return None
        return "target", "exotel needs a flow: give a target, set EXOTEL_ANSWER_URL, or name agent_version_id"

    def verify(self, request: CallbackRequest) -> None:
        self._allowlist.check(request)

    def knows_sender(self, request: CallbackRequest) -> bool:
        return self._allowlist.is_set

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        return [read_event(read_report(request))]

    def dial(self, request: DialRequest) -> DialResult:
        flow_url = self._flow_url(request)
        if flow_url is None:
            return PutOff(cause="no-answer-url", fault=True)
        form = call_form(request, flow_url)
        return place(lambda: self._send("POST", f"{self._calls_url}/connect.json", form), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """What Exotel says of the call. It fills in times and durations some minutes after the end."""
        if not _CALL_SID.fullmatch(provider_call_id):
            return None
        url = f"{self._calls_url}/{provider_call_id}.json?details=true"
        answer = ask(lambda: self._send("GET", url))
        if answer is None or answer.status != 200:
            return None
        return call_event(mapping((json_object(answer.body) or {}).get("Call")), provider_call_id)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """The calls from the bulk list, which "will not provide ongoing calls' details".

        So there is no telling that a call was not made until it would have ended, more than four hours later. One that
        ended is found some minutes after.
        """
        wanted = Wanted(to_number, from_number, since, until)
        found = sure(self._between(wanted))
        over_at = until + LONGEST_LIFE
        return found if found or self.now() > over_at else None

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        for row in every_row(self._page, bulk_query(wanted)):
            said = scalars(row)
            exophone = said.get("PhoneNumberSid") or said.get("To")
            other = said.get("Direction") not in (None, "outbound-api")
            if other or not (wanted.is_to(said.get("From"), COUNTRY_CODE) and wanted.is_from(exophone, COUNTRY_CODE)):
                continue
            if is_in_span(said.get("DateCreated", ""), wanted):
                yield wanted.between(self.lookup(said.get("Sid", "")))  # the list lacks the legs, which tell more

    def _page(self, query: str) -> tuple[Sequence[Row], str | None]:
        body = answered(ask(lambda: self._send("GET", f"{self._calls_url}.json?{query}")))
        metadata = body.get("Metadata")
        if not isinstance(metadata, dict):
            raise Unsure("a page says nothing of the next one")
        rows = rows_of(body.get("Calls"))
        return rows, next_query(metadata.get("NextPageUri")) if rows else None

    def _flow_url(self, request: DialRequest) -> str | None:
        if request.answer_url:
            return flow_address(request.answer_url)
        flow_id = request.agent_version_id or ""
        if not _FLOW_ID.fullmatch(flow_id):
            return None
        return f"http://my.exotel.com/{quote(self.account, safe='')}/exoml/start_voice/{flow_id}"

    def _send(self, method: str, url: str, form: list[tuple[str, str]] | None = None) -> Answer:
        login = basic_login(self.credentials["api_key"], self.credentials["api_token"])
        return self.http.request(method, url, headers={"Authorization": login, "Accept": "application/json"}, form=form)

    def _read_answer(self, answer: Answer) -> DialResult:
        body = json_object(answer.body) or {}
        call, error = scalars(mapping(body.get("Call"))), scalars(mapping(body.get("RestException")))
        sid = call.get("Sid", "")
        return outcome_of_answer(
            answer,
            call_id=sid if _CALL_SID.fullmatch(sid) else None,
            said=error.get("Message", ""),
            meanings=MEANINGS,
            evidence=excerpt(call, ("Sid", "Status")) | excerpt(error, ("Status", "Code", "Message")),
            now=self.now,
        )


def flow_address(url: str) -> str:
    """A flow's address as Exotel documents it, without a query; any other address as it is.

    What the query would tell an answer URL, the flow's applets get as CustomField.
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="")) if _FLOW_PATH.fullmatch(parts.path) else url


def call_form(request: DialRequest, flow_url: str) -> list[tuple[str, str]]:
    """The form that calls a customer and connects them to a flow: From is who is called, and there is no To.

    developer.exotel.com/docs/voice-v1/api-reference/connect-to-flow; every sample there writes an Indian CallerId in
    its national form.
    """
    indian = _INDIAN.fullmatch(request.from_number)
    return [
        ("From", request.to_number),
        ("CallerId", f"0{indian[1]}" if indian else request.from_number),
        ("Url", flow_url),
        ("CallType", "trans"),
        ("TimeLimit", str(min(request.max_call_sec, MOST_CALL_SEC))),
        ("TimeOut", str(request.ring_timeout_sec)),
        ("StatusCallback", request.callback_url),
        ("StatusCallbackEvents[0]", "terminal"),
        ("StatusCallbackContentType", "application/json"),  # multipart/form-data by default
        ("CustomField", token_of(request)),
    ]


def read_report(request: CallbackRequest) -> Report:
    """A callback in any of its shapes: JSON, multipart or a form. Raises MalformedCallback."""
    if request.method.upper() != "GET" and is_multipart(request.body):
        try:
            fields = dict(reversed(decode_multipart(request.body)))
        except ValueError:
            raise MalformedCallback("the body is no multipart form in UTF-8 of a callback's size") from None
        return _report(fields, _legs_of_form(fields))
    if request.method.upper() != "GET" and is_json(request):
        value = json_object(request.body)
        if value is None:
            raise MalformedCallback("the body is no JSON object, though it looks or is said to be JSON")
        return _report(scalars(value), _legs(value.get("Legs")))
    fields = read_fields(request)
    return _report(fields, _legs_of_form(fields))


def _report(fields: Mapping[str, str], legs: Sequence[Leg]) -> Report:
    renamed = {ALIASES[name]: value for name, value in fields.items() if name in ALIASES}
    return Report({**renamed, **fields}, legs)


def _legs(value: object) -> Sequence[Leg]:
    """The legs of a JSON list, each an object or, in the Call resource, an object under ``Leg``."""
    each: Iterable[object] = value[:2] if isinstance(value, list) else ()
    return tuple(scalars(mapping(mapping(leg).get("Leg")) or mapping(leg)) for leg in each)


def _legs_of_form(fields: Mapping[str, str]) -> Sequence[Leg]:
    """The legs of a form: JSON in one field, or a field for each value (``Legs[0][Status]``)."""
    try:
        whole = _legs(json.loads(fields.get("Legs") or "[]"))
    except (ValueError, RecursionError):
        whole = ()
    found: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, value in fields.items():
        match = _LEG_FIELD.fullmatch(name)
        if match and int(match[1]) < len(found):
            found[int(match[1])][match[2]] = value
    return whole or (found if any(found) else ())


def read_event(report: Report) -> CallEvent:
    """The event that a report carries. Raises MalformedCallback where it names no call."""
    fields, leg = report.fields, report.customer_leg
    call_id = call_id_or_none(fields.get("CallSid"))
    if call_id is None:
        raise MalformedCallback("CallSid is missing; expected the call's id, 1 to 128 visible characters")
    status, event = spelled(fields.get("Status")), spelled(fields.get("EventType"))
    amd = ANSWERED_BY.get(spelled(leg.get("AnsweredBy") or fields.get("AnsweredBy")) or "")
    outcome, cause = (None, None) if event in EVENTS else _ending(status, report, amd)
    if amd is Amd.UNKNOWN and outcome is not Outcome.COMPLETED:
        amd = None  # NotSure of a leg that was never connected is no detection
    return CallEvent(
        event_id=f"{call_id}:{event or 'terminal'}:{status or ''}",
        provider_call_id=call_id,
        status=status,
        progress=EVENTS.get(event or "") or PROGRESS.get(status or ""),
        outcome=outcome,
        occurred_at=_occurred_at(fields),
        duration_sec=_duration_sec(fields, leg),
        amd=amd,
        cause=cause,
        to_number=report.customer,
        from_number=report.exophone,
        token=token_or_none(fields.get("CustomField")),
        leg=leg_of(fields.get("Direction")),
        evidence=excerpt(fields, EVIDENCE) | _leg_evidence(report.legs),
    )


def _ending(status: str | None, report: Report, amd: Amd | None) -> tuple[Outcome | None, str | None]:
    """How the call ended for the customer and, where their own leg tells that, the cause.

    A detection, or a time that the customer was on the line, counts more than any word.
    """
    stated = ENDINGS.get(status or "")
    if stated is None:
        return None, None
    if report.customer_talked or amd not in (None, Amd.UNKNOWN):
        return weighed(stated, answered=report.customer_talked, amd=amd), None
    leg_status = spelled(report.customer_leg.get("Status"))
    of_leg = ENDINGS.get(leg_status or "")
    if status in VAGUE and of_leg is not None and leg_status not in VAGUE:
        return of_leg, f"exotel:leg-{leg_status}"
    if stated is Outcome.COMPLETED and leg_status == "failed":
        return Outcome.FAILED, "exotel:leg-failed"
    if stated is Outcome.COMPLETED and report.never_rang_customer:
        return Outcome.NO_ANSWER, "exotel:customer-not-connected"
    return stated, None


def _occurred_at(fields: Mapping[str, str]) -> datetime | None:
    """When the call ended or was last changed, in UTC; a time that names no zone is Indian."""
    return indian_instant(fields.get("EndTime") or fields.get("DateUpdated"))


def _duration_sec(fields: Mapping[str, str], leg: Leg) -> int | None:
    """How long the customer was on the line. A call to a flow joins no two parties, so its conversation may be 0."""
    stated = (leg.get("OnCallDuration"), fields.get("ConversationDuration"), fields.get("Duration"))
    return next((seconds for text in stated if (seconds := whole_seconds(text)) is not None), None)


def _leg_evidence(legs: Sequence[Leg]) -> dict[str, str]:
    names = ("Status", "AnsweredBy", "OnCallDuration")
    said = {f"Leg{n}.{name}": leg.get(name, "") for n, leg in enumerate(legs, 1) for name in names}
    return excerpt(said, said)


def call_event(resource: Mapping[str, object], call_sid: str) -> CallEvent | None:
    """A Call resource as an event; None where it is not the one asked for or has no status."""
    raw, details = scalars(resource), mapping(resource.get("Details"))
    if raw.get("Sid") != call_sid or not raw.get("Status"):
        return None
    words = scalars(details)
    legs = _legs(details.get("Legs")) or ({}, {})
    told = [{**leg, "Status": words.get(f"Leg{n}Status", "")} for n, leg in enumerate(legs, 1)]
    event = read_event(Report({**raw, **excerpt(words, ("ConversationDuration",)), "CallSid": call_sid}, told))
    return replace(event, event_id=f"{call_sid}:lookup:{event.status}:{raw.get('AnsweredBy', '')[:64].lower()}")
