"""What the dialects share: strict models, bounded numbers, and local times of the day."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from chalicelib.domain.numbers import is_e164
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.policy import OutcomeRule

#: Nothing may be planned further ahead than the timing wheel reaches.
MOST_DAYS = 60
MOST_MINUTES = MOST_DAYS * 24 * 60
MOST_RETRIES = 100
MOST_TIMES = 100

WaitMinutes = Annotated[float, Field(ge=0, le=MOST_MINUTES, allow_inf_nan=False)]
MaxRetries = Annotated[int, Field(ge=0, le=MOST_RETRIES, strict=True)]


class Strict(BaseModel):
    """A body whose every field we know: a misspelt one must not be lost in silence."""

    model_config = ConfigDict(extra="forbid")


class Tolerant(BaseModel):
    """A vendor's body: fields of theirs that mean nothing to us are left alone."""

    model_config = ConfigDict(extra="ignore")


def outcome_word(word: str) -> str:
    """An outcome's word in its own spelling. Raises ValueError for one that is none."""
    return Outcome.parse(word).value


OutcomeWord = Annotated[str, AfterValidator(outcome_word)]

_HTTP_URL = re.compile(r"https?://[^\s/]+\S*")


def http_url(url: str) -> str:
    """An absolute http(s) URL. Raises ValueError for anything else."""
    if not _HTTP_URL.fullmatch(url):
        raise ValueError("must be an absolute http(s) URL")
    return url


HttpUrl = Annotated[str, Field(max_length=2048), AfterValidator(http_url)]


def retried(outcomes: Iterable[str], *, voicemail: bool) -> dict[Outcome, OutcomeRule]:
    """Rules that retry after each of the outcomes, and after a voicemail if said so."""
    rules = {Outcome.parse(word): OutcomeRule(retry=True) for word in outcomes}
    return rules | {Outcome.VOICEMAIL: OutcomeRule(retry=voicemail)}


def _e164(number: str) -> str:
    if not is_e164(number):
        raise ValueError("must be in E.164: '+', then 7 to 15 digits that begin with the country code")
    return number


E164 = Annotated[str, AfterValidator(_e164)]
