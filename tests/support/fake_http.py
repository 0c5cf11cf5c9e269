"""A provider's API with scripted answers, which records the requests."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest

from chalicelib.providers import Http, Unanswered
from chalicelib.providers.http import Answer

#: method, URL, headers and content of a request as FakeHttp keeps it
Request = tuple[str, str, Mapping[str, str], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the provider's class made it."""

    method: str
    url: str
    headers: Mapping[str, str]
    form: Sequence[tuple[str, str]] | None
    body: bytes | None


class Replying(Http):
    """An Http without a network: it gives the answer or raises the error of ``reply``."""

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
    """An Http that gives its answers in turn, and repeats the last one.

    ``sent`` are the whole requests.
    """

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[Request] = []

    def reply(self, asked: Asked) -> Answer | Exception:
        content = asked.form if asked.body is None else json.loads(asked.body)
        self.sent.append((asked.method, asked.url, asked.headers, content))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class FakeApi(Replying):
    """An Http that answers each request by its URL and records the URL in ``asked``.

    An exception is raised.
    """

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
    """Return an answer with a body of JSON or of bytes.

    ``retry_after`` is the value of the header Retry-After.
    """
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


Said = TypeVar("Said")


def asked_now(given: Answer | Exception, ask: Callable[[], Said]) -> Said | None:
    """Return the result of a look-up; None if it raised Unanswered.

    An answer that says nothing about the call must raise Unanswered.
    """
    if isinstance(given, Exception) or given.status in (401, 403, 408, 429) or given.status >= 500:
        with pytest.raises(Unanswered):
            ask()
        return None
    return ask()
