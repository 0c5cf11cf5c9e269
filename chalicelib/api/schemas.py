"""The bodies that the API takes, checked field by field.

The views import this on their first request, not at the top: a callback and a wake need none of it, and it would take
a tenth of their cold start.
"""

import json
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from chalicelib.dialects.bolna import RetryConfigIn
from chalicelib.dialects.common import (
    AGENT,
    E164,
    MAX_DAYS,
    MAX_MINUTES,
    PROVIDER,
    START,
    TARGET,
    At,
    Flag,
    Kept,
    OutcomeWord,
    ProviderName,
    Strict,
    Word,
    doc,
    small,
)
from chalicelib.dialects.dialnexa import NO_RETRIES, RetryIn, TargetIn
from chalicelib.dialects.exotel import ExotelPolicyIn
from chalicelib.dialects.gomobile import GomobilePolicyIn
from chalicelib.dialects.shown import ShownPolicy
from chalicelib.domain.policy import Policy
from chalicelib.domain.zone_names import user_zone
from chalicelib.errors import FieldError, Invalid

MAX_VARIABLES = 50
MAX_OUTCOMES = 101
MAX_LATE = timedelta(days=1)


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > MAX_VARIABLES:
        raise ValueError(f"at most {MAX_VARIABLES} variables")
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
AgentId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def as_text(value: Variable) -> str:
    """A variable as the text that a query or a form carries; booleans as JSON spells them."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


ONE_POLICY = "give one of retry, retry_config, exotel and gomobile"


class PolicyIn(Strict):
    """A policy in one of the dialects."""

    retry: RetryIn | None = doc(
        "When to retry: Redial's own format, and DialNexa's.", {"max_retries": 3, "wait_minutes": 30}, None
    )
    retry_config: RetryConfigIn | None = doc("When to retry: Bolna's format.", {"enabled": True}, None)
    exotel: ExotelPolicyIn | None = doc("When to retry: Exotel's format.", {"retry": {"max_attempts": 3}}, None)
    gomobile: GomobilePolicyIn | None = doc(
        "When to retry: Gomobile's format.", {"retryStrategy": {"type": "fixed_delay", "delayMinutes": 30}}, None
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        if len(self.given) > 1:
            raise ValueError(ONE_POLICY)
        return self

    @property
    def given(self) -> list[RetryIn | RetryConfigIn | ExotelPolicyIn | GomobilePolicyIn | ShownPolicy]:
        """The policies that the body has: in one request format, or none."""
        return [d for d in (self.retry, self.retry_config, self.exotel, self.gomobile) if d is not None]

    @property
    def asked_for(self) -> Policy | None:
        """The policy that the body asks for; None where it names none."""
        return self.given[0].policy() if self.given else None


class AdoptionTokenIn(Strict):
    """``POST /policies/{name}/adoption-token``; an empty body will do."""

    revoke_old: Flag = doc("Whether the old token ends at once, and not in 24 hours.", True, False)


def ending(wanted: PolicyIn, start_at: datetime) -> Policy | None:
    """Return the policy that a body asks for, which ends where Exotel's ``end_at`` says. Raise Invalid."""
    return exotel_ending(wanted.exotel, start_at, "/exotel") if wanted.exotel else wanted.asked_for


def exotel_ending(wanted: ExotelPolicyIn, start_at: datetime, pointer: str = "") -> Policy:
    """Return Exotel's policy for a campaign that starts then. Raise Invalid where it would end before."""
    try:
        return wanted.policy_from(start_at)
    except ValueError as error:
        raise Invalid([FieldError(f"{pointer}/schedule/end_at", str(error))]) from error


ADDED = "Taken and not used. What GET adds"


class NamedPolicyIn(PolicyIn):
    """``PUT /policies/{name}``: a policy in one of the request formats, or as ``GET`` shows it.

    What ``GET`` adds is taken and not used.
    """

    policy: ShownPolicy | None = doc(
        "The policy as `GET /policies/{name}` shows it, in place of a request format.",
        {"max_retries": 3, "strategy": {"type": "fixed", "wait_minutes": 30}, "on": {"busy": {"retry": True}}},
        None,
    )
    target: TargetIn | None = doc(
        "What the policy's calls are connected to that bring no target.", {"url": "https://example.com/a.xml"}, None
    )
    agent_version_id: AgentId | None = doc(f"{AGENT} For calls that bring none.", "av_01hx", None)
    name: PolicyName | None = doc("What GET adds: the name, which must be the one in the path.", "reminders", None)
    updated_at: Any = doc(f"{ADDED}, when the policy was written.", "2026-01-26T10:00:00Z", None)
    adoption: Any = doc(f"{ADDED}, the adoption address.", {"token_since": "2026-01-26T10:00:00Z"}, None)

    @property
    def given(self) -> list[RetryIn | RetryConfigIn | ExotelPolicyIn | GomobilePolicyIn | ShownPolicy]:
        """The policies that the body has, also as GET shows one."""
        return [*super().given, *([self.policy] if self.policy is not None else [])]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.given:
            raise ValueError(f"{ONE_POLICY}, or policy as GET shows it")
        return self


ONE_ZONE = "The IANA zone of whoever is called. Left out, every zone that the number can be in."
Variables = Annotated[
    dict[str, Annotated[Variable, BeforeValidator(_plain)]],
    AfterValidator(_variables),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MAX_VARIABLES,
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }
    ),
]


class CallIn(PolicyIn):
    """``POST /calls``."""

    to_number: E164 = doc("The number to call, in E.164.", "+16505550199")
    from_number: E164 = doc("The number to call from, in E.164.", "+14155550100")
    provider: ProviderName | None = doc(PROVIDER, "twilio", None)
    agent_version_id: AgentId | None = doc(AGENT, "av_01hx", None)
    target: TargetIn | None = doc(TARGET, {"url": "https://example.com/answer.xml"}, None)
    variables: Variables = doc(
        f"What the target or the agent is given with each attempt: up to {MAX_VARIABLES} values.", {"name": "Ada"}, {}
    )
    metadata: Kept = doc("Your own JSON, at most 16 KB: kept with the call and shown with it.", {"order": 7}, {})
    timezone: TimeZone | None = doc(ONE_ZONE, "America/Los_Angeles", None)
    start_at: At | None = doc(f"{START} Left out, now.", "2026-01-27T10:00:00Z", None)
    webhook_url: Annotated[Any, AfterValidator(_no_webhook), WithJsonSchema(NULL)] = doc(
        "Not available yet: any value but null is refused.", None, None
    )
    policy_name: PolicyName | None = doc("A policy of `PUT /policies/{name}`, in place of one here.", "reminders", None)

    @model_validator(mode="after")
    def _one_policy(self) -> Self:
        if self.policy_name is not None and self.given:
            raise ValueError("give policy_name or a policy, not both")
        return self

    @property
    def texts(self) -> dict[str, str]:
        """The variables as text."""
        return {name: as_text(value) for name, value in self.variables.items()}


class PreviewIn(PolicyIn):
    """``POST /policies/preview``."""

    to_number: E164 | None = doc("The number that would be called, in E.164. Or give `timezone`.", "+16505550199", None)
    timezone: TimeZone | None = doc(ONE_ZONE, "America/Los_Angeles", None)
    start_at: At | None = doc(f"{START} Left out, now.", "2026-01-27T10:00:00Z", None)
    outcomes: Annotated[list[OutcomeWord], Field(max_length=MAX_OUTCOMES)] = doc(
        "How each attempt is assumed to end, the first one first.", ["busy", "no-answer"], []
    )
    policy_name: PolicyName | None = doc("A policy of `PUT /policies/{name}`, in place of one here.", "reminders", None)

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.to_number is None and self.timezone is None:
            raise ValueError("give to_number, or a timezone in its place")
        if self.policy_name is not None and self.given:
            raise ValueError("give policy_name or a policy, not both")
        return self


def _opted_out(value: bool) -> bool:
    if not value:
        raise ValueError("must be true; to take an opt-out back, send DELETE /numbers/{number}/opt-out")
    return value


class OptOutIn(Strict):
    """``PUT /numbers/{e164}/opt-out``; an empty body will do. What ``GET`` adds is taken and not used."""

    reason: Annotated[str, StringConstraints(max_length=1000)] | None = doc(
        "Why, for whoever looks the number up.", "asked on the phone", None
    )
    number: Word | None = doc("What GET adds: the number, which must be the one in the path.", "+16505550199", None)
    opted_out: Annotated[Flag, AfterValidator(_opted_out)] = doc("What GET adds: always true.", True, True)
    opted_out_at: Any = doc(f"{ADDED}, when the number opted out.", "2026-01-26T10:00:00Z", None)
    calls_ended: Any = doc("Taken and not used. What PUT adds, the pending calls that ended.", 1, None)


class ContactedIn(Strict):
    """``POST /numbers/{e164}/contacted``: pending redials end, or wait until a time or for so many minutes."""

    postpone_until: At | None = doc("No redial before this time.", "2026-01-27T10:00:00Z", None)
    postpone_minutes: Annotated[float, Field(gt=0, le=MAX_MINUTES, strict=True, allow_inf_nan=False)] | None = doc(
        "No redial for so many minutes. Without either field the pending redials end.", 240, None
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.postpone_until is not None and self.postpone_minutes is not None:
            raise ValueError("give postpone_until or postpone_minutes, not both")
        return self

    def until(self, now: datetime) -> datetime | None:
        """The time until which pending redials are postponed, in UTC; None where they end."""
        if self.postpone_minutes is not None:
            return now + timedelta(minutes=self.postpone_minutes)
        return self.postpone_until


class PauseIn(Strict):
    """``POST /pause-all``; an empty body will do. Without ``until`` the pause lasts until it is resumed."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)] = doc(
        "Why, for whoever looks at the pause.", "the script is wrong", "paused by hand"
    )
    until: At | None = doc("When the pause ends by itself.", "2026-01-27T10:00:00Z", None)

    def until_at(self, now: datetime) -> datetime | None:
        """When the pause ends by itself, in UTC. Raises Invalid for a time that is past."""
        if self.until is not None and self.until <= now:
            raise Invalid([FieldError("/until", f"until is past (got {self.until:%Y-%m-%dT%H:%M:%SZ})")])
        return self.until


def start_within_reach(start_at: datetime | None, now: datetime, field: str = "/start_at") -> datetime | None:
    """Return a start in UTC. Raise Invalid for one further ahead than the wheel reaches, or clearly in the past.

    A start of up to a day ago is now: the request may have waited in a queue.
    """
    if start_at is None:
        return None
    if start_at < now - MAX_LATE:
        raise _out_of_reach(field, start_at, "lies more than a day in the past; leave it out to start now")
    if start_at > now + timedelta(days=MAX_DAYS):
        raise _out_of_reach(field, start_at, f"lies more than {MAX_DAYS} days ahead; no further can be planned")
    return start_at


def start_of(wanted: CallIn | PreviewIn, now: datetime) -> datetime | None:
    """Return when the first attempt is due: at ``start_at``, else at Exotel's ``send_at``. Raise Invalid."""
    schedule = wanted.exotel.schedule if wanted.exotel else None
    if wanted.start_at is None and schedule is not None:
        return start_within_reach(schedule.send_at, now, "/exotel/schedule/send_at")
    return start_within_reach(wanted.start_at, now)


def _out_of_reach(field: str, start_at: datetime, why: str) -> Invalid:
    return Invalid([FieldError(field, f"{field.rpartition('/')[2]} {why} (got {start_at:%Y-%m-%dT%H:%M:%SZ})")])


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
    "start_of",
    "start_within_reach",
]
