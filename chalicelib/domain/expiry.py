"""When a call expires: its policy's hours after its start, and never while the window is closed until its next opening.

A long weekend lasts longer than the default of 72 hours: without this, a call placed before Easter ends unheard.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from chalicelib.domain.policy import Policy
from chalicelib.domain.window import next_closing, next_opening
from chalicelib.domain.work import TooComplex, Work


class Expiry(NamedTuple):
    """When a call expires; ``policy_ends_at`` is the end by the policy's hours where that is earlier, else None."""

    at: datetime
    policy_ends_at: datetime | None = None


def expiry(policy: Policy, zones: tuple[str, ...], start_at: datetime) -> Expiry:
    """Return when a call that is to start at ``start_at`` (UTC) expires.

    Where the window is closed at the end of the policy's hours, the call expires at the end of the next stretch of open
    hours, of which at most 24 hours count.
    """
    ends_at = start_at + timedelta(hours=policy.expires_after_hours)
    zones = policy.window_zones(zones)
    if policy.window is None or policy.ends_sharp or not zones:
        return Expiry(ends_at)
    try:
        opening = next_opening(policy.window, ends_at, zones, work=Work())
    except TooComplex:
        return Expiry(ends_at)  # the decision meets the same bound, and says so
    if opening is None or opening.at == ends_at:
        return Expiry(ends_at)
    return Expiry(next_closing(policy.window, opening.at, zones), ends_at)
