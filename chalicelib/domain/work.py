"""A bound on the work of one decision, so that no policy can stall other calls."""

#: the units of one decision; a real policy takes a few hundred: 41 zones, and some days until all of them are open
MAX_WORK = 10_000


class TooComplex(Exception):
    """A decision that would take more work than the bound."""


class Work:
    """The work that is left for a decision.

    One unit is one look at the hours of one time zone, which takes about 10 microseconds.
    """

    def __init__(self, left: int = MAX_WORK) -> None:
        self._left = left

    def spend(self, units: int) -> None:
        """Count work that is about to be done. Raise TooComplex if the bound is reached."""
        self._left -= units
        if self._left < 0:
            raise TooComplex
