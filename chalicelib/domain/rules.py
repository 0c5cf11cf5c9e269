"""When a number may be called and how often: what a preset, a user's window and a named policy have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.domain.caps import Cap
from chalicelib.domain.narrowing import narrowed
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.window import Window


@dataclass(frozen=True, slots=True)
class Rules:
    """A window, caps, and the hours of quiet after an outcome; ``presets`` are the names of those that are in it."""

    window: Window | None = None
    caps: tuple[Cap, ...] = ()
    quiet_after: Mapping[Outcome, float] = field(default_factory=dict)
    presets: tuple[str, ...] = ()

    def narrowed_by(self, other: "Rules") -> "Rules":
        """Return what both allow: the hours in both windows, all caps, and the longer quiet.

        Raise ValueError where the windows' time zones differ.
        """
        window = self.window or other.window
        if self.window is not None and other.window is not None:
            window = narrowed(self.window, other.window)
        outcomes = {*self.quiet_after, *other.quiet_after}
        return Rules(
            window,
            tuple(dict.fromkeys((*self.caps, *other.caps))),
            {each: max(self.quiet_after.get(each, 0), other.quiet_after.get(each, 0)) for each in sorted(outcomes)},
            tuple(dict.fromkeys((*self.presets, *other.presets))),
        )
