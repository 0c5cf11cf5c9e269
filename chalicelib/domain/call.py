"""A call and its attempts: frozen values, and what of them the outside world is told."""

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

NEVER_HEARD_OF = "no-callback"  # the cause of an attempt whose end neither a callback nor a look-up told
NEVER_ENDED = "never-ended"  # the cause of an attempt that went on for hours longer than a call can last
NOBODY_TO_ASK = "provider-not-set-up"  # the cause of an attempt whose provider cannot be asked any more
NEVER_PLACED = "never-placed"  # the cause of an attempt that the provider says it never had
ANOTHER_CALLS = "another-calls"  # the cause of an adopted attempt that Redial itself placed, for another call
#: Causes of attempts that timed out: nobody knows how, or when, they ended.
TIMED_OUT = (NEVER_HEARD_OF, NEVER_ENDED, NOBODY_TO_ASK)
#: Causes that are Redial's own guess: a callback that tells how the attempt really ended replaces it.
GUESSED = (*TIMED_OUT, NEVER_PLACED)


class CallState(StrEnum):
    """The one state that a call is in."""

    SCHEDULED = "scheduled"
    DIALING = "dialing"
    IN_PROGRESS = "in-progress"
    FINAL = "final"


class AttemptPhase(StrEnum):
    """How far we are with one attempt; what the provider says of it is its ``progress`` and ``outcome``."""

    DIALING = "dialing"  # claimed: the provider is being asked, or we died while asking
    PLACEMENT_UNKNOWN = "placement-unknown"  # asked, and the answer was lost
    PLACED = "placed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What the user asked for. Times are UTC; ``due_at`` is the minute of the next dial, the truth of the schedule.

    ``attempt`` is the number of the latest attempt, 0 before the first. ``deadline_at`` is set while an attempt is
    live: past it the attempt's callback counts as lost. ``version`` rises with every change.

    ``places`` are the scopes (accounts, workspaces) that hold a place of the timing wheel in the minute of ``due_at``.
    ``policy_ends_at`` is the policy's own end where the call expires later, for its window is closed then.
    ``zones`` are those that the number may be in, as far as the policy needs them. ``others_made`` are the attempts of
    other calls to the same number, as of the latest claim and as far back as the policy's caps reach, and
    ``quiet_until`` is the time until which those attempts have the number left alone.
    ``next_target_url`` replaces ``target_url`` on the next attempt. ``failover_account`` is the account of the policy's
    second provider, which ``provider`` and ``account`` are changed to when it takes over. After ``canceled_at``, the
    moment of a cancel, no callback leads to another attempt; nor after ``contacted_at``, when the customer called back,
    before ``not_before`` (None: for good). ``waits_for`` names the obstacle of the latest decision, so that to
    wait on for the same one is no new decision. Since ``erased_at`` nothing in the call names the person
    any more, and ``to_number`` is empty. ``is_adopted`` says that the user's own code placed the first attempt.
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
        """What links every attempt of this call."""
        return "rg_" + self.id.removeprefix("call_")

    @property
    def is_live(self) -> bool:
        """True while an attempt is in flight."""
        return self.state in (CallState.DIALING, CallState.IN_PROGRESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One dial, numbered from 1. ``token`` is the unguessable part of its callback URL.

    ``counts`` is False where the account was at fault, or the call was never placed: such an attempt uses up none of
    the policy's. ``slots`` are those that it holds while it lives, of the calls that may be in flight at once.
    ``budget`` names where the dial was counted in its workspace's daily budget, if that has one.
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
        """The attempt by a name of its own: ``<call>-<number>``."""
        return f"{self.call_id}-{self.number}"

    @property
    def was_made(self) -> bool:
        """False where the provider never had this call, or another call counts it: caps do not count it here.

        An attempt that counts was made: somebody answered what had been taken for never placed.
        """
        return self.counts or self.cause not in (NEVER_PLACED, ANOTHER_CALLS)

    @property
    def status(self) -> str:
        """The attempt in one word: its outcome, else what the provider said last, else our phase."""
        if self.outcome:
            return self.outcome
        if self.progress and self.phase is AttemptPhase.PLACED:
            return self.progress
        return self.phase

    @property
    def past(self) -> PastAttempt:
        """This attempt as decide() sees it. Only for attempts that have ended."""
        if self.outcome is None or self.ended_at is None:
            raise ValueError(f"attempt {self.number} of {self.call_id} has not ended")
        return PastAttempt(self.number, self.outcome, self.claimed_at, self.ended_at)


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call with its attempts in order."""

    call: Call
    attempts: tuple[Attempt, ...] = ()

    def attempt(self, number: int) -> Attempt | None:
        """The attempt of that number; None where it was never made."""
        return next((a for a in self.attempts if a.number == number), None)

    @property
    def situation(self) -> Situation:
        """What decide() has to know: the attempts that count, and all that were made to the number."""
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
        """The attempts with one of them changed."""
        return tuple(attempt if a.number == attempt.number else a for a in self.attempts)
