"""A bound on the work of one decision, so that no policy, however it is made, can stall the dials of others."""

#: Units of one decision. A real policy takes a few hundred: 41 zones, and some days until all of them are open.
MAX_WORK = 10_000


class TooComplex(Exception):
    """A decision that would take more work than one may."""


class Work:
    """The work that is left: one unit is one look at the hours of one time zone, some 20 microseconds."""

    def __init__(self, left: int = MAX_WORK) -> None:
        self._left = left

    def spend(self, units: int) -> None:
        """Count work that is about to be done. Raise TooComplex where no more may be."""
        self._left -= units
        if self._left < 0:
            raise TooComplex
