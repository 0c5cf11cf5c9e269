"""A retry policy: when and whether to dial again. Frozen data; each call keeps its own snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.rules import Rules
from chalicelib.domain.strategies import (
    Exponential,
    Fixed,
    Intervals,
    NoRetry,
    Scheduled,
    Strategy,
    TimeOfDay,
    needs_zones,
)
from chalicelib.domain.window import RECIPIENT, Window

#: What happens after an outcome that no rule can change, whatever a policy says.
NEVER_RETRIED = frozenset({Outcome.COMPLETED, Outcome.CANCELED, Outcome.INVALID_NUMBER, Outcome.DND})


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """What to do after one outcome.

    ``wait_minutes`` and ``max_retries`` are its own where given. ``target_url`` hands the next attempt to another
    target, one that leaves a message on a voicemail for instance.
    """

    retry: bool
    wait_minutes: float | None = None
    max_retries: int | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class Failover:
    """The provider that takes a call over once the first one's network could not connect it.

    ``from_number`` and ``target_url`` are what the other provider needs in place of the call's own, where given.
    """

    provider: str
    from_number: str | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """When and whether to dial again.

    ``max_retries`` excludes the first dial: attempts run from 1 to ``max_retries + 1``, and no rule can add to that.
    An outcome without a rule is not retried. A call is dialled no more once ``expires_after_hours`` have passed since
    it was to start; where the window is closed then, that end moves behind its next opening unless ``ends_sharp``.
    ``takes_default_cap`` is False where the policy says its caps itself, if only that it has none. ``quiet_after`` maps
    an outcome to the hours after the end of such an attempt, of any call of the workspace to the number, in which the
    number is not dialled. ``presets`` names the presets that are in the policy; one that goes by the number is put in
    place by ``held_to``.
    """

    max_retries: int = 0
    strategy: Strategy = field(default_factory=NoRetry)
    on: Mapping[Outcome, OutcomeRule] = field(default_factory=dict)
    window: Window | None = None
    caps: tuple[Cap, ...] = ()
    expires_after_hours: float = 72
    failover: Failover | None = None
    ends_sharp: bool = False
    takes_default_cap: bool = True
    quiet_after: Mapping[Outcome, float] = field(default_factory=dict)
    presets: tuple[str, ...] = ()

    @property
    def rules(self) -> Rules:
        """When a number may be called by this policy, and how often."""
        return Rules(self.window, self.caps, self.quiet_after, self.presets)

    def with_rules(self, rules: Rules) -> "Policy":
        """Return the policy with these rules in place of its own."""
        window, caps, quiet_after, presets = rules.window, rules.caps, rules.quiet_after, rules.presets
        return replace(self, window=window, caps=caps, quiet_after=quiet_after, presets=presets)

    def held_to(self, number: str, default_cap: Cap | None) -> "Policy":
        """Return the policy as a call to a number is held to it: with its place's presets and the default cap."""
        return self._for_number(number).with_default_cap(default_cap)

    def _for_number(self, number: str) -> "Policy":
        if not self.presets:
            return self
        # Loaded here: a callback and a wake find the rules in the call.
        from chalicelib.domain.presets import goes_by_number, rules_for

        if not goes_by_number(self.presets):
            return self
        placed = rules_for(self.presets, number, self.window.timezone if self.window else RECIPIENT)
        return self.with_rules(replace(self.rules, presets=()).narrowed_by(placed))

    def with_default_cap(self, cap: Cap | None) -> "Policy":
        """Return the policy as a call is held to it: with the default cap, unless it has its own or a stricter one."""
        if cap is None or not self.takes_default_cap or any(own.covers(cap) for own in self.caps):
            return replace(self, takes_default_cap=False)
        return replace(self, caps=(*self.caps, cap), takes_default_cap=False)

    def rule(self, outcome: Outcome) -> OutcomeRule:
        """The rule for an outcome, with what no policy can change taken care of."""
        if outcome in NEVER_RETRIED:
            return OutcomeRule(retry=False)
        return self.on.get(outcome, OutcomeRule(retry=False))

    @property
    def needs_zones(self) -> bool:
        """True where the local time of the number matters."""
        local_window = self.window is not None and self.window.timezone == "recipient"
        own_zone = self.window is not None and not local_window
        local_strategy = needs_zones(self.strategy) and not own_zone
        return local_window or local_strategy or any(cap.per == "day" for cap in self.caps)

    def window_zones(self, zones: tuple[str, ...]) -> tuple[str, ...]:
        """Return the zones that the window and the strategy read the clock in: the window's own, else ``zones``."""
        own_zone = self.window is not None and self.window.timezone != RECIPIENT
        return (self.window.timezone,) if self.window is not None and own_zone else zones

    @property
    def reach(self) -> timedelta:
        """How far back attempts to the number can matter."""
        return max((cap.reach for cap in self.caps), default=timedelta())


__all__ = [
    "NEVER_RETRIED",
    "Exponential",
    "Failover",
    "Fixed",
    "Intervals",
    "NoRetry",
    "OutcomeRule",
    "Policy",
    "Scheduled",
    "Strategy",
    "TimeOfDay",
]
