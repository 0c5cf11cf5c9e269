"""DialNexa's ``retry`` object, and Redial's own which is a superset of it: to a Policy.

Where the vendor's page leaves a field out of a request, or open:

    open                          decided                    because
    ``retry`` missing             no retries                 there is nothing to retry by
    ``max_retries`` missing       3, or one for each date    its example has 3
    ``wait_minutes`` missing      30                         its example has 30
    busy, no-answer               retried                    "Retried" under default behaviour
    failed                        not retried                "the same error is likely to repeat"
    voicemail                     final                      "Configurable", and off everywhere else in the field
    error, rejected               not retried                not in its table; ``on`` can say otherwise
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from chalicelib.dialects.common import (
    E164,
    MOST_DAYS,
    MOST_MINUTES,
    MOST_TIMES,
    At,
    Flag,
    HttpUrl,
    MaxRetries,
    Strict,
    WaitMinutes,
    Word,
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
#: A rule that only names another target asks for one attempt with it.
TARGET_RETRIES = 1

#: Who names a second provider wants it tried at once, unless a rule for ``failed`` says otherwise.
FAILOVER_RULE = OutcomeRule(retry=True, wait_minutes=0, max_retries=1)

#: outcome -> retried where the request does not say; all others are not
DEFAULT_RETRIED = {Outcome.BUSY: True, Outcome.NO_ANSWER: True}
#: DialNexa's flat switches
FLAT_SWITCHES = {
    "retry_on_voicemail": Outcome.VOICEMAIL,
    "retry_on_no_answer": Outcome.NO_ANSWER,
    "retry_on_busy": Outcome.BUSY,
}

#: the hours after an attempt in which its number is left alone; no further back are attempts remembered
QuietHours = Annotated[float, Field(gt=0, le=MAX_CAP_HOURS, strict=True, allow_inf_nan=False)]
Minutes = Annotated[float, Field(gt=0, le=MOST_MINUTES, strict=True, allow_inf_nan=False)]


class TargetIn(Strict):
    """What the provider does with an answered call."""

    url: HttpUrl


class RuleIn(Strict):
    """One outcome's own rule; ``retry`` is true unless it says otherwise."""

    retry: Flag = True
    wait_minutes: WaitMinutes | None = None
    max_retries: MaxRetries | None = None
    target: TargetIn | None = None

    def rule(self) -> OutcomeRule:
        """The rule that this asks for."""
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


#: one outcome's entry in ``on``; told apart first, so that a wrong one is wrong in one way
SwitchOrRule = Annotated[
    Annotated[bool, Tag("switch")] | Annotated[RuleIn, Tag("rule")],
    Discriminator(_kind_of_rule),
    BeforeValidator(_switch_or_rule),
]


class FailoverIn(Strict):
    """The provider that takes over after ``failed``; without a target it is given its own default one."""

    provider: Annotated[str, Field(min_length=1, max_length=32)]
    from_number: E164 | None = None
    target: TargetIn | None = None

    def failover(self) -> Failover:
        """The failover that this asks for."""
        return Failover(self.provider, self.from_number, self.target.url if self.target else None)


class NoneIn(Strict):
    type: Literal["none"]

    def strategy(self) -> Strategy:
        return NoRetry()


class FixedIn(Strict):
    type: Literal["fixed"]
    wait_minutes: WaitMinutes
    vary: Flag = False

    def strategy(self) -> Strategy:
        return Fixed(self.wait_minutes, self.vary)


class IntervalsIn(Strict):
    type: Literal["intervals"]
    minutes: Annotated[list[WaitMinutes], Field(min_length=1, max_length=MOST_TIMES)]
    vary: Flag = False

    def strategy(self) -> Strategy:
        return Intervals(tuple(self.minutes), self.vary)


class ExponentialIn(Strict):
    type: Literal["exponential"]
    first_minutes: Minutes
    factor: Annotated[float, Field(ge=1, le=100, strict=True, allow_inf_nan=False)] = 2.0
    max_minutes: Minutes = 24 * 60
    vary: Flag = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max_minutes < self.first_minutes:
            raise ValueError(f"max_minutes {self.max_minutes:g} is below first_minutes {self.first_minutes:g}")
        return self

    def strategy(self) -> Strategy:
        return Exponential(self.first_minutes, self.factor, self.max_minutes, self.vary)


class ScheduledIn(Strict):
    type: Literal["scheduled"]
    at: Annotated[list[At], Field(min_length=1, max_length=MOST_TIMES)]

    @field_validator("at")
    @classmethod
    def _within_reach(cls, dates: list[At]) -> list[At]:
        reach = (max(dates) - min(dates)).days
        if reach > MOST_DAYS:
            raise ValueError(f"the dates span {reach} days; at most {MOST_DAYS} can be planned ahead")
        return dates

    def strategy(self) -> Scheduled:
        return Scheduled(tuple(sorted(set(self.at))))


class TimeOfDayIn(Strict):
    type: Literal["time_of_day"]
    times: Annotated[list[Word], Field(min_length=1, max_length=MOST_TIMES)]
    min_gap_minutes: WaitMinutes = 60

    @field_validator("times")
    @classmethod
    def _times(cls, times: list[str]) -> list[str]:
        for text in times:
            if minute_of_day(text) == 24 * 60:
                raise ValueError("24:00 is no time to call at; use 00:00")
        return times

    def strategy(self) -> Strategy:
        return TimeOfDay(tuple(sorted({minute_of_day(text) for text in self.times})), self.min_gap_minutes)


class SmartIn(Strict):
    """Its place is kept: a request that asks for it must not silently get something else."""

    type: Literal["smart"]

    @model_validator(mode="after")
    def _not_yet(self) -> Self:
        raise ValueError("smart is not available yet; use fixed, intervals, exponential, scheduled or time_of_day")

    def strategy(self) -> Strategy:
        return NoRetry()


StrategyIn = Annotated[
    NoneIn | FixedIn | IntervalsIn | ExponentialIn | ScheduledIn | TimeOfDayIn | SmartIn, Field(discriminator="type")
]


class RetryIn(Strict):
    """The ``retry`` object of ``POST /calls``."""

    max_retries: MaxRetries | None = None
    wait_minutes: WaitMinutes | None = None
    retry_on_voicemail: Flag | None = None
    retry_on_no_answer: Flag | None = None
    retry_on_busy: Flag | None = None
    strategy: StrategyIn | None = None
    on: Annotated[dict[str, SwitchOrRule], Field(max_length=2 * len(Outcome))] = Field(default_factory=dict)
    window: WindowIn | None = None
    failover: FailoverIn | None = None
    caps: Annotated[list[CapIn], Field(max_length=10)] | None = None
    quiet_after: Annotated[dict[str, QuietHours], Field(max_length=2 * len(Outcome))] = Field(default_factory=dict)
    expires_after_hours: Annotated[float, Field(gt=0, le=MOST_DAYS * 24, strict=True, allow_inf_nan=False)] | None = (
        None
    )

    @field_validator("on")
    @classmethod
    def _outcomes(cls, rules: dict[str, bool | RuleIn]) -> dict[str, bool | RuleIn]:
        named: dict[str, bool | RuleIn] = {}
        for word, rule in rules.items():
            outcome = outcome_word(word)
            if outcome in NEVER_RETRIED and (rule is True or (isinstance(rule, RuleIn) and rule.retry)):
                raise ValueError(f"{outcome} is never retried")
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
        """The policy that this asks for."""
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
        # Who names dates weeks ahead does not mean the call to end in three days.
        return MOST_DAYS * 24 if isinstance(strategy, Scheduled) else DEFAULT_HOURS

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


#: A call that asks for no retries: its outcomes are told apart as usual, and none is followed by another attempt.
NO_RETRIES = Policy(
    max_retries=0,
    strategy=NoRetry(),
    on={outcome: OutcomeRule(retry=retried) for outcome, retried in DEFAULT_RETRIED.items()},
)
