"""Decide which call of ours owns a provider's call.

The attempt that placed it has precedence over a call that adopted it.
"""

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
    """Return the name of a provider's call on the account that this deployment uses."""
    return CallName(provider, ports.provider(provider).account, provider_call_id)


def owned_until(ports: Ports, call: Call) -> datetime:
    """Return the time until which the table remembers an attempt as an owner.

    Nobody looks for a lost placement later than that.
    """
    return max(ports.clock.now() + ports.longest_attempt * 2, call.expires_at)


def own(ports: Ports, call: Call, attempt: Attempt, provider_call_id: str, *, confirmed: bool) -> bool:
    """Make an attempt the owner of a provider's call. Return False if it cannot be.

    Another owner keeps the call, with one exception: a ``confirmed`` attempt takes the call over from a call that
    adopted it. An attempt is confirmed if it is known to have placed the call, and not only may have.
    """
    name = call_name(ports, attempt.provider, provider_call_id)
    owner = ports.owners.find(name)
    if owner is None or owner.token == attempt.token:
        owned = ports.owners.own(name, attempt, owned_until(ports, call))
    else:
        owned = confirmed and _take_over(ports, call, attempt, name, owner)
    if not owned:
        warn("provider-call-owned-twice", call=call.id, attempt=attempt.number, provider=attempt.provider)
    return owned


def _take_over(ports: Ports, call: Call, attempt: Attempt, name: CallName, owner: Owner) -> bool:
    """Take a provider's call from the call that adopted it. Return False on failure.

    The adopted call ends first: two calls of ours would dial the person twice.
    """
    if owner.adopted_by is None:
        return False
    adopted = Named.by_token(name.provider, owner.token)
    try:
        change(ports, adopted.call_id, lambda record: lifecycle.disown(record, adopted.number, ports.clock.now()))
    except RedialError as error:  # the adopted call keeps changing, or its data cannot be read
        warn("adopted-call-not-ended", call=adopted.call_id, error=str(error))
        return False
    return ports.owners.take_over(name, attempt, owned_until(ports, call), owner)
