"""Find out what became of an attempt that was silent until its deadline: ask its provider, then decide by what it says.

Nothing is asked inside the change of the call, which is repeated where others change the call meanwhile.
"""

from datetime import datetime, timedelta

from chalicelib.domain.call import TIMED_OUT, Attempt, Call, CallRecord
from chalicelib.domain.events import CallEvent
from chalicelib.domain.lifecycle import DIALER_DIED
from chalicelib.domain.silence import CONFIRMED_AFTER, Said, Word, after_silence, is_silent, too_early
from chalicelib.domain.transition import Effect, Transition
from chalicelib.errors import RedialError
from chalicelib.providers import Provider, Unanswered
from chalicelib.runtime.log import warn
from chalicelib.usecases.calls.cancel_call import hang_up_canceled
from chalicelib.usecases.calls.ownership import own
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.gates.breaker import report_fault
from chalicelib.usecases.ports import Ports

#: A call that the provider made between the same two numbers this long around the claim may be the one.
CLOCKS_APART = timedelta(seconds=5)


def look_into(ports: Ports, call_id: str, now: datetime) -> str:
    """Ask about the silent attempt of a call and change the call by the answer.

    Returns ``ended``, ``still-live`` or ``skipped``.
    """
    record = ports.calls.load(call_id)
    if record is None or not is_silent(record, now):
        return "skipped"
    said = _ask(ports, record, now)
    limit = ports.longest_attempt
    transition = change(ports, call_id, lambda current: after_silence(current, said, now, limit))
    if transition.effect is Effect.NOTHING:
        return "skipped"
    return _followed_up(ports, transition, said)


def _followed_up(ports: Ports, transition: Transition, said: Said) -> str:
    """Do what the end, or the going on, of a silent attempt calls for."""
    call, ended = transition.call, transition.ended_attempt
    if ended is None:
        _still_live(ports, transition, said.attempt)
        return "still-live"
    if said.event is not None and said.event.fault is not None and not ended.counts:
        report_fault(ports, transition.before.call, ended, said.event)
    if ended.cause in TIMED_OUT:
        warn("attempt-timed-out", call=call.id, attempt=ended.number, cause=ended.cause, provider=ended.provider)
    return "ended"


def _still_live(ports: Ports, transition: Transition, number: int) -> None:
    call = transition.call
    if transition.attempt is not None and transition.attempt.cause == DIALER_DIED:
        warn("placement-unknown", call=call.id, attempt=number, cause=DIALER_DIED)
    if call.canceled_at is not None:
        hang_up_canceled(ports, call.id, number)


def _ask(ports: Ports, record: CallRecord, now: datetime) -> Said:
    """Return what the provider says of the latest attempt of a call."""
    call, number = record.call, record.call.attempt
    attempt = record.attempt(number)
    if attempt is None or too_early(record, now, ports.longest_attempt):
        if attempt is not None and attempt.provider_call_id is not None:
            own(ports, call, attempt, attempt.provider_call_id, confirmed=True)  # its dialer did not live to do so
        return Said(Word.TOO_EARLY, number)
    try:
        provider = ports.provider(attempt.provider)
    except RedialError as error:  # not set up any more, or its secret cannot be read
        warn("provider-not-set-up", call=call.id, attempt=number, provider=attempt.provider, error=str(error))
        return Said(Word.NOT_SET_UP, number)
    try:
        if attempt.provider_call_id is not None:
            return _told(provider.lookup(attempt.provider_call_id), Word.NONE, number)
        return _found(ports, provider, call, attempt)
    except Unanswered as error:
        warn("provider-unanswered", call=call.id, attempt=number, error=str(error))
        return Said(Word.UNANSWERED, number)


def _told(event: CallEvent | None, without: Word, number: int) -> Said:
    if event is None:
        return Said(without, number)
    return Said(Word.ENDED if event.is_terminal else Word.GOES_ON, number, event)


def _found(ports: Ports, provider: Provider, call: Call, attempt: Attempt) -> Said:
    """Look for an attempt that may have been placed, under an id that never reached us, between its two numbers."""
    if call.erased_at is not None:
        return Said(Word.UNSURE, attempt.number)  # there is no number left to ask for
    since, until = attempt.claimed_at - CLOCKS_APART, ports.clock.now()
    found = provider.find(call.to_number, call.from_number, since, until, call.agent_version_id)
    if not found:
        return Said(Word.UNSURE if found is None else Word.NONE, attempt.number)
    ours = _ours(ports, call, attempt, found)
    if ours is not None:
        confirmed = ours.token == attempt.token
        ours = ours if own(ports, call, attempt, ours.provider_call_id, confirmed=confirmed) else None
    return _told(ours, Word.UNSURE, attempt.number)


def _ours(ports: Ports, call: Call, attempt: Attempt, found: list[CallEvent]) -> CallEvent | None:
    """The one of the calls found that is this attempt's; None where that is not sure."""
    by_token = [event for event in found if event.token == attempt.token]
    if by_token:
        return by_token[0]
    unnamed = [event for event in found if event.token is None]
    return unnamed[0] if len(unnamed) == 1 and _is_nobody_elses(ports, call, attempt) else None


def _is_nobody_elses(ports: Ports, call: Call, attempt: Attempt) -> bool:
    """True where no other attempt to the number was made just before this one or since: the call could be its."""
    made = ports.numbers.load(call.workspace, call.to_number).dialed_at
    return not any(at >= attempt.claimed_at - CONFIRMED_AFTER for key, at in made.items() if key != attempt.id)
