"""Bad requests. Each gets an answer with what was wrong, and none gets a 500."""

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.api.callbacks import MAX_CALLBACK_BYTES
from chalicelib.api.operations import OPERATIONS
from chalicelib.api.reading import MAX_BODY_BYTES, MAX_DEPTH
from tests.support.world import BODY, ENV, World

PLAIN = {name: BODY[name] for name in ("to_number", "from_number")}


def post(world: World, raw: bytes, content_type: str = "application/json") -> Any:
    headers = {"Authorization": f"Bearer {world.key}", "Content-Type": content_type}
    return world.client.http.post("/calls", headers=headers, body=raw)


def nested(depth: int) -> dict[str, Any]:
    """Return an object that holds an object, and so on, ``depth`` levels deep."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{"to_number": "\xff"}', "the body is not UTF-8: byte 15 cannot be read"),
        ('{"to_number": "x"}'.encode("utf-16"), "the body is not UTF-8: byte 0 cannot be read"),
        (b'{"agent_version_id": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b'{"metadata": {"n": 1e999}}', "the number 1e999 in the body is too large"),
        (b'{"retry": {"expires_after_hours": 5e-324}}', "the number 5e-324 in the body is too small"),
        (b'{"metadata": {"n": -Infinity}}', "-Infinity is not a JSON number"),
        (b'{"metadata": {"n": ' + b"9" * 5000 + b"}}", "a number in the body has 5000 digits; at most 300 are read"),
        (b'{"to_number": "+16505550199", "to_number": "+16505550198"}', "'to_number' is there twice in one object"),
        (b'{"metadata": {"a": 1, "b": 2, "a": 3}}', "'a' is there twice in one object"),
        (b'{"metadata": {"a\\u0000b": 1}}', "holds the character NUL"),
        (b'{"\\u0000": 1}', "holds the character NUL"),
        (b'{"metadata": {"n": NaN}}', "NaN is not a JSON number"),
        (
            b'{"metadata": {"n": ' + b"9" * 100_000 + b"}}",
            "a number in the body has 100000 digits; at most 300 are read",
        ),
        (b'{"metadata": {"n": ' + b"9" * 100_000 + b".5}}", "in the body is too large"),
        (b'{"metadata": ' + b'{"a":' * 40_000, f"more than {MAX_DEPTH} deep"),
        (b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", f"more than {MAX_DEPTH} deep"),
        (b"to_number=%2B16505550199", "the body is not JSON: line 1, column 1 cannot be read"),
        (b'{"a": 1,\n "b" 2}', "the body is not JSON: line 2, column 6 cannot be read"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_request_that_says_why(world: World, raw: bytes, says: str) -> None:
    answer = post(world, raw)
    assert answer.status_code == 400, answer.body
    assert says in answer.json_body["detail"]
    assert world.twilio.requests == []


def test_a_name_that_is_there_twice_is_found_in_linear_time(world: World) -> None:
    names = b",".join(b'"n%016d":1' % i for i in range(9_900))
    raw = b'{"metadata": {%s, "n%016d": 1}}' % (names, 9_899)
    assert len(raw) > 200_000
    began = time.thread_time()
    answer = post(world, raw)
    spent_sec = time.thread_time() - began
    assert (answer.status_code, answer.json_body["detail"][-48:]) == (
        400,
        "'n0000000000009899' is there twice in one object",
    )
    assert spent_sec < 0.5  # over 1 s if each name is searched among those before it


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/calls", PLAIN | {"variables": {"": "x"}}, "/variables"),
        ("/calls", PLAIN | {"metadata": {"": "x"}}, "/metadata"),
        ("/calls", PLAIN | {"metadata": {"a": [{"b": {"": None}}]}}, "/metadata"),
        ("/call", {"agent_id": "a", "recipient_phone_number": "+16505550199", "user_data": {"": "x"}}, "/user_data"),
    ],
)
def test_an_empty_name_is_refused_before_anything_is_dialled(
    world: World, path: str, body: dict[str, object], pointer: str
) -> None:
    answer = world.request("POST", path, body)
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, pointer)
    assert "has an empty name" in answer.json_body["errors"][0]["detail"]
    assert [item["pk"]["S"].partition("#")[0] for item in world.items()] == ["KEY"]
    assert world.twilio.requests == []


def test_a_body_may_nest_so_deep_and_no_deeper(world: World) -> None:
    # The body itself is the first level.
    assert post(world, json.dumps(PLAIN | {"metadata": nested(MAX_DEPTH - 1)}).encode()).status_code == 201
    deeper = post(world, json.dumps(PLAIN | {"metadata": nested(MAX_DEPTH)}).encode())
    assert (deeper.status_code, deeper.json_body["title"]) == (400, "Bad Request")


def test_a_body_that_is_too_large_is_answered_413(world: World) -> None:
    body = PLAIN | {"metadata": {"a": "x" * MAX_BODY_BYTES}}
    for method, path in (("POST", "/calls"), ("POST", "/call"), ("PUT", "/policies/x"), ("POST", "/policies/preview")):
        answer = world.request(method, path, body)
        assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")
        assert f"at most {MAX_BODY_BYTES} are read" in answer.json_body["detail"]


def test_a_callback_that_is_too_large_is_answered_413(world: World) -> None:
    world.place()
    path = world.twilio.placed[0].callback_url.removeprefix(ENV["PUBLIC_URL"])
    answer = world.client.http.post(path, headers={"Content-Type": "text/plain"}, body=b"x" * (MAX_CALLBACK_BYTES + 1))
    assert (answer.status_code, answer.json_body["status"]) == (413, 413)


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"metadata": {"a": "x" * 17_000}}, "/metadata", "at most 16384 are kept"),
        ({"variables": {"a": "x" * 17_000}}, "/variables", "at most 16384 are kept"),
        ({"variables": {f"v{i}": 1 for i in range(51)}}, "/variables", "at most 50 variables"),
        ({"retry": {"caps": [{"max_attempts": 1}] * 11}}, "/retry/caps", "has 11 items; give at most 10"),
        ({"provider": "x" * 200_000}, "/provider", "at most 32 characters"),
        ({"agent_version_id": "x" * 257}, "/agent_version_id", "at most 256 characters"),
        ({"target": {"url": "https://[x"}}, "/target/url", "absolute http(s) URL"),
        ({"target": {"url": "https://?a"}}, "/target/url", "absolute http(s) URL"),
        ({"start_at": 1_800_000_000}, "/start_at", "must be a datetime with a UTC offset"),
        ({"start_at": "1800000000"}, "/start_at", "must be a datetime with a UTC offset"),
        ({"start_at": "0001-01-01T00:00:00+14:00"}, "/start_at", "between the years 2000 and 2198"),
        ({"start_at": "9999-12-31T23:59:59-14:00"}, "/start_at", "between the years 2000 and 2198"),
        ({"retry": {"wait_minutes": "30"}}, "/retry/wait_minutes", "is not a number (example: 30)"),
        ({"retry": {"wait_minutes": 10**299}}, "/retry/wait_minutes", "must be at most"),
        ({"retry": {"retry_on_busy": 1}}, "/retry/retry_on_busy", "is neither true nor false"),
        ({"retry": {"on": {"busy": "yes"}}}, "/retry/on/busy", "must be true, false or an object"),
    ],
)
def test_what_is_too_much_or_of_another_type_is_pointed_at(
    world: World, changes: dict[str, object], pointer: str, says: str
) -> None:
    answer = world.request("POST", "/calls", {**PLAIN, **changes})
    assert answer.status_code == 422, answer.body
    assert says in {e["pointer"]: e["detail"] for e in answer.json_body["errors"]}[pointer]
    assert world.twilio.requests == []


def test_no_more_than_a_hundred_wrong_fields_are_listed(world: World) -> None:
    answer = world.request("POST", "/calls", {**PLAIN, **{f"f{i}": 1 for i in range(5000)}})
    assert (answer.status_code, len(answer.json_body["errors"])) == (422, 100)
    assert len(answer.body) < 16_384


def test_bolnas_own_data_is_bounded_like_ours(world: World) -> None:
    body = {"agent_id": "a", "recipient_phone_number": "+16505550199", "from_phone_number": "+14155550100"}
    answer = world.request("POST", "/call", body | {"user_data": {"a": "x" * 200_000}})
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/user_data")


def test_exotels_campaign_of_a_century_is_refused(world: World) -> None:
    schedule = {"send_at": "2026-01-27T09:00:00Z", "end_at": "2126-01-27T09:00:00Z"}
    body = {"name": "x", "caller_id": "+918047112233", "numbers": ["+919876543210"], "schedule": schedule}
    answer = world.request("POST", "/v1/Accounts/a/Campaigns", body | {"retry": {"max_attempts": 1}})
    assert answer.status_code == 422
    assert "no further can be planned ahead" in answer.json_body["errors"][0]["detail"]


BODIES = [
    (method, route)
    for route, methods in OPERATIONS.items()
    for method in methods
    if isinstance(methods[method].body, type)
]


@pytest.mark.parametrize(("method", "route"), BODIES)
def test_every_route_that_reads_json_refuses_a_form(world: World, method: str, route: str) -> None:
    path = route.format(number=quote(PLAIN["to_number"]), name="reminders", sid="a")
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = world.request(method, path, {"reason": "x"}, headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (415, "application/problem+json")
    assert answer.json_body["detail"] == (
        "send JSON: the Content-Type is 'application/x-www-form-urlencoded' (example: Content-Type: application/json)"
    )
    assert 415 in OPERATIONS[route][method].problems
    # An answer without authentication does not say what a body should be.
    assert world.request(method, path, {}, headers={**headers, "Authorization": "Bearer x"}).status_code == 401


@pytest.mark.parametrize("content_type", ["text/xml", "image/png", "x", "text/plain", "application/xml+jso", "*/*"])
def test_a_body_of_another_type_is_answered_415(world: World, content_type: str) -> None:
    # API Gateway passes an image's bytes in base64.
    answer = post(world, json.dumps(PLAIN).encode(), content_type)
    assert (answer.status_code, world.twilio.requests) == (415, [])


@pytest.mark.parametrize(
    "content_type", ["", "application/JSON", "application/json; charset=utf-8", "application/vnd.api+json"]
)
def test_a_body_that_is_json_or_says_nothing_of_its_type_is_read(world: World, content_type: str) -> None:
    assert post(world, json.dumps(PLAIN).encode(), content_type).status_code == 201


def test_an_empty_body_needs_no_type(world: World) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert world.request("POST", "/pause-all", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/calls", "/policies", "/policies/a", "/calls/call_x", "/health", "/numbers/+16505550199/opt-out"],
)
def test_what_type_the_body_of_a_read_is_said_to_have_does_not_matter(world: World, path: str) -> None:
    headers = {"Authorization": f"Bearer {world.key}", "Content-Type": "text/plain"}
    assert world.client.http.get(path, headers=headers).status_code in (200, 404)


WEIRD = [
    "%00",
    "%ff",
    "%ed%a0%80",
    "%",
    "%2",
    "%zz",
    "..%2f..",
    "%252e",
    "call_" + "a" * 3000,
    "_call_A",
    "💥",
    "a b",
    "*",
]


@pytest.mark.parametrize("part", WEIRD, ids=[str(i) for i in range(len(WEIRD))])
def test_a_path_that_names_nothing_is_not_found_or_invalid(world: World, part: str) -> None:
    for method, path, wanted in (
        ("GET", "/calls/{}", 404),
        ("POST", "/calls/{}/cancel", 404),
        ("GET", "/calls/{}/decisions", 404),
        ("GET", "/call-logs/{}/retries", 404),
        ("GET", "/call-report/{}", 404),
        ("GET", "/policies/{}", 422),
        ("DELETE", "/policies/{}", 422),
        ("GET", "/numbers/{}/opt-out", 422),
        ("POST", "/callbacks/{}/x", 404),
        ("POST", "/callbacks/{}", 404),
    ):
        found = world.request(method, path.format(part))
        # A policy may have a name that begins with call_. This name is only too long.
        assert found.status_code == wanted, (method, path, found.body)
        assert len(found.body) < 1000
    token = world.post_signed(f"{ENV['PUBLIC_URL']}/callbacks/twilio/{part}", {"CallSid": "CA1", "CallStatus": "busy"})
    assert token.status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=" + "9" * 5000,
        "limit=%D9%A3",
        "limit=-1",
        "limit=1&limit=2",
        "cursor=" + "a" * 100_000,
        "cursor=a&cursor=b",
        "cursor=%F0%9F%92%A5",
        "cursor=" + base64.urlsafe_b64encode(b"[" * 1500).decode(),
        "cursor=" + base64.urlsafe_b64encode(b'{"history_pk":"WS#acme","pk":"","sk":"","history_sk":""}').decode(),
        "cursor="
        + base64.urlsafe_b64encode(b'{"history_pk":"WS#acme","pk":"\\ud800","sk":"CALL","history_sk":"x"}').decode(),
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_pointed_at(world: World, query: str) -> None:
    answer = world.request("GET", f"/calls?{query}")
    assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/" + query.partition("=")[0])


SIGNED_GETS = [route for route, methods in OPERATIONS.items() if "GET" in methods and methods["GET"].role is not None]


@pytest.mark.parametrize("route", SIGNED_GETS)
def test_every_get_route_refuses_a_query_it_does_not_read(world: World, route: str) -> None:
    path = route.format(call_id=world.place()["call_id"], number=quote(PLAIN["to_number"]), name="reminders")
    answer = world.request("GET", f"{path}?workspace=a")
    (wrong,) = answer.json_body["errors"]
    assert (answer.status_code, wrong["pointer"]) == (422, "/workspace")
    assert 422 in OPERATIONS[route]["GET"].problems


def test_a_misspelt_query_is_refused_with_the_one_meant(world: World) -> None:
    (wrong,) = world.request("GET", "/calls?limt=3").json_body["errors"]
    assert wrong == {"pointer": "/limt", "detail": "'limt' is not a query parameter here; did you mean limit?"}


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "a\x00b"])
def test_an_absurd_idempotency_key_is_refused(world: World, key: str) -> None:
    answer = world.request("POST", "/calls", PLAIN, headers={"Idempotency-Key": key})
    assert (answer.status_code, world.twilio.requests) == (422, [])


def test_the_longest_idempotency_key_is_taken(world: World) -> None:
    assert world.request("POST", "/calls", PLAIN, headers={"Idempotency-Key": "💥" * 255}).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer \ud800"},
        {"Authorization": "Bearer 💥"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic 💥"},
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        {"Authorization": "Digest x"},
        {"x-api-key": "x" * 100_000},
    ],
)
def test_an_invalid_key_is_rejected(world: World, headers: dict[str, str]) -> None:
    assert world.client.http.get("/calls", headers=headers).status_code == 401


def test_a_method_that_a_route_does_not_have_is_a_problem(world: World) -> None:
    answer = world.request("DELETE", "/calls")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST, GET")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["title"] == "Method Not Allowed"
    assert answer.json_body["detail"] == "this path takes POST, GET, and no other method"


def test_a_callback_for_a_provider_without_credentials_is_not_found(world: World) -> None:
    answer = world.client.http.post("/callbacks/vonage/x", headers={}, body=b"{}")
    assert (answer.status_code, answer.json_body["detail"]) == (404, "vonage is not set up here")


@pytest.mark.parametrize(
    "query",
    ["policy=", "policy=" + "x" * 3000, "policy=a&policy=b", "policy=a&workspace=%00"],
)
def test_a_policy_in_the_query_adopts_nothing(world: World, query: str) -> None:
    form = {"CallSid": "CA1", "CallStatus": "busy", "Direction": "outbound-api", "From": "+14155550100", "To": "+1650"}
    answer = world.post_signed(f"{ENV['PUBLIC_URL']}/callbacks/twilio?{query}", form)
    assert answer.status_code == 404, answer.body


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("to_number", "from_number", "retry", "target", "variables", "metadata", "start_at", "timezone", "exotel")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), path=st.text(max_size=20))
def test_every_bad_request_is_answered_with_what_was_wrong(world: World, changes: dict[str, Any], path: str) -> None:
    raw = json.dumps({**PLAIN, **changes}).encode()
    assert post(world, raw).status_code in (201, 400, 422)
    answer = world.client.http.request(
        "PUT", f"/policies/{quote(path)}", headers={"x-api-key": world.key}, body=json.dumps(changes).encode()
    )
    assert answer.status_code in (200, 400, 403, 405, 422)
