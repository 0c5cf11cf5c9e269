"""The safety net, every minute: dial what the wheel missed, find out about attempts gone silent, clear spent alarms."""

from collections import Counter
from datetime import datetime, timedelta

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.domain import lifecycle
from chalicelib.domain.call import NEVER_HEARD_OF, NEVER_PLACED, Attempt, AttemptPhase, Call, CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import RedialError
from chalicelib.log import broken, log, warn
from chalicelib.providers import Unanswered
from chalicelib.storage.items import DEADLINE
from chalicelib.usecases import measure
from chalicelib.usecases.confirm_adoptions import confirm_adoptions
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.redial_due import TimeLeft, dial_due, disarm, set_back
from chalicelib.usecases.schedule import change

#: A wake may come this late and still be on time: EventBridge fires within its minute, not at its first second.
WAKE_GRACE = timedelta(seconds=60)
#: A wake this long past has fired for good, or never will.
ALARM_STALE = timedelta(minutes=10)
#: A call that the provider says is still going on, or knows nothing of yet, is asked about again after this.
ASK_AGAIN = timedelta(minutes=10)
#: A provider that says so long after the request that it has no such call will have none; its dialer is dead by then.
SURELY_NOT_PLACED = timedelta(minutes=10)
#: A provider that does not answer is asked again for this long past the attempt's deadline.
KEEP_ASKING = timedelta(minutes=15)
#: A call that the provider made between the same two numbers this long around the claim may be the one.
CLOCKS_APART = timedelta(seconds=5)


def sweep(ports: Ports, time_left: TimeLeft) -> dict[str, int]:
    """Mend what the engine missed. Returns how many calls and alarms were mended, by kind."""
    now = ports.clock.now()
    counts: Counter[str] = Counter()
    counts.update({f"overdue-{end}": n for end, n in dial_due(ports, now - WAKE_GRACE, time_left).items()})
    for together in ports.calls.due(DEADLINE, now):
        for call_id in together:
            if not time_left.for_a_dial():
                counts["silent-left"] += 1
                continue
            counts[f"silent-{_look_into(ports, call_id, now)}"] += 1
    counts.update({f"adoption-{end}": n for end, n in confirm_adoptions(ports, time_left).items()})
    counts["stale-alarms"], alarms_live = _clear_alarms(ports, now - ALARM_STALE, time_left)
    mended = {kind: n for kind, n in counts.items() if n}
    measure.swept(mended, alarms_live)
    if mended:
        log("swept", **mended)
    return mended


def _clear_alarms(ports: Ports, before: datetime, time_left: TimeLeft) -> tuple[int, int | None]:
    """How many spent alarms were removed, and how many are left; None where they cannot be listed."""
    try:
        armed = list(ports.alarms.armed())
    except (ClientError, BotoCoreError) as error:
        warn("alarms-not-listed", error=str(error))
        return 0, None
    removed = sum(disarm(ports, wake) for wake in armed if wake < before and time_left.for_a_dial())
    return removed, len(armed) - removed


def _look_into(ports: Ports, call_id: str, now: datetime) -> str:
    """Find out what became of an attempt that was not heard of in time."""
    try:
        transition = change(ports, call_id, lambda record: _verdict(ports, record, now))
    except RedialError as error:
        warn("sweep-refused", call=call_id, error=str(error))
        set_back(ports, call_id)
        return "broken"
    except Exception as error:  # one call's trouble must not keep the others from being looked into
        broken("sweep-broken", error, call=call_id)
        set_back(ports, call_id)
        return "broken"
    if transition.effect is Effect.NOTHING:
        return "skipped"
    return "ended" if transition.call.deadline_at is None else "still-live"


def _verdict(ports: Ports, record: CallRecord, now: datetime) -> Transition:
    call = record.call
    attempt = record.attempt(call.attempt)
    if call.deadline_at is None or call.deadline_at > now or attempt is None:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    if attempt.provider_call_id is None:
        return _of_unknown_placement(ports, record, attempt, now)
    limit = attempt.claimed_at + ports.attempt_limit
    if now < limit:
        # A callback told of the placement before its own dialer could, which did not live to set the deadline.
        return lifecycle.extend_deadline(record, limit, now)
    try:
        said = ports.provider(attempt.provider).lookup(attempt.provider_call_id)
    except Unanswered as error:
        warn("provider-unanswered", call=call.id, attempt=attempt.number, error=str(error))
        if now < limit + KEEP_ASKING:
            return lifecycle.extend_deadline(record, now + KEEP_ASKING / 3, now)
        said = None
    if said is not None and not said.is_terminal:
        return lifecycle.extend_deadline(record, now + ASK_AGAIN, now)
    return lifecycle.absorb(record, attempt.number, said or _never_heard_of(attempt), now)


def _of_unknown_placement(ports: Ports, record: CallRecord, attempt: Attempt, now: datetime) -> Transition:
    """An attempt that may have been placed, under an id that never reached us: look for calls between its numbers."""
    limit = attempt.claimed_at + ports.attempt_limit
    found = _find(ports, record.call, attempt)
    if found and (ours := _ours(ports, record.call, attempt, found)):
        known = lifecycle.absorb(record, attempt.number, ours, now)
        return known if ours.is_terminal else known.until(max(limit, now + ASK_AGAIN))
    if found == [] and now >= attempt.claimed_at + SURELY_NOT_PLACED:
        return lifecycle.absorb(record, attempt.number, _never_placed(attempt), now)
    if now >= limit:
        return lifecycle.absorb(record, attempt.number, _never_heard_of(attempt), now)
    until = min(limit, now + ASK_AGAIN)
    if attempt.phase is AttemptPhase.DIALING:
        warn("placement-unknown", call=record.call.id, attempt=attempt.number, cause=lifecycle.DIALER_DIED)
        return lifecycle.lose_sight(record, until, now)
    return lifecycle.extend_deadline(record, until, now)


def _find(ports: Ports, call: Call, attempt: Attempt) -> list[CallEvent] | None:
    if call.erased_at is not None:
        return None  # there is no number left to ask for
    since, until = attempt.claimed_at - CLOCKS_APART, ports.clock.now()
    provider = ports.provider(attempt.provider)
    return provider.find(call.to_number, call.from_number, since, until, call.agent_version_id)


def _ours(ports: Ports, call: Call, attempt: Attempt, found: list[CallEvent]) -> CallEvent | None:
    """The one of the calls found that is this attempt's; None where that is not sure."""
    by_token = [event for event in found if event.token == attempt.token]
    if by_token:
        return by_token[0]
    unnamed = [event for event in found if event.token is None]
    return unnamed[0] if len(unnamed) == 1 and _is_nobody_elses(ports, call, attempt) else None


def _is_nobody_elses(ports: Ports, call: Call, attempt: Attempt) -> bool:
    """True where no other attempt to the number was made just before this one or since: the call could be its."""
    made = ports.numbers.load(call.workspace, call.to_number).made
    return not any(at >= attempt.claimed_at - SURELY_NOT_PLACED for key, at in made.items() if key != attempt.id)


def _never_placed(attempt: Attempt) -> CallEvent:
    return CallEvent(
        event_id=f"never-placed-{attempt.number}",
        provider_call_id="",
        status="never-placed",
        fault=NEVER_PLACED,
        cause=NEVER_PLACED,
        evidence={"phase": attempt.phase, "asked_about": attempt.cause or ""},
    )


def _never_heard_of(attempt: Attempt) -> CallEvent:
    return CallEvent(
        event_id=f"no-callback-{attempt.number}",
        provider_call_id=attempt.provider_call_id or "",
        status="failed",
        outcome=Outcome.FAILED,
        cause=NEVER_HEARD_OF,
        evidence={"phase": attempt.phase},
    )
