"""The conformance matrix: every provider does the same with its own payload files.

A provider stands here because it is in the registry, so one that is added without a case fails the whole suite.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from chalicelib import providers
from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, Call, CallRecord
from chalicelib.domain.events import Leg, Progress
from chalicelib.domain.outcome import Amd, Outcome
from chalicelib.domain.policy import Fixed, OutcomeRule, Policy
from chalicelib.domain.transition import Transition
from chalicelib.providers import CallbackRequest, CallEvent, MalformedCallback, Provider, SignatureError, Unanswered
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from ops.local import carrier_vonage
from tests.providers.cases import NOW, PAYLOADS, URL, ListedCall, ProviderCase, case
from tests.support.fake_http import FakeApi, answer, asked_now
from tests.support.world import PUBLIC_URL, World, new_client

NAMES = sorted(providers.REGISTRY)
CALL_ID = "call_01"
TOKEN = URL.rsplit("/", 1)[1]
MEGABYTE = 1024 * 1024
RETRY_ALL = {outcome: OutcomeRule(retry=True) for outcome in Outcome}


@pytest.fixture(params=NAMES)
def one(request: pytest.FixtureRequest) -> ProviderCase:
    return case(request.param)


@pytest.fixture
def provider(one: ProviderCase) -> Provider:
    return providers.load(one.name, one.credentials, now=lambda: NOW)


def rows(kind: str) -> list[tuple[str, str]]:
    return [(name, payload) for name in NAMES for payload in getattr(case(name), kind)]


def refused(provider: Provider, request: CallbackRequest) -> None:
    with pytest.raises(SignatureError):
        provider.verify(request)


class TestSignature:
    """Good, rotated, wrong, missing, tampered with, and replayed."""

    def test_a_good_one_is_taken_with_either_secret(self, one: ProviderCase, provider: Provider) -> None:
        for secret in (0, 1) if one.signed else (0,):
            provider.verify(one.request(next(iter(one.terminal)), secret))

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).signed])
    def test_one_by_a_secret_that_is_not_valid_any_more_is_refused(self, name: str) -> None:
        one = case(name)
        rotated = {key: value.split(",")[0] for key, value in one.credentials.items()}
        provider = providers.load(name, rotated, now=lambda: NOW)
        for payload in one.terminal:
            provider.verify(one.request(payload, 0))
            refused(provider, one.request(payload, 1))

    def test_a_missing_one_is_refused(self, one: ProviderCase, provider: Provider) -> None:
        signed = one.request(next(iter(one.terminal)))
        unsigned = replace(signed, headers={"Content-Type": one.content_type}, source_ip="198.51.100.1")
        refused(provider, unsigned)

    @pytest.mark.parametrize("garbage", ["", " ", "x", "Bearer", "Bearer a.b.c", "=" * 100, "é", "0" * 5_000, "a,b,c"])
    def test_a_wrong_one_is_refused(self, one: ProviderCase, provider: Provider, garbage: str) -> None:
        signed = one.request(next(iter(one.terminal)))
        wrong = {n: v if n == "Content-Type" else garbage for n, v in signed.headers.items()}
        refused(provider, replace(signed, headers=wrong, source_ip="not an address"))

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).signed])
    def test_a_body_that_was_tampered_with_is_refused(self, name: str) -> None:
        one = case(name)
        provider = providers.load(name, one.credentials, now=lambda: NOW)
        for payload in one.terminal:
            signed = one.request(payload)
            digit = next(i for i in range(len(signed.body) - 1, -1, -1) if chr(signed.body[i]).isdigit())
            other = str((int(chr(signed.body[digit])) + 1) % 10).encode()
            refused(provider, replace(signed, body=signed.body[:digit] + other + signed.body[digit + 1 :]))

    def test_one_for_another_address_is_rejected_if_the_address_is_signed(
        self, one: ProviderCase, provider: Provider
    ) -> None:
        signed = one.request(next(iter(one.terminal)))
        elsewhere = replace(signed, url=signed.url.replace("call_01", "call_02"))
        again = one.sign(replace(elsewhere, headers={"Content-Type": one.content_type}), 0)
        if again.headers != signed.headers:
            refused(provider, elsewhere)

    def test_one_that_is_repeated_later_is_rejected_if_its_time_is_signed(self, one: ProviderCase) -> None:
        request = one.request(next(iter(one.terminal)))
        if one.replay_sec is None:
            return  # such a callback is told apart by its event's id: see TestStory
        for late in (one.replay_sec + 1, -one.replay_sec - 1):
            clock = NOW + timedelta(seconds=late)
            refused(providers.load(one.name, one.credentials, now=lambda clock=clock: clock), request)


class TestReading:
    """Each word of the vocabulary, and what is no word at all."""

    @pytest.mark.parametrize(("name", "payload"), rows("terminal"))
    def test_every_terminal_word_has_its_outcome(self, name: str, payload: str) -> None:
        found = case(name)
        (event,) = _parse(found, payload)
        assert (event.outcome, event.provider_call_id) == (found.terminal[payload], found.call_id)
        assert event.event_id
        assert event.evidence
        assert event.fault is None

    @pytest.mark.parametrize(("name", "payload"), rows("progress"))
    def test_every_word_on_the_way_is_progress(self, name: str, payload: str) -> None:
        found = case(name)
        (event,) = _parse(found, payload)
        assert (event.progress, event.outcome) == (found.progress[payload], None)
        assert event.provider_call_id == found.call_id

    def test_amd_is_read(self, one: ProviderCase) -> None:
        for payload, amd in ((one.machine, Amd.MACHINE), (one.human, Amd.HUMAN)):
            if payload is not None:
                (event,) = _parse(one, payload)
                assert (event.amd, event.outcome) == (amd, None)

    def test_the_order_of_the_fields_makes_no_difference(self, one: ProviderCase, provider: Provider) -> None:
        turned = 0
        for sent in map(one.request, (*one.progress, *one.terminal)):
            body = sent.body.decode("utf-8-sig")
            if body.startswith("{"):
                other = json.dumps(dict(reversed(json.loads(body).items())))
            else:
                # The parts of a multipart body stay as they are.
                other = "&".join(reversed(body.split("&")))
            turned += other != body
            assert provider.parse(replace(sent, body=other.encode())) == provider.parse(sent)
        assert turned

    def test_an_unknown_word_is_kept_and_ends_nothing(self, one: ProviderCase) -> None:
        (event,) = _parse(one, one.unknown)
        assert (event.outcome, event.progress, event.fault) == (None, None, None)
        assert event.status

    def test_a_fault_of_the_account_is_no_outcome(self, one: ProviderCase) -> None:
        if one.fault is not None:
            (event,) = _parse(one, one.fault)
            assert event.outcome is None
            assert event.fault

    def test_the_same_callback_has_the_same_identity_and_others_have_not(self, one: ProviderCase) -> None:
        told = [*one.progress, *one.terminal]
        first = [_parse(one, payload)[0].event_id for payload in told]
        assert first == [_parse(one, payload)[0].event_id for payload in told]
        story = [_parse(one, payload)[0].event_id for payload in one.answered_story]
        assert len(set(story)) == len(story)

    @pytest.mark.parametrize(
        "body",
        [b"", b"\x00\xff\xfe", b"{", b"[]", b"null", b"{}", b"a=b", b"%", b"{" * 50_000, b'{"data":{"payload":[]}}'],
    )
    def test_what_cannot_be_read_is_malformed(self, one: ProviderCase, provider: Provider, body: bytes) -> None:
        for content_type in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "x/y", ""):
            headers = {"Content-Type": content_type} if content_type else {}
            try:
                events = provider.parse(CallbackRequest("POST", URL.format(provider=one.name), headers, body))
            except MalformedCallback:
                continue
            assert all(event.outcome is None for event in events)

    def test_a_huge_body_is_answered_and_not_worked_on(self, one: ProviderCase, provider: Provider) -> None:
        huge = one.sign(replace(one.request(next(iter(one.terminal))), body=b"a=%41&" * (MEGABYTE // 6)), 0)
        try:
            provider.verify(huge)
            events = provider.parse(huge)
        except (SignatureError, MalformedCallback):
            return
        assert all(event.outcome is None for event in events)

    def test_every_payload_file_is_used(self, one: ProviderCase) -> None:
        named = {*one.progress, *one.terminal, *one.contradictory, *one.answered_story}
        named |= {*one.legs, one.machine, one.human, one.unknown, one.fault}
        assert {path.name for path in (PAYLOADS / one.name).iterdir()} <= named | {None}


class TestEvidence:
    """Proof of an answer counts more than the word of the end.

    This holds in one event and in several events, in any order.
    """

    @pytest.mark.parametrize(("name", "payload"), rows("contradictory"))
    def test_an_end_that_proves_an_answer_is_no_failure(self, name: str, payload: str) -> None:
        found = case(name)
        (event,) = _parse(found, payload)
        assert (event.outcome, event.fault) == (found.contradictory[payload], None)
        assert event.provider_call_id == found.call_id

    @pytest.mark.parametrize(("name", "end"), rows("terminal"))
    def test_a_person_who_answered_is_reached_with_any_end(self, name: str, end: str) -> None:
        found = case(name)
        word = found.terminal[end]
        for heard in _answers(found):
            after = {_outcome_after(found, order) for order in ((heard, end), (end, heard))}
            assert after == {Outcome.VOICEMAIL if word is Outcome.VOICEMAIL else Outcome.COMPLETED}, heard

    @pytest.mark.parametrize(("name", "end"), rows("terminal"))
    def test_a_detected_answering_machine_is_a_voicemail_with_any_end(self, name: str, end: str) -> None:
        found = case(name)
        for order in ((found.machine, end), (end, found.machine)):
            if found.machine is not None:
                assert _outcome_after(found, order) is Outcome.VOICEMAIL

    @pytest.mark.parametrize(("name", "end"), rows("terminal"))
    def test_a_line_that_only_rang_keeps_the_word_of_its_end(self, name: str, end: str) -> None:
        found = case(name)
        for ringing, progress in found.progress.items():
            if progress is not Progress.IN_PROGRESS:
                assert _outcome_after(found, (ringing, end)) is found.terminal[end]

    def test_a_fault_of_the_account_after_an_answer_is_no_fault(self, one: ProviderCase) -> None:
        for heard in _answers(one):
            for order in ((heard, one.fault), (one.fault, heard)):
                if one.fault is not None:
                    assert _outcome_after(one, order) is Outcome.COMPLETED


class TestLegs:
    """The leg of an event.

    Only a call whose leg is known to be the outgoing, top-level one may be adopted.
    """

    @pytest.mark.parametrize(("name", "payload"), rows("legs"))
    def test_a_leg_is_what_the_event_says_of_it(self, name: str, payload: str) -> None:
        (event,) = _parse(case(name), payload)
        assert event.leg is case(name).legs[payload]

    def test_an_inbound_call_and_another_leg_are_not_ours(self, one: ProviderCase) -> None:
        told = set(one.legs.values())
        assert Leg.OUTGOING in told or Leg.UNKNOWN in told
        assert Leg.INBOUND in told

    def test_no_event_without_a_direction_is_known_to_be_outgoing(self, one: ProviderCase) -> None:
        for payload in (*one.progress, *one.terminal, one.unknown):
            request = one.request(payload)
            if b"irection" not in request.body and b"call_type" not in request.body:
                (event,) = _parse(one, payload)
                assert event.leg is Leg.UNKNOWN, payload


class TestFinding:
    """The calls that find() makes of a provider's list.

    A provider without a list keeps the default, which always answers None.
    """

    SINCE = NOW - timedelta(hours=12)  # for Exotel, whose list has no calls that may be under way
    UNTIL = SINCE + timedelta(minutes=10)
    MIDDLE = SINCE + timedelta(minutes=5)

    def test_a_provider_without_a_list_has_the_default(self, one: ProviderCase, provider: Provider) -> None:
        assert (one.listed is None) == (type(provider).find is Provider.find)
        if one.listed is None:
            assert _find(one, lambda url: answer(200, {})) is None

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).listed])
    def test_a_call_is_found_and_those_of_others_are_not(self, name: str) -> None:
        one = case(name)
        other = one.call_id[:-1] + ("8" if one.call_id.endswith("9") else "9")
        earlier, later = self.SINCE - timedelta(minutes=10), self.UNTIL + timedelta(minutes=10)
        unwanted = [
            ListedCall(other, self.MIDDLE, to_number="+16505550198"),
            ListedCall(other, earlier),
            ListedCall(other, later),
            ListedCall(other, self.MIDDLE, inbound=True),
        ]
        if name != "dialnexa":  # where the number called from is the agent's own
            unwanted.append(ListedCall(other, self.MIDDLE, from_number="+14155550199"))
        # Vonage may leave calls out that were not answered, so its empty list is no answer.
        assert _find(one, _listing(one, unwanted)) == (None if name == "vonage" else [])
        (event,) = _find(one, _listing(one, [*unwanted, ListedCall(one.call_id, self.MIDDLE)])) or []
        assert (event.provider_call_id, event.outcome) == (one.call_id, Outcome.COMPLETED)
        assert (event.to_number, event.from_number) == ("+16505550199", "+14155550100")
        assert event.event_id.startswith(f"{one.call_id}:lookup:")

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).listed])
    def test_both_ends_of_the_span_are_in_it(self, name: str) -> None:
        one = case(name)
        for at in (self.SINCE, self.UNTIL):
            found = _find(one, _listing(one, [ListedCall(one.call_id, at)]), part_of_a_second=0.7)
            assert [event.provider_call_id for event in found or []] == [one.call_id]

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).listed])
    def test_an_unsure_answer_is_none(self, name: str) -> None:
        one = case(name)
        assert _find(one, _listing(one, [ListedCall(one.call_id, None)])) is None
        bodies = (
            b"",
            b"{",
            b"{}",
            b"null",
            b"3",
            b"[1]",
            b'"x"',
            b"\xff",
            b'{"calls": 3, "data": {}, "objects": [[]]}',
        )
        failures: list[Answer | Exception] = [answer(200, body) for body in bodies]
        failures += [answer(status, {}) for status in (401, 404, 429, 500)] + [AnswerLost("reset"), NotSent("refused")]
        for failure in failures:
            found = asked_now(failure, lambda failure=failure: _find(one, lambda url: failure))
            assert found is None, failure

    @pytest.mark.parametrize("name", [name for name in NAMES if case(name).listed])
    def test_no_request_of_several_may_fail(self, name: str) -> None:
        one = case(name)
        listing = _listing(one, [ListedCall(one.call_id, self.MIDDLE)])
        asked: list[str] = []
        assert _find(one, listing, asked)
        for failing in range(len(asked)):
            seen: list[str] = []

            def reply(url: str, seen: list[str] = seen, failing: int = failing) -> object:
                return answer(500) if len(seen) == failing + 1 else listing(url)

            with pytest.raises(Unanswered):
                _find(one, reply, seen)


class TestStory:
    """Callbacks through the whole app: repeated, in another order, and with AMD.

    The result of AMD comes before the end or after the end.
    """

    def test_repeated_callbacks_decide_once(self, one: ProviderCase, world: World) -> None:
        with _hosting(one, world) as app:
            busy = _ending(one, Outcome.BUSY)
            for _ in range(5):
                app.post(busy)
            assert app.history() == ["busy"]
            assert app.record().call.due_at is not None

    @pytest.mark.slow
    def test_the_order_of_callbacks_makes_no_difference(self, one: ProviderCase, world: World) -> None:
        # Four make 24 orders; that no order of any number matters is shown in tests/domain/test_lifecycle.py.
        for order in permutations(one.answered_story[-4:]):
            with _hosting(one, world) as app:
                for payload in order:
                    app.post(payload)
                assert (app.history(), app.record().call.summary_status) == (["completed"], "completed")

    def test_an_answering_machine_is_a_voicemail_before_or_after_the_end(self, one: ProviderCase, world: World) -> None:
        if one.machine is None:
            return
        completed = _ending(one, Outcome.COMPLETED)
        for order in ((one.machine, completed), (completed, one.machine)):
            with _hosting(one, world) as app:
                for payload in order:
                    app.post(payload)
                assert app.history() == ["voicemail"]
                assert app.record().call.state == "scheduled"

    def test_a_person_who_answered_is_not_dialed_again_in_either_order(self, one: ProviderCase, world: World) -> None:
        busy = _ending(one, Outcome.BUSY)
        for heard in _answers(one):
            for order in ((heard, busy), (busy, heard)):
                with _hosting(one, world) as app:
                    for payload in order:
                        app.post(payload)
                    call = app.record().call
                    assert app.history() == ["completed"], order
                    assert (call.state, call.summary_status, call.due_at) == ("final", "completed", None)

    def test_a_fault_of_the_account_uses_up_no_attempt(self, one: ProviderCase, world: World) -> None:
        if one.fault is None:
            return
        with _hosting(one, world) as app:
            app.post(one.fault)
            record = app.record()
            assert (record.call.state, record.attempts[0].counts) == ("scheduled", False)

    def test_an_unknown_word_is_recorded_and_answered_200(self, one: ProviderCase, world: World) -> None:
        with _hosting(one, world) as app:
            app.post(one.unknown)
            assert app.record().call.state == "dialing"


def _answers(one: ProviderCase) -> list[str]:
    """Return the payloads that prove an answer."""
    answered = [payload for payload, progress in one.progress.items() if progress is Progress.IN_PROGRESS]
    return answered + ([one.human] if one.human is not None else [])


def _outcome_after(one: ProviderCase, payloads: Iterable[str | None]) -> Outcome | None:
    """Return the outcome of an attempt after these payloads, ten seconds apart."""
    record = _claim(_new_call(one)).after
    for number, payload in enumerate(payloads):
        for event in _parse(one, payload or ""):
            record = lifecycle.absorb(record, 1, event, NOW + timedelta(seconds=10 * number)).after
    return record.attempts[0].outcome


def _new_call(one: ProviderCase) -> Call:
    policy = Policy(max_retries=3, strategy=Fixed(30), on=RETRY_ALL)
    return Call(
        id=CALL_ID,
        workspace="acme",
        to_number="+16505550199",
        from_number="+14155550100",
        provider=one.name,
        account=f"{one.name}:1",
        policy=policy,
        created_at=NOW - timedelta(minutes=5),
        expires_at=NOW + timedelta(days=3),
        public_url=PUBLIC_URL,
    )


def _claim(call: Call) -> Transition:
    at, until = NOW - timedelta(minutes=5), NOW + timedelta(hours=1)
    return lifecycle.claim(CallRecord(call), token=TOKEN, now=at, deadline_at=until)


def _parse(one: ProviderCase, payload: str):  # type: ignore[no-untyped-def]
    return providers.load(one.name, one.credentials, now=lambda: NOW).parse(one.request(payload))


def _listing(one: ProviderCase, calls: Sequence[ListedCall]) -> Callable[[str], object]:
    assert one.listed is not None
    listed = one.listed
    return lambda url: answer(200, listed(url, calls))


def _find(
    one: ProviderCase, reply: Callable[[str], object], asked: list[str] | None = None, part_of_a_second: float = 0
) -> list[CallEvent] | None:
    """Find calls while ``reply`` answers each GET of the API.

    ``asked`` takes the URL of each request.
    """
    key = {"private_key": carrier_vonage.new_environment()["VONAGE_PRIVATE_KEY"]} if one.name == "vonage" else {}
    http = FakeApi(reply, [] if asked is None else asked)
    provider = providers.load(one.name, {**one.credentials, **key}, now=lambda: NOW, http=http)
    since = TestFinding.SINCE + timedelta(seconds=part_of_a_second)
    return provider.find("+16505550199", "+14155550100", since, TestFinding.UNTIL, "agent_2g7Xy3tY53gRlp")


def _ending(one: ProviderCase, outcome: Outcome) -> str:
    return next(payload for payload, ends in one.terminal.items() if ends is outcome)


class _Hosted:
    """The app with one claimed attempt of a provider, to which callbacks are posted."""

    def __init__(self, one: ProviderCase, world: World) -> None:
        self.one = one
        self.world = world

    def __enter__(self) -> "_Hosted":
        world, one = self.world, self.one
        world.clock.turn(to=NOW)
        prefix = one.name.upper()
        settings = {f"{prefix}_{k.upper()}": v for k, v in one.credentials.items() if k != "allowed_ips"}
        self.patch = pytest.MonkeyPatch()
        for name, value in settings.items():
            self.patch.setenv(name, value)
        self.client = new_client()
        world.client = self.client.__enter__()
        for item in world.dynamodb.scan(TableName="redial-dev")["Items"]:
            if not item["pk"]["S"].startswith("KEY#"):
                world.dynamodb.delete_item(TableName="redial-dev", Key={k: item[k] for k in ("pk", "sk")})
        self._claim()
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__(None, None, None)
        self.patch.undo()

    def _claim(self) -> None:
        self.ports.calls.create(_claim(_new_call(self.one)))

    @property
    def ports(self):  # type: ignore[no-untyped-def]
        from chalicelib.api import current

        return current.services().ports

    def post(self, payload: str) -> None:
        request = self.one.request(payload)
        path = request.url.removeprefix(PUBLIC_URL)
        answer = self.world.client.http.post(path, headers=dict(request.headers), body=request.body)
        assert answer.status_code == 200, answer.body

    def record(self) -> CallRecord:
        found: CallRecord = self.ports.calls.load(CALL_ID)
        return found

    def history(self) -> list[str]:
        attempts: tuple[Attempt, ...] = self.record().attempts
        return [str(attempt.outcome) for attempt in attempts]


def _hosting(one: ProviderCase, world: World) -> _Hosted:
    return _Hosted(one, world)


def test_every_provider_of_the_registry_has_its_files() -> None:
    cases = {path.stem for path in (Path(__file__).parent / "cases").glob("*.py")} - {"__init__"}
    assert cases == set(NAMES)
    assert {path.name for path in PAYLOADS.iterdir()} == set(NAMES)
    calls = {path.name for path in Path(__file__).parent.glob("test_*_calls.py")}
    assert calls == {f"test_{name}_calls.py" for name in NAMES}
