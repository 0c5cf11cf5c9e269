"""A call and its attempts, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain.decide import Reason, Situation
from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import Policy

# Causes that Redial itself gives to an attempt
NO_CALLBACK = "no-callback"  # neither a callback nor a look-up reported the end
NEVER_ENDED = "never-ended"  # the call went on for hours longer than a call can last
NOT_SET_UP = "provider-not-set-up"  # the provider was removed from the deployment, so Redial cannot ask it
NEVER_PLACED = "never-placed"  # the provider says that it never got the call
ANOTHER_CALLS = "another-calls"  # an adopted attempt that Redial itself had placed for another call
#: the causes of attempts that timed out: the true outcome and the time of the end are unknown
TIMED_OUT = (NO_CALLBACK, NEVER_ENDED, NOT_SET_UP)
#: the causes that are guesses of Redial: a late callback with the true end replaces them
GUESSED = (*TIMED_OUT, NEVER_PLACED)


class CallState(StrEnum):
    """The state of a call.

    - ``scheduled``: the call waits for its next attempt.
    - ``dialing``: an attempt has begun and is not answered yet.
    - ``in-progress``: the attempt was answered.
    - ``final``: the call has ended.
    """

    SCHEDULED = "scheduled"
    DIALING = "dialing"
    IN_PROGRESS = "in-progress"
    FINAL = "final"


class AttemptPhase(StrEnum):
    """The phase of an attempt in Redial.

    The provider's own view is in ``progress`` and ``outcome``.
    """

    DIALING = "dialing"  # claimed: the request to the provider is under way, or the dialer died during the request
    PLACEMENT_UNKNOWN = "placement-unknown"  # the request was sent, and the provider's answer was lost
    PLACED = "placed"  # the provider accepted the call
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as the user requested it, and its current state. Times are UTC.

    - ``state`` and ``attempt``: the state, and the number of the latest attempt (0 before the first).
    - ``version``: rises with every change.
    - ``due_at``: the minute of the next dial. If the wheel's items say another minute, ``due_at`` is right.
    - ``deadline_at``: set while an attempt is live. At this time, Redial takes the attempt's callback for lost.
    - ``expires_at``: no attempt is made after this time. ``policy_ends_at`` is the end of the policy's own hours. It is
      set only if ``expires_at`` is later, because the window is closed at that end.
    - ``zones``: the time zones that the number may be in; empty if the policy does not need them.
    - ``others_made``: the attempts of other calls to the same number, at the latest claim. They go back as far as the
      policy's caps reach.
    - ``quiet_until``: because of those attempts, the number is not dialled before this time.
    - ``places``: the scopes (accounts, workspaces) in which the wheel holds a place for the minute of ``due_at``.
    - ``next_target_url``: replaces ``target_url`` on the next attempt.
    - ``failover_account``: the account of the policy's second provider. When that provider takes over, ``provider`` and
      ``account`` change to it.
    - ``deferrals``: how many times in a row the provider placed no call.
    - ``waits_for``: the obstacle of the latest decision. The history records no second decision for the same obstacle.
    - ``canceled_at``: the time of a cancel. After it, no callback leads to another attempt.
    - ``contacted_at``: the time at which the customer called back. After it, no attempt is made before ``not_before``
      (None: never).
    - ``erased_at``: the time of an erasure. After it, ``to_number`` is empty, and no field names the person.
    - ``is_adopted``: True if the user's own code placed the first attempt.
    """

    id: str
    workspace: str
    to_number: str
    from_number: str
    provider: str
    account: str
    policy: Policy
    created_at: datetime
    expires_at: datetime
    policy_ends_at: datetime | None = None
    state: CallState = CallState.SCHEDULED
    attempt: int = 0
    version: int = 1
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    ended_at: datetime | None = None
    summary_status: SummaryStatus | None = None
    reason: Reason | None = None
    agent_version_id: str | None = None
    target_url: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    next_target_url: str | None = None
    failover_account: str | None = None
    campaign_id: str | None = None
    timezone: str | None = None
    zones: tuple[str, ...] = ()
    others_made: tuple[datetime, ...] = ()
    quiet_until: datetime | None = None
    webhook_url: str | None = None
    public_url: str = ""
    deferrals: int = 0
    places: tuple[str, ...] = ()
    waits_for: str | None = None
    canceled_at: datetime | None = None
    contacted_at: datetime | None = None
    not_before: datetime | None = None
    erased_at: datetime | None = None
    is_adopted: bool = False

    @property
    def retry_group_id(self) -> str:
        """The id that links all attempts of this call."""
        return "rg_" + self.id.removeprefix("call_")

    @property
    def is_live(self) -> bool:
        """An attempt of the call is in flight."""
        return self.state in (CallState.DIALING, CallState.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One dial of a call.

    - ``number``: counts from 1.
    - ``token``: the secret, random part of the attempt's callback address.
    - ``counts``: False if the account was at fault or the call was never placed. Such an attempt uses up none of the
      policy's attempts.
    - ``cause``: the provider's code for the end, or one of Redial's own causes.
    - ``slots``: the slots of concurrency limits that the attempt holds while it is live.
    - ``budget``: the item that counted the dial in the workspace's daily budget; None if there is no budget.
    - ``evidence``: the provider's raw fields from which ``outcome`` comes.
    """

    call_id: str
    number: int
    token: str
    claimed_at: datetime
    provider: str
    target_url: str | None = None
    phase: AttemptPhase = AttemptPhase.DIALING
    version: int = 1
    provider_call_id: str | None = None
    progress: Progress | None = None
    progress_rank: int = -1
    answered_at: datetime | None = None
    outcome: Outcome | None = None
    ended_at: datetime | None = None
    duration_sec: int | None = None
    amd: Amd | None = None
    cause: str | None = None
    counts: bool = True
    slots: tuple[str, ...] = ()
    budget: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id of the attempt: ``<call>-<number>``."""
        return f"{self.call_id}-{self.number}"

    @property
    def was_made(self) -> bool:
        """The provider got this attempt, and the attempt belongs to this call.

        Caps count only attempts that were made. An attempt whose cause is ``never-placed`` was made if it has the
        provider's id, because a late callback named the id.
        """
        if self.cause == NEVER_PLACED:
            return self.counts or self.provider_call_id is not None
        return self.counts or self.cause != ANOTHER_CALLS

    @property
    def status(self) -> str:
        """The outcome of the attempt, else the provider's latest progress, else the phase."""
        if self.outcome:
            return self.outcome
        if self.progress and self.phase is AttemptPhase.PLACED:
            return self.progress
        return self.phase

    @property
    def past(self) -> PastAttempt:
        """The attempt as decide() needs it. Raises ValueError if it has not ended."""
        if self.outcome is None or self.ended_at is None:
            raise ValueError(f"attempt {self.number} of {self.call_id} has not ended")
        return PastAttempt(self.number, self.outcome, self.claimed_at, self.ended_at)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call with its attempts, in order."""

    call: Call
    attempts: tuple[Attempt, ...] = ()

    def attempt(self, number: int) -> Attempt | None:
        """Return the attempt of that number; None if it was never made."""
        return next((a for a in self.attempts if a.number == number), None)

    @property
    def situation(self) -> Situation:
        """The facts that decide() needs: the attempts that count, and all dials.

        The dials are all attempts that were made to the number, by this call and by others.
        """
        call = self.call
        own = (attempt.claimed_at for attempt in self.attempts if attempt.was_made)
        return Situation(
            expires_at=call.expires_at,
            zones=call.zones,
            attempts=tuple(a.past for a in self.attempts if a.outcome is not None and a.counts),
            dialed_at=tuple(sorted((*call.others_made, *own))) if call.policy.caps else (),
            quiet_until=call.quiet_until,
            not_before=call.not_before,
            policy_ends_at=call.policy_ends_at,
        )

    def replacing(self, attempt: Attempt) -> tuple[Attempt, ...]:
        """Return the attempts, with ``attempt`` in place of the one that has its number."""
        return tuple(attempt if a.number == attempt.number else a for a in self.attempts)
