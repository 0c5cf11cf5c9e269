"""Confirm the calls whose callbacks could not be believed alone: look each up with our credentials, then adopt it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from chalicelib.domain.events import CallEvent, Leg
from chalicelib.errors import RedialError, TooBusy
from chalicelib.providers import Provider, Unanswered
from chalicelib.runtime.log import broken, warn
from chalicelib.storage.adoptions import Pending
from chalicelib.storage.notes import Named
from chalicelib.storage.owners import Owner
from chalicelib.usecases.adoption.adopt_call import Adoption, adopt_call, leg_in_session
from chalicelib.usecases.adoption.take_adoption import adoption_under, leave_alone, needs_proof, record
from chalicelib.usecases.calls.redial_due import TimeLeft
from chalicelib.usecases.calls.take_callback import LEFT_ALONE, take_named
from chalicelib.usecases.ports import Ports

#: A call that the provider does not confirm within this is not adopted.
CONFIRM_WITHIN = timedelta(minutes=15)
#: How long after one look-up the provider is asked again.
ASK_AGAIN = timedelta(minutes=1)


def confirm_adoptions(ports: Ports, time_left: TimeLeft) -> Counter[str]:
    """Look up every call that waits to be confirmed, and return how many came to which end."""
    ends: Counter[str] = Counter()
    now = ports.clock.now()
    for pending in ports.adoptions.pending():
        if pending.next_at > now:
            continue
        if not time_left.for_a_dial():
            ends["left"] += 1
            continue
        try:
            ends[_confirm(ports, pending, now)] += 1
        except TooBusy:
            ends["left"] += 1
        except RedialError as error:
            warn("adoption-refused", provider=pending.name.provider, call=pending.name.id, error=str(error))
            ends[_drop(ports, pending, "policy-cannot-dial")] += 1
        except Exception as error:  # one call's trouble must not keep the others from being confirmed
            broken("adoption-broken", error, provider=pending.name.provider, call=pending.name.id)
            ends["broken"] += 1
    return ends


def _confirm(ports: Ports, pending: Pending, now: datetime) -> str:
    under = adoption_under(ports, pending.workspace, pending.policy_name, pending.public_url)
    if under is None:
        return _drop(ports, pending, "policy-gone")
    provider = ports.provider(pending.name.provider)
    owner = ports.owners.find(pending.name)
    if owner is not None and owner.keeps_out(pending.workspace):
        return _drop(ports, pending, "adopted-elsewhere")
    leg = ports.adoptions.leg_of(pending.name)
    if leg in LEFT_ALONE:
        ports.adoptions.remove(pending)
        return "left-alone"
    if owner is not None and provider.signs_callbacks:
        return _take_in(ports, pending, owner, pending.events)
    return _look_up(ports, provider, pending, under, now)


def _look_up(ports: Ports, provider: Provider, pending: Pending, under: Adoption, now: datetime) -> str:
    said = _said(provider, pending)
    if said is None:
        return _later(ports, pending, now, "not-confirmed")
    leg = leg_in_session(ports, pending.name, said)
    if leg in LEFT_ALONE:
        leave_alone(ports, pending.name, leg)
        ports.adoptions.remove(pending)
        return "left-alone"
    if leg is not Leg.OUTGOING:
        return _later(ports, pending, now, "leg-unknown")
    if not all(_has_numbers_of(event, said) for event in pending.events):
        return _drop(ports, pending, "numbers-differ")
    if said.to_number is None or said.from_number is None:
        return _later(ports, pending, now, "no-numbers")
    return _adopt(ports, provider, pending, said, under, now)


def _said(provider: Provider, pending: Pending) -> CallEvent | None:
    """Return what the provider says of the call; None where it does not know it, or does not answer.

    Numbers that it leaves out come from the callbacks, where the provider signed them.
    """
    try:
        said = provider.lookup(pending.name.id)
    except Unanswered as error:
        warn("provider-unanswered", provider=pending.name.provider, call=pending.name.id, error=str(error))
        return None
    if said is None or not provider.signs_callbacks:
        return said
    return replace(
        said,
        to_number=_first([said.to_number, *(each.to_number for each in pending.events)]),
        from_number=_first([said.from_number, *(each.from_number for each in pending.events)]),
    )


def _first(numbers: Iterable[str | None]) -> str | None:
    """Return the first number that is there; None where none is."""
    return next(filter(None, numbers), None)


def _adopt(ports: Ports, provider: Provider, pending: Pending, said: CallEvent, under: Adoption, now: datetime) -> str:
    owner = adopt_call(ports, pending.name.provider, said, under)
    if owner is None:
        ports.adoptions.remove(pending)
        return "erased"
    if owner.keeps_out(pending.workspace):
        return _drop(ports, pending, "adopted-elsewhere")
    if provider.signs_callbacks:
        return _take_in(ports, pending, owner, pending.events)
    return _believed(ports, pending, said, owner, now)


def _believed(ports: Ports, pending: Pending, said: CallEvent, owner: Owner, now: datetime) -> str:
    """Take in unsigned callbacks: only their progress is believed; the end is the one that the look-up tells."""
    proven = (said,) if needs_proof(said) else ()
    along = tuple(event for event in pending.events if not needs_proof(event))
    if proven or len(along) == len(pending.events):
        return _take_in(ports, pending, owner, (*along, *proven))
    return _later(ports, pending, now, "not-confirmed")


def _has_numbers_of(event: CallEvent, said: CallEvent) -> bool:
    pairs = ((event.to_number, said.to_number), (event.from_number, said.from_number))
    return all(told is None or known is None or told == known for told, known in pairs)


def _take_in(ports: Ports, pending: Pending, owner: Owner, events: tuple[CallEvent, ...]) -> str:
    for event in events:
        take_named(ports, Named.by_token(pending.name.provider, owner.token), event)
    ports.adoptions.remove(pending)
    return "adopted"


def _later(ports: Ports, pending: Pending, now: datetime, reason: str) -> str:
    if now >= pending.since + CONFIRM_WITHIN:
        return _drop(ports, pending, reason)
    ports.adoptions.ask_again(pending, now + ASK_AGAIN)
    return "left"


def _drop(ports: Ports, pending: Pending, reason: str) -> str:
    if ports.adoptions.remove(pending):
        record(ports, pending.workspace, pending.policy_name, pending.name.provider, pending.name.id, reason)
    return "not-adopted"
