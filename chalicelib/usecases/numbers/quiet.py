"""Quiet times: how long a number is not dialled after other calls' attempts to it.

A policy's ``quiet_after`` sets them by outcome. Each claim reads the outcomes from the attempts themselves, so that a
late callback counts, and a policy without the rule costs nothing. The claim depends on attempts that still ring: if one
is answered meanwhile, the claim fails.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.outcome import Outcome
from chalicelib.storage.numbers import Number
from chalicelib.storage.transact import Write
from chalicelib.usecases.ports import Ports

#: An attempt ends at most this long after it was made.
MAX_CALL = timedelta(days=1)
#: A call that waits for another call's conversation to end tries again after this time.
RECHECK_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Quiet:
    """The quiet time of a number: it ends at ``until`` (UTC); None if there is none.

    A claim depends on the writes ``also``.
    """

    until: datetime | None = None
    also: tuple[Write, ...] = ()


def quiet_of(ports: Ports, call: Call, number: Number, now: datetime) -> Quiet:
    """Return the quiet time that the attempts of other calls mean for this call."""
    hours = call.policy.quiet_after
    if not hours:
        return Quiet()
    since = now - timedelta(hours=max(hours.values())) - MAX_CALL
    others = list(_others_attempts(ports, call, number, since))
    latest = max((_quiet_until(hours, made_at, attempt, now) for made_at, attempt in others), default=now)
    ringing = (attempt for _, attempt in others if attempt is not None and attempt.outcome is None)
    return Quiet(latest if latest > now else None, tuple(ports.calls.unchanged(attempt) for attempt in ringing))


def _quiet_until(hours: Mapping[Outcome, float], made_at: datetime, attempt: Attempt | None, now: datetime) -> datetime:
    """Return the end of the quiet time after one attempt: at most ``now`` for none."""
    if attempt is None:
        return made_at + timedelta(hours=max(hours.values()))  # the attempt's outcome is no longer known
    if attempt.outcome is None or attempt.ended_at is None:
        return now + RECHECK_AFTER if attempt.answered_at is not None else now
    quiet = hours.get(attempt.outcome, 0) if attempt.counts else 0
    return attempt.ended_at + timedelta(hours=quiet)


def _others_attempts(
    ports: Ports, call: Call, number: Number, since: datetime
) -> Iterator[tuple[datetime, Attempt | None]]:
    """Yield the time of each attempt of another call, and the attempt.

    The attempt is None if the table has it no longer.
    """
    made = {key: at for key, at in number.dialed_at.items() if at >= since and _call_id(key) != call.id}
    records = map(ports.calls.load, {_call_id(key) for key in made})
    known = {attempt.id: attempt for record in filter(None, records) for attempt in record.attempts}
    return ((at, known.get(key)) for key, at in made.items())


def _call_id(attempt_id: str) -> str:
    return attempt_id.rpartition("-")[0]
