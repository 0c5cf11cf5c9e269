"""An attempt as decide() needs it."""

from dataclasses import dataclass
from datetime import datetime

from chalicelib.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that was made and has ended. Times are UTC."""

    number: int
    outcome: Outcome
    started_at: datetime
    ended_at: datetime
