"""Every answer tells browsers not to store and not to frame the API."""

import pytest

from tests.support.world import BODY, World

WANTED = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/calls", 200),
        ("POST", "/calls", 201),
        ("POST", "/calls?refused", 422),
        ("GET", "/calls/call_x", 404),
        ("DELETE", "/calls", 405),
        ("DELETE", "/numbers/+16505550199/opt-out", 204),
        ("POST", "/callbacks/twilio/x", 404),
        ("POST", "/callbacks/vonage/x", 404),
    ],
)
def test_every_answer_has_the_security_headers(world: World, method: str, path: str, status: int) -> None:
    body = {} if "refused" in path else BODY
    answer = world.request(method, path.removesuffix("?refused"), body if method == "POST" else None)
    assert answer.status_code in (status, 403), answer.body
    assert WANTED.items() <= dict(answer.headers).items()


def test_a_refused_sign_in_has_them_too(world: World) -> None:
    answer = world.client.http.get("/calls")
    assert (answer.status_code, WANTED.items() <= dict(answer.headers).items()) == (401, True)


def test_a_page_may_not_be_framed(world: World) -> None:
    answer = world.client.http.get("/docs")
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "Content-Security-Policy" not in world.client.http.get("/health").headers
