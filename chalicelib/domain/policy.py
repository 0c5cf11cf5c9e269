"""A retry policy: whether to dial again, and when.

A policy is frozen data, and each call keeps its own copy.
"""

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

#: the outcomes that no policy can retry
NEVER_RETRIED = frozenset({Outcome.COMPLETED, Outcome.CANCELED, Outcome.INVALID_NUMBER, Outcome.DND})


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """The rule for one outcome.

    ``wait_minutes`` and ``max_retries`` hold for this outcome only, if given. ``target_url`` is the target of the next
    attempt, for example one that leaves a message on a voicemail.
    """

    retry: bool
    wait_minutes: float | None = None
    max_retries: int | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class Failover:
    """The provider that takes over if the first provider's network could not connect.

    ``from_number`` and ``target_url`` replace those of the call, if given.
    """

    provider: str
    from_number: str | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a call's retries.

    - ``max_retries``: does not count the first dial. A call has at most ``max_retries + 1`` attempts, and no rule can
      add to that.
    - ``on``: the rule for each outcome. An outcome without a rule is not retried.
    - ``expires_after_hours``: no attempt is made later than this after the start of the call. If the window is closed
      at that end, the end moves behind the window's next opening, unless ``ends_sharp`` is set.
    - ``takes_default_cap``: False if the policy itself says its caps, or says that it has none.
    - ``quiet_after``: maps an outcome to hours. For so long after an attempt that ended with the outcome, the number is
      not dialled. Attempts of all calls of the workspace to the number count.
    - ``presets``: the names of the presets in the policy. ``held_to`` replaces a preset that depends on the number.
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
        """The rules of this policy for when, and how often, a number may be called."""
        return Rules(self.window, self.caps, self.quiet_after, self.presets)

    def with_rules(self, rules: Rules) -> "Policy":
        """Return the policy with these rules instead of its own."""
        window, caps, quiet_after, presets = rules.window, rules.caps, rules.quiet_after, rules.presets
        return replace(self, window=window, caps=caps, quiet_after=quiet_after, presets=presets)

    def held_to(self, number: str, default_cap: Cap | None) -> "Policy":
        """Return the policy for a call to ``number``, as the call must follow it.

        The result has the presets for the number's place, and the default cap.
        """
        return self._for_number(number).with_default_cap(default_cap)

    def _for_number(self, number: str) -> "Policy":
        if not self.presets:
            return self
        # Imported here, because callbacks and wakes do not need it: the call already contains its rules.
        from chalicelib.domain.presets import goes_by_number, rules_for

        if not goes_by_number(self.presets):
            return self
        of_number = rules_for(self.presets, number, self.window.timezone if self.window else RECIPIENT)
        return self.with_rules(replace(self.rules, presets=()).narrowed_by(of_number))

    def with_default_cap(self, cap: Cap | None) -> "Policy":
        """Return the policy with the default cap, unless its own caps are as strict.

        If the policy itself says its caps, the caps stay unchanged.
        """
        if cap is None or not self.takes_default_cap or any(own.covers(cap) for own in self.caps):
            return replace(self, takes_default_cap=False)
        return replace(self, caps=(*self.caps, cap), takes_default_cap=False)

    def rule(self, outcome: Outcome) -> OutcomeRule:
        """Return the rule for an outcome. No policy can retry an outcome of NEVER_RETRIED."""
        if outcome in NEVER_RETRIED:
            return OutcomeRule(retry=False)
        return self.on.get(outcome, OutcomeRule(retry=False))

    @property
    def needs_zones(self) -> bool:
        """The local time of the number matters to this policy."""
        local_window = self.window is not None and self.window.timezone == "recipient"
        own_zone = self.window is not None and not local_window
        local_strategy = needs_zones(self.strategy) and not own_zone
        return local_window or local_strategy or any(cap.per == "day" for cap in self.caps)

    def window_zones(self, zones: tuple[str, ...]) -> tuple[str, ...]:
        """Return the zones in which the window and the strategy read the clock.

        A window with a zone of its own uses that zone, otherwise ``zones``.
        """
        own_zone = self.window is not None and self.window.timezone != RECIPIENT
        return (self.window.timezone,) if self.window is not None and own_zone else zones

    @property
    def reach(self) -> timedelta:
        """The time back from now in which attempts to the number can matter."""
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
