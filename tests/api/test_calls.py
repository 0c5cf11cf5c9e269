"""The routes of calls, seen from outside."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from chalicelib.api.http import title_of
from chalicelib.domain.window import WEEK
from ops.data.keys import create_key
from tests.support.world import BODY, PUBLIC_URL, START, TABLE, World


def test_a_placed_call_is_answered_as_it_stands(world: World) -> None:
    answer = world.request("POST", "/calls", BODY)
    body = answer.json_body
    call_id = body["id"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{PUBLIC_URL}/calls/{call_id}"
    assert body == {
        "id": call_id,
        "call_id": call_id,
        "retry_group_id": call_id.replace("call_", "rg_"),
        "state": "dialing",
        "summary_status": None,
        "reason": None,
        "next_attempt_at": None,
        "finished_at": None,
        "campaign_id": None,
        "to_number": "+16505550199",
        "from_number": "+14155550100",
        "erased_at": None,
        "provider": "twilio",
        "agent_version_id": "av_01hx",
        "target": None,
        "variables": {},
        "metadata": {},
        "timezone": None,
        "timezones": [],
        "timezones_note": None,
        "webhook_url": None,
        "created_at": "2026-01-26T10:00:00Z",
        "expires_at": "2026-01-29T10:00:00Z",
        "policy_ends_at": None,
        "policy": {
            "max_retries": 3,
            "strategy": {"wait_minutes": 30.0, "vary": False, "type": "fixed"},
            "on": {
                "busy": {"retry": True, "wait_minutes": None, "max_retries": None, "target_url": None},
                "no-answer": {"retry": True, "wait_minutes": None, "max_retries": None, "target_url": None},
                "voicemail": {"retry": False, "wait_minutes": None, "max_retries": None, "target_url": None},
            },
            "window": None,
            "caps": [{"max_attempts": 5, "per_hours": 24, "per": "hours", "is_default": True}],
            "expires_after_hours": 72.0,
            "ends_sharp": False,
            "failover": None,
            "takes_default_cap": False,
            "quiet_after": {},
            "presets": [],
        },
        "attempts": [
            {
                "id": f"{call_id}-1",
                "call_id": call_id,
                "retry_group_id": call_id.replace("call_", "rg_"),
                "attempt": 1,
                "status": "placed",
                "outcome": None,
                "called_at": "2026-01-26T10:00:00Z",
                "answered_at": None,
                "ended_at": None,
                "duration_sec": None,
                "amd": None,
                "cause": None,
                "provider": "twilio",
                "provider_call_id": world.twilio.placed[0].sid,
                "evidence": {},
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "pointer", "says"),
    [
        ({"to_number": "6505550199"}, "/to_number", "E.164"),
        ({"to_number": "+0505550199"}, "/to_number", "E.164"),
        ({"to_number": "+1650555019"}, "/to_number", "'+1650555019' has 10 digits, too few for a number of +1"),
        ({"to_number": "+165055501999"}, "/to_number", "has 12 digits, too many for a number of +1"),
        ({"from_number": "+4402079460000"}, "/from_number", "has 13 digits, too many for a number of +44"),
        ({"from_number": BODY["to_number"]}, "/to_number", "must differ (got '+16505550199' as both)"),
        (
            {"retry": {"failover": {"provider": "twilio", "from_number": BODY["to_number"]}}},
            "/retry/failover/from_number",
            "must differ",
        ),
        (
            {"start_at": "2026-01-25T09:59:59Z"},
            "/start_at",
            "lies more than a day in the past; leave it out to start now",
        ),
        ({"to_number": 6505550199}, "/to_number", "is not a text"),
        ({"from_number": None}, "/from_number", "is not a text"),
        ({"provider": "carrier-pigeon"}, "/provider", "use one of "),
        ({"timezone": "Mars/Olympus"}, "/timezone", "IANA"),
        ({"timezone": "../etc/passwd"}, "/timezone", "IANA"),
        ({"start_at": "tomorrow"}, "/start_at", "must be a datetime"),
        ({"start_at": "2026-01-27T10:00:00"}, "/start_at", "has no UTC offset"),
        ({"target": {"url": "ftp://example.com"}}, "/target/url", "http(s)"),
        ({"variables": {"a": [1]}}, "/variables/a", "must be a text"),
        ({"retries": {}}, "/retries", "is not a field here"),
        ({"retry": {"max_retries": -1}}, "/retry/max_retries", "must be at least 0"),
        ({"retry": {"max_retries": 1.5}}, "/retry/max_retries", "is not a whole number"),
        ({"retry": {"wait_minutes": -5}}, "/retry/wait_minutes", "must be at least 0"),
        ({"retry": {"on": {"bussy": True}}}, "/retry/on", "'bussy' is not an outcome; use one of completed"),
        ({"retry": {"on": {"completed": True}}}, "/retry/on", "never retried"),
        ({"retry": {"on": {"busy": {"wait_minutes": "x"}}}}, "/retry/on/busy/wait_minutes", "number"),
        ({"retry": {"strategy": {"type": "fixed"}}}, "/retry/strategy/wait_minutes", "wait_minutes is missing"),
        ({"retry": {"strategy": {"type": "psychic"}}}, "/retry/strategy", "fixed"),
    ],
)
def test_a_wrong_field_is_pointed_at(world: World, changes: dict[str, object], pointer: str, says: str) -> None:
    answer = world.request("POST", "/calls", {**BODY, **changes})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["title"] == "Unprocessable Entity"
    assert pointer in {e["pointer"] for e in answer.json_body["errors"]}
    assert says in " ".join(e["detail"] for e in answer.json_body["errors"])
    assert world.twilio.requests == []


def test_missing_fields_are_all_named_at_once(world: World) -> None:
    answer = world.request("POST", "/calls", {})
    assert {e["pointer"] for e in answer.json_body["errors"]} == {"/to_number", "/from_number"}


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "nul", '{"to_number": NaN}', "[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_bad_request(world: World, body: str) -> None:
    headers = {"Authorization": f"Bearer {world.key}", "Content-Type": "application/json"}
    answer = world.client.http.post("/calls", headers=headers, body=body.encode())
    assert answer.status_code == 400
    assert answer.json_body["title"] == "Bad Request"


def test_a_call_without_a_target_needs_the_providers_default_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    target = {"url": "https://example.com/other.xml"}
    world.place(target=target)
    assert world.twilio.placed[-1].form["Url"] == target["url"]


class TestIdempotency:
    """The header ``Idempotency-Key`` on POST /calls."""

    def test_the_same_request_again_answers_the_same_call_and_dials_once(self, world: World) -> None:
        headers = {"Idempotency-Key": "order-7"}
        first = world.request("POST", "/calls", BODY, headers=headers)
        again = world.request("POST", "/calls", dict(reversed(BODY.items())), headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json_body["id"] == again.json_body["id"]
        assert len(world.twilio.placed) == 1

    def test_another_request_under_the_same_key_is_refused(self, world: World) -> None:
        headers = {"Idempotency-Key": "order-7"}
        world.request("POST", "/calls", BODY, headers=headers)
        other = world.request("POST", "/calls", {**BODY, "to_number": "+16505550198"}, headers=headers)
        assert other.status_code == 422
        assert "different request" in other.json_body["detail"]
        assert len(world.twilio.placed) == 1

    def test_a_key_is_the_workspaces_own(self, world: World) -> None:
        other = create_key(world.dynamodb, TABLE, workspace="other", now=START)
        headers = {"Idempotency-Key": "order-7"}
        ids = {world.request("POST", "/calls", BODY, key=k, headers=headers).json_body["id"] for k in (None, other)}
        assert len(ids) == 2


class TestWhoMay:
    """The statuses 401, 403 and 404, in that order."""

    READS = ("/calls/{}", "/v1/call-logs/{}/retries", "/executions/{}", "/call-logs/{}/retries", "/call-report/{}")

    def test_without_a_key_or_with_a_wrong_one_nothing_is_answered(self, world: World) -> None:
        call = world.place()
        for path in ("/calls", *self.READS):
            for headers in (
                {},
                {"Authorization": "Bearer nonsense"},
                {"x-api-key": "no"},
                {"Authorization": "Basic x"},
            ):
                answer = world.client.http.get(path.format(call["id"]), headers=headers)
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_a_key_may_be_sent_the_way_gomobiles_clients_do(self, world: World) -> None:
        assert world.client.http.get("/calls", headers={"x-api-key": world.key}).status_code == 200

    def test_another_workspaces_call_is_forbidden_and_an_unknown_one_not_found(self, world: World) -> None:
        call = world.place()
        other = create_key(world.dynamodb, TABLE, workspace="other", now=START)
        for path in self.READS:
            assert world.request("GET", path.format(call["id"]), key=other).status_code == 403
            assert world.request("GET", path.format("call_unknown"), key=other).status_code == 404
        assert world.request("POST", f"/calls/{call['id']}/cancel", key=other).status_code == 403
        assert world.request("POST", "/calls/call_unknown/cancel").status_code == 404
        assert world.request("GET", "/calls", key=other).json_body["data"] == []

    def test_a_key_that_may_only_read_can_place_and_cancel_nothing(self, world: World) -> None:
        call = world.place()
        reader = create_key(world.dynamodb, TABLE, workspace="acme", role="read", now=START)
        assert world.request("GET", f"/calls/{call['id']}", key=reader).status_code == 200
        assert world.request("POST", "/calls", BODY, key=reader).status_code == 403
        assert world.request("POST", f"/calls/{call['id']}/cancel", key=reader).status_code == 403

    def test_keys_are_stored_hashed(self, world: World) -> None:
        assert world.key not in str(world.dynamodb.scan(TableName=TABLE)["Items"])


class TestHistory:
    """The route GET /calls, and the vendors' shapes of one call's history."""

    def test_every_attempt_is_an_entry_and_the_first_carries_the_summary(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        world.pump(START + timedelta(minutes=30))
        world.end("completed", CallDuration="7")
        later = world.place(start_at="2026-01-27T09:00:00Z")
        page = world.request("GET", "/calls").json_body
        assert page["next_cursor"] is None
        assert [(e["retry_group_id"], e["attempt"], e["status"], e.get("summary_status")) for e in page["data"]] == [
            (later["retry_group_id"], 1, "scheduled", None),
            (call["retry_group_id"], 2, "completed", None),
            (call["retry_group_id"], 1, "busy", "completed"),
        ]

    def test_every_row_has_the_same_fields(self, world: World) -> None:
        world.place()
        world.end("busy")
        world.pump(START + timedelta(minutes=30))
        world.place(start_at="2026-01-27T09:00:00Z")
        waiting, second, first = world.request("GET", "/calls").json_body["data"]
        assert list(waiting) == list(second) == list(first)
        assert (waiting["state"], waiting["called_at"], waiting["provider"]) == ("scheduled", None, "twilio")
        assert (second["state"], second["next_attempt_at"], first["state"]) == (None, None, "dialing")

    def test_it_is_read_page_by_page(self, world: World) -> None:
        wanted = []
        for _ in range(7):
            wanted.append(world.place()["id"])
            world.clock.turn(seconds=1)
        found, cursor, pages = [], "", 0
        while cursor is not None:
            page = world.request("GET", f"/calls?limit=3{cursor and '&cursor=' + cursor}").json_body
            found += [e["call_id"] for e in page["data"]]
            cursor, pages = page["next_cursor"], pages + 1
        assert found == wanted[::-1]
        assert pages == 3

    @pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=51", "cursor=xyz", "cursor=e30"])
    def test_a_wrong_page_is_refused(self, world: World, query: str) -> None:
        assert world.request("GET", f"/calls?{query}").status_code == 422

    def test_another_workspaces_cursor_is_refused(self, world: World) -> None:
        for _ in range(2):
            world.place()
        cursor = world.request("GET", "/calls?limit=1").json_body["next_cursor"]
        other = create_key(world.dynamodb, TABLE, workspace="other", now=START)
        assert world.request("GET", f"/calls?cursor={cursor}", key=other).status_code == 422

    def test_the_vendors_shapes(self, world: World) -> None:
        call = world.place()
        world.end("no-answer")
        world.pump(START + timedelta(minutes=30))
        world.end("completed", CallDuration="42")
        first, second = "2026-01-26T10:00:00.000Z", "2026-01-26T10:30:00.000Z"
        retries = world.request("GET", f"/call-logs/{call['id']}/retries").json_body
        assert world.request("GET", f"/v1/call-logs/{call['id']}/retries").json_body == retries
        assert retries == {
            "call_id": call["id"],
            "data": [
                {"attempt": 1, "status": "no-answer", "duration_sec": 0, "called_at": first, "timestamp": first},
                {"attempt": 2, "status": "completed", "duration_sec": 42, "called_at": second, "timestamp": second},
            ],
        }
        assert world.request("GET", f"/call-report/{call['id']}-2").json_body == {
            "attempts": [
                {"attempt": 1, "outcome": "no_answer", "call": {"status": "no_answer"}},
                {"attempt": 2, "outcome": "completed", "call": {"status": "completed"}},
            ]
        }


class TestWindow:
    """A window that can never be open in any possible zone of the number."""

    BODY: ClassVar[dict[str, Any]] = {"retry": {"window": {"open": {"monday": [["09:00", "10:00"]]}}}}

    @pytest.mark.parametrize("number", ["+61412345678", "+18005550123"])
    def test_one_that_never_opens_in_all_zones_is_refused(self, world: World, number: str) -> None:
        answer = world.request("POST", "/calls", {**BODY, **self.BODY, "to_number": number})
        assert answer.status_code == 422
        [error] = answer.json_body["errors"]
        assert error["pointer"] == "/timezone"
        assert error["detail"].startswith("window-never-opens: ")
        assert "give the call a timezone" in error["detail"]

    def test_with_a_timezone_of_its_own_the_call_is_placed(self, world: World) -> None:
        body = {**BODY, **self.BODY, "to_number": "+61412345678", "timezone": "Australia/Perth"}
        answer = world.request("POST", "/calls", body)
        assert (answer.status_code, answer.json_body["timezones"]) == (201, ["Australia/Perth"])

    def test_the_preview_says_why_in_the_same_words(self, world: World) -> None:
        answer = world.request("POST", "/policies/preview", {**self.BODY, "to_number": "+61412345678"}).json_body
        assert (answer["attempts"], answer["reason"]) == ([], "window-never-opens")


class TestCancel:
    """The route POST /calls/{id}/cancel."""

    def test_a_pending_retry_is_called_off(self, world: World) -> None:
        call = world.place()
        world.end("busy")
        after = world.request("POST", f"/calls/{call['id']}/cancel").json_body
        assert (after["state"], after["summary_status"], after["next_attempt_at"]) == ("final", "canceled", None)
        world.pump(START + timedelta(hours=2))
        assert len(world.twilio.placed) == 1

    def test_a_live_attempt_is_hung_up_and_its_end_is_still_recorded(self, world: World) -> None:
        call = world.place()
        assert world.request("POST", f"/calls/{call['id']}/cancel").json_body["state"] == "final"
        assert world.twilio.requests[-1][1].endswith(f"/Calls/{world.twilio.placed[0].sid}.json")
        world.callback(world.twilio.placed[0], "ringing", SequenceNumber="2")
        world.end("busy")
        after = world.call(call["id"])
        assert (after["summary_status"], after["attempts"][0]["outcome"]) == ("canceled", "busy")
        assert after["next_attempt_at"] is None

    def test_a_call_that_has_ended_stays_as_it_is(self, world: World) -> None:
        call = world.place()
        world.end("completed")
        for _ in range(2):
            after = world.request("POST", f"/calls/{call['id']}/cancel")
            assert (after.status_code, after.json_body["summary_status"]) == (200, "completed")


def test_a_number_of_several_zones_says_which_of_them_bind(world: World) -> None:
    retry = {"window": {"open": {day: [["09:00", "21:00"]] for day in WEEK}}}
    call = world.place(to_number="+61412345678", retry=retry)
    assert {"Australia/Perth", "Australia/Sydney"} <= set(call["timezones"])
    assert "Perth opens last and" in call["timezones_note"]
    assert call["timezones_note"].endswith("give timezone to count in one of them alone")
    assert world.place(to_number="+61412345678", retry=retry, timezone="Australia/Perth")["timezones_note"] is None


def test_an_expiry_in_closed_hours_is_rescheduled_and_shown(world: World) -> None:
    world.clock.turn(to=datetime(2026, 4, 3, 17, 50, tzinfo=UTC))
    call = world.place(to_number="+33612345678", timezone="Europe/Paris", retry={"window": {"preset": "fr"}})
    assert call["policy_ends_at"] == "2026-04-06T17:50:00Z"
    assert call["expires_at"] == "2026-04-07T11:00:00Z"
    world.end("busy")
    world.pump(datetime(2026, 4, 7, 8, 1, tzinfo=UTC))
    assert world.twilio.placed[-1].at == datetime(2026, 4, 7, 8, 0, tzinfo=UTC)
    decisions = world.request("GET", f"/calls/{call['id']}/decisions").json_body["data"]
    assert "while the window is closed" in str(decisions)


@pytest.mark.parametrize(("status", "title"), [(413, "Request Entity Too Large"), (422, "Unprocessable Entity")])
def test_a_title_is_the_same_in_every_version_of_python(
    monkeypatch: pytest.MonkeyPatch, status: int, title: str
) -> None:
    # Python 3.13 has other phrases for these two.
    monkeypatch.setattr("chalicelib.api.http.HTTPStatus", lambda status: SimpleNamespace(phrase="as of Python 3.13"))
    assert title_of(status) == title
    assert title_of(404) == "as of Python 3.13"
