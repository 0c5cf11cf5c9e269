"""DialNexa's ``retry`` object, and Redial's own which is a superset of it: to a Policy.

Defaults, each where the vendor's page leaves the field out of a request: busy and no-answer are retried, voicemail
and failed are not ("Outcome / Default Behavior"); its example's 3 retries and 30 minutes stand in for the numbers,
for the page states none.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import NEVER_RETRIED, Fixed, NoRetry, OutcomeRule, Policy

DEFAULT_MAX_RETRIES = 3
DEFAULT_WAIT_MINUTES = 30.0
MOST_RETRIES = 100
#: No retry may be planned further ahead than the wheel reaches.
MOST_WAIT_MINUTES = 60 * 24 * 60

#: outcome -> retried where the request does not say; all others are not
DEFAULT_RETRIED = {Outcome.BUSY: True, Outcome.NO_ANSWER: True}
#: DialNexa's flat switches
FLAT_SWITCHES = {
    "retry_on_voicemail": Outcome.VOICEMAIL,
    "retry_on_no_answer": Outcome.NO_ANSWER,
    "retry_on_busy": Outcome.BUSY,
}

WaitMinutes = Annotated[float, Field(ge=0, le=MOST_WAIT_MINUTES, allow_inf_nan=False)]
MaxRetries = Annotated[int, Field(ge=0, le=MOST_RETRIES, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RuleIn(_Strict):
    """One outcome's own rule; ``retry`` is true unless it says otherwise."""

    retry: bool = True
    wait_minutes: WaitMinutes | None = None
    max_retries: MaxRetries | None = None


class NoneIn(_Strict):
    type: Literal["none"]


class FixedIn(_Strict):
    type: Literal["fixed"]
    wait_minutes: WaitMinutes


StrategyIn = Annotated[NoneIn | FixedIn, Field(discriminator="type")]


class RetryIn(_Strict):
    """The ``retry`` object of ``POST /calls``."""

    max_retries: MaxRetries | None = None
    wait_minutes: WaitMinutes | None = None
    retry_on_voicemail: bool | None = None
    retry_on_no_answer: bool | None = None
    retry_on_busy: bool | None = None
    strategy: StrategyIn | None = None
    on: dict[str, bool | RuleIn] = Field(default_factory=dict)
    expires_after_hours: Annotated[float, Field(gt=0, le=24 * 60, allow_inf_nan=False)] = 72

    @field_validator("on")
    @classmethod
    def _outcomes(cls, rules: dict[str, bool | RuleIn]) -> dict[str, bool | RuleIn]:
        for word, rule in rules.items():
            outcome = Outcome.parse(word)
            if outcome in NEVER_RETRIED and rule is not False:
                raise ValueError(f"{outcome} is never retried")
        return rules

    def policy(self) -> Policy:
        """The policy that this asks for."""
        none = isinstance(self.strategy, NoneIn)
        max_retries = self.max_retries if self.max_retries is not None else DEFAULT_MAX_RETRIES
        return Policy(
            max_retries=0 if none else max_retries,
            strategy=self._strategy(),
            on=self._rules(),
            expires_after_hours=self.expires_after_hours,
        )

    def _strategy(self) -> NoRetry | Fixed:
        if isinstance(self.strategy, NoneIn):
            return NoRetry()
        if isinstance(self.strategy, FixedIn):
            return Fixed(self.strategy.wait_minutes)
        return Fixed(self.wait_minutes if self.wait_minutes is not None else DEFAULT_WAIT_MINUTES)

    def _rules(self) -> dict[Outcome, OutcomeRule]:
        rules = {outcome: OutcomeRule(retry=retried) for outcome, retried in DEFAULT_RETRIED.items()}
        for name, outcome in FLAT_SWITCHES.items():
            switch = getattr(self, name)
            if switch is not None:
                rules[outcome] = OutcomeRule(retry=switch)
        for word, rule in self.on.items():
            outcome = Outcome.parse(word)
            if isinstance(rule, bool):
                rules[outcome] = OutcomeRule(retry=rule)
            else:
                rules[outcome] = OutcomeRule(rule.retry, rule.wait_minutes, rule.max_retries)
        return rules


#: A call that asks for no retries: its outcomes are told apart as usual, and none is followed by another attempt.
NO_RETRIES = Policy(
    max_retries=0,
    strategy=NoRetry(),
    on={outcome: OutcomeRule(retry=retried) for outcome, retried in DEFAULT_RETRIED.items()},
)
