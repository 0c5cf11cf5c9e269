"""The shapes of what the API answers, for its document; nothing at run time is checked or made by them."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.domain.call import CallState
from chalicelib.domain.decide import Reason
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.domain.policy import Policy

#: RFC 3339, UTC, with a ``Z``
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
#: IANA zone -> the time there, with its offset
LocalTimes = dict[str, str]


def _without_defaults(schema: dict[str, Any]) -> None:
    for told in schema["properties"].values():
        told.pop("default", None)


class Answer(BaseModel):
    """An answer holds nothing that it does not name. A default here means only that a field may be left out."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


class Wrong(Answer):
    """One wrong field: a JSON pointer (RFC 6901) into the body, or ``/name`` of a query parameter."""

    pointer: str
    detail: str


class Problem(Answer):
    """An error (RFC 9457). ``errors`` is there where fields were wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Wrong] = []


class Health(Answer):
    """The API runs."""

    status: str


class Target(Answer):
    """What the provider does with an answered call."""

    url: str


class Attempt(Answer):
    """One dial. ``status`` is its outcome once it has ended, before that how far it has come."""

    id: str
    call_id: str
    retry_group_id: str
    attempt: Annotated[int, Field(ge=1)]
    status: str
    outcome: Outcome | None
    called_at: Time | None
    answered_at: Time | None
    ended_at: Time | None
    duration_sec: int | None
    amd: Amd | None
    cause: str | None
    provider: str
    provider_call_id: str | None
    evidence: dict[str, str]


class Call(Answer):
    """A call with all its attempts and the policy that it was made with.

    ``policy_ends_at`` is there where the window is closed at the policy's end: the call expires later, at
    ``expires_at``. ``timezones_note`` says what several zones mean for the call.
    """

    id: str
    call_id: str
    state: CallState
    summary_status: SummaryStatus | None
    reason: Reason | None
    next_attempt_at: Time | None
    finished_at: Time | None
    retry_group_id: str
    campaign_id: str | None
    to_number: str | None
    from_number: str
    provider: str
    agent_version_id: str | None
    target: Target | None
    variables: dict[str, str]
    metadata: dict[str, Any]
    timezone: str | None
    timezones: list[str]
    timezones_note: str | None
    webhook_url: str | None
    created_at: Time
    expires_at: Time
    policy_ends_at: Time | None
    erased_at: Time | None
    policy: Policy
    attempts: list[Attempt]


class Entry(Answer):
    """One attempt in the history. The first of a call carries the call's state and summary, too.

    A call that was never dialled is an entry without what an attempt has.
    """

    id: str
    call_id: str
    retry_group_id: str
    attempt: Annotated[int, Field(ge=1)]
    status: str
    outcome: Outcome | None
    to_number: str | None
    from_number: str
    metadata: dict[str, Any]
    called_at: Time | None = None
    answered_at: Time | None = None
    ended_at: Time | None = None
    duration_sec: int | None = None
    amd: Amd | None = None
    cause: str | None = None
    provider: str = ""
    provider_call_id: str | None = None
    evidence: dict[str, str] = {}
    state: CallState = CallState.FINAL
    summary_status: SummaryStatus | None = None
    reason: Reason | None = None
    next_attempt_at: Time | None = None
    finished_at: Time | None = None


class History(Answer):
    """A page of the history; ``next_cursor`` is null on the last one.

    ``unreadable`` are the ids of entries that are stored in a shape that this release cannot read.
    """

    data: list[Entry]
    next_cursor: str | None
    unreadable: list[str]


class Decision(Answer):
    """Why an attempt was made, moved or refused. ``due_at`` is where the schedule had room for ``retry_at``."""

    attempt: int
    decided_at: Time
    reason: Reason
    steps: list[str]
    retry_at: Time | None
    due_at: Time | None
    local: LocalTimes
    summary_status: SummaryStatus | None


class Decisions(Answer):
    """Every decision about a call, in order; ``unreadable`` names those that this release cannot read."""

    call_id: str
    data: list[Decision]
    unreadable: list[str]


class DialNexaAttempt(Answer):
    """One attempt as DialNexa tells of it."""

    attempt: int
    status: str
    duration_sec: int
    called_at: Time
    timestamp: Time


class DialNexaRetries(Answer):
    """DialNexa's ``GET /v1/call-logs/{id}/retries``."""

    call_id: str
    data: list[DialNexaAttempt]


class GomobileStatus(Answer):
    """The status of an attempt's call."""

    status: str


class GomobileAttempt(Answer):
    """One attempt as Gomobile tells of it."""

    attempt: int
    outcome: Outcome | None
    call: GomobileStatus


class GomobileReport(Answer):
    """Gomobile's ``GET /call-report/{id}``."""

    attempts: list[GomobileAttempt]


class BolnaAccepted(Answer):
    """Bolna's answer to ``POST /call``; ``execution_id`` is the call's id."""

    message: str
    status: str
    execution_id: str
    provider: str


class CampaignCall(Answer):
    """One number of a campaign."""

    call_id: str
    number: str
    state: CallState
    summary_status: SummaryStatus | None


class Campaign(Answer):
    """Exotel's answer to a campaign, with the call of each number."""

    id: str
    campaign_sid: str
    name: str
    status: str
    provider: str
    calls: list[CampaignCall]


class PreviewAttempt(Answer):
    """One attempt that would be made; ``outcome`` is null beyond the assumed ones."""

    attempt: int
    at: Time
    local: LocalTimes
    outcome: Outcome | None
    reason: Reason
    steps: list[str]


class Preview(Answer):
    """The attempts that a policy would make, and how the call would end if the assumed outcomes tell."""

    attempts: list[PreviewAttempt]
    summary_status: SummaryStatus | None
    reason: Reason | None
    steps: list[str]
    timezones: list[str]
    expires_at: Time


class Adoption(Answer):
    """Where calls that the user's own code placed are adopted; ``address`` is there only while its token is new."""

    token_since: Time | None
    address: str = ""
    help: str


class NamedPolicy(Answer):
    """A policy under its name."""

    name: str
    policy: Policy
    target: Target | None
    agent_version_id: str | None
    updated_at: Time
    adoption: Adoption


class Policies(Answer):
    """Every named policy of the workspace, by name; ``unreadable`` names those that this release cannot read."""

    data: list[NamedPolicy]
    unreadable: list[str]


class OptOut(Answer):
    """When and why a number opted out."""

    number: str
    opted_out: bool
    opted_out_at: Time | None
    reason: str | None


class OptedOut(OptOut):
    """An opt-out, and how many pending calls it ended."""

    calls_ended: int


class Contacted(Answer):
    """How many pending calls ended, or were put off and until when."""

    number: str
    calls_changed: int
    put_off_until: Time | None


class Erasure(Answer):
    """What was erased of a number. Where it is not ``complete``, ask again."""

    number: str
    erased_at: Time
    complete: bool
    calls: int
    calls_ended: int
    attempts: int
    events: int
    decisions: int


class Pause(Answer):
    """Whether the workspace is paused, since when and why."""

    paused: bool
    reason: str | None
    paused_at: Time | None
    until: Time | None


class Resumed(Pause):
    """The same after a resume, and whether there was anything to resume."""

    was_paused: bool


class Taken(Answer):
    """What one event of a callback led to; what does not apply is left out."""

    decision: str
    call_id: str
    attempt: int
    reason: Reason = Reason.RETRY
    retry_at: Time = ""
    summary_status: SummaryStatus = SummaryStatus.COMPLETED


class CallbackTaken(Answer):
    """What each event of a callback led to."""

    events: list[Taken]
