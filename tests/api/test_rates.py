"""The rate limit of API keys, and what the app records of rejected requests."""

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from chalicelib.runtime.settings import DEFAULT_KEY_REQUESTS_PER_SECOND
from chalicelib.storage.rates import BURST_SEC, Rate, RateStore
from ops.data.keys import create_key
from tests.support.app_output import figures, logged
from tests.support.world import BODY, START, TABLE, World

BURST = 2 * BURST_SEC


@pytest.fixture
def slow(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set up a deployment whose keys may send two requests a second."""
    monkeypatch.setenv("KEY_REQUESTS_PER_SECOND", "2")
    world.restart()
    return world


def read(world: World) -> Any:
    return world.request("GET", "/policies")


def test_a_key_may_send_a_burst_and_then_so_many_a_second(slow: World) -> None:
    assert [read(slow).status_code for _ in range(BURST + 1)] == [200] * BURST + [429]
    slow.clock.turn(seconds=1)
    assert [read(slow).status_code for _ in range(3)] == [200, 200, 429]
    slow.clock.turn(seconds=3600)
    assert [read(slow).status_code for _ in range(BURST + 1)] == [200] * BURST + [429]


def test_the_refusal_is_a_problem_that_says_when_to_try_again(slow: World) -> None:
    for _ in range(BURST):
        read(slow)
    answer = read(slow)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["detail"] == "this API key sends more than 2 requests a second; send the next one in 1 s"


def test_another_key_of_the_workspace_has_its_own_bucket(slow: World) -> None:
    other = create_key(slow.dynamodb, TABLE, workspace="acme", now=START)
    while read(slow).status_code == 200:
        pass
    assert slow.request("GET", "/policies", key=other).status_code == 200


def test_all_processes_share_the_bucket_of_requests_that_place_calls(slow: World) -> None:
    bodies = [BODY | {"to_number": f"+16505550{100 + i}"} for i in range(BURST + 1)]
    for body in bodies[:BURST]:
        slow.restart()  # each request meets a process that knows nothing of the other requests
        assert slow.request("POST", "/calls", body).status_code == 201
    slow.restart()
    assert slow.request("POST", "/calls", bodies[-1]).status_code == 429
    assert len(slow.twilio.placed) == BURST
    slow.aws.calls.clear()
    assert slow.request("POST", "/calls", bodies[-1]).status_code == 429
    assert "UpdateItem" not in slow.aws.calls  # the process knows the limit by now
    slow.clock.turn(seconds=1)
    assert slow.request("POST", "/calls", bodies[-1]).status_code == 201


def test_a_request_that_is_refused_or_only_reads_writes_no_bucket(world: World) -> None:
    assert world.request("POST", "/calls", {}).status_code == 422
    assert world.request("POST", "/calls", {**BODY, "to_number": "+19005550199"}).status_code == 422
    assert read(world).status_code == 200
    assert not [item for item in world.items() if item["pk"]["S"].startswith("RATE")]


def test_a_table_that_cannot_be_read_blocks_no_request(slow: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb.example.com")

    store = RateStore(slow.dynamodb, TABLE)
    monkeypatch.setattr(slow.dynamodb, "update_item", unreachable)
    assert store.take_shared("k", Rate(2), START) == 0.0


def test_a_bucket_that_a_wrong_clock_filled_is_begun_again(slow: World) -> None:
    future = RateStore(slow.dynamodb, TABLE)
    assert future.take_shared("k", Rate(2), START.replace(year=2030)) == 0.0
    store = RateStore(slow.dynamodb, TABLE)
    waits = []
    for _ in range(BURST + 1):
        store.take("k", Rate(2), START)
        waits.append(store.take_shared("k", Rate(2), START))
    assert (waits[:BURST], waits[BURST] > 0) == ([0.0] * BURST, True)


def test_the_default_is_documented_and_an_absurd_one_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.services.ports.settings.key_requests_per_second == DEFAULT_KEY_REQUESTS_PER_SECOND == 50
    with open("docs/limits.md") as page:
        assert f"| requests of one API key | {DEFAULT_KEY_REQUESTS_PER_SECOND} a second" in page.read()


def test_every_route_with_a_key_documents_the_refusal(world: World) -> None:
    document = world.client.http.get("/openapi.json").json_body
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            has_key = operation.get("security") != []
            assert ("429" in operation["responses"]) is has_key, (method, path)
            if has_key:
                assert "Retry-After" in operation["responses"]["429"]["headers"]


class TestAudit:
    """The log lines that a request leaves."""

    def test_every_line_of_a_signed_in_request_names_the_key(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (key,) = world.services.keys.of_workspace("acme")
        capsys.readouterr()
        world.place()
        world.request("PUT", f"/numbers/{BODY['to_number']}/opt-out")
        said = logged(capsys.readouterr().out)
        assert {line["event"] for line in said} >= {"call-placed", "dialed", "opted-out"}
        assert {line.get("key") for line in said} == {key.id}
        world.end("busy")  # a callback is not the request of a key
        assert {line.get("key") for line in logged(capsys.readouterr().out)} == {None}

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [
            ({"Authorization": ""}, "no-key"),
            ({"Authorization": "Bearer rdl_guess"}, "unknown-key"),
            ({"Authorization": "Bearer \u00e9"}, "unknown-key"),
        ],
    )
    def test_a_refused_sign_in_is_a_line_and_a_figure(
        self, world: World, capsys: pytest.CaptureFixture[str], headers: dict[str, str], reason: str
    ) -> None:
        assert world.request("GET", "/policies", headers=headers).status_code == 401
        out = capsys.readouterr().out
        (line,) = [line for line in logged(out) if line["event"] == "sign-in-refused"]
        assert (line["reason"], line["method"], "key" in line) == (reason, "GET", False)
        assert figures(out)[f"SignInsRefused {reason}"] == [1]
        assert "guess" not in out

    def test_an_expired_key_and_one_of_a_lesser_role_are_named(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        expired = create_key(world.dynamodb, TABLE, workspace="acme", role="read", now=START, expires_at=START)
        lesser = create_key(world.dynamodb, TABLE, workspace="acme", role="read", now=START)
        assert world.request("GET", "/policies", key=expired).status_code == 401
        assert world.request("POST", "/resume-all", key=lesser).status_code == 403
        lines = [line for line in logged(capsys.readouterr().out) if line["event"] == "sign-in-refused"]
        assert [line["reason"] for line in lines] == ["expired-key", "role"]
        assert all(len(line["key"]) == 12 for line in lines)
