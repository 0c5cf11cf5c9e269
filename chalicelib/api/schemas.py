"""The bodies that the API takes, checked field by field.

The views import this on their first request, not at the top: a callback and a wake need none of it, and it would take
a tenth of their cold start.
"""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from chalicelib.dialects.bolna import RetryConfigIn
from chalicelib.dialects.common import E164, MOST_DAYS, At, Kept, OutcomeWord, Strict, small
from chalicelib.dialects.dialnexa import NO_RETRIES, RetryIn, TargetIn
from chalicelib.dialects.exotel import ExotelPolicyIn
from chalicelib.dialects.gomobile import GomobilePolicyIn
from chalicelib.domain.policy import Policy
from chalicelib.domain.zone_names import user_zone
from chalicelib.errors import FieldError, Invalid

MOST_VARIABLES = 50
MOST_OUTCOMES = 101


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > MOST_VARIABLES:
        raise ValueError(f"at most {MOST_VARIABLES} variables")
    return small(values)


#: the only value that ``webhook_url`` takes
NULL = {"type": "null"}


def _no_webhook(value: Any) -> None:
    """Refuse a webhook: one that is accepted and never called would be missed in silence."""
    if value is not None:
        raise ValueError("webhook_url is not available yet; leave it out and read GET /calls/{call_id}")


TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(user_zone)]


def _plain(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number, true or false")
    return value


Variable = str | int | float | bool
PolicyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def as_text(value: Variable) -> str:
    """A variable as the text that a query or a form carries; booleans as JSON spells them."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


class PolicyIn(Strict):
    """A policy in one of the dialects."""

    retry: RetryIn | None = None
    retry_config: RetryConfigIn | None = None
    exotel: ExotelPolicyIn | None = None
    gomobile: GomobilePolicyIn | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if len(self._given) > 1:
            raise ValueError("give one of retry, retry_config, exotel and gomobile")
        return self

    @property
    def _given(self) -> list[RetryIn | RetryConfigIn | ExotelPolicyIn | GomobilePolicyIn]:
        return [d for d in (self.retry, self.retry_config, self.exotel, self.gomobile) if d is not None]

    @property
    def policy(self) -> Policy | None:
        """The policy that the body asks for; None where it names none."""
        return self._given[0].policy() if self._given else None


class AdoptionTokenIn(Strict):
    """``POST /policies/{name}/adoption-token``; ``revoke_old`` ends the old token at once and not in 24 hours."""

    revoke_old: bool = False


def ending(wanted: PolicyIn, start_at: datetime) -> Policy | None:
    """Return the policy that a body asks for, which ends where Exotel's ``end_at`` says. Raise Invalid."""
    return exotel_ending(wanted.exotel, start_at, "/exotel") if wanted.exotel else wanted.policy


def exotel_ending(wanted: ExotelPolicyIn, start_at: datetime, pointer: str = "") -> Policy:
    """Return Exotel's policy for a campaign that starts then. Raise Invalid where it would end before."""
    try:
        return wanted.policy_from(start_at)
    except ValueError as error:
        raise Invalid([FieldError(f"{pointer}/schedule/end_at", str(error))]) from error


class NamedPolicyIn(PolicyIn):
    """``PUT /policies/{name}``; ``target`` is what calls are redialled to that bring none of their own."""

    target: TargetIn | None = None
    agent_version_id: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.policy is None:
            raise ValueError("give one of retry, retry_config, exotel and gomobile")
        return self


class CallIn(PolicyIn):
    """``POST /calls``."""

    to_number: E164
    from_number: E164
    provider: Annotated[str, StringConstraints(max_length=32)] | None = None
    agent_version_id: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    target: TargetIn | None = None
    variables: Annotated[dict[str, Annotated[Variable, BeforeValidator(_plain)]], AfterValidator(_variables)] = Field(
        default_factory=dict
    )
    metadata: Kept = Field(default_factory=dict)
    timezone: TimeZone | None = None
    start_at: At | None = None
    webhook_url: Annotated[Any, AfterValidator(_no_webhook), WithJsonSchema(NULL)] = None
    policy_name: PolicyName | None = None

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.policy_name is not None and self._given:
            raise ValueError("give policy_name or a policy, not both")
        return self

    @property
    def texts(self) -> dict[str, str]:
        """The variables as text."""
        return {name: as_text(value) for name, value in self.variables.items()}


class PreviewIn(PolicyIn):
    """``POST /policies/preview``."""

    to_number: E164 | None = None
    timezone: TimeZone | None = None
    start_at: At | None = None
    outcomes: Annotated[list[OutcomeWord], Field(max_length=MOST_OUTCOMES)] = Field(default_factory=list)
    policy_name: PolicyName | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.to_number is None and self.timezone is None:
            raise ValueError("give to_number, or a timezone in its place")
        if self.policy_name is not None and self._given:
            raise ValueError("give policy_name or a policy, not both")
        return self


class OptOutIn(Strict):
    """``PUT /numbers/{e164}/opt-out``; an empty body will do."""

    reason: Annotated[str, StringConstraints(max_length=1000)] | None = None


class ContactedIn(Strict):
    """``POST /numbers/{e164}/contacted``: pending redials end, or wait until a time or for so many minutes."""

    put_off_until: At | None = None
    put_off_minutes: Annotated[float, Field(gt=0, le=MOST_DAYS * 24 * 60, strict=True, allow_inf_nan=False)] | None = (
        None
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.put_off_until is not None and self.put_off_minutes is not None:
            raise ValueError("give put_off_until or put_off_minutes, not both")
        return self

    def until(self, now: datetime) -> datetime | None:
        """Until when pending redials are put off, in UTC; None where they end."""
        if self.put_off_minutes is not None:
            return now + timedelta(minutes=self.put_off_minutes)
        return self.put_off_until


class PauseIn(Strict):
    """``POST /pause-all``; an empty body will do. Without ``until`` the pause lasts until it is resumed."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)] = "paused by hand"
    until: At | None = None

    def until_at(self, now: datetime) -> datetime | None:
        """When the pause ends by itself, in UTC. Raises Invalid for a time that is past."""
        if self.until is not None and self.until <= now:
            raise Invalid([FieldError("/until", f"is past (got {self.until:%Y-%m-%dT%H:%M:%SZ})")])
        return self.until


def start_within_reach(start_at: datetime | None, now: datetime, field: str = "/start_at") -> datetime | None:
    """A start in UTC. Raises Invalid for one further ahead than the wheel reaches."""
    if start_at is None:
        return None
    if start_at > now + timedelta(days=MOST_DAYS):
        raise Invalid([FieldError(field, f"lies more than {MOST_DAYS} days ahead (got {start_at:%Y-%m-%dT%H:%MZ})")])
    return start_at


__all__ = [
    "NO_RETRIES",
    "AdoptionTokenIn",
    "CallIn",
    "ContactedIn",
    "NamedPolicyIn",
    "OptOutIn",
    "PauseIn",
    "PolicyIn",
    "PreviewIn",
    "as_text",
    "start_within_reach",
]
