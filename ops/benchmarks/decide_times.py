"""The time that decide() takes, compared with the time to parse a policy.

Absolute times hold only for this computer on this day.
"""

import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from chalicelib.dialects.dialnexa import RetryIn
from chalicelib.domain.decide import Situation, decide
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.past_attempt import PastAttempt

START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
RETRY = {
    "max_retries": 3,
    "strategy": {"type": "fixed", "wait_minutes": 30},
    "on": {"busy": True, "no-answer": {"wait_minutes": 20}, "failed": {"max_retries": 1}, "voicemail": False},
    "window": {"open": {day: [["09:00", "21:00"]] for day in WEEK}, "pause": {"monday": [["12:00", "14:00"]]}},
    "expires_after_hours": 72,
}
CAPPED = {**RETRY, "caps": [{"max_attempts": 4, "per_hours": 24}]}
REPEATS = 7


def best_micros(work: Callable[[], object]) -> float:
    """Return the microseconds of one run of ``work``, the best of several rounds.

    A round has as many runs as take a tenth of a second.
    """
    timer = timeit.Timer(work)
    runs, seconds = timer.autorange()
    runs = max(1, round(runs * 0.1 / max(seconds, 1e-6)))
    return min(timer.repeat(REPEATS, runs)) / runs * 1e6


def cases() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name. The others are compared with the first."""
    plain, capped = RetryIn.model_validate(RETRY).policy(), RetryIn.model_validate(CAPPED).policy()
    zone = ("Asia/Kolkata",)
    inside = PastAttempt(1, Outcome.BUSY, START, START)
    evening = START + timedelta(hours=5, minutes=20)
    outside = PastAttempt(1, Outcome.BUSY, evening, evening)
    expires_at = START + timedelta(hours=72)
    many = ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles")
    return {
        "parse the policy with pydantic": lambda: RetryIn.model_validate(RETRY).policy(),
        "decide: fixed, window, inside it": lambda: decide(plain, Situation(expires_at, zone, (inside,))),
        "decide: fixed, window, rescheduled to the next day": lambda: decide(
            plain, Situation(expires_at, zone, (outside,))
        ),
        "decide: the same with a cap": lambda: decide(capped, Situation(expires_at, zone, (inside,), (START,))),
        "decide: fixed, window, four zones": lambda: decide(plain, Situation(expires_at, many, (inside,))),
    }
