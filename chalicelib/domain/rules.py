"""The rules for a number: the hours and the caps of presets, windows and policies."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.domain.caps import Cap
from chalicelib.domain.narrowing import narrowed
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.window import Window


@dataclass(frozen=True, slots=True)
class Rules:
    """The window, the caps, and the hours of quiet after each outcome.

    ``presets`` are the names of the presets that the rules contain.
    """

    window: Window | None = None
    caps: tuple[Cap, ...] = ()
    quiet_after: Mapping[Outcome, float] = field(default_factory=dict)
    presets: tuple[str, ...] = ()

    def narrowed_by(self, other: "Rules") -> "Rules":
        """Return the rules that are as strict as both.

        The result has the hours that are in both windows, all caps, and the longer quiet. Raises ValueError if the
        windows have different time zones.
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
