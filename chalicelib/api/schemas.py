"""The bodies that the API takes, checked field by field."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from chalicelib.dialects.dialnexa import NO_RETRIES, RetryIn
from chalicelib.domain.policy import Policy

E164 = re.compile(r"^\+[1-9][0-9]{6,14}$")
MOST_METADATA = 16 * 1024
#: a start further ahead than this is a mistake, and beyond the wheel's reach
MOST_VARIABLES = 50


def _e164(number: str) -> str:
    if not E164.match(number):
        raise ValueError("must be in E.164: '+', then 7 to 15 digits that begin with the country code")
    return number


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("is no IANA time zone; use a name like 'America/Los_Angeles'") from error
    return name


def _http_url(url: str) -> str:
    if not re.match(r"^https?://[^\s/]+", url):
        raise ValueError("must be an absolute http(s) URL")
    return url


def _variables(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > MOST_VARIABLES:
        raise ValueError(f"at most {MOST_VARIABLES} variables")
    return values


def _small(values: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(values)) > MOST_METADATA:
        raise ValueError(f"at most {MOST_METADATA} bytes of metadata")
    return values


PhoneNumber = Annotated[str, AfterValidator(_e164)]
TimeZone = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_zone)]
HttpUrl = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_http_url)]
Variable = str | int | float | bool


class TargetIn(BaseModel):
    """What the provider does with an answered call."""

    model_config = ConfigDict(extra="forbid")
    url: HttpUrl


class CallIn(BaseModel):
    """``POST /calls``."""

    model_config = ConfigDict(extra="forbid")
    to_number: PhoneNumber
    from_number: PhoneNumber
    provider: str | None = None
    agent_version_id: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    target: TargetIn | None = None
    variables: Annotated[dict[str, Variable], AfterValidator(_variables)] = Field(default_factory=dict)
    metadata: Annotated[dict[str, Any], AfterValidator(_small)] = Field(default_factory=dict)
    timezone: TimeZone | None = None
    start_at: AwareDatetime | None = None
    webhook_url: HttpUrl | None = None
    retry: RetryIn | None = None

    @property
    def policy(self) -> Policy:
        """The policy that the request asks for; without ``retry``, none."""
        return self.retry.policy() if self.retry else NO_RETRIES

    @property
    def starts_at(self) -> datetime | None:
        """``start_at`` in UTC."""
        return self.start_at.astimezone(UTC) if self.start_at else None

    @property
    def texts(self) -> dict[str, str]:
        """The variables as the text that a query or a form carries; booleans as JSON spells them."""
        return {k: json.dumps(v) if isinstance(v, bool) else str(v) for k, v in self.variables.items()}
