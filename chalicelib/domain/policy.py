"""A retry policy: when and whether to dial again. Frozen data; each call keeps its own snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chalicelib.domain.outcome import Outcome

#: What happens after an outcome that no rule can change, whatever a policy says.
NEVER_RETRIED = frozenset({Outcome.COMPLETED, Outcome.CANCELED, Outcome.INVALID_NUMBER, Outcome.DND})


@dataclass(frozen=True, slots=True)
class OutcomeRule:
    """What to do after one outcome; ``wait_minutes`` and ``max_retries`` are its own where given."""

    retry: bool
    wait_minutes: float | None = None
    max_retries: int | None = None


@dataclass(frozen=True, slots=True)
class NoRetry:
    """One attempt, whatever comes of it."""

    type: Literal["none"] = "none"


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same wait before every retry, in minutes from the end of the attempt before."""

    wait_minutes: float
    type: Literal["fixed"] = "fixed"


Strategy = NoRetry | Fixed


@dataclass(frozen=True, slots=True)
class Policy:
    """When and whether to dial again.

    ``max_retries`` excludes the first dial: attempts run from 1 to ``max_retries + 1``. An outcome without a rule is
    not retried. A call that is not over ``expires_after_hours`` after its creation is dialled no more.
    """

    max_retries: int = 0
    strategy: Strategy = field(default_factory=NoRetry)
    on: Mapping[Outcome, OutcomeRule] = field(default_factory=dict)
    expires_after_hours: float = 72

    def rule(self, outcome: Outcome) -> OutcomeRule:
        """The rule for an outcome, with what no policy can change taken care of."""
        if outcome in NEVER_RETRIED:
            return OutcomeRule(retry=False)
        return self.on.get(outcome, OutcomeRule(retry=False))
