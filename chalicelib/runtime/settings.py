"""The settings of a deployment, read from its environment into one frozen value.

An error names the variable that is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.domain.caps import DEFAULT_CAP, Cap, read_default_cap
from chalicelib.domain.destinations import entries
from chalicelib.domain.limits import Limits
from chalicelib.errors import RedialError
from chalicelib.runtime.vault import Reference

#: The first part of the names of a stage's AWS resources. It is fixed, because the IAM policies have it, too.
APP_NAME = "redial"
#: The largest concurrency limit. With more slots, the query for a free slot takes too long.
MAX_SLOTS = 5_000
#: The default of KEY_REQUESTS_PER_SECOND: one API key may send this many requests a second in the long run.
DEFAULT_KEY_REQUESTS_PER_SECOND = 50
#: The largest daily budget of dials or of minutes.
MAX_DAILY = 10_000_000


class WakeBackend(StrEnum):
    """The backend that fires the wakes: EventBridge rules or EventBridge Scheduler."""

    RULE = "rule"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a deployment.

    The name of a duration has its unit. Its environment variable is the same name in capitals.
    """

    env: Mapping[str, str] = field(repr=False)  # contains secrets
    stage: str
    table_name: str
    public_url: str | None
    wake_backend: WakeBackend
    wake_lead_seconds: int
    redial_arn: str | None
    scheduler_role_arn: str | None
    default_provider: str
    default_from_number: str | None
    ring_timeout_seconds: int | None
    max_call_seconds: int
    machine_detection: str
    dial_pool_size: int
    log_numbers: str
    retention_days: int
    workspace_max_concurrent_calls: int | None
    workspace_calls_per_second: float | None
    workspace_limits: Limits
    key_requests_per_second: int
    retries_first: bool
    dialing: bool
    default_cap: Cap | None

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Read the settings from the environment.

        Raises RedialError if a value is wrong. The error names the variable, its value and what would be right.
        """
        for name, value in env.items():
            if name.endswith("_ANSWER_URL") and Reference.parse(value):
                raise RedialError(f"{name} is {value!r}; only credentials may be references, so write the URL itself")
        stage = env.get("REDIAL_STAGE") or "dev"
        return cls(
            env=env,
            stage=stage,
            table_name=env.get("TABLE_NAME") or f"{APP_NAME}-{stage}",
            public_url=(env.get("PUBLIC_URL") or "").rstrip("/") or None,
            wake_backend=WakeBackend(_one_of(env, "WAKE_BACKEND", list(WakeBackend), "rule")),
            wake_lead_seconds=_whole(env, "WAKE_LEAD_SECONDS", 120, 0, 3600),
            redial_arn=env.get("REDIAL_ARN") or None,
            scheduler_role_arn=env.get("SCHEDULER_ROLE_ARN") or None,
            default_provider=env.get("DEFAULT_PROVIDER") or "twilio",
            default_from_number=env.get("DEFAULT_FROM_NUMBER") or None,
            ring_timeout_seconds=_whole(env, "RING_TIMEOUT_SECONDS", 0, 5, 600) or None,
            max_call_seconds=_whole(env, "MAX_CALL_SECONDS", 3600, 10, 14_400),
            machine_detection=_one_of(env, "MACHINE_DETECTION", ["off", "sync", "async"], "async"),
            dial_pool_size=_whole(env, "DIAL_POOL_SIZE", 8, 1, 64),
            log_numbers=_one_of(env, "LOG_NUMBERS", ["masked", "plain"], "masked"),
            retention_days=_whole(env, "RETENTION_DAYS", 365, 1, 3650),
            workspace_max_concurrent_calls=_whole(env, "WORKSPACE_MAX_CONCURRENT_CALLS", 0, 1, MAX_SLOTS) or None,
            workspace_calls_per_second=_rate(env, "WORKSPACE_CALLS_PER_SECOND"),
            workspace_limits=Limits(
                allow=_destinations(env, "WORKSPACE_ALLOW"),
                daily_dials=_whole(env, "WORKSPACE_DAILY_DIALS", 0, 1, MAX_DAILY) or None,
                daily_minutes=_whole(env, "WORKSPACE_DAILY_MINUTES", 0, 1, MAX_DAILY) or None,
            ),
            key_requests_per_second=_whole(env, "KEY_REQUESTS_PER_SECOND", DEFAULT_KEY_REQUESTS_PER_SECOND, 1, 1000),
            retries_first=_one_of(env, "RETRIES_FIRST", ["true", "false"], "true") == "true",
            dialing=_one_of(env, "DIALING", ["on", "off"], "on") == "on",
            default_cap=_cap(env, "DEFAULT_CAP"),
        )

    def credentials(self, provider: str) -> dict[str, str]:
        """Return a provider's environment variables that are not empty.

        A key is the variable's name in lower case, without the provider's name: ``account_sid``. A value may be a
        reference to a secret, which this method does not read.
        """
        prefix = f"{provider.upper()}_"
        return {k[len(prefix) :].lower(): v for k, v in self.env.items() if k.startswith(prefix) and v}

    def answer_url(self, provider: str) -> str | None:
        """Return the URL for calls that name no target: ``<PROVIDER>_ANSWER_URL``.

        The provider fetches from this URL what to do with the call. Returns None if the variable is not set.
        """
        return self.env.get(f"{provider.upper()}_ANSWER_URL") or None

    def max_concurrent_calls(self, provider: str) -> int | None:
        """Return the concurrency limit of the provider's account, or None if it has none.

        The variable is ``<PROVIDER>_MAX_CONCURRENT_CALLS``.
        """
        return _whole(self.env, f"{provider.upper()}_MAX_CONCURRENT_CALLS", 0, 1, MAX_SLOTS) or None

    def calls_per_second(self, provider: str) -> float | None:
        """Return the rate limit of the provider's account in calls per second, or None.

        The variable is ``<PROVIDER>_CALLS_PER_SECOND``.
        """
        return _rate(self.env, f"{provider.upper()}_CALLS_PER_SECOND")


def read_rate(text: str) -> float:
    """Read a rate limit in calls per second.

    Raises ValueError if it is not a number from one call a minute to 1000 calls a second.
    """
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 1 / 60 <= rate <= 1000:
        raise ValueError("it must be a number from 0.0167 (one a minute) to 1000")
    return rate


def _destinations(env: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    value = env.get(name)
    if not value:
        return None
    try:
        return entries(value)
    except ValueError as error:
        raise RedialError(f"{name} is {value!r}: {error}") from None


def _cap(env: Mapping[str, str], name: str) -> Cap | None:
    value = env.get(name)
    if not value:
        return DEFAULT_CAP
    try:
        return read_default_cap(value)
    except ValueError as error:
        raise RedialError(f"{name} is {value!r}; {error}") from None


def _rate(env: Mapping[str, str], name: str) -> float | None:
    value = env.get(name)
    if not value:
        return None
    try:
        return read_rate(value)
    except ValueError as error:
        raise RedialError(f"{name} is {value!r}; {error}") from None


def _whole(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = env.get(name)
    if not value:
        return default
    if not value.isdecimal() or not least <= int(value) <= most:
        raise RedialError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")
    return int(value)


def _one_of(env: Mapping[str, str], name: str, choices: list[str], default: str) -> str:
    value = env.get(name) or default
    if value not in choices:
        raise RedialError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    return value
