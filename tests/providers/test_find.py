"""The requests for the calls between two numbers, and the answers that are unsure."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import load
from chalicelib.providers.finding import Unsure, Wanted, every_row, next_query, rows_of, sure
from ops.local import carrier_vonage
from tests.support.fake_http import FakeApi, answer

TO, FROM = "+16505550199", "+14155550100"
SINCE = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(minutes=2)
MIDDLE = "2026-01-26T10:01:00Z"
WANTED = Wanted(TO, FROM, SINCE, UNTIL)
CREDENTIALS = {
    "bolna": {"api_key": "k"},
    "dialnexa": {"api_key": "id:secret", "webhook_secret": "s"},
    "exotel": {"account_sid": "acme1", "api_key": "k", "api_token": "t"},
    "plivo": {"auth_id": "MA1", "auth_token": "t"},
    "signalwire": {"space_url": "acme", "project_id": "p", "api_token": "t", "signing_key": "s"},
    "telnyx": {"api_key": "k", "connection_id": "1", "public_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="},
    "twilio": {"account_sid": "AC1", "auth_token": "t"},
}


class Api:
    """A provider whose API answers GETs as told, and what it was asked."""

    def __init__(self, name: str, reply: Callable[[str], object], now: datetime = UNTIL, **changed: str) -> None:
        self.asked: list[str] = []
        http = FakeApi(lambda url: answer(200, reply(url)), self.asked)
        usual = CREDENTIALS.get(name) or vonage_credentials()
        self.provider = load(name, {**usual, **changed}, now=lambda: now, http=http)

    def find(self, agent: str | None = None) -> list[CallEvent] | None:
        return self.provider.find(TO, FROM, SINCE, UNTIL, agent)

    @property
    def queries(self) -> list[tuple[str, dict[str, str]]]:
        """Each request's path and query."""
        parts = [urlsplit(url) for url in self.asked]
        return [(part.path, dict(parse_qsl(part.query))) for part in parts]


def vonage_credentials() -> dict[str, str]:
    key = carrier_vonage.new_environment()["VONAGE_PRIVATE_KEY"]
    return {"application_id": "a", "private_key": key, "signature_secret": "s"}


class TestReading:
    """Pages, spans and numbers, whoever the provider is."""

    def test_the_span_has_its_ends_and_counts_in_seconds(self) -> None:
        wanted = Wanted(TO, FROM, SINCE + timedelta(seconds=0.9), UNTIL)
        second = timedelta(seconds=1)
        times = (SINCE - second, SINCE, UNTIL, UNTIL + second)
        assert [wanted.has(at) for at in times] == [False, True, True, False]

    def test_a_missing_time_or_number_settles_nothing(self) -> None:
        for ask in (lambda: WANTED.has(None), lambda: WANTED.is_to(None), lambda: WANTED.is_from("")):
            with pytest.raises(Unsure):
                ask()

    @pytest.mark.parametrize(
        ("written", "same"),
        [(TO, True), ("16505550199", True), ("1 (650) 555-0199", True), ("+16505550198", False), ("sip:a@b", False)],
    )
    def test_numbers_are_compared_by_their_digits(self, written: str, same: bool) -> None:
        assert WANTED.is_to(written) is same

    def test_pages_are_read_to_the_last_and_no_further_than_the_bound(self) -> None:
        def read(page: int) -> tuple[list[dict[str, object]], int | None]:
            return [{"page": page}], page + 1 if page < 4 else None

        assert list(every_row(read, 1, most=4)) == [{"page": page} for page in (1, 2, 3, 4)]
        with pytest.raises(Unsure):
            list(every_row(read, 1, most=3))

    @pytest.mark.parametrize("listed", [None, {}, "x", [1], [{}, None]])
    def test_an_answer_that_is_not_a_list_of_calls_settles_nothing(self, listed: object) -> None:
        with pytest.raises(Unsure):
            rows_of(listed)

    def test_of_the_next_pages_address_the_query_alone_is_followed(self) -> None:
        assert next_query("https://elsewhere.example.com/x?Page=1&PageToken=a#b") == "Page=1&PageToken=a"
        assert (next_query(None), next_query("")) == (None, None)
        for unread in (3, "/no/query", {}):
            with pytest.raises(Unsure):
                next_query(unread)

    def test_a_call_that_is_listed_twice_is_found_once_in_its_last_state(self) -> None:
        told = [CallEvent("a", "1", status="live"), CallEvent("b", "2"), CallEvent("c", "1", status="completed")]
        assert sure(iter(told)) == [told[2], told[1]]


class TestCxml:
    """Twilio's list of calls, which SignalWire shares."""

    def row(self, **changed: object) -> dict[str, object]:
        usual = {"sid": "CA1", "to": TO, "from": FROM, "status": "completed", "direction": "outbound-api"}
        return {**usual, "date_created": "Mon, 26 Jan 2026 10:01:00 +0000", **changed}

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("twilio", "/2010-04-01/Accounts/AC1/Calls.json"),
            ("signalwire", "/api/laml/2010-04-01/Accounts/p/Calls.json"),
        ],
    )
    def test_the_calls_between_the_numbers_are_listed_page_by_page(self, name: str, path: str) -> None:
        pages = [
            {"calls": [self.row()], "next_page_uri": "https://elsewhere.example.com/x.json?Page=1&PageToken=PA1"},
            {"calls": [self.row(sid="CA2", status="busy")], "next_page_uri": None},
        ]
        api = Api(name, lambda url: pages["PageToken" in url])

        found = api.find() or []

        assert [(event.provider_call_id, event.outcome) for event in found] == [
            ("CA1", Outcome.COMPLETED),
            ("CA2", Outcome.BUSY),
        ]
        assert api.queries == [
            (path, {"To": TO, "From": FROM, "PageSize": "200"}),
            (path, {"Page": "1", "PageToken": "PA1"}),
        ]
        assert {urlsplit(url).netloc for url in api.asked} <= {"api.twilio.com", "acme.signalwire.com"}

    def test_a_call_that_is_queued_is_found_though_it_has_no_start_time(self) -> None:
        (event,) = Api("twilio", lambda url: {"calls": [self.row(status="queued", start_time=None)]}).find() or []
        assert (event.progress, event.outcome) == (Progress.QUEUED, None)

    @pytest.mark.parametrize("direction", ["outbound-dial", "inbound", "trunking-originating"])
    def test_a_leg_that_the_api_did_not_place_is_not_ours(self, direction: str) -> None:
        assert Api("twilio", lambda url: {"calls": [self.row(direction=direction)]}).find() == []

    @pytest.mark.parametrize(
        "changed", [{"date_created": None}, {"date_created": "soon"}, {"to": None}, {"status": None}, {"sid": None}]
    )
    def test_a_row_that_lacks_something_leaves_the_answer_open(self, changed: dict[str, object]) -> None:
        assert Api("twilio", lambda url: {"calls": [self.row(**changed)]}).find() is None


class TestPlivo:
    """Three places for calls, each asked before the one that its calls go to."""

    LIVE: ClassVar[dict[str, object]] = {
        "call_uuid": "u1",
        "to": "16505550199",
        "from": FROM,
        "direction": "outbound",
        "call_status": "ringing",
    }
    ENDED: ClassVar[dict[str, object]] = {
        "call_uuid": "u2",
        "to_number": TO,
        "from_number": "14155550100",
        "hangup_cause_code": 3010,
    }

    def reply(self, url: str, **lists: Any) -> object:
        """Return the list that the URL asks for.

        ``queued`` and ``live`` are ids, ``ended`` are records, and ``call`` is any single call.
        """
        path, _, query = url.partition("?")
        if not path.endswith("/Call/"):
            return lists["call"]
        if "status=" in query:
            return {"calls": lists.get("live" if "status=live" in query else "queued", [])}
        return {"meta": {"next": None}, "objects": lists.get("ended", [])}

    def test_calls_are_listed_queued_first_then_live_then_ended(self) -> None:
        api = Api("plivo", self.reply)
        assert api.find() == []
        listed = {"call_direction": "outbound", "end_time__gte": "2026-01-26 10:00", "limit": "20", "offset": "0"}
        path = "/v1/Account/MA1/Call/"
        assert api.queries == [
            (path, {"status": "queued", "limit": "20", "offset": "0"}),
            (path, {"status": "live", "limit": "20", "offset": "0"}),
            (path, {"to_number": TO, **listed}),
            (path, {"to_number": "16505550199", **listed}),
        ]

    def test_the_session_dates_a_live_call_and_the_initiation_an_ended_one(self) -> None:
        live = {**self.LIVE, "session_start": "2026-01-26 10:01:00.5"}
        ended = {**self.ENDED, "initiation_time": "2026-01-26 15:31:00+05:30"}
        found = Api("plivo", lambda url: self.reply(url, live=["u1"], call=live, ended=[ended])).find() or []
        assert [(event.provider_call_id, event.progress, event.outcome) for event in found] == [
            ("u1", Progress.RINGING, None),
            ("u2", None, Outcome.BUSY),
        ]
        assert {(event.to_number, event.from_number) for event in found} == {(TO, FROM)}

    def test_a_time_without_its_zone_leaves_the_answer_open(self) -> None:
        ended = {**self.ENDED, "initiation_time": "2026-01-26 15:31:00"}
        assert Api("plivo", lambda url: self.reply(url, ended=[ended])).find() is None

    @pytest.mark.parametrize("place", ["queued", "live"])
    def test_more_calls_under_way_than_fit_a_page_are_not_gone_through(self, place: str) -> None:
        api = Api("plivo", lambda url: self.reply(url, **{place: [f"u{n}" for n in range(20)]}, call={}))
        assert api.find() is None
        assert len(api.asked) <= 2

    def test_a_page_without_the_next_page_leaves_the_answer_open(self) -> None:
        assert Api("plivo", lambda url: {"calls": []} if "status" in url else {"objects": []}).find() is None


class TestVonage:
    """A list without numbers to filter by, and with the answer's time for the call's."""

    def row(self, **changed: object) -> dict[str, object]:
        parties = {"to": {"type": "phone", "number": TO[1:]}, "from": {"type": "phone", "number": FROM[1:]}}
        return {
            "uuid": "u1",
            "status": "completed",
            "direction": "outbound",
            **parties,
            "start_time": MIDDLE,
            **changed,
        }

    def page(self, *rows: object, **changed: object) -> dict[str, object]:
        return {"count": len(rows), "_embedded": {"calls": list(rows)}, **changed}

    def test_all_calls_since_then_are_listed_page_by_page(self) -> None:
        pages = {"0": self.page(self.row(uuid="u1"), count=2), "1": self.page(self.row(uuid="u2"), count=2)}
        api = Api("vonage", lambda url: pages[dict(parse_qsl(urlsplit(url).query))["record_index"]])
        assert [event.provider_call_id for event in api.find() or []] == ["u1", "u2"]
        asked = {"date_start": "2026-01-26T10:00:00Z", "order": "asc", "page_size": "100"}
        assert api.queries == [("/v1/calls", {**asked, "record_index": index}) for index in ("0", "1")]

    @pytest.mark.parametrize(
        ("start_time", "found"),
        [
            ("2026-01-26 10:02:00", ["u1"]),
            ("2026-01-26 10:02:01", None),  # it may have begun to ring in the span
            ("2026-01-26 10:04:00", None),
            ("2026-01-26 10:04:01", None),  # no call rings for longer
            ("2026-01-26 09:59:59", None),
            (None, None),
        ],
    )
    def test_a_call_is_known_by_the_time_of_its_answer(self, start_time: str | None, found: list[str] | None) -> None:
        events = Api("vonage", lambda url: self.page(self.row(start_time=start_time))).find()
        assert (events if events is None else [event.provider_call_id for event in events]) == found

    def test_calls_to_no_phone_are_passed_over(self) -> None:
        websocket = self.row(to={"type": "websocket", "uri": "wss://example.com"})
        assert Api("vonage", lambda url: self.page(websocket)).find() is None

    def test_a_list_that_lacks_calls_leaves_the_answer_open(self) -> None:
        assert Api("vonage", lambda url: self.page(count=1)).find() is None
        assert Api("vonage", lambda url: {"_embedded": {"calls": []}}).find() is None

    def test_a_key_that_cannot_sign_finds_nothing_out(self) -> None:
        api = Api("vonage", lambda url: self.page(), private_key="none")
        assert (api.find(), api.asked) == (None, [])


class TestAgents:
    """Bolna's and DialNexa's lists, whose calls carry our token."""

    TOKEN = "call_01.1.0123456789abcdef0123456789abcdef"

    def test_bolnas_executions_are_those_of_the_agent(self) -> None:
        telephony = {"to_number": TO, "from_number": FROM, "call_type": "outbound", "provider": "plivo"}
        execution = {"id": "e1", "status": "queued", "created_at": "2026-01-26T10:01:00", "telephony_data": telephony}
        execution["context_details"] = {"recipient_data": {"redial_token": self.TOKEN}}
        api = Api("bolna", lambda url: {"data": [execution], "has_more": "page_number=1" in url})
        (event,) = api.find("agent-1") or []
        assert (event.provider_call_id, event.progress, event.token) == ("e1", Progress.QUEUED, self.TOKEN)
        span = {"from": "2026-01-26T10:00:00Z", "to": "2026-01-27T10:02:00Z", "page_size": "50"}
        path = "/v2/agent/agent-1/executions"
        assert api.queries == [(path, {**span, "page_number": "1"}), (path, {**span, "page_number": "2"})]

    @pytest.mark.parametrize("agent", [None, "", "../user/me"])
    def test_bolna_is_not_asked_without_an_agent(self, agent: str | None) -> None:
        api = Api("bolna", lambda url: {"data": [], "has_more": False})
        assert (api.find(agent), api.asked) == (None, [])

    def test_a_phone_execution_without_numbers_leaves_the_answer_open(self) -> None:
        for provider, found in (("plivo", None), ("web-call", [])):
            execution = {"id": "e1", "status": "completed", "telephony_data": {"provider": provider}}
            reply = {"data": [execution], "has_more": False}
            assert Api("bolna", lambda url, reply=reply: reply).find("agent-1") == found

    def test_dialnexas_calls_are_listed_with_and_without_the_plus(self) -> None:
        call = {"id": "call_1", "status": "initiated", "to_number": TO[1:], "from_number": "918047104890"}
        call |= {"createdAt": "2026-01-26T10:01:00.000Z", "call_direction": "outbound"}
        listed = {**call, "metadata": {"redial_token": self.TOKEN}}
        api = Api("dialnexa", lambda url: [] if "%2B" in url or "page=2" in url else [listed])
        (event,) = api.find() or []
        assert (event.provider_call_id, event.token) == ("call_1", self.TOKEN)
        assert (event.to_number, event.from_number) == (TO, "+918047104890")
        span = {"start_date": "2026-01-25T10:00:00Z", "created_at": "asc", "limit": "200"}
        assert api.queries == [
            ("/v1/calls", {"to": TO, **span, "page": "1"}),
            ("/v1/calls", {"to": TO[1:], **span, "page": "1"}),
            ("/v1/calls", {"to": TO[1:], **span, "page": "2"}),
        ]


class TestExotel:
    """A list without the calls under way, by a clock that does not name its zone."""

    def reply(self, url: str, created: str = "2026-01-26 15:31:00", **changed: object) -> object:
        parties = {"From": TO, "To": FROM, "PhoneNumberSid": FROM, "Direction": "outbound-api"}
        call = {"Sid": "s1", "Status": "busy", **parties, "DateCreated": created, **changed}
        return {"Call": call} if "/Calls/s1" in url else {"Metadata": {"NextPageUri": None}, "Calls": [call]}

    def test_the_calls_to_the_customer_are_listed_and_looked_up(self) -> None:
        api = Api("exotel", self.reply)
        (event,) = api.find() or []
        assert (event.provider_call_id, event.outcome, event.from_number) == ("s1", Outcome.BUSY, FROM)
        created = "gte:2026-01-25 15:30:00;lte:2026-01-27 15:32:00"
        assert api.queries == [
            (
                "/v1/Accounts/acme1/Calls.json",
                {"From": TO, "DateCreated": created, "SortBy": "DateCreated:asc", "PageSize": "100"},
            ),
            ("/v1/Accounts/acme1/Calls/s1.json", {"details": "true"}),
        ]

    def test_that_there_was_no_call_is_said_only_once_none_can_be_under_way(self) -> None:
        none = {"Metadata": {"NextPageUri": None}, "Calls": []}
        assert Api("exotel", lambda url: none, UNTIL + timedelta(hours=4)).find() is None
        assert Api("exotel", lambda url: none, UNTIL + timedelta(hours=5)).find() == []

    @pytest.mark.parametrize("created", ["2026-01-26 10:01:00", "2026-01-26 18:01:00"])
    def test_a_call_in_the_span_of_another_zone_leaves_the_answer_open(self, created: str) -> None:
        later = UNTIL + timedelta(hours=5)
        assert Api("exotel", lambda url: self.reply(url, created), later).find() is None
        assert Api("exotel", lambda url: self.reply(url, "2026-01-26 12:01:00"), later).find() == []

    def test_a_call_of_another_number_or_not_of_the_api_is_not_ours(self) -> None:
        later = UNTIL + timedelta(hours=5)
        for changed in ({"PhoneNumberSid": "+14155550101"}, {"Direction": "outbound-dial"}):
            api = Api("exotel", lambda url, changed=changed: self.reply(url, **changed), later)
            assert api.find() == []


class TestTelnyx:
    """The log of events, in which a call has its beginning and its end."""

    LEG = "7e1d5a90-fa43-11f0-9c3b-02420a0d0870"

    def reply(self, url: str, **payload: object) -> object:
        if "active_calls" in url:
            return {"data": [{"call_leg_id": self.LEG}]}
        if "call.hangup" in url:
            return {"data": []}
        said = {"to": TO, "from": FROM, "direction": "outgoing", **payload}
        row = {
            "name": "call.initiated",
            "call_leg_id": self.LEG,
            "event_timestamp": MIDDLE,
            "metadata": {"payload": said},
        }
        return {"data": [row], "meta": {"total_pages": 1}}

    def test_the_initiations_are_listed_and_each_call_is_looked_up(self) -> None:
        api = Api("telnyx", self.reply)
        (event,) = api.find() or []
        assert (event.provider_call_id, event.status, event.progress) == (self.LEG, "alive", Progress.INITIATED)
        path, query = api.queries[0]
        assert path == "/v2/call_events"
        assert query == {
            "filter[name]": "call.initiated",
            "filter[to]": TO,
            "filter[from]": FROM,
            "filter[occurred_at][gte]": "2026-01-26T10:00:00Z",
            "page[number]": "1",
            "page[size]": "50",
        }

    def test_a_log_that_names_no_numbers_leaves_the_answer_open(self) -> None:
        assert Api("telnyx", lambda url: self.reply(url, to=None)).find() is None

    def test_a_log_that_does_not_reach_back_so_far_is_not_asked(self) -> None:
        api = Api("telnyx", self.reply, SINCE + timedelta(hours=24, seconds=1))
        assert (api.find(), api.asked) == (None, [])
