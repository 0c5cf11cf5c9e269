"""Exotel Voice v1: calls that connect a number to a flow, unsigned callbacks."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.providers.allowlist import Allowlist
from chalicelib.providers.base import (
    CallbackRequest,
    DeferredByProvider,
    DialRequest,
    DialResult,
    Now,
    Provider,
)
from chalicelib.providers.correlation import token_of
from chalicelib.providers.exotel_events import COUNTRY_CODE, call_event, read_event, read_report
from chalicelib.providers.exotel_times import bulk_query, is_in_span
from chalicelib.providers.finding import Row, Unsure, Wanted, answered, every_row, next_query, rows_of, sure
from chalicelib.providers.forms import excerpt, json_object, scalars
from chalicelib.providers.http import Answer, Http
from chalicelib.providers.placing import Meanings, ask, outcome_of_answer, place
from chalicelib.providers.signing import basic_login
from chalicelib.providers.words import mapping

API_URL = "https://api.exotel.com"  # Singapore; accounts in Mumbai have https://api.in.exotel.com
MAX_CALL_SEC = 14_400  # developer.exotel.com/docs/voice-v1/api-reference/connect-to-flow: TimeLimit

#: The time after which a call has certainly ended: the longest call, a queue, and the ringing of two phones
MAX_LIFE = timedelta(seconds=MAX_CALL_SEC, minutes=30)

#: The refusals (developer.exotel.com/docs/references/error-codes). 403 is a suspended account or an address that is not
#: allowed, 404 the account that the URL names. The words for do-not-disturb are those that Exotel's users pass on
#: (docs.sarvam.ai/api-reference/instant-outbound/webhook-payload: "registered under TRAI NDNC").
MEANINGS = Meanings(
    error_texts=((re.compile(r"\bNDNC\b|\bDND\b|do.not.disturb", re.IGNORECASE), Outcome.DND),),
    error_text_statuses=(400, 403),
    account=(401, 402, 403, 404),
    limits=(409, 429),  # 409: "check the resource's current state before retrying"
)

_CALL_SID = re.compile(r"[0-9A-Za-z]{1,64}")
_FLOW_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_FLOW_PATH = re.compile(r".*/exoml/start_voice/[^/]+")
_INDIAN = re.compile(r"\+91([1-9][0-9]{9})")


class Exotel(Provider):
    """One Exotel account.

    Credentials: ``account_sid``, ``api_key``, ``api_token`` and, optionally, ``allowed_ips`` and ``api_url``.

    Exotel signs nothing. If ``allowed_ips`` is set (addresses or CIDR networks, comma-separated), Redial refuses
    callbacks from other addresses. Without the setting, only the unguessable token in the callback's URL proves a
    callback.
    """

    name = "exotel"
    required: ClassVar[tuple[str, ...]] = ("account_sid", "api_key", "api_token")
    calls_per_second = 3.0  # developer.exotel.com/docs/references/error-codes#rate-limits: 200 a minute
    needs_answer_url = False  # a call may name the flow by its id in place of a URL
    signs_callbacks = False

    def __init__(self, credentials: Mapping[str, str], *, now: Now, http: Http | None = None) -> None:
        super().__init__(credentials, now=now, http=http)
        self._allowlist = Allowlist(credentials.get("allowed_ips"), "EXOTEL_ALLOWED_IPS")
        api_url = (credentials.get("api_url") or API_URL).rstrip("/")
        self._calls_url = f"{api_url}/v1/Accounts/{quote(self.account, safe='')}/Calls"

    @property
    def account(self) -> str:
        """The account SID."""
        return self.credentials["account_sid"]

    def lacks(self, answer_url: str | None, agent: str | None) -> tuple[str, str] | None:
        """Return the missing flow; None if the call names a flow by URL or by id."""
        if answer_url or agent:
            return None
        return "target", "exotel needs a flow: give a target, set EXOTEL_ANSWER_URL, or name agent_version_id"

    def verify(self, request: CallbackRequest) -> None:
        """Raise SignatureError unless the request came from an allowed address."""
        self._allowlist.check(request)

    def knows_sender(self, request: CallbackRequest) -> bool:
        """Return True if ``allowed_ips`` is set, because verify() then checks the address."""
        return self._allowlist.is_set

    def parse(self, request: CallbackRequest) -> list[CallEvent]:
        """Return the one event of a callback. Raises MalformedCallback."""
        return [read_event(read_report(request))]

    def dial(self, request: DialRequest) -> DialResult:
        """Send POST /Calls/connect.json."""
        flow_url = self._flow_url(request)
        if flow_url is None:
            return DeferredByProvider(cause="no-answer-url", fault=True)
        form = call_form(request, flow_url)
        return place(lambda: self._send("POST", f"{self._calls_url}/connect.json", form), self._read_answer)

    def lookup(self, provider_call_id: str) -> CallEvent | None:
        """Return the event of GET /Calls/{sid}.json?details=true, or None.

        Exotel adds times and durations some minutes after the end of the call.
        """
        if not _CALL_SID.fullmatch(provider_call_id):
            return None
        url = f"{self._calls_url}/{provider_call_id}.json?details=true"
        answer = ask(lambda: self._send("GET", url))
        if answer.status != 200:
            return None
        return call_event(mapping((json_object(answer.body) or {}).get("Call")), provider_call_id)

    def find(
        self, to_number: str, from_number: str, since: datetime, until: datetime, agent_version_id: str | None = None
    ) -> list[CallEvent] | None:
        """Return the calls from the bulk list; None while an empty list proves nothing.

        The list "will not provide ongoing calls' details". So an empty list proves that no call was made only when the
        call would have ended, more than four hours later. A call that has ended is in the list some minutes afterwards.
        """
        wanted = Wanted(to_number, from_number, since, until)
        found = sure(self._between(wanted))
        over_at = until + MAX_LIFE
        return found if found or self.now() > over_at else None

    def _between(self, wanted: Wanted) -> Iterator[CallEvent]:
        for row in every_row(self._page, bulk_query(wanted)):
            fields = scalars(row)
            exophone = fields.get("PhoneNumberSid") or fields.get("To")
            other = fields.get("Direction") not in (None, "outbound-api")
            if other or not (wanted.is_to(fields.get("From"), COUNTRY_CODE) and wanted.is_from(exophone, COUNTRY_CODE)):
                continue
            if is_in_span(fields.get("DateCreated", ""), wanted):
                yield wanted.between(self.lookup(fields.get("Sid", "")))  # the list lacks the legs, which say more

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
            error_text=error.get("Message", ""),
            meanings=MEANINGS,
            evidence=excerpt(call, ("Sid", "Status")) | excerpt(error, ("Status", "Code", "Message")),
            now=self.now,
        )


def flow_address(url: str) -> str:
    """Return a flow's address as Exotel documents it, without a query.

    Any other address is returned as it is. A flow needs no query, because its applets get our token in CustomField.
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query="")) if _FLOW_PATH.fullmatch(parts.path) else url


def call_form(request: DialRequest, flow_url: str) -> list[tuple[str, str]]:
    """Return the form that calls a customer and connects them to a flow.

    From is the number called; there is no To. The samples always write an Indian CallerId in its national form
    (developer.exotel.com/docs/voice-v1/api-reference/connect-to-flow).
    """
    indian = _INDIAN.fullmatch(request.from_number)
    return [
        ("From", request.to_number),
        ("CallerId", f"0{indian[1]}" if indian else request.from_number),
        ("Url", flow_url),
        ("CallType", "trans"),
        ("TimeLimit", str(min(request.max_call_sec, MAX_CALL_SEC))),
        ("TimeOut", str(request.ring_timeout_sec)),
        ("StatusCallback", request.callback_url),
        ("StatusCallbackEvents[0]", "terminal"),
        ("StatusCallbackContentType", "application/json"),  # multipart/form-data by default
        ("CustomField", token_of(request)),
    ]
