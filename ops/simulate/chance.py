"""Chance that a seed determines: each draw has a name, so that leaving one call out changes no other call's luck."""

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
    """Draws by name. The same seed and name always give the same draw, whatever else was drawn before."""

    def __init__(self, seed: int, focus: str | None = None) -> None:
        self.seed = seed
        self._focus = FOCI[focus] if focus else None

    def odds(self, situation: str, usual: float) -> float:
        """How likely a situation of the traffic is: as usual, or as the run's focus says."""
        return self._focus.odds.get(situation, usual) if self._focus else usual

    def share(self, fault: str, usual: float) -> float:
        """How likely a fault is on its occasions; where there are no faults, no focus brings any."""
        return self._focus.faults.get(fault, usual) if self._focus and usual else usual

    def unit(self, *name: object) -> float:
        """A number from 0 up to 1."""
        text = ":".join(map(str, (self.seed, *name)))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64

    def between(self, least: float, most: float, *name: object) -> float:
        """A number from ``least`` up to ``most``."""
        return least + (most - least) * self.unit(*name)

    def pick(self, choices: Sequence[tuple[float, Choice]], *name: object) -> Choice:
        """One of the choices, each with its weight."""
        left = self.unit(*name) * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][1]

    def stream(self, *name: object) -> random.Random:
        """A generator of its own, for whoever draws many times."""
        return random.Random(":".join(map(str, (self.seed, *name))))  # noqa: S311 - a simulation, no secret


@contextmanager
def no_real_chance(chance: Chance) -> Iterator[None]:
    """Whatever asks the machine for chance meanwhile (ids, tokens, jitter, request ids) is given the seed's."""
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
