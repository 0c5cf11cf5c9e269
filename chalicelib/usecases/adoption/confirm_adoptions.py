"""Confirm adoptions: look up calls whose callbacks are no proof, then adopt them.

The look-up uses the deployment's own credentials at the provider.
"""

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
from chalicelib.usecases.adoption.take_adoption import leave_alone, load_adoption, needs_proof, record
from chalicelib.usecases.calls.redial_due import TimeLeft
from chalicelib.usecases.calls.take_callback import LEFT_ALONE, take_named
from chalicelib.usecases.ports import Ports

#: A call that the provider does not confirm within this time is not adopted.
CONFIRM_WITHIN = timedelta(minutes=15)
#: The time between one look-up and the next.
LOOK_UP_AGAIN_AFTER = timedelta(minutes=1)


def confirm_adoptions(ports: Ports, time_left: TimeLeft) -> Counter[str]:
    """Look up each call that waits for confirmation. Return how many came to each end."""
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
        except Exception as error:  # an error of one call must not stop the others
            broken("adoption-broken", error, provider=pending.name.provider, call=pending.name.id)
            ends["broken"] += 1
    return ends


def _confirm(ports: Ports, pending: Pending, now: datetime) -> str:
    adoption = load_adoption(ports, pending.workspace, pending.policy_name, pending.public_url)
    if adoption is None:
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
    return _confirm_call(ports, provider, pending, adoption, now)


def _confirm_call(ports: Ports, provider: Provider, pending: Pending, adoption: Adoption, now: datetime) -> str:
    looked_up = _look_up_call(provider, pending)
    if looked_up is None:
        return _later(ports, pending, now, "not-confirmed")
    leg = leg_in_session(ports, pending.name, looked_up)
    if leg in LEFT_ALONE:
        leave_alone(ports, pending.name, leg)
        ports.adoptions.remove(pending)
        return "left-alone"
    if leg is not Leg.OUTGOING:
        return _later(ports, pending, now, "leg-unknown")
    if not all(_numbers_agree(event, looked_up) for event in pending.events):
        return _drop(ports, pending, "numbers-differ")
    if looked_up.to_number is None or looked_up.from_number is None:
        return _later(ports, pending, now, "no-numbers")
    return _adopt(ports, provider, pending, looked_up, adoption, now)


def _look_up_call(provider: Provider, pending: Pending) -> CallEvent | None:
    """Return the provider's answer about a call; None if it has none or gives none.

    If the provider signs its callbacks, they supply the numbers that the answer leaves out.
    """
    try:
        looked_up = provider.lookup(pending.name.id)
    except Unanswered as error:
        warn("provider-unanswered", provider=pending.name.provider, call=pending.name.id, error=str(error))
        return None
    if looked_up is None or not provider.signs_callbacks:
        return looked_up
    return replace(
        looked_up,
        to_number=_first([looked_up.to_number, *(each.to_number for each in pending.events)]),
        from_number=_first([looked_up.from_number, *(each.from_number for each in pending.events)]),
    )


def _first(numbers: Iterable[str | None]) -> str | None:
    """Return the first number that is not None; None if all are."""
    return next(filter(None, numbers), None)


def _adopt(
    ports: Ports, provider: Provider, pending: Pending, looked_up: CallEvent, adoption: Adoption, now: datetime
) -> str:
    owner = adopt_call(ports, pending.name.provider, looked_up, adoption)
    if owner is None:
        ports.adoptions.remove(pending)
        return "erased"
    if owner.keeps_out(pending.workspace):
        return _drop(ports, pending, "adopted-elsewhere")
    if provider.signs_callbacks:
        return _take_in(ports, pending, owner, pending.events)
    return _take_in_unsigned(ports, pending, looked_up, owner, now)


def _take_in_unsigned(ports: Ports, pending: Pending, looked_up: CallEvent, owner: Owner, now: datetime) -> str:
    """Take in unsigned callbacks: they prove the progress of a call, but not its end.

    The end is the one that the look-up returned.
    """
    proven = (looked_up,) if needs_proof(looked_up) else ()
    progress = tuple(event for event in pending.events if not needs_proof(event))
    if proven or len(progress) == len(pending.events):
        return _take_in(ports, pending, owner, (*progress, *proven))
    return _later(ports, pending, now, "not-confirmed")


def _numbers_agree(event: CallEvent, looked_up: CallEvent) -> bool:
    pairs = ((event.to_number, looked_up.to_number), (event.from_number, looked_up.from_number))
    return all(claimed is None or confirmed is None or claimed == confirmed for claimed, confirmed in pairs)


def _take_in(ports: Ports, pending: Pending, owner: Owner, events: tuple[CallEvent, ...]) -> str:
    for event in events:
        take_named(ports, Named.by_token(pending.name.provider, owner.token), event)
    ports.adoptions.remove(pending)
    return "adopted"


def _later(ports: Ports, pending: Pending, now: datetime, reason: str) -> str:
    if now >= pending.since + CONFIRM_WITHIN:
        return _drop(ports, pending, reason)
    ports.adoptions.postpone(pending, now + LOOK_UP_AGAIN_AFTER)
    return "left"


def _drop(ports: Ports, pending: Pending, reason: str) -> str:
    if ports.adoptions.remove(pending):
        record(ports, pending.workspace, pending.policy_name, pending.name.provider, pending.name.id, reason)
    return "not-adopted"
