"""What a request's ``retry`` says of an outcome, read from the request and not from the policy made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

#: Retried where the request does not say
BY_DEFAULT = ("busy", "no-answer")
#: Never retried, whatever the request says
NEVER = ("completed", "canceled", "invalid-number", "dnd")
#: What a second provider brings: ``failed`` is tried there at once, once
FAILOVER = {"wait_minutes": 0, "max_retries": 1}
#: What holds where neither the request nor DEFAULT_CAP says another cap
DEFAULT_CAP = "5/24h"


def caps_of(env: Mapping[str, str], retry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The caps of a request, else the environment's default."""
    default = env.get("DEFAULT_CAP") or DEFAULT_CAP
    if "caps" in retry or default == "off":
        found: Sequence[Mapping[str, Any]] = retry.get("caps", ())
        return found
    most, hours = default.removesuffix("h").split("/")
    return [{"max_attempts": int(most), "per_hours": int(hours)}]


def rule(retry: Mapping[str, Any], outcome: str) -> Mapping[str, Any] | None:
    """The rule for an outcome, ``{}`` where it is retried as the strategy says; None where it is not retried."""
    if outcome in NEVER:
        return None
    default: Any = FAILOVER if outcome == "failed" and "failover" in retry else outcome in BY_DEFAULT
    said = retry.get("on", {}).get(outcome, default)
    if said is False:
        return None
    return said if isinstance(said, dict) else {}


def own_wait_minutes(retry: Mapping[str, Any], outcome: str | None) -> float | None:
    """The wait after an outcome, in minutes; None where it is not retried or has no one wait."""
    if outcome is None or (said := rule(retry, outcome)) is None:
        return None
    strategy = retry["strategy"]
    wait: float | None = said.get("wait_minutes", strategy.get("wait_minutes"))
    return wait
