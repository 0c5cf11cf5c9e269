"""The retry rules of a request, read without the policy that Redial makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

#: The outcomes that are retried by default
BY_DEFAULT = ("busy", "no-answer")
#: The outcomes that are never retried, even if the request asks for it
NEVER = ("completed", "canceled", "invalid-number", "dnd")
#: The rule for ``failed`` with a second provider: one dial there without a wait
FAILOVER = {"wait_minutes": 0, "max_retries": 1}
#: The cap if neither the request nor DEFAULT_CAP sets another one
DEFAULT_CAP = "5/24h"


def caps_of(env: Mapping[str, str], retry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the caps of a request, or the environment's default."""
    default = env.get("DEFAULT_CAP") or DEFAULT_CAP
    if "caps" in retry or default == "off":
        found: Sequence[Mapping[str, Any]] = retry.get("caps", ())
        return found
    most, hours = default.removesuffix("h").split("/")
    return [{"max_attempts": int(most), "per_hours": int(hours)}]


def rule(retry: Mapping[str, Any], outcome: str) -> Mapping[str, Any] | None:
    """Return the rule for an outcome.

    It is ``{}`` if the outcome is retried by the strategy alone, and None if it is not retried.
    """
    if outcome in NEVER:
        return None
    default: Any = FAILOVER if outcome == "failed" and "failover" in retry else outcome in BY_DEFAULT
    said = retry.get("on", {}).get(outcome, default)
    if said is False:
        return None
    return said if isinstance(said, dict) else {}


def own_wait_minutes(retry: Mapping[str, Any], outcome: str | None) -> float | None:
    """Return the wait after an outcome in minutes.

    It is None if the outcome is not retried, or if the strategy has no single wait.
    """
    if outcome is None or (said := rule(retry, outcome)) is None:
        return None
    strategy = retry["strategy"]
    wait: float | None = said.get("wait_minutes", strategy.get("wait_minutes"))
    return wait
