"""The default cap: five attempts in 24 hours to a number.

It counts all calls of the workspace, and users may set another cap.
"""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.domain.caps import DEFAULT_CAP, Cap, read_default_cap
from chalicelib.domain.policy import Policy
from chalicelib.errors import RedialError
from chalicelib.runtime.settings import Settings
from tests.support.world import BODY, START, World

APPLIED = {"max_attempts": 5, "per_hours": 24, "per": "hours", "is_default": True}
WITHOUT = {name: value for name, value in BODY.items() if name != "retry"}


def kept(world: World, retry: dict[str, Any]) -> dict[str, Any]:
    policy: dict[str, Any] = world.request("PUT", "/policies/kept", {"retry": retry}).json_body["policy"]
    return policy


def test_the_sixth_attempt_in_a_day_waits_for_the_first_to_leave(world: World) -> None:
    first = [world.place() for _ in range(5)]
    assert [call["state"] for call in first] == ["dialing"] * 5
    sixth = world.place()
    assert (sixth["state"], sixth["next_attempt_at"]) == ("scheduled", "2026-01-27T10:00:00Z")
    assert first[0]["policy"]["caps"] == [APPLIED]
    decisions = world.request("GET", f"/calls/{sixth['id']}/decisions").json_body["data"]
    assert decisions[0]["steps"][1] == "cap 5 of 5 in 24 h (default) used → 2026-01-27T10:00Z"
    world.pump(START + timedelta(hours=24, minutes=1))
    assert len(world.twilio.placed) == 6


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"retry": {"max_retries": 1}},
        {"retry_config": {"enabled": True}},
        {"exotel": {"retry": {"max_attempts": 1, "interval_minutes": 30}}},
        {"gomobile": {"retryStrategy": {"type": "fixed_delay", "maxRetries": 1, "delayMinutes": 30}}},
    ],
)
def test_the_default_cap_holds_in_every_dialect(world: World, policy: dict[str, Any]) -> None:
    answer = world.request("POST", "/calls", WITHOUT | policy)
    assert answer.json_body["policy"]["caps"] == [APPLIED]


@pytest.mark.parametrize("caps", [[], [{"max_attempts": 9, "per_hours": 24}]])
def test_own_caps_take_the_place_of_the_default(world: World, caps: list[dict[str, Any]]) -> None:
    calls = [world.place(retry={**BODY["retry"], "caps": caps}) for _ in range(6)]
    assert [call["state"] for call in calls] == ["dialing"] * 6
    assert [cap["max_attempts"] for cap in calls[0]["policy"]["caps"]] == [cap["max_attempts"] for cap in caps]


def test_a_kept_policy_takes_the_default_in_its_calls(world: World) -> None:
    put = kept(world, {"max_retries": 1})
    assert world.request("GET", "/policies/kept").json_body["policy"] == put
    assert (put["caps"], put["takes_default_cap"]) == ([], True)
    call = world.request("POST", "/calls", WITHOUT | {"policy_name": "kept"}).json_body
    assert call["policy"]["caps"] == [APPLIED]


def test_a_kept_policy_that_turns_the_cap_off_keeps_it_off(world: World) -> None:
    put = kept(world, {"max_retries": 1, "caps": []})
    assert world.request("GET", "/policies/kept").json_body["policy"] == put
    assert put["takes_default_cap"] is False
    call = world.request("POST", "/calls", WITHOUT | {"policy_name": "kept"}).json_body
    assert call["policy"]["caps"] == []


def test_a_preview_counts_under_the_default_cap(world: World) -> None:
    body = {"timezone": "Asia/Kolkata", "retry": {"max_retries": 6, "wait_minutes": 1}, "outcomes": ["busy"] * 5}
    attempts = world.request("POST", "/policies/preview", body).json_body["attempts"]
    assert attempts[4]["steps"][-1] == "cap 5 of 5 in 24 h (default)"
    assert attempts[5]["at"] == "2026-01-27T10:00:00Z"


def test_the_setting_changes_the_default_cap_or_turns_it_off() -> None:
    assert Settings.from_env({}).default_cap == DEFAULT_CAP == Cap(5, 24, is_default=True)
    assert Settings.from_env({"DEFAULT_CAP": "2/6h"}).default_cap == Cap(2, 6, is_default=True)
    assert Settings.from_env({"DEFAULT_CAP": "off"}).default_cap is None


@pytest.mark.parametrize(
    "text", ["5", "0/24h", "5/0h", "101/24h", "5/721h", "5/24", "5/24d", "OFF", "-5/24h", "1.5/24h"]
)
def test_a_wrong_default_cap_is_an_error(text: str) -> None:
    with pytest.raises(RedialError, match=f"DEFAULT_CAP is '{text}'; it must be attempts per hours, such as 5/24h"):
        Settings.from_env({"DEFAULT_CAP": text})
    assert read_default_cap("100/720h") == Cap(100, 720, is_default=True)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (Cap(3, 24), (Cap(3, 24),)),
        (Cap(4, 720), (Cap(4, 720),)),
        (Cap(7, 168), (Cap(7, 168), DEFAULT_CAP)),
        (Cap(2, per="day"), (Cap(2, per="day"), DEFAULT_CAP)),
    ],
)
def test_a_cap_of_a_preset_is_joined_unless_it_is_stricter(own: Cap, expected: tuple[Cap, ...]) -> None:
    assert Policy(caps=(own,)).with_default_cap(DEFAULT_CAP).caps == expected
