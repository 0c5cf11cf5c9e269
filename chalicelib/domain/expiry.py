"""The expiry of a call: the end of its policy's hours, or later.

If the window is closed at that end, the call expires after the window's next opening. A long weekend lasts longer than
the default of 72 hours. Without this rule, a call placed before Easter would end before Redial may dial again.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from chalicelib.domain.policy import Policy
from chalicelib.domain.window import next_closing, next_opening
from chalicelib.domain.work import TooComplex, Work


class Expiry(NamedTuple):
    """The time at which a call expires.

    ``policy_ends_at`` is the end of the policy's own hours if that end is earlier, else None.
    """

    at: datetime
    policy_ends_at: datetime | None = None


def expiry(policy: Policy, zones: tuple[str, ...], start_at: datetime) -> Expiry:
    """Return the expiry of a call that starts at ``start_at`` (UTC).

    If the window is closed at the end of the policy's hours, the call expires at the end of the next stretch of open
    hours. At most 24 hours of that stretch count.
    """
    ends_at = start_at + timedelta(hours=policy.expires_after_hours)
    zones = policy.window_zones(zones)
    if policy.window is None or policy.ends_sharp or not zones:
        return Expiry(ends_at)
    try:
        opening = next_opening(policy.window, ends_at, zones, work=Work())
    except TooComplex:
        return Expiry(ends_at)  # the decision reaches the same bound, and its step says so
    if opening is None or opening.at == ends_at:
        return Expiry(ends_at)
    return Expiry(next_closing(policy.window, opening.at, zones), ends_at)
