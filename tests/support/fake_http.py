"""A provider's API that gives the answers it was told to, and remembers what it was asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from chalicelib.providers import Http, Unanswered
from chalicelib.providers.http import Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the provider's class made it."""

    method: str
    url: str
    headers: Mapping[str, str]
    form: Sequence[tuple[str, str]] | None
    body: bytes | None


class Replying(Http):
    """Answers each request by ``reply``, over no network; an exception that it returns is raised."""

    def reply(self, asked: Asked) -> Answer | Exception:
        raise NotImplementedError

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        given = self.reply(Asked(method, url, headers, form, body))
        if isinstance(given, Exception):
            raise given
        return given


class FakeHttp(Replying):
    """Gives its answers in turn, the last of them again and again; ``sent`` is each whole request."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, Mapping[str, str], object]] = []

    def reply(self, asked: Asked) -> Answer | Exception:
        content = asked.form if asked.body is None else json.loads(asked.body)
        self.sent.append((asked.method, asked.url, asked.headers, content))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeApi(Replying):
    """Answers each request by its URL, once it has written that down in ``asked``; an exception is raised."""

    def __init__(self, by_url: Callable[[str], object], asked: list[str]) -> None:
        self.by_url = by_url
        self.asked = asked

    def reply(self, asked: Asked) -> Answer | Exception:
        assert (asked.method, asked.form, asked.body) == ("GET", None, None), "a look-up changes nothing"
        self.asked.append(asked.url)
        given = self.by_url(asked.url)
        assert isinstance(given, Answer | Exception)
        return given


def answer(status: int, body: object = None, **headers: str) -> Answer:
    """An answer with a body of JSON, or of those bytes; ``retry_after`` names the header Retry-After."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


Said = TypeVar("Said")


def asked_now(given: Answer | Exception, ask: Callable[[], Said]) -> Said | None:
    """What a question comes to; None after Unanswered, which an answer that says nothing of the call must raise."""
    if isinstance(given, Exception) or given.status in (401, 403, 408, 429) or given.status >= 500:
        with pytest.raises(Unanswered):
            ask()
        return None
    return ask()
