"""DialNexa's ``retry`` object and Redial's own superset of it, as a Policy.

The vendor's page leaves these cases open:

    open                          decision                   reason
    ``retry`` missing             no retries                 the request has no retry rules
    ``max_retries`` missing       3, or one for each date    the page's example has 3
    ``wait_minutes`` missing      30                         the page's example has 30
    busy, no-answer               retried                    "Retried" under default behaviour
    failed                        not retried                "the same error is likely to repeat"
    voicemail                     final                      "Configurable", and off by default at all other vendors
    error, rejected               not retried                not in the page's table; ``on`` can change it
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from chalicelib.dialects.common import (
    E164,
    MAX_DAYS,
    MAX_MINUTES,
    MAX_TIMES,
    TARGET,
    At,
    Flag,
    HttpUrl,
    MaxRetries,
    ProviderName,
    Strict,
    WaitMinutes,
    Word,
    doc,
    outcome_word,
)
from chalicelib.dialects.window import CapIn, WindowIn
from chalicelib.domain.caps import MAX_CAP_HOURS
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import (
    NEVER_RETRIED,
    Exponential,
    Failover,
    Fixed,
    Intervals,
    NoRetry,
    OutcomeRule,
    Policy,
    Scheduled,
    Strategy,
    TimeOfDay,
)
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import minute_of_day

DEFAULT_MAX_RETRIES = 3
DEFAULT_WAIT_MINUTES = 30.0
DEFAULT_HOURS = 72.0
#: the retries of a rule that has a target and no ``max_retries``: one attempt with the target
TARGET_RETRIES = 1

#: the rule for ``failed`` if the request has a failover and no rule for ``failed``: dial the second provider at once
FAILOVER_RULE = OutcomeRule(retry=True, wait_minutes=0, max_retries=1)

#: outcome -> retried, if the request has no rule for it; all other outcomes are not retried
DEFAULT_RETRIED = {Outcome.BUSY: True, Outcome.NO_ANSWER: True}
#: DialNexa's flat switches
FLAT_SWITCHES = {
    "retry_on_voicemail": Outcome.VOICEMAIL,
    "retry_on_no_answer": Outcome.NO_ANSWER,
    "retry_on_busy": Outcome.BUSY,
}

#: the hours after an attempt in which Redial does not dial its number; it remembers attempts for MAX_CAP_HOURS
QuietHours = Annotated[float, Field(gt=0, le=MAX_CAP_HOURS, strict=True, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, le=MAX_MINUTES, strict=True, allow_inf_nan=False)]


class TargetIn(Strict):
    """The instructions that the provider follows when somebody answers the call."""

    url: HttpUrl = doc("Where the provider fetches its instructions.", "https://example.com/answer.xml")


class RuleIn(Strict):
    """The rule for one outcome; ``retry`` is true by default."""

    retry: Flag = doc("Whether this outcome is retried at all.", True, True)
    wait_minutes: WaitMinutes | None = doc("The wait after this outcome in place of the strategy's.", 20, None)
    max_retries: MaxRetries | None = doc(
        "At most this many retries after this outcome. Left out, 1 with a `target`, otherwise no own limit.", 1, None
    )
    target: TargetIn | None = doc(
        "What the next attempt is connected to, for instance to leave a message.",
        {"url": "https://example.com/m.xml"},
        None,
    )

    def rule(self) -> OutcomeRule:
        """Return the rule that the request asks for."""
        max_retries = self.max_retries
        if self.target is not None and max_retries is None:
            max_retries = TARGET_RETRIES
        return OutcomeRule(self.retry, self.wait_minutes, max_retries, self.target.url if self.target else None)


def _switch_or_rule(value: Any) -> Any:
    if not isinstance(value, bool | dict | RuleIn):
        raise ValueError("must be true, false or an object (example: {'wait_minutes': 20})")
    return value


def _kind_of_rule(value: Any) -> str:
    return "switch" if isinstance(value, bool) else "rule"


#: the entry of one outcome in ``on``; its kind is decided first, so that a wrong entry has only one error
SwitchOrRule = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[RuleIn, Tag("rule")],
    Discriminator(_kind_of_rule),
    BeforeValidator(_switch_or_rule),
]


class FailoverIn(Strict):
    """The provider that takes over after ``failed``.

    Without a target the provider's default target answers its calls.
    """

    provider: ProviderName = doc("The provider that dials after the first one's network failed.", "plivo")
    from_number: E164 | None = doc("The number to call from there. Left out, the call's own.", "+14155550101", None)
    target: TargetIn | None = doc(TARGET, {"url": "https://example.com/answer.xml"}, None)

    def failover(self) -> Failover:
        """Return the failover that the request asks for."""
        return Failover(self.provider, self.from_number, self.target.url if self.target else None)


KIND = "The kind of strategy."
VARY = "Retry in the other half of the recipient's day than the attempt before."


class NoneIn(Strict):
    """A policy without retries."""

    type: Literal["none"] = doc(KIND, "none")

    def strategy(self) -> Strategy:
        """Return the strategy that never retries."""
        return NoRetry()


class FixedIn(Strict):
    """The same wait before every retry."""

    type: Literal["fixed"] = doc(KIND, "fixed")
    wait_minutes: WaitMinutes = doc("Minutes from the end of an attempt to the next.", 30)
    vary: Flag = doc(VARY, True, False)

    def strategy(self) -> Strategy:
        """Return the strategy that waits ``wait_minutes`` before every retry."""
        return Fixed(self.wait_minutes, self.vary)


class IntervalsIn(Strict):
    """A wait for each retry; the last one repeats."""

    type: Literal["intervals"] = doc(KIND, "intervals")
    minutes: Annotated[list[WaitMinutes], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        "Minutes from the end of each attempt to the next.", [30, 60, 120]
    )
    vary: Flag = doc(VARY, True, False)

    def strategy(self) -> Strategy:
        """Return the strategy that waits ``minutes[n]`` before retry n; the last repeats."""
        return Intervals(tuple(self.minutes), self.vary)


class ExponentialIn(Strict):
    """A wait that grows with every retry."""

    type: Literal["exponential"] = doc(KIND, "exponential")
    first_minutes: Minutes = doc("Minutes before the first retry.", 15)
    factor: Annotated[float, Field(ge=1, le=100, strict=True, allow_inf_nan=False)] = doc(
        "Each wait is the wait before, multiplied by this factor.", 2, 2.0
    )
    max_minutes: Minutes = doc("No wait is longer than these minutes.", 240, 24 * 60)
    vary: Flag = doc(VARY, True, False)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_minutes < self.first_minutes:
            raise ValueError(f"max_minutes {self.max_minutes:g} is below first_minutes {self.first_minutes:g}")
        return self

    def strategy(self) -> Strategy:
        """Return the strategy whose wait grows by ``factor`` up to ``max_minutes``."""
        return Exponential(self.first_minutes, self.factor, self.max_minutes, self.vary)


class ScheduledIn(Strict):
    """Retries at fixed dates and times."""

    type: Literal["scheduled"] = doc(KIND, "scheduled")
    at: Annotated[list[At], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        f"When to retry, at most {MAX_DAYS} days from first to last; a past time is skipped.", ["2026-01-27T10:00:00Z"]
    )

    @field_validator("at")
    @classmethod
    def _within_reach(cls, dates: list[At]) -> list[At]:
        reach = (max(dates) - min(dates)).days
        if reach > MAX_DAYS:
            raise ValueError(f"the dates span {reach} days; at most {MAX_DAYS} can be planned ahead")
        return dates

    def strategy(self) -> Scheduled:
        """Return the strategy that retries at the times in ``at``, each time once."""
        return Scheduled(tuple(sorted(set(self.at))))


MIN_GAP = "At least this many minutes between an attempt and the next."


class TimeOfDayIn(Strict):
    """Retries at times of the recipient's day."""

    type: Literal["time_of_day"] = doc(KIND, "time_of_day")
    times: Annotated[list[Word], Field(min_length=1, max_length=MAX_TIMES)] = doc(
        "Local times on the 24-hour clock; each is used once a day.", ["10:00", "14:00", "17:00"]
    )
    min_gap_minutes: WaitMinutes = doc(MIN_GAP, 60, 60)

    @field_validator("times")
    @classmethod
    def _times(cls, times: list[str]) -> list[str]:
        for text in times:
            if minute_of_day(text) == 24 * 60:
                raise ValueError("24:00 is not a time to call at; use 00:00")
        return times

    def strategy(self) -> Strategy:
        """Return the strategy that retries at the local times in ``times``."""
        return TimeOfDay(tuple(sorted({minute_of_day(text) for text in self.times})), self.min_gap_minutes)


def _not_smart(given: object) -> object:
    """Return a strategy as given. Raises ValueError for ``smart``.

    Redial does not have ``smart`` yet. It does not replace it with another strategy: the user would not notice.
    """
    if isinstance(given, dict) and given.get("type") == "smart":
        raise ValueError("smart is not available yet; use fixed, intervals, exponential, scheduled or time_of_day")
    return given


StrategyIn = Annotated[
    NoneIn | FixedIn | IntervalsIn | ExponentialIn | ScheduledIn | TimeOfDayIn,
    Field(discriminator="type"),
    BeforeValidator(_not_smart),
]


MAX_CAPS = 10
#: the description of ``quiet_after``, in a request and in a policy that GET shows
QUIET = "For each outcome: after an attempt of any call with it, Redial does not dial the number for this many hours."
OutcomeRules = Annotated[dict[str, SwitchOrRule], Field(max_length=2 * len(Outcome))]
Hours = Annotated[float, Field(gt=0, le=MAX_DAYS * 24, strict=True, allow_inf_nan=False)]


def check_retried(outcome: str, *, retry: bool) -> None:
    """Raise ValueError if a rule retries after an outcome that is never retried."""
    if retry and outcome in NEVER_RETRIED:
        raise ValueError(f"{outcome} is never retried")


class RetryIn(Strict):
    """The ``retry`` object of ``POST /calls``: DialNexa's flat fields, and Redial's."""

    max_retries: MaxRetries | None = doc(
        f"Retries after the first attempt; {DEFAULT_MAX_RETRIES} if left out, or one for each of the strategy's dates.",
        3,
        None,
    )
    wait_minutes: WaitMinutes | None = doc(
        f"DialNexa's field: minutes before each retry, {DEFAULT_WAIT_MINUTES:g} if left out. Not beside `strategy`.",
        30,
        None,
    )
    retry_on_voicemail: Flag | None = doc("DialNexa's field: retry after a voicemail; false if left out.", True, None)
    retry_on_no_answer: Flag | None = doc("DialNexa's field: retry after no answer; true if left out.", True, None)
    retry_on_busy: Flag | None = doc("DialNexa's field: retry after a busy line; true if left out.", True, None)
    strategy: StrategyIn | None = doc("How long to wait before a retry.", {"type": "fixed", "wait_minutes": 30}, None)
    on: OutcomeRules = doc(
        "For each outcome: true, false or a rule. An entry here takes precedence over the flat fields.",
        {"busy": True, "no-answer": {"wait_minutes": 20}, "failed": {"max_retries": 1}},
        {},
    )
    window: WindowIn | None = doc(
        "The hours in which the number may be called. Left out, any hour.", {"preset": "in-trai"}, None
    )
    failover: FailoverIn | None = doc(
        "A second provider for calls that the first could not connect.", {"provider": "plivo"}, None
    )
    caps: Annotated[list[CapIn], Field(max_length=MAX_CAPS)] | None = doc(
        "How often the number may be called, by all calls together. Left out, DEFAULT_CAP; `[]` is no cap.",
        [{"max_attempts": 4, "per_hours": 24}],
        None,
    )
    quiet_after: Annotated[dict[str, QuietHours], Field(max_length=2 * len(Outcome))] = doc(
        QUIET, {"completed": 168}, {}
    )
    expires_after_hours: Hours | None = doc(
        "No attempt is made more than this many hours after the start."
        f" Left out, {DEFAULT_HOURS:g}; {MAX_DAYS * 24} for the strategy `scheduled`.",
        72,
        None,
    )

    @field_validator("on")
    @classmethod
    def _outcomes(cls, rules: dict[str, bool | RuleIn]) -> dict[str, bool | RuleIn]:
        named: dict[str, bool | RuleIn] = {}
        for word, rule in rules.items():
            outcome = outcome_word(word)
            check_retried(outcome, retry=rule.retry if isinstance(rule, RuleIn) else rule)
            if outcome in named:
                raise ValueError(f"{outcome} has two rules")
            named[outcome] = rule
        return named

    @field_validator("quiet_after")
    @classmethod
    def _quiet_outcomes(cls, hours: dict[str, float]) -> dict[str, float]:
        named = {outcome_word(word): each for word, each in hours.items()}
        if len(named) < len(hours):
            raise ValueError("names an outcome twice")
        return named

    @model_validator(mode="after")
    def _one_wait(self) -> Self:
        if self.strategy is not None and self.wait_minutes is not None:
            raise ValueError("give wait_minutes or strategy, not both")
        return self

    def policy(self) -> Policy:
        """Return the policy that the request asks for."""
        strategy = self._strategy()
        quiet_after = {Outcome(word): hours for word, hours in self.quiet_after.items()}
        own = Rules(caps=tuple(cap.cap() for cap in self.caps or ()), quiet_after=quiet_after)
        policy = Policy(
            max_retries=self._max_retries(strategy),
            strategy=strategy,
            on=self._rules(),
            takes_default_cap=self.caps is None,
            expires_after_hours=self._expires_after_hours(strategy),
            failover=self.failover.failover() if self.failover else None,
        )
        return policy.with_rules((self.window.rules() if self.window else Rules()).narrowed_by(own))

    def _strategy(self) -> Strategy:
        if self.strategy is not None:
            return self.strategy.strategy()
        return Fixed(self.wait_minutes if self.wait_minutes is not None else DEFAULT_WAIT_MINUTES)

    def _max_retries(self, strategy: Strategy) -> int:
        if isinstance(strategy, NoRetry):
            return 0
        if self.max_retries is not None:
            return self.max_retries
        return len(strategy.at) if isinstance(strategy, Scheduled) else DEFAULT_MAX_RETRIES

    def _expires_after_hours(self, strategy: Strategy) -> float:
        if self.expires_after_hours is not None:
            return self.expires_after_hours
        # Dates can lie weeks ahead, so a call with dates must not expire after the default three days.
        return MAX_DAYS * 24 if isinstance(strategy, Scheduled) else DEFAULT_HOURS

    def _rules(self) -> dict[Outcome, OutcomeRule]:
        rules = {outcome: OutcomeRule(retry=retried) for outcome, retried in DEFAULT_RETRIED.items()}
        if self.failover is not None:
            rules[Outcome.FAILED] = FAILOVER_RULE
        for name, outcome in FLAT_SWITCHES.items():
            switch = getattr(self, name)
            if switch is not None:
                rules[outcome] = OutcomeRule(retry=switch)
        for word, rule in self.on.items():
            rules[Outcome(word)] = OutcomeRule(retry=rule) if isinstance(rule, bool) else rule.rule()
        return rules


#: the policy of a call without retries: each outcome has its usual meaning, and no attempt follows
NO_RETRIES = Policy(
    max_retries=0,
    strategy=NoRetry(),
    on={outcome: OutcomeRule(retry=retried) for outcome, retried in DEFAULT_RETRIED.items()},
)
