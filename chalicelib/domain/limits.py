"""The limits of a workspace: what it may dial and spend."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a workspace. None means that nobody set that limit.

    ``allow`` are the entries of the allowed destinations (see ``destinations.entry``). ``daily_dials`` and
    ``daily_minutes`` count by UTC days.
    """

    allow: tuple[str, ...] | None = None
    daily_dials: int | None = None
    daily_minutes: int | None = None


NO_LIMITS = Limits()
