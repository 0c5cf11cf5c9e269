"""The models of the API's answers. Only the OpenAPI document uses them.

At run time nothing validates or builds an answer with these models; ``chalicelib/api/views.py`` builds the answers.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.dialects.common import doc
from chalicelib.dialects.shown import ShownPolicy
from chalicelib.domain.call import CallState
from chalicelib.domain.decide import Reason
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.errors import MAX_ERRORS

#: a time in UTC as RFC 3339 with a ``Z``
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
#: IANA zone -> the local time in that zone, with its UTC offset
LocalTimes = dict[str, str]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]

CALL_ID, CAMPAIGN_ID = "call_01kfxyz0000000000000000000", "camp_01kfxyz0000000000000000000"
AT, LATER = "2026-01-26T10:00:00Z", "2026-01-26T10:30:00Z"
TO, FROM = "+16505550199", "+14155550100"
STEPS = ["+30 min after busy", "cap 2 of 4 in 24 h"]
UNREADABLE = "The ids of records whose stored shape this release cannot read."


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Answer(BaseModel):
    """The base of every answer: it has no fields beyond those that the model names.

    A default in a model means only that an answer may leave the field out.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra=_without_defaults)


class Wrong(Answer):
    """One wrong field."""

    pointer: str = doc("A JSON pointer (RFC 6901) into the body, or `/name` of a parameter.", "/to_number")
    detail: str = doc(
        "What is wrong, and what would be right.",
        "to_number '6505550199' is not an E.164 number (example: +16505550199)",
    )


class Problem(Answer):
    """An error (RFC 9457)."""

    type: str = doc("Always `about:blank`: the status says what kind of problem it is.", "about:blank")
    title: str = doc("The status in words.", "Unprocessable Entity")
    status: Annotated[int, Field(ge=400, le=599)] = doc("The HTTP status.", 422)
    detail: str = doc("What is wrong, in one line.", "/to_number: to_number '6505550199' is not an E.164 number")
    errors: Annotated[list[Wrong], Field(max_length=MAX_ERRORS)] = doc(
        "Each wrong field, if fields are wrong.", default=[]
    )


class Health(Answer):
    """The state of the API: it runs."""

    status: str = doc("Always `ok`.", "ok")


class Target(Answer):
    """The instructions that the provider follows when somebody answers the call."""

    url: str = doc("Where the provider fetches its instructions.", "https://example.com/answer.xml")


class Attempt(Answer):
    """One dial."""

    id: str = doc("The attempt's id: its call's id and its number.", f"{CALL_ID}-1")
    call_id: str = doc("The call's id.", CALL_ID)
    retry_group_id: str = doc("The id that all attempts of one call share.", CALL_ID.replace("call_", "rg_"))
    attempt: Number = doc("The attempt's number, from 1.", 1)
    status: str = doc("The outcome if the attempt has ended, otherwise its progress.", "busy")
    outcome: Outcome | None = doc("How the attempt ended; null before.", "busy")
    called_at: Time | None = doc("When the provider was asked to dial.", AT)
    answered_at: Time | None = doc("When the call was answered; null if it was not.", AT)
    ended_at: Time | None = doc("When the attempt ended.", "2026-01-26T10:00:21Z")
    duration_sec: Count | None = doc("Seconds of conversation; null if the provider has not reported them.", 42)
    amd: Amd | None = doc("Who answered, as answering-machine detection reports it.", "human")
    cause: str | None = doc("The provider's own code for the end.", "sip:486")
    provider: str = doc("The provider that dialled.", "twilio")
    provider_call_id: str | None = doc("The provider's id of the call.", "CA0123456789abcdef0123456789abcdef")
    evidence: dict[str, str] = doc("The provider's values that the outcome was read from.", {"CallStatus": "busy"})


STATE = "The state of the call: waiting for its next attempt, being dialled, in conversation, or ended."
SUMMARY = "How the call ended; null before."
REASON = "The reason for the call's state, as one word; null before the first decision."
NEXT = "When the next attempt is due; null if there is none."
FINISHED = "When the call ended; null before."
METADATA = "Your own JSON, as it came with the call."
TO_NUMBER = "The number to call; null once it is erased."
FROM_NUMBER = "The number to call from."
_FIRST = " Null in the rows of later attempts."


class Call(Answer):
    """A call with all its attempts and the policy that it was placed with."""

    id: str = doc("The call's id.", CALL_ID)
    call_id: str = doc("The same id, by DialNexa's name.", CALL_ID)
    state: CallState = doc(STATE, "scheduled")
    summary_status: SummaryStatus | None = doc(SUMMARY, "completed")
    reason: Reason | None = doc(REASON, "retry")
    next_attempt_at: Time | None = doc(NEXT, LATER)
    finished_at: Time | None = doc(FINISHED, LATER)
    retry_group_id: str = doc("The id that all attempts of the call share.", CALL_ID.replace("call_", "rg_"))
    campaign_id: str | None = doc("The campaign that the call belongs to; null if none.", CAMPAIGN_ID)
    to_number: str | None = doc(TO_NUMBER, TO)
    from_number: str = doc(FROM_NUMBER, FROM)
    provider: str = doc("The provider that dials the next attempt.", "twilio")
    agent_version_id: str | None = doc("The agent that talks.", "av_01hx")
    target: Target | None = doc("What an answered call is connected to; null is the provider's default.")
    variables: dict[str, str] = doc("Values that the target or the agent receives.", {"name": "Ada"})
    metadata: dict[str, Any] = doc(METADATA, {"order": 7})
    timezone: str | None = doc("The zone that the request named; null if it named none.", "America/Los_Angeles")
    timezones: list[str] = doc("The zones whose clocks count for the call.", ["America/Los_Angeles"])
    timezones_note: str | None = doc(
        "What several zones mean for the call; null for one.",
        "the number may be in 2 time zones, and every hour counts in all of them",
    )
    webhook_url: str | None = doc("Always null: not available yet.", None)
    created_at: Time = doc("When the call was requested.", AT)
    expires_at: Time = doc("No attempt is made at or after this time.", "2026-01-29T10:00:00Z")
    policy_ends_at: Time | None = doc(
        "The policy's own end, if the window is closed then and the call expires later.", "2026-01-29T04:00:00Z"
    )
    erased_at: Time | None = doc("When the number was erased; null if it was not.", "2026-02-01T12:00:00Z")
    policy: ShownPolicy = doc("The policy at the time of the request, with its defaults.")
    attempts: list[Attempt] = doc("Every attempt, the first one first.")


class Entry(Attempt):
    """One row of the history: an attempt, or a call that was not dialled yet.

    Every row has the same fields; a field without a value is null. The row of a call's first attempt has the call's
    state and summary.
    """

    to_number: str | None = doc(TO_NUMBER, TO)
    from_number: str = doc(FROM_NUMBER, FROM)
    metadata: dict[str, Any] = doc(METADATA, {"order": 7})
    state: CallState | None = doc(STATE + _FIRST, "scheduled")
    summary_status: SummaryStatus | None = doc(SUMMARY + _FIRST, "completed")
    reason: Reason | None = doc(REASON + _FIRST, "retry")
    next_attempt_at: Time | None = doc(NEXT + _FIRST, LATER)
    finished_at: Time | None = doc(FINISHED + _FIRST, LATER)


class History(Answer):
    """A page of the history."""

    data: list[Entry] = doc("The rows, the newest attempt first.")
    next_cursor: str | None = doc("The `cursor` of the next page; null on the last one.", "eyJwayI6IkNBTEwifQ")
    unreadable: list[str] = doc(UNREADABLE, [CALL_ID])


class Decision(Answer):
    """A decision: an attempt was made, rescheduled or refused, and why."""

    attempt: Count = doc("The attempt that had ended; 0 before the first.", 1)
    decided_at: Time = doc("When it was decided.", AT)
    reason: Reason = doc("What was decided, as one word.", "retry")
    steps: list[str] = doc("The steps that led to the decision, in order.", STEPS)
    retry_at: Time | None = doc("When the policy asks for the next attempt; null for none.", LATER)
    due_at: Time | None = doc("The minute for which the next attempt is scheduled; null for none.", LATER)
    local: LocalTimes = doc(
        "That minute in each zone of the number.", {"America/Los_Angeles": "2026-01-26T02:30-08:00"}
    )
    summary_status: SummaryStatus | None = doc(SUMMARY, "completed")


class Decisions(Answer):
    """Every decision about a call."""

    call_id: str = doc("The call's id.", CALL_ID)
    data: list[Decision] = doc("The decisions, the first one first.")
    unreadable: list[str] = doc(UNREADABLE, [CALL_ID])


class DialNexaAttempt(Answer):
    """One attempt in DialNexa's shape."""

    attempt: Number = doc("The attempt's number, from 1.", 1)
    status: str = doc("The outcome if the attempt has ended, otherwise its progress.", "busy")
    duration_sec: Count = doc("Seconds of conversation.", 0)
    called_at: Time = doc("When the provider was asked to dial.", "2026-01-26T10:00:00.000Z")
    timestamp: Time = doc("The same time, by the other name that DialNexa has for it.", "2026-01-26T10:00:00.000Z")


class DialNexaRetries(Answer):
    """DialNexa's ``GET /v1/call-logs/{id}/retries``."""

    call_id: str = doc("The call's id.", CALL_ID)
    data: list[DialNexaAttempt] = doc("Every attempt, the first one first.")


class BolnaRetries(Answer):
    """The ``retry_config`` of a call, in Bolna's shape."""

    enabled: bool = doc("Whether the call has retries.", True)
    max_retries: Count = doc("Retries after the first attempt.", 3)


class BolnaAttempt(Answer):
    """One attempt of the ``retry_history``, in Bolna's shape."""

    attempt: Number = doc("The attempt's number, from 1.", 1)
    status: Outcome = doc("How the attempt ended.", "no-answer")
    at: Time = doc("When the provider was asked to dial.", AT)


class BolnaExecution(Answer):
    """A call in the shape of Bolna's execution."""

    id: str = doc("The call's id.", CALL_ID)
    status: str = doc("The call in Bolna's words: `scheduled` while a retry is pending.", "scheduled")
    retry_count: Count = doc("Retries that were made or are pending.", 1)
    retry_config: BolnaRetries = doc("How often the call is retried.")
    retry_history: list[BolnaAttempt] = doc("The attempts that have ended, the first one first.")
    scheduled_at: Time = doc("When the next attempt is due; left out if there is none.", LATER, "")


class GomobileStatus(Answer):
    """The status of an attempt's call."""

    status: str = doc("The outcome if the attempt has ended, otherwise its progress.", "no_answer")


class GomobileAttempt(Answer):
    """One attempt in Gomobile's shape."""

    attempt: Number = doc("The attempt's number, from 1.", 1)
    outcome: str | None = doc("How the attempt ended; null before.", "no_answer")
    call: GomobileStatus = doc("The attempt's call.")


class GomobileReport(Answer):
    """Gomobile's ``GET /call-report/{id}``."""

    attempts: list[GomobileAttempt] = doc("Every attempt, the first one first.")


class BolnaAccepted(Answer):
    """Bolna's answer to ``POST /call``."""

    message: str = doc("Always `done`.", "done")
    status: str = doc("`queued`, or `scheduled` for later.", "queued")
    execution_id: str = doc("The call's id.", CALL_ID)
    provider: str = doc("The provider that dials.", "twilio")


class CampaignCall(Answer):
    """One number of a campaign."""

    call_id: str = doc("The id of the call to it.", CALL_ID)
    number: str = doc("The number in E.164.", "+919876543210")
    state: CallState = doc(STATE, "scheduled")
    summary_status: SummaryStatus | None = doc(SUMMARY, "completed")


class Campaign(Answer):
    """Exotel's answer to a campaign, with the call of each number."""

    id: str = doc("The campaign's id.", CAMPAIGN_ID)
    campaign_sid: str = doc("The same id, by Exotel's name.", CAMPAIGN_ID)
    name: str = doc("The campaign's name.", "Payment_Reminders")
    status: str = doc("Always `in-progress`.", "in-progress")
    provider: str = doc("The provider that dials.", "exotel")
    calls: list[CampaignCall] = doc("The call of each number, in the order of the request.")


class PreviewAttempt(Answer):
    """One attempt that would be made."""

    attempt: Number = doc("The attempt's number, from 1.", 2)
    at: Time = doc("When it would be made.", LATER)
    local: LocalTimes = doc("That time in each zone of the number.", {"Asia/Kolkata": "2026-01-26T16:00+05:30"})
    outcome: Outcome | None = doc("How it is assumed to end; null beyond the assumed outcomes.", "busy")
    reason: Reason = doc("Why it would be made, as one word.", "retry")
    steps: list[str] = doc("The steps that led to its time, in order.", STEPS)


class Preview(Answer):
    """The attempts that a policy would make, and how the call would end."""

    attempts: list[PreviewAttempt] = doc("The attempts, the first one first.")
    summary_status: SummaryStatus | None = doc("How the call would end; null if the outcomes do not say.", "completed")
    reason: Reason | None = doc("Why it would end, as one word.", "reached")
    steps: list[str] = doc("The steps that led to that end, in order.", STEPS)
    timezones: list[str] = doc("The zones whose clocks count.", ["Asia/Kolkata"])
    expires_at: Time = doc("No attempt would be made at or after this time.", "2026-01-29T10:00:00Z")


class Adoption(Answer):
    """The address that adopts calls which your own code placed."""

    token_since: Time | None = doc("When the address was made; null if there is none.", AT)
    address: str = doc(
        "The status callback of the calls to adopt; shown once, while its token is new.",
        "https://redial.example.com/api/callbacks/twilio/adopt/a1b2c3",
        "",
    )
    help: str = doc("What to do with the address.", "the address is the status callback of the calls to adopt")


class NamedPolicy(Answer):
    """A policy under its name."""

    name: str = doc("The policy's name.", "reminders")
    policy: ShownPolicy = doc("The policy with its defaults; `PUT` takes it back.")
    target: Target | None = doc("The target of the policy's calls that have none of their own.")
    agent_version_id: str | None = doc("The agent of calls that name no agent.", "av_01hx")
    updated_at: Time = doc("When the policy was written.", AT)
    adoption: Adoption = doc("The adoption address of the policy, for calls that your own code placed.")


class Policies(Answer):
    """Every named policy of the workspace."""

    data: list[NamedPolicy] = doc("The policies, sorted by name.")
    unreadable: list[str] = doc(UNREADABLE, [CALL_ID])


class OptOut(Answer):
    """An opt-out: the time at which a number opted out, and the reason."""

    number: str = doc("The number in E.164.", TO)
    opted_out: bool = doc("Whether the number may not be called.", True)
    opted_out_at: Time | None = doc("When the number opted out.", AT)
    reason: str | None = doc("The reason that the request gave.", "asked on the phone")


class OptedOut(OptOut):
    """An opt-out, and how many pending calls it ended."""

    calls_ended: Count = doc("The number of pending calls that the opt-out ended.", 1)


class Contacted(Answer):
    """The effect of a customer's call back on the pending calls."""

    number: str = doc("The number in E.164.", TO)
    calls_changed: Count = doc("The number of pending calls that ended, or that wait now.", 1)
    postpone_until: Time | None = doc("When the wait ends; null if the calls ended.", LATER)


class Erasure(Answer):
    """The data of a number that was erased, as counts."""

    number: str = doc("The number in E.164.", TO)
    erased_at: Time = doc("When it was erased.", AT)
    complete: bool = doc("False if there is more to erase: send the request again.", True)
    calls: Count = doc("The number of calls that no longer name the person.", 3)
    calls_ended: Count = doc("The number of pending calls that the erasure ended.", 1)
    attempts: Count = doc("The number of attempts that no longer name the person.", 5)
    events: Count = doc("The number of callbacks that no longer name the person.", 14)
    decisions: Count = doc("The number of decisions that no longer name the person.", 6)


class Pause(Answer):
    """The pause of the workspace, if there is one."""

    paused: bool = doc("Whether no call is dialled.", True)
    reason: str | None = doc("The reason that the request gave.", "the script is wrong")
    paused_at: Time | None = doc("When the pause began.", AT)
    until: Time | None = doc("When the pause ends by itself; null for never.", LATER)


class Resumed(Pause):
    """The pause after a resume: none, and whether there was one before."""

    was_paused: bool = doc("Whether the workspace was paused before.", True)


class Taken(Answer):
    """The effect of one event of a callback; fields that do not apply are left out."""

    decision: str = doc("The effect of the event, as one word.", "decided")
    call_id: str = doc("The call's id.", CALL_ID)
    attempt: Count = doc("The attempt's number.", 1)
    reason: Reason = doc("Why, as one word.", "retry", Reason.RETRY)
    retry_at: Time = doc("When the next attempt is due.", LATER, "")
    summary_status: SummaryStatus = doc("How the call ended.", "completed", SummaryStatus.COMPLETED)


class CallbackTaken(Answer):
    """The effect of each event of a callback."""

    events: list[Taken] = doc("The events, in the order of the callback.")
