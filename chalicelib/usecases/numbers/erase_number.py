"""Erase a person: remove the data of a phone number from a workspace.

A hash of the number stays, so that the number is not called again. Each step can be repeated, and leaves what the next
step needs. So a second request finishes an erasure that stopped half-way.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from chalicelib.domain import lifecycle
from chalicelib.domain.call import CallRecord
from chalicelib.domain.decide import Reason
from chalicelib.domain.erasure import is_erased_token
from chalicelib.domain.outcome import SummaryStatus
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import NotFound, TooBusy, Unreadable
from chalicelib.runtime.log import log
from chalicelib.storage.transact import StaleWrite
from chalicelib.usecases.calls.schedule import CHANGE_TRIES, change
from chalicelib.usecases.ports import Ports

#: One request erases at most this many calls: it has 29 s, and each call takes some six requests to the table.
MAX_CALLS = 200


@dataclass(frozen=True, slots=True)
class Erased:
    """The result of an erasure.

    If it is not ``complete``, there are more calls: the same request continues the erasure.
    """

    erased_at: datetime
    complete: bool
    calls: int
    calls_ended: int
    attempts: int
    events: int
    decisions: int


def erase_number(ports: Ports, workspace: str, number: str, most_calls: int = MAX_CALLS) -> Erased:
    """Erase a number's data in a workspace.

    First a mark replaces the number's item: from then on no call to the number can be made. Then each of its calls is
    ended, blanked and removed from the number's list. Raises TooBusy, and Unreadable after all readable calls are
    erased.
    """
    erased_at = ports.numbers.mark_erased(ports.numbers.load(workspace, number), ports.clock.now())
    counts: Counter[str] = Counter()
    # One more call than the limit shows that the erasure is not complete.
    found = list(islice(ports.numbers.every_call(workspace, number), most_calls + 1))
    unreadable: list[Unreadable] = []
    for call_id in found[:most_calls]:
        try:
            counts.update(_erase_call(ports, call_id, number, erased_at))
        except Unreadable as error:
            unreadable.append(error)
            continue
        ports.numbers.forget_call(workspace, number, call_id)
    if unreadable:
        raise unreadable[0]
    complete = len(found) <= most_calls
    if complete:
        # A concurrent claim may have written the number's item again. Now no call is left to claim.
        ports.numbers.forget(workspace, number)
    kinds = ("calls", "calls_ended", "attempts", "events", "decisions")
    done = Erased(erased_at, complete, **{kind: counts[kind] for kind in kinds})
    log("number-erased", workspace=workspace, complete=complete, **{kind: counts[kind] for kind in kinds})
    return done


def _erase_call(ports: Ports, call_id: str, number: str, at: datetime) -> dict[str, int]:
    """End and blank one call, then remove its provider events.

    The number is also removed from the call's decisions. A live attempt continues to its end.
    """
    try:
        ended = change(ports, call_id, lambda record: _end(record, ports.clock.now()))
    except NotFound:
        return {}
    blanked = _blank(ports, call_id, number, at)
    # After the blanking, late callbacks are no longer kept as they were sent: what came before is all there is.
    trail = ports.erasure.clear_trail(call_id, number)
    return {
        "calls": int(blanked is not None),
        "calls_ended": int(ended.effect is not Effect.NOTHING),
        "attempts": len(blanked.attempts) if blanked else 0,
        "events": trail.events,
        "decisions": trail.decisions,
    }


def _blank(ports: Ports, call_id: str, number: str, at: datetime) -> CallRecord | None:
    """Blank a call, even if it keeps changing meanwhile.

    Return the call as it was; None if it is blank already or does not exist. Raises TooBusy.
    """
    for _ in range(CHANGE_TRIES):
        record = ports.calls.load(call_id)
        if record is None or _is_blank(record):
            return None
        try:
            ports.erasure.blank(record, number, at)
        except StaleWrite:
            continue
        return record
    raise TooBusy(f"call {call_id} keeps changing; try again in a moment")


def _is_blank(record: CallRecord) -> bool:
    return record.call.erased_at is not None and all(is_erased_token(attempt.token) for attempt in record.attempts)


def _end(record: CallRecord, now: datetime) -> Transition:
    return lifecycle.end(
        record,
        summary=SummaryStatus.CANCELED,
        reason=Reason.ERASED,
        step=f"the number's data was erased at {now:%Y-%m-%dT%H:%M:%SZ}",
        now=now,
    )
