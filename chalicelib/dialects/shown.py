"""The policy as ``GET /policies/{name}`` shows it; ``PUT`` accepts the same shape."""

from functools import cache
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, field_validator, model_validator

from chalicelib.dialects.common import (
    E164,
    MAX_TIMES,
    Flag,
    HttpUrl,
    MaxRetries,
    OutcomeWord,
    ProviderName,
    Strict,
    WaitMinutes,
    Word,
    doc,
)
from chalicelib.dialects.dialnexa import (
    KIND,
    MIN_GAP,
    QUIET,
    ExponentialIn,
    FixedIn,
    Hours,
    IntervalsIn,
    NoneIn,
    QuietHours,
    ScheduledIn,
    check_retried,
)
from chalicelib.dialects.narrowing import CLOSED, HOLIDAYS, Day
from chalicelib.dialects.window import (
    OPEN,
    PAUSE,
    ZONE,
    CapAttempts,
    CapHours,
    WindowZone,
)
from chalicelib.domain import public_holidays
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import Policy
from chalicelib.domain.presets import PRESETS
from chalicelib.domain.window import RECIPIENT, Weekday, never_opens
from chalicelib.domain.zones import DAY_MINUTES

#: higher limits than those of a request: a policy combines its request, its presets and other policies
MAX_CAPS_SHOWN, MAX_NAMES_SHOWN, MAX_INTERVALS_SHOWN, MAX_CLOSED_SHOWN = 100, 100, 96, 3660


class ShownTimes(Strict):
    """Retries at times of the recipient's day."""

    type: Literal["time_of_day"] = doc(KIND, "time_of_day")
    times: Annotated[
        list[Annotated[int, Field(ge=0, lt=DAY_MINUTES, strict=True)]], Field(min_length=1, max_length=MAX_TIMES)
    ] = doc("Minutes since local midnight; each is used once a day.", [600, 840, 1020])
    min_gap_minutes: WaitMinutes = doc(MIN_GAP, 60, 60)


class ShownRule(Strict):
    """The rule for one outcome."""

    retry: Flag = doc("Whether this outcome is retried at all.", True)
    wait_minutes: WaitMinutes | None = doc("The wait after this outcome; null is the strategy's wait.", 20, None)
    max_retries: MaxRetries | None = doc("At most this many retries after this outcome; null is no limit.", 1, None)
    target_url: HttpUrl | None = doc("What the next attempt is connected to.", "https://example.com/m.xml", None)


class ShownHours(Strict):
    """An interval of a weekday, without ``end_minute`` itself."""

    start_minute: Annotated[int, Field(ge=0, lt=2 * DAY_MINUTES, strict=True)] = doc(
        "Minutes since local midnight.", 540
    )
    end_minute: Annotated[int, Field(gt=0, le=2 * DAY_MINUTES, strict=True)] = doc(
        f"Minutes since local midnight; above {DAY_MINUTES}, on the next day.", 1260
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.end_minute <= self.start_minute:
            raise ValueError(f"end_minute {self.end_minute} must lie after start_minute {self.start_minute}")
        return self


Week = dict[Weekday, Annotated[list[ShownHours], Field(max_length=MAX_INTERVALS_SHOWN)]]
Names = Annotated[list[Word], Field(max_length=MAX_NAMES_SHOWN)]
_MORNING = {"monday": [{"start_minute": 540, "end_minute": 720}]}


class ShownWindow(Strict):
    """The hours in which a number may be called, with the hours of the presets."""

    timezone: WindowZone = doc(ZONE, "Asia/Kolkata", RECIPIENT)
    open: Week | None = doc(f"{OPEN} null is any hour.", _MORNING, None)
    pause: Week = doc(PAUSE, _MORNING, {})
    holidays: Names = doc(HOLIDAYS, ["IN"], [])
    closed: Annotated[list[Day], Field(max_length=MAX_CLOSED_SHOWN)] = doc(CLOSED, ["2026-12-24"], [])
    eves: Annotated[list[ShownHours], Field(max_length=MAX_INTERVALS_SHOWN)] | None = doc(
        "The only hours on the day before a public holiday; null is the usual hours.", _MORNING["monday"], None
    )

    @field_validator("holidays")
    @classmethod
    def _known_holidays(cls, codes: list[str]) -> list[str]:
        for code in codes:
            public_holidays.check(code)
        return codes


class ShownCap(Strict):
    """A limit on the attempts to the number, by all calls of the workspace."""

    max_attempts: CapAttempts = doc("At most this many attempts.", 4)
    per_hours: CapHours = doc("The period in which attempts count, in hours.", 24, 24)
    per: Literal["hours", "day"] = doc("'day' counts attempts in the local day of the number.", "hours", "hours")
    is_default: Flag = doc("Whether this is DEFAULT_CAP, which counts if a policy has no caps.", False, False)


class ShownFailover(Strict):
    """The second provider, for calls that the first could not connect."""

    provider: ProviderName = doc("The second provider.", "plivo")
    from_number: E164 | None = doc("The number to call from there; null is the call's own.", "+14155550101", None)
    target_url: HttpUrl | None = doc(
        "What its calls are connected to; null is <PROVIDER>_ANSWER_URL.", "https://example.com/a.xml", None
    )


ShownStrategy = Annotated[
    NoneIn | FixedIn | IntervalsIn | ExponentialIn | ScheduledIn | ShownTimes, Field(discriminator="type")
]


class ShownPolicy(Strict):
    """A policy with the values of all its defaults."""

    max_retries: MaxRetries = doc("Retries after the first attempt.", 3, 0)
    strategy: ShownStrategy = doc("How long to wait before a retry.", {"type": "fixed", "wait_minutes": 30})
    on: Annotated[dict[OutcomeWord, ShownRule], Field(max_length=len(Outcome))] = doc(
        "For each outcome: its rule. Other outcomes are not retried.", {"busy": {"retry": True}}, {}
    )
    window: ShownWindow | None = doc(
        "The hours in which the number may be called; null is any.", {"holidays": ["IN"]}, None
    )
    caps: Annotated[list[ShownCap], Field(max_length=MAX_CAPS_SHOWN)] = doc(
        "How often the number may be called by all calls of the workspace.", [{"max_attempts": 4}], []
    )
    expires_after_hours: Hours = doc("No attempt is made more than this many hours after the start.", 72, 72)
    failover: ShownFailover | None = doc(
        "A second provider for calls that the first could not connect.", {"provider": "plivo"}, None
    )
    ends_sharp: Flag = doc("Whether the call expires even if its window is closed then.", False, False)
    takes_default_cap: Flag = doc("Whether Redial adds DEFAULT_CAP: true if a policy names no caps.", True, True)

    quiet_after: Annotated[dict[OutcomeWord, QuietHours], Field(max_length=len(Outcome))] = doc(
        QUIET, {"completed": 168}, {}
    )
    presets: Names = doc("The presets whose hours count; some depend on the number of each call.", ["us"], [])

    @field_validator("presets")
    @classmethod
    def _known_presets(cls, names: list[str]) -> list[str]:
        unknown = sorted(set(names) - set(PRESETS))
        if unknown:
            raise ValueError(f"{unknown[0]!r} is not a preset; use some of {', '.join(sorted(PRESETS))}")
        return names

    @field_validator("on")
    @classmethod
    def _check_outcomes(cls, rules: dict[str, ShownRule]) -> dict[str, ShownRule]:
        for outcome, rule in rules.items():
            check_retried(outcome, retry=rule.retry)
        return rules

    @model_validator(mode="after")
    def _opens(self) -> Self:
        window = self.policy().window
        if window is not None and never_opens(window):
            raise ValueError("the pauses leave no hour of the week open")
        return self

    def policy(self) -> Policy:
        """Return the policy that the body shows."""
        return _adapter().validate_python(self.model_dump())


@cache
def _adapter() -> TypeAdapter[Policy]:
    return TypeAdapter(Policy)
