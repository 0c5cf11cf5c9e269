"""The models of the bodies that the API accepts.

The views import this module on their first request, not at the top: callbacks and wakes do not need it, and the import
would take a tenth of their cold start.
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
#: a start may lie at most this far in the past
MAX_LATE = timedelta(days=1)


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > MAX_VARIABLES:
        raise ValueError(f"at most {MAX_VARIABLES} variables")
    return small(values)


#: the schema of the only value that ``webhook_url`` accepts
NULL = {"type": "null"}


def _no_webhook(value: Any) -> None:
    """Refuse a webhook URL: Redial would never call it, and the user would not notice."""
    if value is not None:
        raise ValueError("webhook_url is not available yet; leave it out and read GET /calls/{call_id}")


TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(user_zone)]


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise ValueError("must be a text, a number, true or false")
    return value


Variable = str | int | float | bool
AgentId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
PolicyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


def as_text(value: Variable) -> str:
    """Return a variable as text for a query or a form.

    A boolean becomes ``true`` or ``false``.
    """
    return json.dumps(value) if isinstance(value, bool) else str(value)


ONE_POLICY = "give one of retry, retry_config, exotel and gomobile"


class PolicyIn(Strict):
    """A policy in one of the request formats."""

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
        """The policies in the body, in any request format; a valid body has at most one."""
        return [d for d in (self.retry, self.retry_config, self.exotel, self.gomobile) if d is not None]

    @property
    def asked_for(self) -> Policy | None:
        """The policy that the body asks for, or None if the body has no policy."""
        return self.given[0].policy() if self.given else None


class AdoptionTokenIn(Strict):
    """The body of ``POST /policies/{name}/adoption-token``; it may be empty."""

    revoke_old: Flag = doc("Whether the old token ends at once, and not in 24 hours.", True, False)


def ending(wanted: PolicyIn, start_at: datetime) -> Policy | None:
    """Return the policy that a body asks for, or None if the body has no policy.

    A policy in Exotel's format ends at its ``end_at``. Raises Invalid if ``end_at`` is before the start.
    """
    return exotel_ending(wanted.exotel, start_at, "/exotel") if wanted.exotel else wanted.asked_for


def exotel_ending(wanted: ExotelPolicyIn, start_at: datetime, pointer: str = "") -> Policy:
    """Return Exotel's policy for a campaign that starts at ``start_at``.

    Raises Invalid if the campaign would end before its start, or too long after its start. ``pointer`` is the JSON
    pointer to Exotel's fields in the body.
    """
    try:
        return wanted.policy_from(start_at)
    except ValueError as error:
        raise Invalid([FieldError(f"{pointer}/schedule/end_at", str(error))]) from error


def stored_policy(wanted: "NamedPolicyIn") -> Policy:
    """Return the policy to keep under a name.

    Raises Invalid if it has a time of Exotel's campaign: the policy's calls start at any time, so they would not start
    or end at the given time.
    """
    schedule = wanted.exotel.schedule if wanted.exotel else None
    given = [(name, getattr(schedule, name)) for name in INSTEAD if getattr(schedule, name, None) is not None]
    if given:
        raise Invalid(
            [
                FieldError(
                    f"/exotel/schedule/{name}",
                    f"{name} is a time of one campaign, and a stored policy has none; {INSTEAD[name]}"
                    f" (got {at:%Y-%m-%dT%H:%M:%SZ})",
                )
                for name, at in given
            ]
        )
    return wanted.asked_for or NO_RETRIES


#: the times of Exotel's ``schedule`` that a stored policy cannot have -> what to do in place of them
INSTEAD = {
    "send_at": "give start_at with each call",
    "end_at": "store a retry with expires_after_hours, or give exotel with each call",
}

ADDED = "Accepted and not used. GET adds this field"


class NamedPolicyIn(PolicyIn):
    """The body of ``PUT /policies/{name}``.

    It has a policy in one of the request formats, or a policy as ``GET`` shows it. Fields that ``GET`` adds are
    accepted and not used.
    """

    policy: ShownPolicy | None = doc(
        "The policy as `GET /policies/{name}` shows it, in place of a request format.",
        {"max_retries": 3, "strategy": {"type": "fixed", "wait_minutes": 30}, "on": {"busy": {"retry": True}}},
        None,
    )
    target: TargetIn | None = doc(
        "The target of the policy's calls that have none of their own.", {"url": "https://example.com/a.xml"}, None
    )
    agent_version_id: AgentId | None = doc(f"{AGENT} For calls that name no agent.", "av_01hx", None)
    name: PolicyName | None = doc(
        "The policy's name. GET adds this field; it must be the name in the path.", "reminders", None
    )
    updated_at: Any = doc(f"{ADDED}: when the policy was written.", "2026-01-26T10:00:00Z", None)
    adoption: Any = doc(f"{ADDED}: the adoption address.", {"token_since": "2026-01-26T10:00:00Z"}, None)

    @property
    def given(self) -> list[RetryIn | RetryConfigIn | ExotelPolicyIn | GomobilePolicyIn | ShownPolicy]:
        """The policies in the body, in any request format and as GET shows one."""
        return [*super().given, *([self.policy] if self.policy is not None else [])]

    @model_validator(mode="after")
    def _one(self) -> Self:
        if not self.given:
            raise ValueError(f"{ONE_POLICY}, or policy as GET shows it")
        return self


ONE_ZONE = "The IANA zone of the person that is called. Left out, every zone that the number can be in."
Variables = Annotated[
    dict[str, Annotated[Variable, BeforeValidator(_scalar)]],
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
    """The body of ``POST /calls``."""

    to_number: E164 = doc("The number to call, in E.164.", "+16505550199")
    from_number: E164 = doc("The number to call from, in E.164.", "+14155550100")
    provider: ProviderName | None = doc(PROVIDER, "twilio", None)
    agent_version_id: AgentId | None = doc(AGENT, "av_01hx", None)
    target: TargetIn | None = doc(TARGET, {"url": "https://example.com/answer.xml"}, None)
    variables: Variables = doc(
        f"Values that the target or the agent receives with each attempt: at most {MAX_VARIABLES}.", {"name": "Ada"}, {}
    )
    metadata: Kept = doc("Your own JSON, at most 16 KB: stored with the call and shown with it.", {"order": 7}, {})
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
    """The body of ``POST /policies/preview``."""

    to_number: E164 | None = doc("The number that would be called, in E.164. Or give `timezone`.", "+16505550199", None)
    timezone: TimeZone | None = doc(ONE_ZONE, "America/Los_Angeles", None)
    start_at: At | None = doc(f"{START} Left out, now.", "2026-01-27T10:00:00Z", None)
    outcomes: Annotated[list[OutcomeWord], Field(max_length=MAX_OUTCOMES)] = doc(
        "How each attempt is assumed to end, the first one first.", ["busy", "no-answer"], []
    )
    policy_name: PolicyName | None = doc("A policy of `PUT /policies/{name}`, in place of one here.", "reminders", None)

    @model_validator(mode="after")
    def _one_policy_and_a_place(self) -> Self:
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
    """The body of ``PUT /numbers/{e164}/opt-out``; it may be empty.

    Fields that ``GET`` adds are accepted and not used.
    """

    reason: Annotated[str, StringConstraints(max_length=1000)] | None = doc(
        "Why the number opted out; GET shows it.", "asked on the phone", None
    )
    number: Word | None = doc(
        "The number. GET adds this field; it must be the number in the path.", "+16505550199", None
    )
    opted_out: Annotated[Flag, AfterValidator(_opted_out)] = doc("Always true. GET adds this field.", True, True)
    opted_out_at: Any = doc(f"{ADDED}: when the number opted out.", "2026-01-26T10:00:00Z", None)
    calls_ended: Any = doc(
        "Accepted and not used. PUT adds this field: the number of pending calls that ended.", 1, None
    )


class ContactedIn(Strict):
    """The body of ``POST /numbers/{e164}/contacted``; it may be empty.

    Pending redials end. With one of the fields they wait instead: until a time, or for a number of minutes.
    """

    postpone_until: At | None = doc("No redial before this time.", "2026-01-27T10:00:00Z", None)
    postpone_minutes: Annotated[float, Field(gt=0, le=MAX_MINUTES, strict=True, allow_inf_nan=False)] | None = doc(
        "No redial for this many minutes. Without either field the pending redials end.", 240, None
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.postpone_until is not None and self.postpone_minutes is not None:
            raise ValueError("give postpone_until or postpone_minutes, not both")
        return self

    def until(self, now: datetime) -> datetime | None:
        """Return the UTC time until which pending redials wait, or None if they end."""
        if self.postpone_minutes is not None:
            return now + timedelta(minutes=self.postpone_minutes)
        return self.postpone_until


class PauseIn(Strict):
    """The body of ``POST /pause-all``; it may be empty.

    Without ``until`` the pause lasts until ``POST /resume-all``.
    """

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)] = doc(
        "Why the workspace is paused; GET shows it.", "the script is wrong", "paused by hand"
    )
    until: At | None = doc("When the pause ends by itself.", "2026-01-27T10:00:00Z", None)

    def until_at(self, now: datetime) -> datetime | None:
        """Return the UTC time at which the pause ends by itself, or None for never.

        Raises Invalid if the time is past.
        """
        if self.until is not None and self.until <= now:
            raise Invalid([FieldError("/until", f"until is past (got {self.until:%Y-%m-%dT%H:%M:%SZ})")])
        return self.until


def start_within_reach(start_at: datetime | None, now: datetime, field: str = "/start_at") -> datetime | None:
    """Return the start if the timing wheel can reach it.

    Raises Invalid if the start is more than MAX_DAYS days ahead, or more than one day in the past. A start within the
    last day means "now": the request may have waited in a queue.
    """
    if start_at is None:
        return None
    if start_at < now - MAX_LATE:
        raise _out_of_reach(field, start_at, "lies more than a day in the past; leave it out to start now")
    if start_at > now + timedelta(days=MAX_DAYS):
        raise _out_of_reach(field, start_at, f"lies more than {MAX_DAYS} days ahead; no further can be planned")
    return start_at


def start_of(wanted: CallIn | PreviewIn, now: datetime) -> datetime | None:
    """Return the time of the first attempt, or None if the request has none.

    The time is ``start_at``, or Exotel's ``send_at`` if ``start_at`` is missing. Raises Invalid if the time is out of
    reach.
    """
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
    "stored_policy",
]
