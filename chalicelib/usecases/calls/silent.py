"""Look into an attempt that sent no callback until its deadline.

Redial asks the provider, then decides by the answer. The request is sent before the change of the call, because a
change is repeated if another one is committed meanwhile.
"""

from datetime import datetime, timedelta

from chalicelib.domain.call import TIMED_OUT, Attempt, Call, CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import DIALER_DIED
from chalicelib.domain.silence import CONFIRMED_AFTER, Lookup, LookupResult, after_silence, is_silent, too_early
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import RedialError
from chalicelib.providers import Provider, Unanswered
from chalicelib.runtime.log import warn
from chalicelib.usecases.calls.cancel_call import hang_up_canceled
from chalicelib.usecases.calls.ownership import own
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.gates.breaker import report_fault
from chalicelib.usecases.ports import Ports

#: The search for a lost call begins this long before the claim, because clocks differ.
CLOCKS_APART = timedelta(seconds=5)


def look_into(ports: Ports, call_id: str, now: datetime) -> str:
    """Ask about the silent attempt of a call, and change the call by the answer.

    Returns ``ended``, ``still-live`` or ``skipped``.
    """
    record = ports.calls.load(call_id)
    if record is None or not is_silent(record, now):
        return "skipped"
    lookup = _ask(ports, record, now)
    limit = ports.longest_attempt
    transition = change(ports, call_id, lambda current: after_silence(current, lookup, now, limit))
    if transition.effect is Effect.NOTHING:
        return "skipped"
    return _follow_up(ports, transition, lookup)


def _follow_up(ports: Ports, transition: Transition, lookup: Lookup) -> str:
    """Report the end of a silent attempt, or that it goes on. Return which one it was."""
    call, ended = transition.call, transition.ended_attempt
    if ended is None:
        _follow_up_live(ports, transition, lookup.attempt)
        return "still-live"
    if lookup.event is not None and lookup.event.fault is not None and not ended.counts:
        report_fault(ports, transition.before.call, ended, lookup.event)
    if ended.cause in TIMED_OUT:
        warn("attempt-timed-out", call=call.id, attempt=ended.number, cause=ended.cause, provider=ended.provider)
    return "ended"


def _follow_up_live(ports: Ports, transition: Transition, number: int) -> None:
    call = transition.call
    attempt = transition.attempt
    if attempt is not None and attempt.cause == DIALER_DIED:
        warn("placement-unknown", call=call.id, attempt=number, provider=attempt.provider, cause=DIALER_DIED)
    if call.canceled_at is not None:
        hang_up_canceled(ports, call.id, number)


def _ask(ports: Ports, record: CallRecord, now: datetime) -> Lookup:
    """Return what the provider says of the latest attempt of a call."""
    call, number = record.call, record.call.attempt
    attempt = record.attempt(number)
    if attempt is None or too_early(record, now, ports.longest_attempt):
        if attempt is not None and attempt.provider_call_id is not None:
            own(ports, call, attempt, attempt.provider_call_id, confirmed=True)  # its dialer stopped before it could
        return Lookup(LookupResult.TOO_EARLY, number)
    try:
        provider = ports.provider(attempt.provider)
    except RedialError as error:  # the provider is not set up any more, or its secret cannot be read
        warn("provider-not-set-up", call=call.id, attempt=number, provider=attempt.provider, error=str(error))
        return Lookup(LookupResult.NOT_SET_UP, number)
    try:
        if attempt.provider_call_id is not None:
            return _as_lookup(provider.lookup(attempt.provider_call_id), LookupResult.NONE, number)
        return _find_call(ports, provider, call, attempt)
    except Unanswered as error:
        warn("provider-unanswered", call=call.id, attempt=number, error=str(error))
        return Lookup(LookupResult.UNANSWERED, number)


def _as_lookup(event: CallEvent | None, if_none: LookupResult, number: int) -> Lookup:
    if event is None:
        return Lookup(if_none, number)
    return Lookup(LookupResult.ENDED if event.is_terminal else LookupResult.GOES_ON, number, event)


def _find_call(ports: Ports, provider: Provider, call: Call, attempt: Attempt) -> Lookup:
    """Find an attempt that may have been placed, and whose provider's id is unknown.

    The provider searches for calls between the attempt's two numbers.
    """
    if call.erased_at is not None:
        return Lookup(LookupResult.UNSURE, attempt.number)  # the number to search for is erased
    since, until = attempt.claimed_at - CLOCKS_APART, ports.clock.now()
    found = provider.find(call.to_number, call.from_number, since, until, call.agent_version_id)
    if not found:
        return Lookup(LookupResult.UNSURE if found is None else LookupResult.NONE, attempt.number)
    match = _matching_call(ports, call, attempt, found)
    if match is not None:
        confirmed = match.token == attempt.token
        match = match if own(ports, call, attempt, match.provider_call_id, confirmed=confirmed) else None
    return _as_lookup(match, LookupResult.UNSURE, attempt.number)


def _matching_call(ports: Ports, call: Call, attempt: Attempt, found: list[CallEvent]) -> CallEvent | None:
    """Return the found call that is this attempt's; None if that is not certain."""
    by_token = [event for event in found if event.token == attempt.token]
    if by_token:
        return by_token[0]
    unnamed = [event for event in found if event.token is None]
    return unnamed[0] if len(unnamed) == 1 and _is_only_recent_attempt(ports, call, attempt) else None


def _is_only_recent_attempt(ports: Ports, call: Call, attempt: Attempt) -> bool:
    """Return True if no other attempt to the number was made near this one, or since.

    Otherwise the found call could be the other attempt's. Near means up to CONFIRMED_AFTER before the claim.
    """
    made = ports.numbers.load(call.workspace, call.to_number).dialed_at
    return not any(at >= attempt.claimed_at - CONFIRMED_AFTER for key, at in made.items() if key != attempt.id)
