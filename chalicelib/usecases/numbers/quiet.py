"""How long a number is left alone after what other calls' attempts to it came to: a policy's ``quiet_after``.

The outcomes are read from those attempts themselves at each claim, so that a late callback counts, and a policy without
the rule costs nothing. The claim depends on attempts that still ring: if one is answered meanwhile, the claim fails.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.outcome import Outcome
from chalicelib.storage.numbers import Number
from chalicelib.storage.transact import Write
from chalicelib.usecases.ports import Ports

#: An attempt may end this long after it was made.
MAX_CALL = timedelta(days=1)
#: A call that another one's conversation keeps waiting asks again after this.
ASK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Until when a number is left alone (UTC), None for no such time; a claim depends on the writes ``also``."""

    until: datetime | None = None
    also: tuple[Write, ...] = ()


def quiet_of(ports: Ports, call: Call, number: Number, now: datetime) -> Quiet:
    """Return what the attempts of other calls to the number mean for this one."""
    hours = call.policy.quiet_after
    if not hours:
        return Quiet()
    since = now - timedelta(hours=max(hours.values())) - MAX_CALL
    others = list(_others(ports, call, number, since))
    latest = max((_until(hours, made_at, attempt, now) for made_at, attempt in others), default=now)
    ringing = (attempt for _, attempt in others if attempt is not None and attempt.outcome is None)
    return Quiet(latest if latest > now else None, tuple(ports.calls.unchanged(attempt) for attempt in ringing))


def _until(hours: Mapping[Outcome, float], made_at: datetime, attempt: Attempt | None, now: datetime) -> datetime:
    """Return until when one attempt has the number left alone: not after ``now`` where it does not."""
    if attempt is None:
        return made_at + timedelta(hours=max(hours.values()))  # nobody knows any more what came of it
    if attempt.outcome is None or attempt.ended_at is None:
        return now + ASK_AGAIN if attempt.answered_at is not None else now
    quiet = hours.get(attempt.outcome, 0) if attempt.counts else 0
    return attempt.ended_at + timedelta(hours=quiet)


def _others(ports: Ports, call: Call, number: Number, since: datetime) -> Iterator[tuple[datetime, Attempt | None]]:
    """Return when each attempt of another call was made, and the attempt; None where it is not kept any more."""
    made = {key: at for key, at in number.dialed_at.items() if at >= since and _call_of(key) != call.id}
    records = map(ports.calls.load, {_call_of(key) for key in made})
    known = {attempt.id: attempt for record in filter(None, records) for attempt in record.attempts}
    return ((at, known.get(key)) for key, at in made.items())


def _call_of(attempt_id: str) -> str:
    return attempt_id.rpartition("-")[0]
