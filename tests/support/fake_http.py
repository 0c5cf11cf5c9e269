"""A provider's API that gives the answers it was told to, and remembers what it was asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pytest

from chalicelib.providers import Http, Unanswered
from chalicelib.providers.http import Answer


class FakeHttp(Http):
    """Gives its answers in turn, the last of them again and again; ``sent`` is each whole request."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[str, str, Mapping[str, str], object]] = []

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        self.sent.append((method, url, headers, form if body is None else json.loads(body)))
        given = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(given, Exception):
            raise given
        return given


class FakeApi(Http):
    """Answers each request by its URL, once it has written that down in ``asked``; an exception is raised."""

    def __init__(self, reply: Callable[[str], object], asked: list[str]) -> None:
        self.reply = reply
        self.asked = asked

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        assert (method, form, body) == ("GET", None, None), "a look-up changes nothing"
        self.asked.append(url)
        given = self.reply(url)
        if isinstance(given, Exception):
            raise given
        assert isinstance(given, Answer)
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
