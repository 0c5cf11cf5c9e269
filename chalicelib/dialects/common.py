"""What the dialects share: strict models, bounded numbers, and local times of the day."""

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

#: Nothing may be planned further ahead than the timing wheel reaches.
MAX_DAYS = 60
MAX_MINUTES = MAX_DAYS * 24 * 60
MAX_RETRIES = 100
MAX_TIMES = 100
#: intervals of one weekday, in a window or among its pauses
MAX_INTERVALS = 24
#: characters of a word, a number or a name that is looked up, and of a vendor's field that is kept
MAX_WORD = 64


#: the document makes the example of a field that holds an object, or a list of objects, from their own fields
DERIVED = object()


def doc(description: str, example: Any = DERIVED, default: Any = ...) -> Any:
    """Return a field with what the API's document says of it. Without a default the field is required."""
    return Field(default, description=description, examples=None if example is DERIVED else [example])


#: what the document says of fields that several bodies have
PROVIDER = "The provider to dial through. Left out, DEFAULT_PROVIDER dials."
TARGET = "What the provider does with an answered call. Left out, <PROVIDER>_ANSWER_URL answers it."
AGENT = "The agent that talks: passed on to the provider, and to the target as a query parameter."
NO_MEANING = "The vendor's field: taken, and not used here."
START = "When the first attempt is due, with a UTC offset: at most 60 days ahead, and not over a day past."

#: a provider by its name in the registry
ProviderName = Annotated[str, Field(min_length=1, max_length=32)]

#: Nobody writes 0 or "yes" for a switch, or "30" for a number, and means it: what is not of its type is refused.
Flag = Annotated[bool, Field(strict=True)]
WaitMinutes = Annotated[float, Field(ge=0, le=MAX_MINUTES, strict=True, allow_inf_nan=False)]
MaxRetries = Annotated[int, Field(ge=0, le=MAX_RETRIES, strict=True)]


Word = Annotated[str, Field(max_length=MAX_WORD)]


class Strict(BaseModel):
    """A body, of Redial's own or of a vendor, that refuses unknown fields: a misspelt field must not be lost."""

    # A request builds the validator of its own body, and not those of all the others.
    model_config = ConfigDict(extra="forbid", defer_build=True)


#: fields of Redial's own ``retry`` that a vendor's object has no place for
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
    """A vendor's retry object, which says of a field of Redial's own where that belongs."""

    @model_validator(mode="before")
    @classmethod
    def _not_ours(cls, body: Any) -> Any:
        lost = sorted(OWN_FIELDS.difference(cls.model_fields).intersection(body)) if isinstance(body, dict) else ()
        if lost:
            raise ValueError(
                f"{lost[0]} is not a field of this vendor's retry; use Redial's own 'retry' of POST /calls for it"
            )
        return body


def outcome_word(word: str) -> str:
    """An outcome's word in its own spelling. Raises ValueError for one that is none."""
    return Outcome.parse(word).value


OutcomeWord = Annotated[
    str, Field(max_length=MAX_WORD, json_schema_extra={"enum": list(Outcome)}), AfterValidator(outcome_word)
]

#: times beyond these are slips of the pen, and no rule of EventBridge can name them
FIRST_YEAR, LAST_YEAR = 2000, 2198


def _spelled_out(value: Any) -> Any:
    # Else a number would be taken for seconds since 1970.
    if not isinstance(value, datetime) and not (isinstance(value, str) and value[4:5] == "-"):
        raise ValueError("must be a datetime with a UTC offset, like 2026-01-26T10:00:00Z")
    return value


def _in_our_time(at: datetime) -> datetime:
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return at.astimezone(UTC)


#: a time with its UTC offset, RFC 3339, in UTC once it is read
At = Annotated[AwareDatetime, BeforeValidator(_spelled_out), AfterValidator(_in_our_time)]

MAX_JSON_BYTES = 16 * 1024


def small(values: dict[str, Any]) -> dict[str, Any]:
    """Return the user's own values that are kept with a call.

    Raise ValueError beyond MAX_JSON_BYTES bytes as JSON, and for an empty name at any depth: DynamoDB stores none.
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


#: ``"a": 1, `` is the least that a name and its value take up
MAX_NAMES_KEPT = MAX_JSON_BYTES // 8

Kept = Annotated[dict[str, Any], Field(json_schema_extra={"maxProperties": MAX_NAMES_KEPT}), AfterValidator(small)]

#: the characters of a URI (RFC 3986, 2): others are to be percent-encoded, or a host's to be in punycode
_HTTP_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


def http_url(url: str) -> str:
    """An absolute http(s) URL. Raises ValueError for anything else."""
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
    """Rules that retry after each of the outcomes, and after a voicemail if said so."""
    rules = {Outcome.parse(word): OutcomeRule(retry=True) for word in outcomes}
    return rules | {Outcome.VOICEMAIL: OutcomeRule(retry=voicemail)}


E164 = Annotated[
    str,
    Field(json_schema_extra={"pattern": r"^\+[1-9][0-9]{6,14}$"}),
    AfterValidator(dialable),
]
