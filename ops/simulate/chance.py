"""Chance that a seed determines. Each draw has a name.

If one call is left out, the draws of all other calls stay the same.
"""

import random
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TypeVar
from unittest.mock import patch

from ops.simulate.focus import FOCI

Choice = TypeVar("Choice")


class Chance:
    """Random draws by name. One seed and one name always give the same draw."""

    def __init__(self, seed: int, focus: str | None = None) -> None:
        self.seed = seed
        self._focus = FOCI[focus] if focus else None

    def odds(self, situation: str, usual: float) -> float:
        """Return the odds of a situation in the traffic: ``usual``, or those of the focus."""
        return self._focus.odds.get(situation, usual) if self._focus else usual

    def share(self, fault: str, usual: float) -> float:
        """Return the share of its occasions on which a fault happens.

        A focus adds no faults to a run without faults.
        """
        return self._focus.faults.get(fault, usual) if self._focus and usual else usual

    def unit(self, *name: object) -> float:
        """Return a number from 0 up to 1."""
        text = ":".join(map(str, (self.seed, *name)))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64

    def between(self, least: float, most: float, *name: object) -> float:
        """Return a number from ``least`` up to ``most``."""
        return least + (most - least) * self.unit(*name)

    def pick(self, choices: Sequence[tuple[float, Choice]], *name: object) -> Choice:
        """Choose one of the choices, each with its weight."""
        left = self.unit(*name) * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][1]

    def stream(self, *name: object) -> random.Random:
        """Return a generator of its own, for code that draws many times."""
        return random.Random(":".join(map(str, (self.seed, *name))))  # noqa: S311 - a simulation, no secret


@contextmanager
def no_real_chance(chance: Chance) -> Iterator[None]:
    """Draw ids, tokens, jitter and request ids from the seed, not from the machine."""
    drawn = chance.stream("machine")
    before = random.getstate()
    random.seed(f"{chance.seed}:global")
    try:
        with (
            patch("secrets.randbits", drawn.getrandbits),
            patch("secrets.randbelow", drawn.randrange),
            patch("secrets.token_hex", lambda size=32: f"{drawn.getrandbits(size * 8):0{size * 2}x}"),
            patch("secrets.token_urlsafe", lambda size=32: f"{drawn.getrandbits(size * 8):x}"),
            patch("uuid.uuid4", lambda: uuid.UUID(int=drawn.getrandbits(128), version=4)),
        ):
            yield
    finally:
        random.setstate(before)
