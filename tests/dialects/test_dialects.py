"""Each vendor's own JSON, as its document prints it, does what the document says."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

import pytest
from pydantic import ValidationError

from chalicelib.api.schemas import CallIn, PolicyIn, PreviewIn
from chalicelib.dialects.bolna import BolnaCallIn, RetryConfigIn
from chalicelib.dialects.dialnexa import RetryIn
from chalicelib.dialects.exotel import CampaignIn, ExotelPolicyIn
from chalicelib.dialects.gomobile import GomobilePolicyIn
from chalicelib.dialects.narrowing import NAMED_RULES
from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import (
    Exponential,
    Fixed,
    Intervals,
    NoRetry,
    OutcomeRule,
    Policy,
    Scheduled,
    TimeOfDay,
)
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import WEEK, Weekday, Window, interval

YES, NO, ONCE = OutcomeRule(True), OutcomeRule(False), OutcomeRule(True, max_retries=1)
B, N, F, V, E = Outcome.BUSY, Outcome.NO_ANSWER, Outcome.FAILED, Outcome.VOICEMAIL, Outcome.ERROR


class TestDialnexa:
    """The object ``retry`` of POST /calls."""

    def test_its_documented_object(self) -> None:
        body = {
            "max_retries": 3,
            "wait_minutes": 30,
            "retry_on_voicemail": False,
            "retry_on_no_answer": True,
            "retry_on_busy": True,
        }
        assert RetryIn.model_validate(body).policy() == Policy(3, Fixed(30), {B: YES, N: YES, V: NO})

    def test_an_empty_object_asks_for_the_documents_example(self) -> None:
        assert RetryIn().policy() == Policy(3, Fixed(30), {B: YES, N: YES})

    def test_no_retries_at_all(self) -> None:
        assert RetryIn(max_retries=0).policy().max_retries == 0
        assert RetryIn.model_validate({"strategy": {"type": "none"}, "max_retries": 5}).policy().max_retries == 0

    @pytest.mark.parametrize(
        ("strategy", "wanted"),
        [
            ({"type": "fixed", "wait_minutes": 7}, Fixed(7)),
            ({"type": "intervals", "minutes": [30, 60, 120]}, Intervals((30, 60, 120))),
            (
                {"type": "exponential", "first_minutes": 30, "factor": 3, "max_minutes": 300},
                Exponential(30, 3, 300),
            ),
            ({"type": "time_of_day", "times": ["17:00", "10:00"]}, TimeOfDay((600, 1020), 60)),
            (
                {"type": "scheduled", "at": ["2026-01-27T12:00:00+02:00", "2026-01-26T10:00:00Z"]},
                Scheduled((datetime(2026, 1, 26, 10, tzinfo=UTC), datetime(2026, 1, 27, 10, tzinfo=UTC))),
            ),
        ],
    )
    def test_every_strategy(self, strategy: dict[str, object], wanted: object) -> None:
        assert RetryIn.model_validate({"strategy": strategy}).policy().strategy == wanted

    def test_rules_window_caps_and_a_target_for_voicemail(self) -> None:
        body = {
            "on": {
                "busy": {"wait_minutes": 5},
                "no_answer": {"max_retries": 2},
                "failed": {"max_retries": 1},
                "rejected": True,
                "voicemail": {"target": {"url": "https://example.com/leave-message.xml"}},
            },
            "window": {
                "timezone": "recipient",
                "open": {"monday": [["09:00", "21:00"]]},
                "pause": {"monday": [["12:00", "14:00"]]},
                "holidays": "IN",
                "preset": None,
            },
            "caps": [{"max_attempts": 4, "per_hours": 24}, {"max_attempts": 2, "per": "day"}],
        }
        policy = RetryIn.model_validate(body).policy()
        assert policy.on == {
            B: OutcomeRule(True, 5),
            N: OutcomeRule(True, None, 2),
            F: ONCE,
            Outcome.REJECTED: YES,
            V: OutcomeRule(True, None, 1, "https://example.com/leave-message.xml"),
        }
        monday = {Weekday.MONDAY: (interval("09:00", "21:00"),)}
        pause = {Weekday.MONDAY: (interval("12:00", "14:00"),)}
        assert policy.window == Window(open=monday, pause=pause, holidays=("IN",))
        assert policy.caps == (Cap(4, 24), Cap(2, 24, "day"))

    def test_a_preset_brings_its_hours_holidays_and_caps(self) -> None:
        policy = RetryIn.model_validate({"window": {"preset": "fr"}, "caps": [{"max_attempts": 1}]}).policy()
        assert policy.window is not None
        assert policy.window.holidays == ("FR",)
        assert policy.caps == (Cap(4, 720), Cap(1, 24))

    def test_a_preset_is_narrowed_by_own_hours_calendars_and_dates(self) -> None:
        window = {
            "preset": "us-federal",
            "open": {"monday": [["07:00", "12:00"]], "sunday": [["20:00", "23:00"]]},
            "holidays": ["US", "US-CA"],
            "closed": ["2026-12-24"],
        }
        policy = RetryIn.model_validate({"window": window}).policy()
        assert policy.window is not None
        assert {day: hours for day, hours in (policy.window.open or {}).items() if hours} == {
            Weekday.MONDAY: (interval("08:00", "12:00"),),
            Weekday.SUNDAY: (interval("20:00", "21:00"),),
        }
        assert (policy.window.holidays, policy.window.closed) == (("US", "US-CA"), (date(2026, 12, 24),))

    def test_holidays_beside_a_preset_add_to_its_own(self) -> None:
        policy = RetryIn.model_validate({"window": {"preset": "fr", "holidays": "DE"}}).policy()
        assert policy.window is not None
        assert policy.window.holidays == ("DE", "FR")

    def test_presets_combine_with_each_other_and_with_stored_policies(self) -> None:
        own = Rules(Window(open={Weekday.TUESDAY: (interval("19:00", "22:00"),)}), (Cap(1, 24),), {B: 2})
        retry = RetryIn.model_validate(
            {"window": {"preset": ["us-reg-f", "acme-hours"]}}, context={NAMED_RULES: {"acme-hours": own}.get}
        )
        policy = retry.policy()
        assert policy.window is not None
        assert (policy.window.open or {})[Weekday.TUESDAY] == (interval("19:00", "21:00"),)
        assert policy.caps == (Cap(7, 168), Cap(1, 24))
        assert policy.quiet_after == {Outcome.COMPLETED: 168, B: 2}
        assert policy.presets == ("us-reg-f",)

    @pytest.mark.parametrize(
        ("window", "says"),
        [
            ({"preset": "acme-hours"}, "'acme-hours' is neither a preset nor a policy of yours; use one of au"),
            ({"preset": ["fr", "us-flordia"]}, "us-wyoming; did you mean us-florida?"),
            ({"preset": ["fr", "us-rhode-island"], "open": {"sunday": [["09:00", "10:00"]]}}, "leave no hour of the"),
            ({"closed": ["24.12.2026"]}, "must be a date between 2000 and 2198, like 2026-12-24"),
            ({"closed": ["2026-02-30"]}, "must be a date"),
            ({"closed": [20261224]}, "must be a date"),
            ({"holidays": ["US", "XX"]}, "no public holidays are known for 'XX'"),
        ],
    )
    def test_what_cannot_be_combined_is_refused(self, window: dict[str, object], says: str) -> None:
        with pytest.raises(ValidationError, match=re.escape(says)):
            RetryIn.model_validate({"window": window})

    def test_what_is_combined_has_bounds(self) -> None:
        day = [
            [f"{quarter // 4:02}:{quarter % 4 * 15:02}", f"{quarter // 4:02}:{quarter % 4 * 15 + 9:02}"]
            for quarter in range(96)
        ]
        pauses = [{"pause": {"monday": day[start : start + 24]}} for start in (0, 24, 48)]
        own = {
            f"p{number}": RetryIn.model_validate({"window": each}).policy().rules for number, each in enumerate(pauses)
        }
        RetryIn.model_validate({"window": {"preset": ["p0", "p1"]}}, context={NAMED_RULES: own.get})
        with pytest.raises(ValidationError, match="monday has 72 intervals after all rules are combined; at most 48"):
            RetryIn.model_validate({"window": {"preset": [*own]}}, context={NAMED_RULES: own.get})

    @pytest.mark.parametrize("hours", [{"completed": 0}, {"completed": 721}, {"rung": 1}, {"busy": 1, "BUSY": 2}])
    def test_quiet_is_for_outcomes_and_hours_that_there_are(self, hours: dict[str, float]) -> None:
        with pytest.raises(ValidationError):
            RetryIn.model_validate({"quiet_after": hours})


class TestNarrowing:
    """Presets, calendars and dates in each dialect that has hours."""

    NARROWING: ClassVar[dict[str, object]] = {"preset": ["fr"], "holidays": ["DE"], "closed": ["2026-12-24"]}

    @pytest.mark.parametrize(
        "dialect",
        [
            {"retry": {"window": NARROWING}},
            {"exotel": {"schedule": NARROWING}},
            {"exotel": {"schedule": {**NARROWING, "daily_start": "06:00", "daily_end": "22:00"}}},
            {"gomobile": {"retryStrategy": {"type": "none"}, "pauseWindows": NARROWING}},
        ],
    )
    def test_every_dialect_with_hours_narrows_them(self, dialect: dict[str, object]) -> None:
        policy = PolicyIn.model_validate(dialect).asked_for
        assert policy is not None
        assert policy.window is not None
        hours = (interval("10:00", "13:00"), interval("14:00", "20:00"))
        opening = {day: found for day, found in (policy.window.open or {}).items() if found}
        assert opening == dict.fromkeys(WEEK[:5], hours)
        assert (policy.window.holidays, policy.window.closed) == (("DE", "FR"), (date(2026, 12, 24),))
        assert (policy.caps, policy.presets) == ((Cap(4, 720),), ("fr",))

    @pytest.mark.parametrize(
        "dialect",
        [
            {"exotel": {"schedule": {"preset": "fr", "daily_start": "21:00", "daily_end": "22:00"}}},
            {
                "gomobile": {
                    "retryStrategy": {"type": "none"},
                    "pauseWindows": {day: [{"startAt": {"hour": 9}, "endAt": {"hour": 20}}] for day in WEEK}
                    | {"preset": "fr"},
                }
            },
        ],
    )
    def test_hours_that_a_preset_leaves_none_of_are_refused(self, dialect: dict[str, object]) -> None:
        with pytest.raises(ValidationError, match="leave no hour of the week open"):
            PolicyIn.model_validate(dialect)


class TestBolna:
    """The object ``retry_config`` of POST /call."""

    def test_its_documented_request(self) -> None:
        body = {
            "agent_id": "your-agent-id",
            "recipient_phone_number": "+1234567890",
            "retry_config": {
                "enabled": True,
                "max_retries": 3,
                "retry_on_statuses": ["no-answer", "busy", "failed"],
                "retry_intervals_minutes": [30, 60, 120],
            },
        }
        wanted = Policy(3, Intervals((30, 60, 120)), {B: YES, N: YES, F: YES, V: NO})
        assert BolnaCallIn.model_validate(body).retry_config.policy() == wanted

    def test_its_defaults_once_enabled(self) -> None:
        assert RetryConfigIn(enabled=True).policy() == Policy(
            3, Intervals((30, 60, 120)), {B: YES, N: YES, F: YES, V: NO}
        )

    def test_it_is_off_unless_enabled(self) -> None:
        assert RetryConfigIn().policy().max_retries == 0
        assert isinstance(RetryConfigIn(max_retries=2).policy().strategy, NoRetry)

    def test_error_and_voicemail_only_if_asked_for(self) -> None:
        config = {"enabled": True, "retry_on_statuses": ["error"], "retry_on_voicemail": True}
        assert RetryConfigIn.model_validate(config).policy().on == {E: YES, V: YES}

    @pytest.mark.parametrize(
        "wrong",
        [{"max_retries": 4}, {"max_retries": 0}, {"retry_on_statuses": ["completed"]}, {"retry_intervals_minutes": []}],
    )
    def test_what_its_table_does_not_allow_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            RetryConfigIn.model_validate({"enabled": True, **wrong})


class TestExotel:
    """The objects ``retry`` and ``schedule`` of a campaign."""

    BODY: ClassVar = {
        "name": "Payment_Reminders",
        "caller_id": "+918047112233",
        "call_flow_id": "12345",
        "numbers": ["+919876543210", "+919876543211"],
        "retry": {"max_attempts": 3, "interval_minutes": 60, "retry_on": ["busy", "no-answer", "failed"]},
        "schedule": {"daily_start": "09:00", "daily_end": "21:00"},
    }

    def test_its_documented_request(self) -> None:
        every_day = {day: (interval("09:00", "21:00"),) for day in WEEK}
        wanted = Policy(3, Fixed(60), {B: YES, N: YES, F: ONCE, E: ONCE}, window=Window(open=every_day))
        assert CampaignIn.model_validate(self.BODY).policy() == wanted

    def test_exponential_doubles(self) -> None:
        body = {"retry": {"max_attempts": 2, "interval_minutes": 15, "mechanism": "Exponential"}}
        assert ExotelPolicyIn.model_validate(body).policy().strategy == Exponential(15, 2)

    def test_without_retry_or_schedule_there_is_one_attempt_at_any_hour(self) -> None:
        policy = ExotelPolicyIn().policy()
        assert (policy.max_retries, policy.window) == (0, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"schedule": {"daily_start": "9am"}},
            {"schedule": {"daily_start": "09:00", "daily_end": "09:00"}},
            {"retry": {"max_attempts": -1}},
            {"retry": {"max_attempts": 1, "retry_on": ["dnd"]}},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            ExotelPolicyIn.model_validate(wrong)


class TestGomobile:
    """The objects ``retryStrategy`` and ``pauseWindows``."""

    RULES: ClassVar = {B: YES, N: YES, F: YES, E: YES, V: NO}

    def test_its_documented_strategies(self) -> None:
        fixed = {"retryStrategy": {"type": "fixed_delay", "delayMinutes": 30, "maxRetries": 2}}
        assert GomobilePolicyIn.model_validate(fixed).policy() == Policy(2, Fixed(30), self.RULES)
        none = GomobilePolicyIn.model_validate({"retryStrategy": {"type": "none"}}).policy()
        assert (none.max_retries, none.strategy) == (0, NoRetry())
        dates = ["2025-01-20T10:00:00Z", "2025-01-20T15:00:00Z", "2025-01-21T10:00:00Z"]
        scheduled = GomobilePolicyIn.model_validate(
            {"retryStrategy": {"type": "scheduled", "retryDates": dates}}
        ).policy()
        assert scheduled.max_retries == 3
        assert scheduled.strategy == Scheduled(tuple(datetime.fromisoformat(d) for d in dates))

    def test_its_documented_pauses(self) -> None:
        body = {
            "retryStrategy": {"type": "fixed_delay", "delayMinutes": 60, "maxRetries": 3},
            "pauseWindows": {
                "monday": [
                    {"startAt": {"hour": 12, "minute": 0}, "endAt": {"hour": 14, "minute": 0}},
                    {"startAt": {"hour": 18, "minute": 0}, "endAt": {"hour": 23, "minute": 59}},
                ]
            },
        }
        policy = GomobilePolicyIn.model_validate(body).policy()
        pauses = (interval("12:00", "14:00"), interval("18:00", "24:00"))
        assert policy.window == Window(pause={Weekday.MONDAY: pauses})

    @pytest.mark.parametrize(
        "pause",
        [
            {"startAt": {"hour": 12, "minute": 0}, "endAt": {"hour": 12, "minute": 0}},
            {"startAt": {"hour": 24, "minute": 0}, "endAt": {"hour": 12, "minute": 0}},
            {"startAt": "12:00", "endAt": "14:00"},
        ],
    )
    def test_a_pause_that_is_none_is_refused(self, pause: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            GomobilePolicyIn.model_validate({"retryStrategy": {"type": "none"}, "pauseWindows": {"monday": [pause]}})


def test_dates_far_apart_cannot_be_planned() -> None:
    now = datetime(2026, 1, 26, tzinfo=UTC)
    dates = [now.isoformat(), (now + timedelta(days=61)).isoformat()]
    with pytest.raises(ValidationError, match="at most 60"):
        RetryIn.model_validate({"strategy": {"type": "scheduled", "at": dates}})


@pytest.mark.parametrize(
    "strategy",
    [
        {"type": "fixed", "wait_minutes": 30},
        {"type": "intervals", "minutes": [30]},
        {"type": "exponential", "first_minutes": 30},
    ],
)
def test_a_strategy_that_waits_may_vary_the_half_of_the_day(strategy: dict[str, object]) -> None:
    for vary in (True, False):
        made = RetryIn.model_validate({"strategy": {**strategy, "vary": vary}}).policy().strategy
        assert isinstance(made, Fixed | Intervals | Exponential)
        assert made.vary is vary
    with pytest.raises(ValidationError):
        RetryIn.model_validate({"strategy": {**strategy, "vary": "yes"}})


@pytest.mark.parametrize(
    "strategy", [{"type": "time_of_day", "times": ["10:00"]}, {"type": "scheduled", "at": ["2026-01-26T10:00:00Z"]}]
)
def test_a_strategy_of_fixed_times_cannot_vary(strategy: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="vary"):
        RetryIn.model_validate({"strategy": {**strategy, "vary": True}})


@pytest.mark.parametrize(
    "kind", [{"type": "fixed_delay", "delayMinutes": 30}, {"type": "scheduled", "retryDates": ["2026-01-26T10:00:00Z"]}]
)
@pytest.mark.parametrize(
    ("switch", "outcome"), [("retryOnRejected", Outcome.REJECTED), ("retryOnVoicemail", Outcome.VOICEMAIL)]
)
def test_gomobiles_users_switch_on_rejected_and_voicemail(
    kind: dict[str, object], switch: str, outcome: Outcome
) -> None:
    for wanted in ({switch: True}, {switch: False}, {}):
        policy = GomobilePolicyIn.model_validate({"retryStrategy": {**kind, **wanted}}).policy()
        assert policy.rule(outcome).retry is bool(wanted.get(switch))
        assert policy.rule(Outcome.BUSY).retry


@pytest.mark.parametrize("field", ["caps", "window", "on", "strategy", "expires_after_hours", "failover"])
def test_a_vendors_retry_refuses_the_fields_of_redials_own(field: str) -> None:
    for body in (
        {"exotel": {"retry": {"max_attempts": 2, field: []}}},
        {"exotel": {"retry": {"max_attempts": 2}, "schedule": {field: []}}},
        {"retry_config": {"enabled": True, field: []}},
        {"gomobile": {"retryStrategy": {"type": "fixed_delay", "delayMinutes": 3, field: []}}},
    ):
        with pytest.raises(ValidationError, match=f"{field} is not a field of this vendor's retry; use Redial's own"):
            PolicyIn.model_validate(body)


def test_exotels_end_at_is_sharp_and_its_default_end_is_not() -> None:
    ends = {"end_at": "2026-01-27T10:00:00Z", "send_at": "2026-01-26T10:00:00Z"}
    for retry in ({}, {"retry": {"max_attempts": 2}}):
        assert ExotelPolicyIn.model_validate({**retry, "schedule": ends}).policy().ends_sharp
        assert not ExotelPolicyIn.model_validate({**retry, "schedule": {"daily_start": "09:00"}}).policy().ends_sharp


@pytest.mark.parametrize(
    "dialect",
    [
        {"retry": {}},
        {"retry_config": {"enabled": True}},
        {"exotel": {"retry": {"max_attempts": 1}}},
        {"gomobile": {"retryStrategy": {"type": "none"}}},
        {"policy_name": "gentle"},
    ],
)
@pytest.mark.parametrize("model", [CallIn, PreviewIn])
@pytest.mark.parametrize(("zone", "likely"), [("EST", "America/New_York"), ("GMT", "UTC"), ("Etc/GMT+5", "America/")])
def test_an_abbreviated_zone_is_refused_in_each_dialect(
    model: type[CallIn], dialect: dict[str, object], zone: str, likely: str
) -> None:
    body = {"to_number": "+16505550199", "timezone": zone, **dialect}
    with pytest.raises(ValidationError, match=f"{re.escape(repr(zone))} is not an IANA .*did you mean '{likely}"):
        model.model_validate(body | ({"from_number": "+14155550100"} if model is CallIn else {}))


@pytest.mark.parametrize(("model", "field"), [(BolnaCallIn, "timezone"), (CampaignIn, "timezone")])
def test_a_vendors_request_has_no_zone_of_its_own(model: type[BolnaCallIn], field: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({field: "EST"})
