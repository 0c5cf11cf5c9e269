"""The tests of dial, lookup and hang_up that all providers share.

They show which requests are sent, that each is sent once, and what each answer means. A vendor's file,
``test_<name>_calls.py``, inherits DialTests and gives it a DialCase.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest

from chalicelib.domain.events import CallEvent
from chalicelib.providers import (
    DeferredByProvider,
    DialRequest,
    DialResult,
    MachineDetection,
    Placed,
    PlacementUnknown,
    Provider,
)
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from tests.providers.cases import NOW
from tests.support.fake_http import FakeHttp, Request, answer, asked_now
from tests.support.shared import SharedTests, case_id, each_row

Given = TypeVar("Given")
Expected = TypeVar("Expected")
Rows = Sequence[tuple[Given, Expected]]

#: the usual dial; each vendor's has its own callback URL
DIAL = DialRequest(
    call_id="call_1",
    attempt=1,
    from_number="+14155550100",
    to_number="+16505550199",
    answer_url="https://example.com/answer?call_id=call_1",
    callback_url="",
    machine_detection=MachineDetection.OFF,
    ring_timeout_sec=30,
    max_call_sec=600,
)
#: the answers that leave it open whether the vendor has placed the call
OPEN = (
    answer(200, b""),
    answer(200, b"<html>"),
    answer(200, b"\xff"),
    answer(200, b"[" * 100_000),
    answer(200, []),
    answer(200, {}),
    answer(201, b""),
    answer(201, b"null"),
    answer(204, b""),
    answer(101, b""),
    answer(302, b""),
    answer(303, b""),
    answer(408, b""),
    answer(500, b""),
    answer(502, b"<html>"),
)
#: the statuses with which every vendor's API, or what stands before it, rejects all calls of the account
ACCOUNT_FAULTS = (401, 307, 308)
#: the header Retry-After and the seconds that it asks for at NOW, 10:00:05
RETRY_AFTER = (
    ({}, None),
    ({"retry_after": "7"}, 7),
    ({"retry_after": "Mon, 26 Jan 2026 10:01:35 GMT"}, 90),
    ({"retry_after": "Mon, 26 Jan 2026 10:00:00 GMT"}, 0),
    ({"retry_after": "-1"}, None),
    ({"retry_after": "soon"}, None),
)
#: the failures of a request after which nothing is known of the call
UNANSWERED = (NotSent("x"), AnswerLost("x"), answer(401), answer(500))
#: the answers to a look-up that do not describe the call
VAGUE = (answer(302), answer(404, {}), answer(200, b"<html>"), answer(200, []), answer(200, {}))
#: both, each with the one request that most vendors are sent
SILENT = tuple((given, 1) for given in (*UNANSWERED, *VAGUE))
#: the answers to a hang-up, and whether they confirm it
HANG_UPS = (
    (answer(200, {}), True),
    (answer(204, b""), True),
    (answer(400, {}), False),
    (answer(404), False),
    (answer(500), False),
    (NotSent("x"), False),
    (AnswerLost("x"), False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialCase:
    """The calls of one provider: requests, answers, and the result of each answer.

    In each table, ``changes`` are of ``dial``. A result has no evidence unless the table says so.
    """

    #: makes the provider over an HTTP client, with the usual credentials or some of them changed
    provider: Callable[..., Provider]
    #: the vendor's id of the call that the answers are about
    call_id: str
    #: the dial, an answer that places it, and the evidence that is kept of this answer
    dial: DialRequest
    placed: Answer
    placed_evidence: Mapping[str, str]
    #: where a dial is posted, and the headers of a request without a body and of a dial
    calls_url: str
    headers: Mapping[str, str]
    post_headers: Mapping[str, str]
    #: the account, and how many calls a second the vendor takes from it
    account: str
    calls_per_second: float
    #: (changes, the whole body or form that is sent)
    requests: Rows[dict[str, Any], object]
    #: (changed credentials, the URL that a dial is posted to)
    addresses: Rows[dict[str, str], str]
    #: (changes, the result of a dial that is not sent)
    unsendable: Rows[dict[str, Any], DialResult] = ()
    #: (an answer to a dial, its result)
    answers: Rows[Answer, DialResult]
    #: (an answer to a dial, its result with the evidence)
    evidence: Rows[Answer, DialResult]
    #: (the answers to the requests of a look-up, the whole event, the URLs of the requests)
    lookups: Sequence[tuple[Sequence[Answer], CallEvent, Sequence[str]]]
    #: (an answer that does not describe the call, the number of requests of the look-up)
    silent: Rows[Answer | Exception, int] = SILENT
    #: makes an answer to a look-up of a call with that id
    resource: Callable[[str], Answer]
    #: (the answer to a hang-up, True if it confirms the hang-up), and the requests of each hang-up
    hang_ups: Rows[Answer | Exception, bool] = HANG_UPS
    hang_up_requests: Sequence[Request]
    #: the id that a hang-up is given, if it is not ``call_id``
    hang_up_id: str = ""
    #: the words that are not an id of this vendor's calls
    bad_ids: Sequence[str] = ("", "../x", "a?b", "1?x=1", "a/b", "a\n", "é", "a" * 65)
    #: replaces what differs from run to run in the headers of a request
    stable_headers: Callable[[Mapping[str, str]], Mapping[str, str]] = dict


class DialTests(SharedTests):
    """The shared tests of one provider's calls, over the tables of its case."""

    case: DialCase

    def provider(self, http: FakeHttp, **credentials: str) -> Provider:
        """Return the provider with its usual credentials, some of them changed."""
        return self.case.provider(http, **credentials)

    def sent(self, http: FakeHttp) -> list[Request]:
        """Return each request that was sent, without what differs from run to run."""
        return [(method, url, self.case.stable_headers(headers), body) for method, url, headers, body in http.sent]

    def dialed(self, given: Answer | Exception) -> DialResult:
        """Return the result of a dial with that answer, of exactly one request."""
        http = FakeHttp(given)
        result = self.provider(http).dial(self.case.dial)
        assert len(http.sent) == 1
        return result

    @each_row("requests", "changed", "body")
    def test_a_dial_is_one_request_with_the_whole_body(self, changed: dict[str, Any], body: object) -> None:
        http = FakeHttp(self.case.placed)
        result = self.provider(http).dial(replace(self.case.dial, **changed))
        assert result == Placed(self.case.call_id, self.case.placed_evidence)
        assert self.sent(http) == [("POST", self.case.calls_url, self.case.post_headers, body)]

    @each_row("addresses", "credentials", "url")
    def test_the_credentials_say_where_a_dial_is_posted(self, credentials: dict[str, str], url: str) -> None:
        http = FakeHttp(self.case.placed)
        assert isinstance(self.provider(http, **credentials).dial(self.case.dial), Placed)
        assert [each[1] for each in http.sent] == [url]

    def test_a_provider_knows_its_account_and_its_rate_limit(self) -> None:
        provider = self.provider(FakeHttp(self.case.placed))
        assert (provider.account, provider.calls_per_second) == (self.case.account, self.case.calls_per_second)

    @each_row("unsendable", "changed", "result")
    def test_a_dial_that_the_vendor_cannot_take_is_not_sent(self, changed: dict[str, Any], result: DialResult) -> None:
        http = FakeHttp(self.case.placed)
        assert replace(self.provider(http).dial(replace(self.case.dial, **changed)), evidence={}) == result
        assert http.sent == []

    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_an_answer_that_names_the_call_has_placed_it(self, status: int) -> None:
        assert replace(self.dialed(replace(self.case.placed, status=status)), evidence={}) == Placed(self.case.call_id)

    @pytest.mark.parametrize("given", OPEN, ids=case_id)
    def test_an_answer_that_leaves_it_open_is_never_taken_for_a_no(self, given: Answer) -> None:
        assert replace(self.dialed(given), evidence={}) == PlacementUnknown(f"http:{given.status}")

    def test_a_server_error_that_names_the_call_leaves_it_open(self) -> None:
        given = replace(self.case.placed, status=503)
        assert replace(self.dialed(given), evidence={}) == PlacementUnknown("http:503")

    def test_a_dial_that_was_not_sent_is_deferred(self) -> None:
        assert self.dialed(NotSent("refused")) == DeferredByProvider(
            "network", fault=False, evidence={"error": "refused"}
        )

    def test_a_dial_whose_answer_is_lost_is_unknown(self) -> None:
        assert self.dialed(AnswerLost("x" * 999)) == PlacementUnknown("answer-lost", {"error": "x" * 200})

    @pytest.mark.parametrize(("header", "seconds"), RETRY_AFTER)
    def test_a_throttled_dial_waits_as_long_as_the_vendor_says(
        self, header: dict[str, str], seconds: int | None
    ) -> None:
        result = replace(self.dialed(answer(429, {}, **header)), evidence={})
        assert result == DeferredByProvider("http:429", fault=False, retry_after_sec=seconds)

    @pytest.mark.parametrize("status", ACCOUNT_FAULTS)
    def test_a_rejected_account_uses_up_no_attempt(self, status: int) -> None:
        assert replace(self.dialed(answer(status, b"nope")), evidence={}) == DeferredByProvider(
            f"http:{status}", fault=True
        )

    @each_row("answers", "given", "result")
    def test_each_answer_of_the_vendor_has_its_meaning(self, given: Answer, result: DialResult) -> None:
        assert replace(self.dialed(given), evidence={}) == result

    @each_row("evidence", "given", "result")
    def test_an_answer_is_kept_in_brief(self, given: Answer, result: DialResult) -> None:
        assert self.dialed(given) == result

    @each_row("lookups", "given", "event", "urls")
    def test_a_call_is_looked_up(self, given: Sequence[Answer], event: CallEvent, urls: Sequence[str]) -> None:
        http = FakeHttp(*given)
        assert self.provider(http).lookup(self.case.call_id) == event
        assert self.sent(http) == [("GET", url, self.case.headers, None) for url in urls]

    @each_row("silent", "given", "asked")
    def test_a_call_that_cannot_be_looked_up_is_none(self, given: Answer | Exception, asked: int) -> None:
        http = FakeHttp(given)
        assert asked_now(given, lambda: self.provider(http).lookup(self.case.call_id)) is None
        assert len(http.sent) == asked

    @each_row("hang_ups", "given", "is_hung_up")
    def test_a_hang_up_is_sent_once(self, given: Answer | Exception, is_hung_up: bool) -> None:
        http = FakeHttp(given)
        hang_up = self.provider(http).hang_up
        assert bool(asked_now(given, lambda: hang_up(self.case.hang_up_id or self.case.call_id))) is is_hung_up
        assert self.sent(http) == list(self.case.hang_up_requests)

    @each_row("bad_ids", "call_id")
    def test_a_word_that_is_not_an_id_never_gets_into_a_url(self, call_id: str) -> None:
        http = FakeHttp(self.case.resource(call_id))
        assert self.provider(http).lookup(call_id) is None
        assert self.provider(http).hang_up(call_id) is False
        assert http.sent == []


__all__ = ["DIAL", "HANG_UPS", "NOW", "RETRY_AFTER", "SILENT", "UNANSWERED", "VAGUE", "DialCase", "DialTests"]
