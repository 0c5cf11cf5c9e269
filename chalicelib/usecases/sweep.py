"""The safety net, every minute: dial what the wheel missed, end what was never heard of again, clear spent alarms."""

from collections import Counter
from datetime import datetime, timedelta

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import Effect, Transition
from chalicelib.domain.outcome import Outcome
from chalicelib.errors import RedialError
from chalicelib.log import log, warn
from chalicelib.storage.items import DEADLINE
from chalicelib.usecases import measure
from chalicelib.usecases.ports import Ports
from chalicelib.usecases.redial_due import TimeLeft, dial_due
from chalicelib.usecases.schedule import change

#: A wake may come this late and still be on time: EventBridge fires within its minute, not at its first second.
WAKE_GRACE = timedelta(seconds=60)
#: A wake this long past has fired for good, or never will.
ALARM_STALE = timedelta(minutes=10)
#: A call that the provider says is still going on is asked about again after this.
ASK_AGAIN = timedelta(minutes=10)


def sweep(ports: Ports, time_left: TimeLeft) -> dict[str, int]:
    """Mend what the engine missed. Returns how many calls and alarms were mended, by kind."""
    now = ports.clock.now()
    counts: Counter[str] = Counter()
    counts.update({f"overdue-{end}": n for end, n in dial_due(ports, now - WAKE_GRACE, time_left).items()})
    for page in ports.calls.due(DEADLINE, now):
        for call_id in page:
            if not time_left.for_a_dial():
                counts["silent-left"] += 1
                continue
            counts[f"silent-{_look_into(ports, call_id, now)}"] += 1
    rules_live = 0
    for wake in ports.alarms.armed():
        if wake < now - ALARM_STALE and time_left.for_a_dial():
            ports.alarms.disarm(wake)
            counts["stale-alarms"] += 1
        else:
            rules_live += 1
    mended = {kind: n for kind, n in counts.items() if n}
    measure.swept(mended, rules_live, {})
    if mended:
        log("swept", **mended)
    return mended


def _look_into(ports: Ports, call_id: str, now: datetime) -> str:
    """End an attempt whose callback never came by what the provider says of it now, or as failed."""
    try:
        transition = change(ports, call_id, lambda record: _verdict(ports, record, now))
    except RedialError as error:
        warn("sweep-broken", call=call_id, error=str(error))
        return "broken"
    if transition.effect is Effect.NOTHING:
        return "skipped"
    return "ended" if transition.call.deadline_at is None else "still-live"


def _verdict(ports: Ports, record: CallRecord, now: datetime) -> Transition:
    call = record.call
    attempt = record.attempt(call.attempt)
    if call.deadline_at is None or call.deadline_at > now or attempt is None:
        return Transition(record, call, None, Effect.NOTHING, at=now)
    said = _ask(ports, attempt)
    if said is not None and not said.is_terminal:
        return lifecycle.extend_deadline(record, now + ASK_AGAIN, now)
    return lifecycle.absorb(record, attempt.number, said or _never_heard_of(attempt), now)


def _ask(ports: Ports, attempt: Attempt) -> CallEvent | None:
    if attempt.provider_call_id is None:
        return None
    return ports.provider(attempt.provider).lookup(attempt.provider_call_id)


def _never_heard_of(attempt: Attempt) -> CallEvent:
    return CallEvent(
        event_id=f"no-callback-{attempt.number}",
        provider_call_id=attempt.provider_call_id or "",
        status="failed",
        outcome=Outcome.FAILED,
        cause=lifecycle.NEVER_HEARD_OF,
        evidence={"phase": attempt.phase},
    )
