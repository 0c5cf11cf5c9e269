"""The loop, end to end on moto: place, callback, decision, rule, redial, history."""

from datetime import timedelta
from itertools import permutations

import pytest

from chalicelib import providers
from chalicelib.providers.http import AnswerLost, NotSent
from chalicelib.usecases.ports import MAX_DEFAULT_RING_SEC
from tests.support.world import BODY, START, Placed, World, answer_json, new_client


def test_a_busy_line_is_redialled_after_the_wait_until_somebody_answers(world: World) -> None:
    call = world.place()
    assert world.history(call["id"]) == [(1, "placed")]

    world.end("busy", SipResponseCode="486")
    assert [r["ScheduleExpression"] for r in world.rules()] == ["cron(30 10 26 1 ? 2026)"]
    world.pump(START + timedelta(minutes=29))
    assert len(world.twilio.placed) == 1

    world.pump(START + timedelta(minutes=30))
    world.end("no-answer")
    world.pump(START + timedelta(minutes=60))
    world.end("completed", CallDuration="42")

    after = world.call(call["id"])
    assert world.history(call["id"]) == [(1, "busy"), (2, "no-answer"), (3, "completed")]
    assert [p.at for p in world.twilio.placed] == [START + timedelta(minutes=m) for m in (0, 30, 60)]
    assert (after["state"], after["summary_status"], after["next_attempt_at"]) == ("final", "completed", None)
    assert after["attempts"][2]["duration_sec"] == 42
    assert world.rules() == []


@pytest.mark.parametrize(
    ("retry", "outcomes", "summary"),
    [
        ({}, ["busy", "busy", "busy", "busy"], "all_retries_exhausted"),
        ({"max_retries": 1}, ["no-answer", "busy"], "all_retries_exhausted"),
        ({"max_retries": 0}, ["busy"], "all_retries_exhausted"),
        ({"retry_on_busy": False}, ["no-answer", "busy"], "not_retryable"),
        ({}, ["failed"], "not_retryable"),
        ({}, ["voicemail"], "voicemail_final"),
        ({"retry_on_voicemail": True}, ["voicemail", "completed"], "completed"),
        ({"max_retries": 1, "retry_on_voicemail": True}, ["voicemail", "voicemail"], "all_retries_exhausted"),
        ({}, ["canceled"], "canceled"),
    ],
)
def test_a_call_ends_as_its_policy_says(
    world: World, retry: dict[str, object], outcomes: list[str], summary: str
) -> None:
    call = world.place(retry={**BODY["retry"], **retry})
    for outcome in outcomes:
        answered_by = {"AnsweredBy": "machine_start"} if outcome == "voicemail" else {}
        world.end("completed" if outcome == "voicemail" else outcome, **answered_by)
        world.pump(world.clock.now() + timedelta(hours=1))
    after = world.call(call["id"])
    assert [a["outcome"] for a in after["attempts"]] == outcomes
    assert (after["state"], after["summary_status"]) == ("final", summary)
    assert world.rules() == []


def test_variables_metadata_and_target_are_the_same_on_every_attempt(world: World) -> None:
    call = world.place(variables={"name": "Ada", "vip": True}, metadata={"crm": {"id": 7, "tags": [None, 1.5]}})
    world.end("busy")
    world.pump(START + timedelta(minutes=30))
    query = f"name=Ada&vip=true&call_id={call['id']}&attempt={{}}&agent_version_id=av_01hx"
    assert [p.form["Url"] for p in world.twilio.placed] == [
        f"https://example.com/answer.xml?{query.format(n)}" for n in (1, 2)
    ]
    assert world.call(call["id"])["metadata"] == {"crm": {"id": 7, "tags": [None, 1.5]}}
    assert {p.form["From"] for p in world.twilio.placed} == {"+14155550100"}


def test_the_same_terminal_callback_fifty_times_makes_one_retry(world: World) -> None:
    call = world.place()
    for _ in range(50):
        world.end("busy")
    world.pump(START + timedelta(hours=1))
    assert len(world.twilio.placed) == 2
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]


EVENTS = {
    "initiated": ("initiated", {"SequenceNumber": "0"}),
    "ringing": ("ringing", {"SequenceNumber": "1"}),
    "in-progress": ("in-progress", {"SequenceNumber": "2"}),
    "completed": ("completed", {"SequenceNumber": "3", "CallDuration": "9"}),
    "amd": (None, {"AnsweredBy": "machine_start", "MachineDetectionDuration": "3200"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("first", EVENTS)
@pytest.mark.parametrize("on_voicemail", [True, False])
def test_every_order_of_the_callbacks_makes_one_history_and_one_decision(
    world: World, on_voicemail: bool, first: str
) -> None:
    """Post the five callbacks in every order. The result is the same.

    The 120 orders are split by the first callback: the emulator slows down with its contents.
    """
    endings = set()
    orders = [order for order in permutations(EVENTS) if order[0] == first]
    for nth, order in enumerate(orders):
        retry = {**BODY["retry"], "retry_on_voicemail": on_voicemail}
        call = world.place(to_number=f"+1650555{nth:04d}", retry=retry)
        for name in order:
            status, fields = EVENTS[name]
            assert world.callback(world.twilio.placed[-1], status, **fields).status_code == 200
        after = world.call(call["id"])
        attempt = after["attempts"][0]
        endings.add((after["state"], after["summary_status"], after["next_attempt_at"], len(after["attempts"])))
        endings.add((attempt["status"], attempt["amd"], attempt["duration_sec"]))
    ended = ("scheduled", None, "2026-01-26T10:30:00Z", 1) if on_voicemail else ("final", "voicemail_final", None, 1)
    assert endings == {ended, ("voicemail", "machine", 9)}

    world.pump(START + timedelta(hours=1))
    assert len(orders) == 24
    assert len(world.twilio.placed) == (48 if on_voicemail else 24)


def test_a_callback_before_the_create_calls_answer_finds_its_attempt(world: World) -> None:
    answered: list[int] = []

    def ring_at_once(placed: Placed) -> None:
        answered.append(world.callback(placed, "ringing", SequenceNumber="1").status_code)
        answered.append(world.callback(placed, "busy", SequenceNumber="2").status_code)

    world.twilio.on_place = ring_at_once
    call = world.place()
    assert answered == [200, 200]
    assert call["attempts"][0]["status"] == "busy"
    assert (call["state"], call["next_attempt_at"]) == ("scheduled", "2026-01-26T10:30:00Z")


def test_a_callback_of_an_earlier_attempt_keeps_the_later_one(world: World) -> None:
    call = world.place()
    first = world.twilio.placed[0]
    world.end("busy")
    world.pump(START + timedelta(minutes=30))
    assert world.callback(first, "no-answer", SequenceNumber="9").json_body["events"][0]["decision"] == "nothing-new"
    assert world.callback(first, "ringing", SequenceNumber="2").json_body["events"][0]["decision"] == "nothing-new"
    assert world.history(call["id"]) == [(1, "busy"), (2, "placed")]
    assert world.callback(first, "completed", SequenceNumber="9").json_body["events"][0]["decision"] == "enriched"
    assert world.history(call["id"]) == [(1, "completed"), (2, "placed")]
    assert world.call(call["id"])["state"] == "dialing"
    world.end("busy")
    assert world.call(call["id"])["summary_status"] == "completed"


LATE_EVIDENCE = [
    {"CallStatus": "in-progress", "SequenceNumber": "2"},
    {"CallStatus": "in-progress", "SequenceNumber": "2", "AnsweredBy": "human"},
    {"AnsweredBy": "human"},
    {"CallStatus": "completed", "SequenceNumber": "4", "CallDuration": "12"},
]


@pytest.mark.parametrize("late", LATE_EVIDENCE, ids=lambda late: "-".join(late.values()))
def test_evidence_of_a_human_after_the_end_calls_the_retry_off(world: World, late: dict[str, str]) -> None:
    call = world.place()
    world.end("no-answer")
    assert world.call(call["id"])["state"] == "scheduled"
    (taken,) = world.callback(world.twilio.placed[0], late.get("CallStatus"), **late).json_body["events"]
    assert (taken["decision"], taken["reason"], taken["summary_status"]) == ("decided", "reached", "completed")
    world.pump(START + timedelta(hours=24))
    assert len(world.twilio.placed) == 1
    assert world.history(call["id"]) == [(1, "completed")]


@pytest.mark.parametrize("known", LATE_EVIDENCE[:3], ids=lambda known: "-".join(known.values()))
@pytest.mark.parametrize("end", ["busy", "no-answer", "failed", "canceled"])
def test_a_person_who_answered_is_not_redialled_after_any_end(world: World, known: dict[str, str], end: str) -> None:
    call = world.place()
    world.callback(world.twilio.placed[0], known.get("CallStatus"), **known)
    world.end(end, SipResponseCode="503")
    world.pump(START + timedelta(hours=24))
    assert (len(world.twilio.placed), world.history(call["id"])) == (1, [(1, "completed")])


def test_amd_in_the_callback_about_the_answer_is_kept(world: World) -> None:
    call = world.place()
    placed = world.twilio.placed[0]
    for fields in ({"SequenceNumber": "2"}, {"SequenceNumber": "2", "AnsweredBy": "machine_start"}):
        assert world.callback(placed, "in-progress", **fields).json_body["events"][0]["decision"] == "noted"
    world.end("busy")
    (attempt,) = world.call(call["id"])["attempts"]
    assert (attempt["outcome"], attempt["amd"]) == ("voicemail", "machine")


def test_a_leg_of_another_id_on_the_same_address_is_not_ours(world: World) -> None:
    call = world.place()
    placed = world.twilio.placed[0]
    stranger = Placed(placed.form, "CA" + "f" * 32, placed.at)
    assert world.callback(stranger, "busy").json_body["events"][0]["decision"] == "nothing-new"
    assert world.history(call["id"]) == [(1, "placed")]


def test_an_answered_call_is_in_progress_until_it_ends(world: World) -> None:
    call = world.place()
    for sequence, status in enumerate(["initiated", "ringing", "in-progress"]):
        world.callback(world.twilio.placed[0], status, SequenceNumber=str(sequence))
    during = world.call(call["id"])
    assert (during["state"], during["attempts"][0]["status"]) == ("in-progress", "in-progress")
    assert during["attempts"][0]["answered_at"] == "2026-01-26T10:00:00Z"


def test_a_call_that_starts_later_is_dialled_in_its_minute(world: World) -> None:
    call = world.place(start_at="2026-01-26T14:07:30+02:00")
    assert (call["state"], call["next_attempt_at"], call["attempts"]) == ("scheduled", "2026-01-26T12:08:00Z", [])
    world.pump(START + timedelta(hours=3))
    assert [p.at for p in world.twilio.placed] == [START + timedelta(hours=2, minutes=8)]


class TestWhatTheProviderAnswers:
    """Every answer to the create-call leads to a state that fits the answer."""

    def test_a_number_that_it_calls_invalid_ends_the_call(self, world: World) -> None:
        world.twilio.answers = [answer_json(400, {"code": 21211})]
        call = world.place()
        assert (call["state"], call["summary_status"]) == ("final", "not_retryable")
        assert [(a["outcome"], a["cause"]) for a in call["attempts"]] == [("invalid-number", "twilio:21211")]

    @pytest.mark.parametrize(
        "answer", [answer_json(429, {"code": 20429}), answer_json(401, {"code": 20003}), NotSent("no route")]
    )
    def test_a_rejection_by_the_provider_uses_up_no_attempt(self, world: World, answer: object) -> None:
        world.twilio.answers = [answer]  # type: ignore[list-item]
        call = world.place()
        assert (call["state"], call["attempts"]) == ("scheduled", [])
        assert call["next_attempt_at"] == "2026-01-26T10:02:00Z"  # a minute later, but no sooner than the wake's lead
        world.pump(START + timedelta(minutes=2))
        assert world.history(call["id"]) == [(1, "placed")]

    def test_each_rejection_in_a_row_defers_the_call_longer(self, world: World) -> None:
        world.twilio.answers = [answer_json(429, {"code": 20429}) for _ in range(300)]
        call = world.place(retry={"max_retries": 1, "expires_after_hours": 2})
        world.pump(START + timedelta(hours=3))
        after = world.call(call["id"])
        assert (after["state"], after["summary_status"], after["attempts"]) == ("final", "expired", [])
        assert len(world.twilio.requests) == 8  # after 2, 2, 4, 8, 16, 30 and 30 minutes

    @pytest.mark.parametrize("answer", [answer_json(500, {}), answer_json(200, {}), AnswerLost("timed out")])
    def test_a_lost_answer_is_never_asked_for_again(self, world: World, answer: object) -> None:
        world.twilio.answers = [answer]  # type: ignore[list-item]
        call = world.place()
        assert world.history(call["id"]) == [(1, "placement-unknown")]
        world.pump(START + timedelta(minutes=50))
        world.sweep()
        assert [method for method, _ in world.twilio.requests].count("POST") == 1

    def test_a_lost_answer_is_cleared_up_by_the_callback(self, world: World) -> None:
        world.twilio.answers = [AnswerLost("timed out")]
        call = world.place()
        world.callback(world.twilio.placed[0], "ringing", SequenceNumber="1")
        assert world.history(call["id"]) == [(1, "ringing")]
        world.end("busy")
        assert world.call(call["id"])["state"] == "scheduled"

    def test_an_account_fault_after_the_placement_uses_up_no_attempt(self, world: World) -> None:
        call = world.place(retry={**BODY["retry"], "max_retries": 1})
        world.end("failed", ErrorCode="10004")
        world.pump(START + timedelta(minutes=2))
        world.end("busy")
        world.pump(START + timedelta(hours=1))
        world.end("busy")
        after = world.call(call["id"])
        assert world.history(call["id"]) == [(1, "error"), (2, "busy"), (3, "busy")]
        assert after["summary_status"] == "all_retries_exhausted"


def test_the_ring_time_is_the_providers_maximum_by_default(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.place()
    monkeypatch.setenv("RING_TIMEOUT_SECONDS", "20")
    with new_client() as world.client:
        world.place()
    assert [placed.form["Timeout"] for placed in world.twilio.placed] == ["45", "20"]


def test_no_provider_rings_beyond_the_deadline_of_an_attempt() -> None:
    for name in providers.REGISTRY:
        assert providers.provider_class(name).ring_timeout_sec <= MAX_DEFAULT_RING_SEC
