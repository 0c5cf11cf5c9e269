"""A dial whose answer is lost or cannot be read is sent once, for each provider."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from chalicelib import providers
from chalicelib.api import current
from chalicelib.providers.http import Answer, AnswerLost, NotSent
from tests.providers.cases import case
from tests.support.fake_http import Asked, Replying
from tests.support.world import START, World, new_client

NAMES = sorted(providers.REGISTRY)
LOST = {
    "timed out": AnswerLost("timed out"),
    "reset": AnswerLost("connection reset"),
    "500": Answer(500, {}, b"{}"),
    "502 with a page": Answer(502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>"),
    "408": Answer(408, {}, b""),
    "200 with garbage": Answer(200, {}, b"\x00\xff garbage"),
    "200 with nothing": Answer(200, {}, b""),
    "201 without an id": Answer(201, {}, b'{"data": {}, "Call": {}, "message": "ok"}'),
}


class OneAnswer(Replying):
    """Gives every request the same answer, and counts those that would place a call."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.posts: list[str] = []

    def reply(self, asked: Asked) -> Answer | Exception:
        if asked.method == "POST":
            self.posts.append(asked.url)
        return self.answer


@pytest.fixture(scope="module")
def vonage_key() -> str:
    """Return a key that signs Vonage's requests. Its callbacks need no key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode()


@pytest.fixture
def hosted(world: World, monkeypatch: pytest.MonkeyPatch, vonage_key: str) -> Iterator[World]:
    """Yield a deployment with every provider set up."""
    for name in NAMES:
        for key, value in case(name).credentials.items():
            monkeypatch.setenv(f"{name.upper()}_{key.upper()}", value)
        monkeypatch.setenv(f"{name.upper()}_ANSWER_URL", "https://example.com/answer")
    monkeypatch.setenv("VONAGE_PRIVATE_KEY", vonage_key)
    with new_client() as world.client:
        yield world


def place(world: World, name: str, http: OneAnswer) -> str:
    current.restart(world.clock, http)
    body = {"provider": name, "retry": {"max_retries": 3, "wait_minutes": 1}}
    call_id: str = world.place(**body)["id"]
    return call_id


def pairs() -> list[Any]:
    """Return every provider with every lost answer; all but two diagonals are slow."""
    there = [(i, j) for i in range(len(NAMES)) for j in range(len(LOST))]
    quick = {(i, (i + step) % len(LOST)) for i in range(len(NAMES)) for step in (0, 3)}
    marks = {pair: () if pair in quick else (pytest.mark.slow,) for pair in there}
    return [pytest.param(NAMES[i], list(LOST)[j], marks=marks[i, j]) for i, j in there]


@pytest.mark.parametrize(("name", "lost"), pairs())
def test_a_dial_with_a_lost_answer_is_not_repeated(hosted: World, name: str, lost: str) -> None:
    http = OneAnswer(LOST[lost])
    call_id = place(hosted, name, http)
    assert hosted.history(call_id) == [(1, "placement-unknown")]
    # A provider that does not answer the look-ups is asked until the policy ends, after 72 hours.
    for hours in (0, 1, 3, 48, 73, 80):
        hosted.clock.turn(to=START + timedelta(hours=hours))
        hosted.redial(hosted.clock.now())
        hosted.sweep()
    assert len(http.posts) == 1
    (attempt,) = hosted.call(call_id)["attempts"]
    assert (attempt["outcome"], attempt["cause"]) == ("failed", "no-callback")


@pytest.mark.parametrize("name", NAMES)
def test_a_provider_that_could_not_be_reached_is_asked_again_later(hosted: World, name: str) -> None:
    http = OneAnswer(NotSent("no route to host"))
    call_id = place(hosted, name, http)
    assert (len(http.posts), hosted.call(call_id)["attempts"]) == (1, [])
    hosted.pump(START + timedelta(minutes=2))
    assert len(http.posts) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_throttled_dial_uses_up_no_attempt(hosted: World, name: str) -> None:
    call_id = place(hosted, name, OneAnswer(Answer(429, {"retry-after": "90"}, b"{}")))
    after = hosted.call(call_id)
    assert (after["state"], after["attempts"]) == ("scheduled", [])
    assert after["next_attempt_at"] == "2026-01-26T10:02:00Z"
