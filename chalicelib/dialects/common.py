"""The parts that all request formats share: strict models and bounded field types."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from chalicelib.domain.number_lengths import dialable
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import OutcomeRule

#: the most days ahead that Redial plans: the timing wheel reaches no further
MAX_DAYS = 60
MAX_MINUTES = MAX_DAYS * 24 * 60
MAX_RETRIES = 100
MAX_TIMES = 100
#: the most intervals of one weekday, in a window or in its pauses
MAX_INTERVALS = 24
#: the most characters of a word, a phone number or a name
MAX_WORD = 64


#: an example that the OpenAPI document derives from the fields of the object, or of the list of objects
DERIVED = object()


def doc(description: str, example: Any = DERIVED, default: Any = ...) -> Any:
    """Return a field with its description and its example in the OpenAPI document.

    Without a default the field is required.
    """
    return Field(default, description=description, examples=None if example is DERIVED else [example])


# The descriptions of fields that several bodies have.
PROVIDER = "The provider to dial through. Left out, DEFAULT_PROVIDER dials."
TARGET = "What the provider does with an answered call. Left out, <PROVIDER>_ANSWER_URL answers it."
AGENT = "The agent that talks: passed on to the provider, and to the target as a query parameter."
NO_MEANING = "The vendor's field: accepted and not used."
START = "When the first attempt is due, with a UTC offset: at most 60 days ahead and at most one day in the past."

#: the name of a provider in the registry
ProviderName = Annotated[str, Field(min_length=1, max_length=32)]

# These types are strict: 0 or "yes" for a boolean, or "30" for a number, is a mistake of the client.
Flag = Annotated[bool, Field(strict=True)]
WaitMinutes = Annotated[float, Field(ge=0, le=MAX_MINUTES, strict=True, allow_inf_nan=False)]
MaxRetries = Annotated[int, Field(ge=0, le=MAX_RETRIES, strict=True)]


Word = Annotated[str, Field(max_length=MAX_WORD)]


class Strict(BaseModel):
    """A body, or a part of a body, that rejects unknown fields.

    Otherwise a misspelt field would have no effect, and the user would not notice.
    """

    # A request builds only the validator of its own body, not those of all other bodies.
    model_config = ConfigDict(extra="forbid", defer_build=True)


#: the fields of Redial's own ``retry`` that a vendor's retry object does not have
OWN_FIELDS = frozenset(
    {
        "caps",
        "window",
        "strategy",
        "on",
        "failover",
        "expires_after_hours",
        "wait_minutes",
        "vary",
        "preset",
        "holidays",
        "closed",
        "quiet_after",
    }
)


class VendorRetry(Strict):
    """A vendor's retry object. For one of Redial's fields its error names ``retry``."""

    @model_validator(mode="before")
    @classmethod
    def _reject_own_fields(cls, body: Any) -> Any:
        misplaced = sorted(OWN_FIELDS.difference(cls.model_fields).intersection(body)) if isinstance(body, dict) else ()
        if misplaced:
            raise ValueError(
                f"{misplaced[0]} is not a field of this vendor's retry; use Redial's own 'retry' of POST /calls for it"
            )
        return body


def outcome_word(word: str) -> str:
    """Return an outcome in Redial's spelling. Raises ValueError for any other word."""
    return Outcome.parse(word).value


OutcomeWord = Annotated[
    str, Field(max_length=MAX_WORD, json_schema_extra={"enum": list(Outcome)}), AfterValidator(outcome_word)
]

#: the years that Redial accepts: other years are mistakes, and EventBridge does not accept them in a rule
FIRST_YEAR, LAST_YEAR = 2000, 2198


def _not_a_number(value: Any) -> Any:
    # Pydantic would read a number as seconds since 1970.
    if not isinstance(value, datetime) and not (isinstance(value, str) and value[4:5] == "-"):
        raise ValueError("must be a datetime with a UTC offset, like 2026-01-26T10:00:00Z")
    return value


def _in_utc(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return at.astimezone(UTC)


#: an RFC 3339 time with a UTC offset, converted to UTC
At = Annotated[AwareDatetime, BeforeValidator(_not_a_number), AfterValidator(_in_utc)]

MAX_JSON_BYTES = 16 * 1024


def small(values: dict[str, Any]) -> dict[str, Any]:
    """Return the user's own values if Redial can store them with a call.

    Raises ValueError if they have more than MAX_JSON_BYTES bytes as JSON, or an empty name at any depth: DynamoDB does
    not store an empty name.
    """
    size = len(json.dumps(values))
    if size > MAX_JSON_BYTES:
        raise ValueError(f"has {size} bytes as JSON; at most {MAX_JSON_BYTES} are kept with a call")
    if _has_empty_name(values):
        raise ValueError("has an empty name; give each value a name of at least one character")
    return values


def _has_empty_name(value: Any) -> bool:
    if isinstance(value, dict):
        return "" in value or any(map(_has_empty_name, value.values()))
    return isinstance(value, list) and any(map(_has_empty_name, value))


#: the most names in MAX_JSON_BYTES: the shortest name with its value is ``"a": 1, ``
MAX_NAMES_KEPT = MAX_JSON_BYTES // 8

Kept = Annotated[dict[str, Any], Field(json_schema_extra={"maxProperties": MAX_NAMES_KEPT}), AfterValidator(small)]

#: the characters of a URI (RFC 3986, 2); the client must percent-encode others, and write a host in punycode
_HTTP_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def http_url(url: str) -> str:
    """Return the URL. Raises ValueError if it is not an absolute http(s) URL."""
    if not _HTTP_URL.fullmatch(url) or not _has_host(url):
        raise ValueError("must be an absolute http(s) URL")
    return url


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


HttpUrl = Annotated[
    str, Field(max_length=2048, json_schema_extra={"format": "uri", "pattern": "^https?://"}), AfterValidator(http_url)
]


def retried(outcomes: Iterable[str], *, voicemail: bool) -> dict[Outcome, OutcomeRule]:
    """Return rules that retry after each of the outcomes.

    ``voicemail`` says whether a voicemail is retried too.
    """
    rules = {Outcome.parse(word): OutcomeRule(retry=True) for word in outcomes}
    return rules | {Outcome.VOICEMAIL: OutcomeRule(retry=voicemail)}


E164 = Annotated[
    str,
    Field(json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"}),
    AfterValidator(dialable),
]
