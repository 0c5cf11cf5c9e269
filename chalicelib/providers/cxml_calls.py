"""The REST calls of Twilio's family: place, look up, find and hang up a call.

Twilio defined its Call resource, and SignalWire's cXML shares it.
"""

import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar
from urllib.parse import urlencode

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.providers.base import (
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    Placed,
    PlacementUnknown,
    Provider,
    Refused,
)
from chalicelib.providers.cxml import Vocabulary, read_event
from chalicelib.providers.finding import Row, Wanted, answered, every_row, next_query, rows_of, sure
from chalicelib.providers.forms import excerpt, instant, json_object, scalars
from chalicelib.providers.http import Answer
from chalicelib.providers.placing import AMBIGUOUS, NOT_DONE_HERE, ask, place, retry_after_sec
from chalicelib.providers.signing import basic_login

#: The values of StatusCallbackEvent. The default is ``completed`` alone (twilio.com/docs/voice/api/call-resource).
CALLBACK_EVENTS = ("initiated", "ringing", "answered", "completed")

#: The HTTP statuses that blame the account if the body holds no known code
ACCOUNT_FAULT_STATUSES = (401, 403)

#: The callback's field for each field of a Call resource
RESOURCE_FIELDS = {
    "sid": "CallSid",
    "status": "CallStatus",
    "duration": "CallDuration",  # in seconds here
    "answered_by": "AnsweredBy",
    "start_time": "Timestamp",
    "end_time": "Timestamp",  # last, so that it replaces start_time if both are set
}
#: The callback's field for each field that identifies the call. These are read and not kept as evidence.
PARTY_FIELDS = {"to": "To", "from": "From", "direction": "Direction", "parent_call_sid": "ParentCallSid"}

#: The directions of calls that the API did not create: an inbound call, or a leg that an answered call's instructions
#: dialled (twilio.com/docs/voice/api/call-resource#call-properties)
OTHER_DIRECTIONS = ("inbound", "outbound-dial", "trunking-originating", "trunking-terminating")

#: The size of a page, so large that one page mostly holds all calls between two numbers. Twilio allows 1000.
PAGE_SIZE = 200

_CODE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Refusals:
    """The error codes of a vendor, by their meaning for a new call.

    ``number`` are about the number called, ``account`` about the account. After a code in ``limits`` the same call may
    be retried later. After a code in ``ambiguous`` the phone may ring with any HTTP status.
    """

    number: Mapping[str, Outcome]
    account: Collection[str]
    limits: Collection[str]
    ambiguous: Collection[str] = field(default_factory=frozenset)


class CxmlProvider(Provider):
    """A vendor whose Call resource is Twilio's."""

    words: ClassVar[Vocabulary]
    refusals: ClassVar[Refusals]
    #: The form of a call's id in a URL's path
    call_sid: ClassVar[re.Pattern[str]]
    resource_fields: ClassVar[Mapping[str, str]] = RESOURCE_FIELDS

    @property
    @abstractmethod
    def calls_url(self) -> str:
        """The URL of the account's list of calls, without ``.json``."""

    @property
    @abstractmethod
    def login(self) -> tuple[str, str]:
        """The user name and password of the API."""

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST {calls_url}.json."""
        if not request.answer_url:
            return DeferredByProvider(cause="no-answer-url", fault=True)
        return place(
            lambda: self._send("POST", f"{self.calls_url}.json", form=self.call_form(request)), self._read_answer
        )

    def call_form(self, request: DialRequest) -> list[tuple[str, str]]:
        """Return the fields of a new call.

        A vendor that lacks some of Twilio's fields removes them.
        """
        return call_form(request)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the event of the Call resource; None if the vendor knows no such call."""
        answer = self._ask("GET", provider_call_id)
        if answer is None or answer.status != 200:
            return None
        return self._call_event(json_object(answer.body) or {}, provider_call_id)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls from the list that is filtered by the two numbers."""
        return sure(self._between(Wanted(to_number, from_number, since, until)))

    def hang_up(self, provider_call_id: str) -> bool:
        """End a live call: its Status becomes ``completed``."""
        answer = self._ask("POST", provider_call_id, form=[("Status", "completed")])
        return answer is not None and 200 <= answer.status <= 299

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        """Yield the calls from the list of those between the two numbers.

        The list is not filtered by StartTime. That time is "empty if the call has not yet been dialed", so the filter
        would hide queued calls.
        """
        query = urlencode({"To": wanted.to_number, "From": wanted.from_number, "PageSize": PAGE_SIZE})
        for row in every_row(self._page, query):
            fields = scalars(row)
            ours = fields.get("direction") not in OTHER_DIRECTIONS
            parties = wanted.is_to(fields.get("to")) and wanted.is_from(fields.get("from"))
            if ours and parties and wanted.has(instant(fields.get("date_created"))):
                yield wanted.between(self._call_event(row, fields.get("sid", "")))

    def _page(self, query: str) -> tuple[Sequence[Row], str | None]:
        body = answered(ask(lambda: self._send("GET", f"{self.calls_url}.json?{query}", form=None)))
        return rows_of(body.get("calls")), next_query(body.get("next_page_uri"))

    def _ask(self, method: str, call_sid: str, form: list[tuple[str, str]] | None = None) -> Answer | None:
        """Send one request about one call and return its answer.

        None if the id is not the vendor's. Raises Unanswered.
        """
        if not self.call_sid.fullmatch(call_sid):
            return None
        return ask(lambda: self._send(method, f"{self.calls_url}/{call_sid}.json", form=form))

    def _send(self, method: str, url: str, form: list[tuple[str, str]] | None) -> Answer:
        headers = {"Authorization": basic_login(*self.login), "Accept": "application/json"}
        return self.http.request(method, url, headers=headers, form=form)

    def _read_answer(self, answer: Answer) -> DialResult:
        """Return what an answer to a new call means, from the surest sign to the weakest."""
        body = json_object(answer.body) or {}
        code = _error_code(body)
        cause = f"{self.words.vendor}:{code}" if code else f"http:{answer.status}"
        evidence = _evidence(answer, body)
        if 200 <= answer.status <= 299:
            sid = body.get("sid")
            if isinstance(sid, str) and self.call_sid.fullmatch(sid):
                return Placed(sid, evidence)
            return PlacementUnknown(cause, evidence)
        if answer.status in NOT_DONE_HERE:
            return DeferredByProvider(cause, fault=True, evidence=evidence)
        if answer.status in AMBIGUOUS or not 400 <= answer.status <= 499 or code in self.refusals.ambiguous:
            # After a 500 the phone may still ring (twilio.com/docs/api/errors/20500).
            return PlacementUnknown(cause, evidence)
        if answer.status == 429 or code in self.refusals.limits:
            wait_sec = retry_after_sec(answer, self.now)
            return DeferredByProvider(cause, fault=False, retry_after_sec=wait_sec, evidence=evidence)
        if code and code in self.refusals.number:
            return Refused(self.refusals.number[code], cause, evidence)
        if code in self.refusals.account or answer.status in ACCOUNT_FAULT_STATUSES:
            return DeferredByProvider(cause, fault=True, evidence=evidence)
        return Refused(Outcome.ERROR, cause, evidence)

    def _call_event(self, resource: Mapping[str, object], call_sid: str) -> CallEvent | None:
        """Return a Call resource as an event; None if its id differs or it has no status."""
        names = {**PARTY_FIELDS, **self.resource_fields}
        raw = scalars(resource)
        if not call_sid or raw.get("sid") != call_sid or not raw.get("status"):
            return None
        event = read_event({names[name]: raw[name] for name in names if raw.get(name)}, self.words)
        found = f"{event.status}:{raw.get('answered_by', '')[:64]}"
        evidence = excerpt(raw, self.resource_fields)
        return replace(event, event_id=f"{call_sid}:lookup:{found}", evidence=evidence)


def call_form(request: DialRequest) -> list[tuple[str, str]]:
    """Return the form that creates a call.

    twilio.com/docs/voice/api/call-resource#create-a-call-resource
    """
    form = [
        ("To", request.to_number),
        ("From", request.from_number),
        ("Url", request.answer_url or ""),
        ("Method", "POST"),
        ("StatusCallback", request.callback_url),
        ("StatusCallbackMethod", "POST"),
        *(("StatusCallbackEvent", event) for event in CALLBACK_EVENTS),
        ("Timeout", str(request.ring_timeout_sec)),
        ("TimeLimit", str(request.max_call_sec)),
    ]
    if request.machine_detection is not MachineDetection.OFF:
        form.append(("MachineDetection", "Enable"))
    if request.machine_detection is MachineDetection.ASYNC:
        form += [
            ("AsyncAmd", "true"),
            ("AsyncAmdStatusCallback", request.callback_url),
            ("AsyncAmdStatusCallbackMethod", "POST"),
        ]
    return form


def _error_code(body: Mapping[str, object]) -> str | None:
    code = scalars(body).get("code", "")
    return code if _CODE.fullmatch(code) else None


def _evidence(answer: Answer, body: Mapping[str, object]) -> dict[str, str]:
    """Return the main fields of the answer.

    ``message`` is the reason in the vendor's words.
    """
    fields = excerpt(scalars(body), ("sid", "status", "code", "message"))
    return {"http_status": str(answer.status), **fields}
