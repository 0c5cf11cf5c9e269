"""Settle who owns a call that a provider knows: the attempt that placed it, before any call that adopted it."""

from datetime import datetime

from chalicelib.domain import lifecycle
from chalicelib.domain.call import Attempt, Call
from chalicelib.errors import RedialError
from chalicelib.runtime.log import warn
from chalicelib.storage.notes import Named
from chalicelib.storage.owners import CallName, Owner
from chalicelib.usecases.calls.schedule import change
from chalicelib.usecases.ports import Ports


def call_name(ports: Ports, provider: str, provider_call_id: str) -> CallName:
    """Return the call's name on the account that this deployment uses."""
    return CallName(provider, ports.provider(provider).account, provider_call_id)


def owned_until(ports: Ports, call: Call) -> datetime:
    """Return until when an attempt is known as its owner: nobody looks for a lost placement later than that."""
    return max(ports.clock.now() + ports.longest_attempt * 2, call.expires_at)


def own(ports: Ports, call: Call, attempt: Attempt, provider_call_id: str, *, confirmed: bool) -> bool:
    """Make an attempt the owner of a provider's call. False where another one is.

    ``confirmed`` says that this attempt placed the call, and not only that it may have: then it takes the call over
    from whoever adopted it.
    """
    name = call_name(ports, attempt.provider, provider_call_id)
    owner = ports.owners.find(name)
    if owner is None or owner.token == attempt.token:
        owned = ports.owners.own(name, attempt, owned_until(ports, call))
    else:
        owned = confirmed and _taken_over(ports, call, attempt, name, owner)
    if not owned:
        warn("provider-call-owned-twice", call=call.id, attempt=attempt.number, provider=attempt.provider)
    return owned


def _taken_over(ports: Ports, call: Call, attempt: Attempt, name: CallName, owner: Owner) -> bool:
    """Take a call from the call that adopted it, which ends first: two of them would dial the person twice."""
    if owner.adopted_by is None:
        return False
    adopted = Named.by_token(name.provider, owner.token)
    try:
        change(ports, adopted.call_id, lambda record: lifecycle.disown(record, adopted.number, ports.clock.now()))
    except RedialError as error:  # it keeps changing, or its data cannot be read
        warn("adopted-call-not-ended", call=adopted.call_id, error=str(error))
        return False
    return ports.owners.take_over(name, attempt, owned_until(ports, call), owner)
