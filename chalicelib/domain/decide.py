"""Decisions about a call: dial again or not, when, and why.

The three functions are pure and deterministic, and return a decision for every valid policy:

- ``first()`` finds the time of the first attempt.
- ``decide()`` decides after each attempt, and finds the time of the next one.
- ``may_dial()`` checks that time again at the moment of the dial, because hours may have passed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chalicelib.domain.caps import check
from chalicelib.domain.outcome import Outcome, SummaryStatus
from chalicelib.domain.past_attempt import PastAttempt
from chalicelib.domain.policy import OutcomeRule, Policy
from chalicelib.domain.strategies import Proposal, TimeOfDay, after_wait, propose
from chalicelib.domain.window import Window, never_opens, next_opening
from chalicelib.domain.work import TooComplex, Work


class Reason(StrEnum):
    """The reason of a decision: a closed set, so users can count and compare reasons."""

    STARTED = "started"
    RETRY = "retry"
    DUE = "due"
    RESCHEDULED = "rescheduled"
    REACHED = "reached"
    VOICEMAIL_IS_FINAL = "voicemail-is-final"
    OUTCOME_NOT_RETRYABLE = "outcome-not-retryable"
    RETRIES_EXHAUSTED = "retries-exhausted"
    OUTCOME_RETRIES_EXHAUSTED = "outcome-retries-exhausted"
    NO_DATES_LEFT = "no-dates-left"
    POLICY_EXPIRED = "policy-expired"
    CAPPED = "capped"
    QUIET = "quiet"
    ZONE_UNKNOWN = "zone-unknown"
    WINDOW_NEVER_OPENS = "window-never-opens"
    OPTED_OUT = "opted-out"
    CONTACTED = "contacted"
    CANCELED = "canceled"
    ERASED = "erased"
    DO_NOT_DISTURB = "do-not-disturb"
    DEFERRED_BY_PROVIDER = "deferred-by-provider"
    NEVER_PLACED = "never-placed"
    NO_SLOT = "no-slot"
    RATE_LIMITED = "rate-limited"
    PAUSED = "paused"
    PROVIDER_PAUSED = "provider-paused"
    DESTINATION_NOT_ALLOWED = "destination-not-allowed"
    OVER_BUDGET = "over-budget"
    TOO_COMPLEX = "too-complex"
    PROVIDER_NOT_SET_UP = "provider-not-set-up"


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts about a call that a decision needs. Times are UTC.

    - ``expires_at``: no attempt is made after this time.
    - ``zones``: the time zones that the number may be in; empty if they are unknown.
    - ``attempts``: this call's attempts that count, in order.
    - ``dialed_at``: the starts of all attempts to the number, of this call and of others. They are sorted, and go back
      as far as the policy's caps reach.
    - ``quiet_until``: the number is not dialled before this time, because of ``quiet_after`` and an attempt of another
      call.
    - ``not_before``: set if the customer called back and wants no call before this time.
    - ``policy_ends_at``: the end of the policy's own hours, set only if ``expires_at`` is later because the window is
      closed at that end.
    """

    expires_at: datetime
    zones: tuple[str, ...] = ()
    attempts: tuple[PastAttempt, ...] = ()
    dialed_at: tuple[datetime, ...] = ()
    quiet_until: datetime | None = None
    not_before: datetime | None = None
    policy_ends_at: datetime | None = None

    def with_attempt(self, attempt: PastAttempt) -> "Situation":
        """Return the situation after one more attempt."""
        return replace(
            self, attempts=(*self.attempts, attempt), dialed_at=tuple(sorted((*self.dialed_at, attempt.started_at)))
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision and its reasoning.

    Either ``retry_at`` is set (the time of the next dial, UTC), or ``summary_status`` (how the call ends). ``steps``
    are sentences for users. They say, in order, how Redial came to the decision.
    """

    reason: Reason
    steps: tuple[str, ...] = ()
    retry_at: datetime | None = None
    summary_status: SummaryStatus | None = None

    @property
    def is_final(self) -> bool:
        """The decision ends the call."""
        return self.summary_status is not None


#: the outcomes that end a call under every policy -> how the call ends, and the reason
ENDINGS: dict[Outcome, tuple[SummaryStatus, Reason]] = {
    Outcome.COMPLETED: (SummaryStatus.COMPLETED, Reason.REACHED),
    Outcome.CANCELED: (SummaryStatus.CANCELED, Reason.CANCELED),
    Outcome.DND: (SummaryStatus.BLOCKED, Reason.DO_NOT_DISTURB),
    Outcome.INVALID_NUMBER: (SummaryStatus.NOT_RETRYABLE, Reason.OUTCOME_NOT_RETRYABLE),
}

#: rounds of a search: the window may postpone a dial past a cap, and the cap may postpone it past the window's close.
#: Real policies need two or three rounds.
MAX_MOVES = 64
#: times of the day, and zones of a daily cap, that cost one unit of work (see work.py)
TIMES_A_UNIT, CAPS_A_UNIT = 4, 2


#: how many of its first and of its last steps a decision keeps: a DynamoDB item holds at most 400 KB
MAX_FIRST_STEPS, MAX_LAST_STEPS = 30, 10


def decide(policy: Policy, situation: Situation, work: Work | None = None) -> Decision:
    """Decide after the last attempt of the situation, which has at least one.

    If the decision takes more than ``work``, the call ends as ``too-complex``.
    """
    return _within(work, lambda spent: _decide(policy, situation, spent))


def _decide(policy: Policy, situation: Situation, work: Work) -> Decision:
    last = situation.attempts[-1]
    outcome = last.outcome
    if outcome in ENDINGS:
        summary, reason = ENDINGS[outcome]
        return _final(summary, reason, f"attempt {last.number} ended {outcome}")
    reached = reached_earlier(situation)
    if reached is not None:
        return reached
    rule = policy.rule(outcome)
    if not rule.retry:
        if outcome is Outcome.VOICEMAIL:
            step = "the policy does not retry after voicemail"
            return _final(SummaryStatus.VOICEMAIL_FINAL, Reason.VOICEMAIL_IS_FINAL, step)
        step = f"the policy does not retry after {outcome}"
        return _final(SummaryStatus.NOT_RETRYABLE, Reason.OUTCOME_NOT_RETRYABLE, step)
    return _used_up(policy, rule, situation) or _next(policy, rule, situation, work)


def reached_earlier(situation: Situation, *before: str) -> Decision | None:
    """Return the end of the call if an earlier attempt was completed, else None.

    The callback of that attempt came so late that Redial had already made another attempt. ``before`` are the steps
    that come first in the decision.
    """
    earlier = next((t for t in situation.attempts if t.outcome is Outcome.COMPLETED), None)
    if earlier is None:
        return None
    steps = (*before, f"earlier attempt {earlier.number} ended {earlier.outcome}")
    return Decision(Reason.REACHED, steps, summary_status=SummaryStatus.COMPLETED)


def first(policy: Policy, situation: Situation, start_at: datetime, work: Work | None = None) -> Decision:
    """Decide when to make the first attempt of a call that starts at ``start_at``."""
    proposal = Proposal(start_at, f"starts at {_utc(start_at)}")
    return _within(work, lambda spent: _place(policy, situation, proposal, Reason.STARTED, spent))


def may_dial(policy: Policy, situation: Situation, now: datetime) -> Decision:
    """Decide whether the due attempt may be dialled now.

    If so, the reason is ``due`` and ``retry_at`` is ``now``. If not, the attempt is ``rescheduled``, or the call ends.
    """
    proposal = Proposal(now, f"due at {_utc(now)}")
    placed = _within(None, lambda spent: _place(policy, situation, proposal, Reason.DUE, spent))
    return replace(placed, reason=Reason.RESCHEDULED) if placed.retry_at not in (None, now) else placed


def _within(work: Work | None, decide_with: Callable[[Work], Decision]) -> Decision:
    """Decide within the bound on work.

    If a decision takes more work, the call ends. Otherwise the dials of other calls would have to wait.
    """
    try:
        decision = decide_with(work or Work())
    except TooComplex:
        step = "finding a time takes too much work; give the policy's window fewer intervals"
        return _final(SummaryStatus.BLOCKED, Reason.TOO_COMPLEX, step)
    left_out = len(decision.steps) - MAX_FIRST_STEPS - MAX_LAST_STEPS
    if left_out <= 1:
        return decision
    steps = (*decision.steps[:MAX_FIRST_STEPS], f"… {left_out} more steps …", *decision.steps[-MAX_LAST_STEPS:])
    return replace(decision, steps=steps)


def _used_up(policy: Policy, rule: OutcomeRule, situation: Situation) -> Decision | None:
    """Return the end of the call if no retry is left, in all or for this outcome."""
    retries = len(situation.attempts) - 1
    outcome = situation.attempts[-1].outcome
    if retries >= policy.max_retries:
        step = f"{retries} of {policy.max_retries} retries used"
        return _final(SummaryStatus.ALL_RETRIES_EXHAUSTED, Reason.RETRIES_EXHAUSTED, step)
    after_this = sum(1 for t in situation.attempts[:-1] if t.outcome is outcome)
    if rule.max_retries is not None and after_this >= rule.max_retries:
        step = f"{after_this} of {rule.max_retries} retries after {outcome} used"
        return _final(SummaryStatus.ALL_RETRIES_EXHAUSTED, Reason.OUTCOME_RETRIES_EXHAUSTED, step)
    return None


def _next(policy: Policy, rule: OutcomeRule, situation: Situation, work: Work) -> Decision:
    if policy.needs_zones and not situation.zones:
        return _zone_unknown(())
    if rule.wait_minutes is not None:
        proposal: Proposal | None = after_wait(rule.wait_minutes, situation.attempts[-1])
    else:
        zones = policy.window_zones(situation.zones)
        if isinstance(policy.strategy, TimeOfDay):
            work.spend(len(zones) * len(policy.strategy.times) // TIMES_A_UNIT)
        proposal = propose(policy.strategy, situation.attempts, zones)
    if proposal is None:
        step = "the strategy has no time for another attempt"
        return _final(SummaryStatus.ALL_RETRIES_EXHAUSTED, Reason.NO_DATES_LEFT, step)
    return _place(policy, situation, proposal, Reason.RETRY, work)


@dataclass(slots=True)
class _Place:
    """The time of a dial during the search, and the steps that led to this time."""

    at: datetime
    steps: list[str] = field(default_factory=list)


def _place(policy: Policy, situation: Situation, proposal: Proposal, reason: Reason, work: Work) -> Decision:
    """Postpone a proposed dial to the first time that all rules allow.

    The rules are the window, the caps and the end of the policy.
    """
    if policy.needs_zones and not situation.zones:
        return _zone_unknown((proposal.step,))
    place = _proposed(policy, situation, proposal)
    for _ in range(MAX_MOVES):
        if place.at > situation.expires_at:
            return _too_late(policy, place, situation)
        tried_at = place.at
        work.spend(_cost_of_a_move(policy, situation))
        ending = _into_window(policy, situation, place, work) or _under_caps(policy, situation, place)
        if ending is not None:
            return ending
        if place.at == tried_at:
            return _found(policy, situation, place, reason)
    return _ended(place, SummaryStatus.BLOCKED, Reason.WINDOW_NEVER_OPENS, "the window and the caps leave no time")


def _cost_of_a_move(policy: Policy, situation: Situation) -> int:
    return 1 + sum(len(situation.zones) for cap in policy.caps if cap.per == "day") // CAPS_A_UNIT


def _proposed(policy: Policy, situation: Situation, proposal: Proposal) -> _Place:
    """Return the start of the search: the proposal, postponed by contact and quiet."""
    place = _Place(proposal.at, [proposal.step])
    if situation.not_before is not None and place.at < situation.not_before:
        place.at = situation.not_before
        place.steps.append(f"postponed until {_utc(place.at)}, because the customer called back")
    quiet_until = _quiet_until(policy, situation)
    if quiet_until is not None and place.at < quiet_until:
        place.at = quiet_until
        place.steps.append(
            f"postponed until {_utc(place.at)} by quiet_after, because of an earlier attempt to the number"
        )
    return place


def _quiet_until(policy: Policy, situation: Situation) -> datetime | None:
    """Return the end of the latest quiet after an attempt to the number, else None.

    The attempt may belong to this call or to another one.
    """
    hours = policy.quiet_after
    own = (t.ended_at + timedelta(hours=hours[t.outcome]) for t in situation.attempts if t.outcome in hours)
    return max((*own, *filter(None, (situation.quiet_until,))), default=None)


def _found(policy: Policy, situation: Situation, place: _Place, reason: Reason) -> Decision:
    caps = (check(cap, place.at, situation.dialed_at, situation.zones) for cap in policy.caps)
    counted = tuple(f"cap {verdict.used + 1} of {verdict.cap}" for verdict in caps)
    if situation.policy_ends_at is not None and place.at > situation.policy_ends_at:
        own_end = f"the policy's hours end at {_utc(situation.policy_ends_at)} while the window is closed"
        place.steps.append(f"{own_end}, so the call expires at {_utc(situation.expires_at)}")
    return Decision(reason, (*place.steps, *counted), retry_at=place.at)


def _into_window(policy: Policy, situation: Situation, place: _Place, work: Work) -> Decision | None:
    window = policy.window
    if window is None:
        return None
    zones = policy.window_zones(situation.zones)
    opening = next_opening(window, place.at, zones, work=work)
    if opening is None:
        step = f"{why_never_open(window, zones)}; give the call a timezone, or a wider window"
        return _ended(place, SummaryStatus.BLOCKED, Reason.WINDOW_NEVER_OPENS, step)
    if opening.at > situation.expires_at:
        # The policy's end comes first, so the policy's end is the reason.
        step = f"the window does not open before the policy ends at {_utc(situation.expires_at)}"
        return _ended(place, SummaryStatus.EXPIRED, Reason.POLICY_EXPIRED, step)
    place.at = opening.at
    place.steps += opening.steps
    return None


def why_never_open(window: Window | None, zones: tuple[str, ...]) -> str:
    """Return a sentence that says why the window never opens in all of ``zones``."""
    if window is not None and never_opens(window):
        return "the hours, pauses and presets for the number leave no hour of the week open"
    shown = ", ".join(zones[:5]) + (f" and {len(zones) - 5} more" if len(zones) > 5 else "")
    return f"the window is never open at the same time in all zones of the number ({shown})"


def _under_caps(policy: Policy, situation: Situation, place: _Place) -> Decision | None:
    blocking = None
    for cap in policy.caps:
        verdict = check(cap, place.at, situation.dialed_at, situation.zones)
        if verdict.clears_at > place.at:
            blocking = verdict if blocking is None or verdict.clears_at > blocking.clears_at else blocking
    if blocking is None:
        return None
    used = f"cap {blocking.used} of {blocking.cap} used"
    if blocking.clears_at > situation.expires_at:
        step = f"{used}, clears at {_utc(blocking.clears_at)}, after the policy ends at {_utc(situation.expires_at)}"
        return _ended(place, SummaryStatus.BLOCKED, Reason.CAPPED, step)
    place.at = blocking.clears_at
    place.steps.append(f"{used} → {_utc(blocking.clears_at)}")
    return None


def _too_late(policy: Policy, place: _Place, situation: Situation) -> Decision:
    step = f"{_utc(place.at)} is after the policy ends at {_utc(situation.expires_at)}"
    quiet_until = _quiet_until(policy, situation)
    if quiet_until is not None and quiet_until > situation.expires_at:
        return _ended(place, SummaryStatus.BLOCKED, Reason.QUIET, step)
    return _ended(place, SummaryStatus.EXPIRED, Reason.POLICY_EXPIRED, step)


def _zone_unknown(steps: tuple[str, ...]) -> Decision:
    step = "the time zone of the number is unknown: give the call a timezone"
    return Decision(Reason.ZONE_UNKNOWN, (*steps, step), summary_status=SummaryStatus.BLOCKED)


def _ended(place: _Place, summary: SummaryStatus, reason: Reason, step: str) -> Decision:
    return Decision(reason, (*place.steps, step), summary_status=summary)


def _final(summary: SummaryStatus, reason: Reason, step: str) -> Decision:
    return Decision(reason, (step,), summary_status=summary)


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at.second else f"{at:%Y-%m-%dT%H:%MZ}"


__all__ = ["Decision", "PastAttempt", "Reason", "Situation", "decide", "first", "may_dial"]
