"""Previews, named policies, and errors about bad policies."""

from typing import Any

import pytest

from chalicelib.domain.window import WEEK
from tests.support.world import BODY, World

PREVIEW = {
    "timezone": "Asia/Kolkata",
    "start_at": "2026-01-27T06:10:00Z",
    "outcomes": ["busy", "no_answer", "completed"],
    "retry": {
        "strategy": {"type": "fixed", "wait_minutes": 30},
        "window": {"pause": {"tuesday": [["12:00", "14:00"]]}},
        "caps": [{"max_attempts": 4, "per_hours": 24}],
    },
}


def test_a_preview_shows_each_attempt_with_its_reason_and_local_time(world: World) -> None:
    answer = world.request("POST", "/policies/preview", PREVIEW)
    assert answer.status_code == 200
    assert answer.json_body == {
        "attempts": [
            {
                "attempt": 1,
                "at": "2026-01-27T06:10:00Z",
                "local": {"Asia/Kolkata": "2026-01-27T11:40+05:30"},
                "outcome": "busy",
                "reason": "started",
                "steps": ["starts at 2026-01-27T06:10Z", "cap 1 of 4 in 24 h"],
            },
            {
                "attempt": 2,
                "at": "2026-01-27T08:30:00Z",
                "local": {"Asia/Kolkata": "2026-01-27T14:00+05:30"},
                "outcome": "no-answer",
                "reason": "retry",
                "steps": ["+30 min after busy", "12:10 local, inside pause 12:00-14:00 → 14:00", "cap 2 of 4 in 24 h"],
            },
            {
                "attempt": 3,
                "at": "2026-01-27T09:00:00Z",
                "local": {"Asia/Kolkata": "2026-01-27T14:30+05:30"},
                "outcome": "completed",
                "reason": "retry",
                "steps": ["+30 min after no-answer", "cap 3 of 4 in 24 h"],
            },
        ],
        "summary_status": "completed",
        "reason": "reached",
        "steps": ["attempt 3 ended completed"],
        "timezones": ["Asia/Kolkata"],
        "expires_at": "2026-01-30T06:10:00Z",
    }
    assert world.twilio.requests == []


@pytest.mark.parametrize(
    ("dialect", "wanted"),
    [
        ({"retry_config": {"enabled": True}}, ["10:00", "10:30", "11:30", "13:30"]),
        ({"exotel": {"retry": {"max_attempts": 3, "interval_minutes": 60}}}, ["10:00", "11:00", "12:00", "13:00"]),
        (
            {"gomobile": {"retryStrategy": {"type": "fixed_delay", "delayMinutes": 15, "maxRetries": 1}}},
            ["10:00", "10:15"],
        ),
        (
            {"retry": {"strategy": {"type": "time_of_day", "times": ["10:00", "14:00", "17:00"]}}},
            ["10:00", "14:00", "17:00"],
        ),
    ],
)
def test_a_preview_speaks_every_dialect(world: World, dialect: dict[str, object], wanted: list[str]) -> None:
    body = {"timezone": "Etc/UTC", "start_at": "2026-01-26T10:00:00Z", "outcomes": ["busy"] * (len(wanted) - 1)}
    attempts = world.request("POST", "/policies/preview", {**body, **dialect}).json_body["attempts"]
    assert [a["at"][11:16] for a in attempts] == wanted
    assert attempts[-1]["outcome"] is None


def test_a_preview_of_a_number_asks_all_the_zones_that_it_may_be_in(world: World) -> None:
    body = {
        "to_number": "+919876543210",
        "start_at": "2026-01-26T16:00:00Z",
        "retry": {"window": {"preset": "in-trai"}},
        "outcomes": ["busy"],
    }
    shown = world.request("POST", "/policies/preview", body).json_body
    assert shown["timezones"] == ["Asia/Kolkata"]
    assert [a["local"]["Asia/Kolkata"] for a in shown["attempts"]] == [
        "2026-01-27T09:00+05:30",
        "2026-01-27T09:30+05:30",
    ]


def test_a_number_of_no_known_zone_is_not_dialled_in_a_window(world: World) -> None:
    body = {"to_number": "+12115550199", "retry": {"window": {"preset": "us-federal"}}}
    shown = world.request("POST", "/policies/preview", body).json_body
    assert (shown["attempts"], shown["summary_status"], shown["reason"]) == ([], "blocked", "zone-unknown")


PAST = "2026-01-25T09:59:59Z"
BOLNA = {"agent_id": "a", "recipient_phone_number": "+16505550199", "from_phone_number": "+14155550100"}
EXOTEL = {"name": "P", "caller_id": "+918047112233", "numbers": ["+919876543210"]}
CAMPAIGNS = "/v1/Accounts/a/Campaigns"

BAD = [
    ({"wait_minutes": -1}, "/retry/wait_minutes", "must be at least 0"),
    ({"wait_minutes": 61 * 24 * 60}, "/retry/wait_minutes", "must be at most 86400"),
    ({"expires_after_hours": 61 * 24}, "/retry/expires_after_hours", "must be at most 1440"),
    ({"expires_after_hours": 0}, "/retry/expires_after_hours", "must be more than 0"),
    ({"strategy": {"type": "intervals", "minutes": []}}, "/retry/strategy/minutes", "at least 1"),
    (
        {"strategy": {"type": "intervals", "minutes": [1, -1]}},
        "/retry/strategy/minutes/1",
        "must be at least 0",
    ),
    ({"strategy": {"type": "exponential", "first_minutes": 0}}, "/retry/strategy/first_minutes", "must be more than 0"),
    (
        {"strategy": {"type": "exponential", "first_minutes": 9, "max_minutes": 3}},
        "/retry/strategy",
        "below first_minutes",
    ),
    ({"strategy": {"type": "scheduled", "at": ["2026-01-26T10:00:00Z"] * 10_000}}, "/retry/strategy/at", "at most 100"),
    ({"strategy": {"type": "scheduled", "at": ["2026-01-26T10:00:00"]}}, "/retry/strategy/at/0", "has no UTC offset"),
    ({"strategy": {"type": "time_of_day", "times": ["25:00"]}}, "/retry/strategy/times", "use HH:MM"),
    ({"strategy": {"type": "smart"}}, "/retry/strategy", "smart is not available yet"),
    ({"strategy": {"type": "fixed", "wait_minutes": 1}, "wait_minutes": 1}, "/retry", "not both"),
    ({"window": {"timezone": "Mars/Olympus"}}, "/retry/window/timezone", "use a name such as"),
    ({"window": {"holidays": "XX"}}, "/retry/window/holidays", "use an ISO code"),
    ({"window": {"preset": "atlantis"}}, "/retry/window/preset", "use one of"),
    ({"window": {"open": {"monday": [["09:00", "09:00"]]}}}, "/retry/window/open", "is empty; end it later"),
    ({"window": {"open": {"monday": [["9 am", "5 pm"]]}}}, "/retry/window/open", "use HH:MM"),
    ({"window": {"open": {"someday": [["09:00", "17:00"]]}}}, "/retry/window/open/someday", "monday"),
    ({"window": {"open": {}}}, "/retry/window", "no hours at all"),
    (
        {"window": {"open": {"monday": [["09:00", "17:00"]]}, "pause": {"monday": [["08:00", "18:00"]]}}},
        "/retry/window",
        "leave no hour of the week open",
    ),
    ({"caps": [{"max_attempts": 0}]}, "/retry/caps/0/max_attempts", "must be at least 1"),
    ({"caps": [{"max_attempts": 1, "per": "day", "per_hours": 3}]}, "/retry/caps/0", "no per_hours"),
    ({"caps": [{"max_attempts": 1, "per_hours": 9999}]}, "/retry/caps/0/per_hours", "must be at most 720"),
    ({"on": {"busy": True, "BUSY": False}}, "/retry/on", "two rules"),
    ({"on": {"voicemail": {"target": {"url": "nowhere"}}}}, "/retry/on/voicemail/target/url", "http(s)"),
]


@pytest.mark.parametrize(("retry", "pointer", "says"), BAD, ids=[f"{p} {s}" for _, p, s in BAD])
def test_a_bad_policy_is_pointed_at_with_what_would_be_right(
    world: World, retry: dict[str, object], pointer: str, says: str
) -> None:
    for method, path, body in (
        ("POST", "/calls", {**BODY, "retry": retry}),
        ("POST", "/policies/preview", {"timezone": "Etc/UTC", "retry": retry}),
        ("PUT", "/policies/bad", {"retry": retry}),
    ):
        answer = world.request(method, path, body)
        assert answer.status_code == 422, answer.body
        said = {e["pointer"]: e["detail"] for e in answer.json_body["errors"]}
        assert pointer in said
        assert says in said[pointer]


@pytest.mark.parametrize(
    ("pointer", "body"),
    [
        ("/timezone", {"timezone": "EST", "retry": {}}),
        ("/retry/window/timezone", {"timezone": "UTC", "retry": {"window": {"timezone": "EST"}}}),
        ("/retry/window/timezone", {"timezone": "UTC", "retry": {"window": {"timezone": "EST", "preset": "fr"}}}),
    ],
)
def test_an_abbreviated_zone_is_refused_with_the_likely_one(world: World, pointer: str, body: dict[str, Any]) -> None:
    answer = world.request("POST", "/policies/preview", body)
    assert answer.status_code == 422
    [error] = answer.json_body["errors"]
    assert error["pointer"] == pointer
    assert "'EST'" in error["detail"]
    assert "did you mean 'America/New_York'?" in error["detail"]


def test_a_start_beyond_the_wheels_reach_is_refused(world: World) -> None:
    for path, body in (("/calls", BODY), ("/policies/preview", {"timezone": "Etc/UTC"})):
        answer = world.request("POST", path, {**body, "start_at": "2026-03-30T00:00:00Z"})
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/start_at")


def test_a_state_and_a_policy_narrow_a_call_and_its_preview_equally(world: World) -> None:
    hours = {"open": {day: [["10:00", "23:00"]] for day in WEEK}, "closed": ["2026-01-27"]}
    assert world.request("PUT", "/policies/acme-hours", {"retry": {"window": hours}}).status_code == 200
    retry = {"strategy": {"type": "fixed", "wait_minutes": 600}, "window": {"preset": ["us", "acme-hours"]}}
    kept = world.request("PUT", "/policies/both", {"retry": retry}).json_body["policy"]
    assert kept["presets"] == ["us"]
    body = {"to_number": "+13055550100", "timezone": "America/New_York"}
    shown = world.request("POST", "/policies/preview", {**body, "policy_name": "both", "outcomes": ["busy"]}).json_body
    local = [each["local"]["America/New_York"][:16] for each in shown["attempts"]]
    assert local == ["2026-01-26T10:00", "2026-01-28T10:00"]
    asked = {**body, "from_number": BODY["from_number"]}
    for named in ({"policy_name": "both"}, {"retry": retry}):
        call = world.request("POST", "/calls", {**asked, **named}).json_body
        assert call["next_attempt_at"] == shown["attempts"][0]["at"]
        assert call["policy"]["presets"] == ["us-federal", "us-florida"]
        assert call["policy"]["window"]["open"]["monday"] == [{"start_minute": 600, "end_minute": 1200}]
        assert call["policy"]["window"]["closed"] == ["2026-01-27"]
        assert {"max_attempts": 3, "per_hours": 24, "per": "hours", "is_default": False} in call["policy"]["caps"]


def test_a_preset_of_the_numbers_state_may_leave_no_hour(world: World) -> None:
    retry = {"window": {"preset": "us", "open": {"sunday": [["09:00", "20:00"]]}}}
    body = {"to_number": "+14015550100", "from_number": BODY["from_number"], "retry": retry}
    answer = world.request("POST", "/calls", body)
    assert answer.status_code == 422
    assert "presets for the number leave no hour of the week" in answer.json_body["errors"][0]["detail"]
    assert world.request("POST", "/policies/preview", {**body, "from_number": None}).status_code == 422
    preview = {name: body[name] for name in ("to_number", "retry")}
    assert world.request("POST", "/policies/preview", preview).json_body["reason"] == "window-never-opens"


REFUSED: list[dict[str, Any]] = [
    {"retry": {"failover": {"provider": "twilio", "from_number": BODY["to_number"]}}},
    {"retry": {"failover": {"provider": "plivo"}}},  # a provider without credentials
    {"retry": {"failover": {"provider": "carrier-pigeon"}}},
    {"to_number": "+19005550199"},  # a premium-rate number
]


@pytest.mark.parametrize("changes", REFUSED)
def test_a_preview_refuses_what_a_call_is_refused_for(world: World, changes: dict[str, Any]) -> None:
    call = world.request("POST", "/calls", {**BODY, **changes})
    asked = {"to_number": BODY["to_number"], **changes}
    shown = world.request("POST", "/policies/preview", asked)
    assert (shown.status_code, shown.json_body) == (422, call.json_body)


def test_a_preview_refuses_a_stored_failover_from_the_called_number(world: World) -> None:
    failover = {"provider": "twilio", "from_number": BODY["to_number"]}
    assert world.request("PUT", "/policies/reminders", {"retry": {"failover": failover}}).status_code == 200
    asked = {"to_number": BODY["to_number"], "policy_name": "reminders"}
    [error] = world.request("POST", "/policies/preview", asked).json_body["errors"]
    assert error["pointer"] == "/retry/failover/from_number"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/calls", BODY | {"start_at": PAST}, "/start_at"),
        ("/calls", BODY | {"retry": None, "exotel": {"schedule": {"send_at": PAST}}}, "/exotel/schedule/send_at"),
        ("/policies/preview", {"timezone": "Etc/UTC", "start_at": PAST}, "/start_at"),
        ("/call", BOLNA | {"scheduled_at": PAST}, "/scheduled_at"),
        (CAMPAIGNS, EXOTEL | {"schedule": {"send_at": PAST}}, "/schedule/send_at"),
    ],
)
def test_a_start_that_is_more_than_a_day_past_is_refused(
    world: World, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = world.request("POST", path, body)
    assert (answer.status_code, answer.json_body["errors"]) == (
        422,
        [
            {
                "pointer": pointer,
                "detail": f"{pointer.split('/')[-1]} lies more than a day in the past; leave it out to start now"
                f" (got {PAST})",
            }
        ],
    )
    assert world.twilio.requests == []


def test_a_call_by_exotels_schedule_starts_when_that_says(world: World) -> None:
    schedule = {"schedule": {"send_at": "2026-01-27T10:00:00Z"}}
    call = world.place(retry=None, exotel=schedule)
    assert (call["state"], call["next_attempt_at"]) == ("scheduled", "2026-01-27T10:00:00Z")
    shown = world.request("POST", "/policies/preview", {"timezone": "Etc/UTC", "exotel": schedule}).json_body
    assert [each["at"] for each in shown["attempts"]] == ["2026-01-27T10:00:00Z"]
    assert world.twilio.requests == []


def test_a_start_of_today_is_now(world: World) -> None:
    assert world.place(start_at="2026-01-25T10:00:00Z")["state"] == "dialing"


class TestNamedPolicies:
    """The routes PUT, GET and DELETE /policies/{name}, and calls placed with a policy."""

    def test_a_call_keeps_the_policy_that_it_was_placed_with(self, world: World) -> None:
        world.request("PUT", "/policies/gentle", {"retry": {"max_retries": 1, "wait_minutes": 90}})
        body = {name: BODY[name] for name in ("to_number", "from_number")}
        call = world.request("POST", "/calls", {**body, "policy_name": "gentle"}).json_body
        world.request("PUT", "/policies/gentle", {"retry_config": {"enabled": True}})
        world.end("busy")
        assert world.call(call["id"])["next_attempt_at"] == "2026-01-26T11:30:00Z"

    def test_they_are_listed_read_and_forgotten(self, world: World) -> None:
        for name in ("b", "a"):
            assert world.request("PUT", f"/policies/{name}", {"retry": {}}).status_code == 200
        assert [p["name"] for p in world.request("GET", "/policies").json_body["data"]] == ["a", "b"]
        assert world.request("GET", "/policies/a").json_body["policy"]["max_retries"] == 3
        assert world.request("DELETE", "/policies/a").status_code == 204
        assert world.request("GET", "/policies/a").status_code == 404

    @pytest.mark.parametrize(
        "body",
        [
            {"retry": {}},
            {
                "retry": {
                    "strategy": {"type": "time_of_day", "times": ["10:00", "14:00"]},
                    "on": {"voicemail": {"target": {"url": "https://example.com/m.xml"}}, "failed": False},
                    "window": {"preset": "in-trai", "pause": {"monday": [["22:00", "02:00"]]}},
                    "caps": [{"max_attempts": 2, "per": "day"}],
                    "failover": {"provider": "plivo", "from_number": "+14155550101"},
                },
                "target": {"url": "https://example.com/a.xml"},
                "agent_version_id": "av_1",
            },
            {
                "retry": {
                    "strategy": {"type": "scheduled", "at": ["2026-01-28T10:00:00Z"]},
                    "window": {"holidays": "IN"},
                }
            },
            {"retry": {"strategy": {"type": "exponential", "first_minutes": 5}, "window": {"preset": "us-reg-f"}}},
            {"retry_config": {"enabled": True, "retry_on_voicemail": True}},
            {
                "exotel": {
                    "retry": {"max_attempts": 2},
                    "schedule": {"daily_start": "09:00"},
                }
            },
            {"gomobile": {"retryStrategy": {"type": "none"}}},
            {
                "retry": {
                    "window": {"preset": ["us", "es"], "closed": ["2026-12-24"], "timezone": "Europe/Madrid"},
                    "quiet_after": {"completed": 168},
                }
            },
        ],
        ids=["default", "all", "dates", "caps of a preset", "bolna", "exotel", "gomobile", "presets, eves and quiet"],
    )
    def test_what_get_shows_can_be_put_back_as_it_is(self, world: World, body: dict[str, object]) -> None:
        assert world.request("PUT", "/policies/kept", body).status_code == 200
        shown = world.request("GET", "/policies/kept").json_body
        back = world.request("PUT", "/policies/kept", shown)
        assert back.status_code == 200, back.body
        again = world.request("GET", "/policies/kept").json_body
        for changing in ("adoption", "updated_at"):
            del shown[changing], again[changing]
        assert again == shown

    def test_a_time_of_one_campaign_is_refused(self, world: World) -> None:
        times = {"send_at": "2026-01-27T10:00:00Z", "end_at": "2026-01-30T10:00:00Z"}
        answer = world.request("PUT", "/policies/kept", {"exotel": {"schedule": times}})
        assert (answer.status_code, answer.json_body["errors"]) == (
            422,
            [
                {
                    "pointer": "/exotel/schedule/send_at",
                    "detail": "send_at is a time of one campaign, and a stored policy has none; give start_at with each"
                    " call (got 2026-01-27T10:00:00Z)",
                },
                {
                    "pointer": "/exotel/schedule/end_at",
                    "detail": "end_at is a time of one campaign, and a stored policy has none; store a retry with"
                    " expires_after_hours, or give exotel with each call (got 2026-01-30T10:00:00Z)",
                },
            ],
        )
        assert world.request("GET", "/policies/kept").status_code == 404

    def test_a_change_of_what_get_shows_counts(self, world: World) -> None:
        world.request("PUT", "/policies/kept", {"retry": {}})
        shown = world.request("GET", "/policies/kept").json_body
        shown["policy"]["max_retries"] = 7
        assert world.request("PUT", "/policies/kept", shown).json_body["policy"]["max_retries"] == 7

    @pytest.mark.parametrize(
        ("change", "pointer", "says"),
        [
            ({"name": "other"}, "/name", "name 'other' is not the name in the path, 'kept'"),
            ({"retry": {}}, "", "give one of retry, retry_config, exotel and gomobile"),
            ({"policy": {"max_retries": 101}}, "/policy/max_retries", "must be at most 100"),
            ({"policy": {"on": {"completed": {"retry": True}}}}, "/policy/on", "completed is never retried"),
            ({"policy": {"window": {"timezone": "EST"}}}, "/policy/window/timezone", "America/New_York"),
            (
                {"policy": {"window": {"pause": {day: [{"start_minute": 0, "end_minute": 1440}] for day in WEEK}}}},
                "/policy",
                "leave no hour of the week open",
            ),
            ({"policy": {"caps": [{"max_attempts": 1, "per_hour": 3}]}}, "/policy/caps/0/per_hour", "per_hours"),
        ],
    )
    def test_what_is_wrong_in_what_get_shows_is_pointed_at(
        self, world: World, change: dict[str, Any], pointer: str, says: str
    ) -> None:
        world.request("PUT", "/policies/kept", {"retry": {}})
        shown = world.request("GET", "/policies/kept").json_body
        changed = shown | change | ({"policy": shown["policy"] | change["policy"]} if "policy" in change else {})
        answer = world.request("PUT", "/policies/kept", changed)
        assert answer.status_code == 422, answer.body
        assert says in {each["pointer"]: each["detail"] for each in answer.json_body["errors"]}[pointer]

    def test_a_name_that_nothing_has_is_pointed_at(self, world: World) -> None:
        body = {name: BODY[name] for name in ("to_number", "from_number")}
        answer = world.request("POST", "/calls", {**body, "policy_name": "nobody"})
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/policy_name")

    @pytest.mark.parametrize("body", [{}, {"retry": {}, "retry_config": {}}, {"rety": {}}])
    def test_exactly_one_dialect_is_wanted(self, world: World, body: dict[str, object]) -> None:
        assert world.request("PUT", "/policies/x", body).status_code == 422

    @pytest.mark.parametrize("name", ["-x", "a%20b", "x" * 65])
    def test_a_name_is_a_plain_word(self, world: World, name: str) -> None:
        assert world.request("PUT", f"/policies/{name}", {"retry": {}}).status_code == 422
