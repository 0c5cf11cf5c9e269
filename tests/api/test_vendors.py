"""The requests of Bolna and Exotel, as their documents print them."""

import base64
from datetime import timedelta

import pytest

from chalicelib.dialects import bolna
from tests.support.world import ENV, START, World, new_client

BOLNA = {
    "agent_id": "your-agent-id",
    # Its document has +1234567890 here, which is too short for a number of +1.
    "recipient_phone_number": "+16505550199",
    "retry_config": {
        "enabled": True,
        "max_retries": 3,
        "retry_on_statuses": ["no-answer", "busy", "failed"],
        "retry_intervals_minutes": [30, 60, 120],
    },
}
EXOTEL = {
    "name": "Payment_Reminders",
    "caller_id": "+918047112233",
    "call_flow_id": "flow-7",
    "numbers": ["+919876543210", "+919876543211"],
    "retry": {"max_attempts": 3, "interval_minutes": 60, "retry_on": ["busy", "no-answer", "failed"]},
    "schedule": {"daily_start": "09:00", "daily_end": "21:00"},
}
CAMPAIGNS = "/v1/Accounts/redial1/Campaigns"


@pytest.fixture
def with_number(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Set up a deployment with a default from_number."""
    monkeypatch.setenv("DEFAULT_FROM_NUMBER", "+14155550100")
    with new_client() as world.client:
        yield world


class TestBolna:
    """The route POST /call."""

    def test_a_documented_bolna_request_is_answered_and_retried_like_bolna(self, with_number: World) -> None:
        world = with_number
        answer = world.request("POST", "/call", BOLNA)
        call_id = answer.json_body["execution_id"]
        assert (answer.status_code, answer.json_body) == (
            200,
            {"message": "done", "status": "queued", "execution_id": call_id, "provider": "twilio"},
        )
        for status in ("no-answer", "busy", "failed", "no-answer"):
            world.end(status)
            world.pump(world.clock.now() + timedelta(hours=2))
        minutes = [(p.at - START) / timedelta(minutes=1) for p in world.twilio.placed]
        # +30 after the callback at 0, +60 after the one at 120, +120 after the one at 240
        assert minutes == [0, 30, 180, 360]
        assert world.call(call_id)["summary_status"] == "all_retries_exhausted"
        assert world.twilio.placed[0].form["From"] == "+14155550100"

    def test_its_retry_state_is_the_documented_one(self, with_number: World) -> None:
        world = with_number
        call_id = world.request("POST", "/call", BOLNA).json_body["execution_id"]
        world.end("no-answer")
        record = world.services.ports.calls.load(call_id)
        assert record is not None
        assert bolna.retry_state(record) == {
            "id": call_id,
            "status": "scheduled",
            "retry_count": 1,
            "retry_config": {"enabled": True, "max_retries": 3},
            "retry_history": [{"attempt": 1, "status": "no-answer", "at": "2026-01-26T10:00:00Z"}],
            "scheduled_at": "2026-01-26T10:30:00Z",
        }

    def test_a_call_that_is_scheduled_is_answered_so(self, with_number: World) -> None:
        body = {**BOLNA, "scheduled_at": "2026-01-26T18:00:00+05:30", "user_data": {"name": "Ada", "n": 1}}
        answer = with_number.request("POST", "/call", body).json_body
        assert answer["status"] == "scheduled"
        assert with_number.call(answer["execution_id"])["next_attempt_at"] == "2026-01-26T12:30:00Z"

    def test_without_a_number_to_call_from_it_says_how_to_give_one(self, world: World) -> None:
        answer = world.request("POST", "/call", BOLNA)
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, "/from_phone_number")
        assert "DEFAULT_FROM_NUMBER" in answer.json_body["detail"]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"agent_id": None}, "/agent_id"),
            ({"recipient_phone_number": "12"}, "/recipient_phone_number"),
            ({"recipient_phone_number": "+1650555019"}, "/recipient_phone_number"),
            ({"recipient_phone_number": "+14155550100"}, "/recipient_phone_number"),
            ({"retry_config": {"enabled": True, "max_retries": 9}}, "/retry_config/max_retries"),
            ({"scheduled_at": "soon"}, "/scheduled_at"),
        ],
    )
    def test_a_wrong_field_is_pointed_at(self, world: World, change: dict[str, object], pointer: str) -> None:
        answer = world.request("POST", "/call", {**BOLNA, "from_phone_number": "+14155550100", **change})
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, pointer)


class TestExotel:
    """The route POST /v1/Accounts/{sid}/Campaigns."""

    def test_its_documented_request_calls_each_number_under_one_campaign(self, world: World) -> None:
        answer = world.request("POST", CAMPAIGNS, EXOTEL)
        body = answer.json_body
        assert answer.status_code == 201
        assert [(c["number"], c["state"]) for c in body["calls"]] == [(n, "scheduled") for n in EXOTEL["numbers"]]
        assert {world.call(c["call_id"])["campaign_id"] for c in body["calls"]} == {body["id"]}
        world.pump(START + timedelta(minutes=3))
        assert sorted(p.form["To"] for p in world.twilio.placed) == EXOTEL["numbers"]

    def test_it_keeps_to_the_hours_and_retries_a_failure_once(self, world: World) -> None:
        body = world.request("POST", CAMPAIGNS, {**EXOTEL, "numbers": ["09876543210"]}).json_body
        call_id = body["calls"][0]["call_id"]
        world.pump(START + timedelta(minutes=2))
        world.clock.turn(to=START + timedelta(hours=5))  # 20:30 in India
        world.end("failed")
        assert world.call(call_id)["next_attempt_at"] == "2026-01-27T03:30:00Z"
        world.pump(START + timedelta(hours=18))
        world.end("failed")
        after = world.call(call_id)
        assert (after["to_number"], after["reason"]) == ("+919876543210", "outcome-retries-exhausted")
        steps = [d["steps"] for d in world.request("GET", f"/calls/{call_id}/decisions").json_body["data"]]
        assert steps[1] == [
            "+60 min after failed",
            "21:30 local, after the last opening of monday → tuesday 09:00",
            "cap 2 of 5 in 24 h (default)",
        ]

    @pytest.mark.parametrize("retry", [None, EXOTEL["retry"]])
    def test_a_campaign_ends_at_its_end_with_or_without_a_start(self, world: World, retry: object) -> None:
        body = {**EXOTEL, "retry": retry, "schedule": {"end_at": "2026-01-26T14:00:00Z"}}
        call_id = world.request("POST", CAMPAIGNS, body).json_body["calls"][0]["call_id"]
        call = world.call(call_id)
        assert (call["expires_at"], call["policy"]["ends_sharp"]) == ("2026-01-26T14:00:00Z", True)
        # A stored policy may end so sharply too: the policy that GET shows can be put.
        assert world.request("PUT", "/policies/sharp", {"policy": call["policy"]}).status_code == 200
        assert world.request("GET", "/policies/sharp").json_body["policy"] == call["policy"]

    def test_exotels_own_way_to_sign_in_will_do(self, world: World) -> None:
        pair = base64.b64encode(f"any-api-key:{world.key}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
        assert world.request("POST", CAMPAIGNS, EXOTEL, headers=headers).status_code == 201

    def test_the_key_may_be_the_first_half_of_basic(self, world: World) -> None:
        for pair in (f"{world.key}:any-token", f"{world.key}:", f":{world.key}"):
            headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            assert world.request("POST", CAMPAIGNS, EXOTEL, headers=headers).status_code == 201

    def test_a_call_is_dialled_through_exotel_if_it_is_set_up(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert world.request("POST", CAMPAIGNS, EXOTEL).json_body["provider"] == "twilio"
        for name in ("ACCOUNT_SID", "API_KEY", "API_TOKEN", "ALLOWED_IPS"):
            monkeypatch.setenv(f"EXOTEL_{name}", "127.0.0.1")
        with new_client() as world.client:
            body = world.request("POST", CAMPAIGNS, EXOTEL).json_body
            assert (body["provider"], world.call(body["calls"][0]["call_id"])["provider"]) == ("exotel", "exotel")
            named = world.request("POST", CAMPAIGNS, EXOTEL | {"provider": "twilio"}).json_body
            assert named["provider"] == "twilio"
            # The provider is named and not set up: Redial rejects the call and does not dial through another.
            refused = world.request("POST", CAMPAIGNS, EXOTEL | {"provider": "bolna"})
            assert (refused.status_code, refused.json_body["errors"][0]["pointer"]) == (422, "/provider")

    def test_the_same_request_again_makes_no_second_campaign(self, world: World) -> None:
        headers = {"Idempotency-Key": "batch-7"}
        first, again = (world.request("POST", CAMPAIGNS, EXOTEL, headers=headers).json_body for _ in range(2))
        assert first["id"] == again["id"]
        assert [c["call_id"] for c in first["calls"]] == [c["call_id"] for c in again["calls"]]

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"numbers": []}, "/numbers"),
            ({"numbers": ["+919876543210"] * 2}, "/numbers"),
            ({"numbers": [f"+9198765{n:05d}" for n in range(101)]}, "/numbers"),
            ({"numbers": ["+919876543210", "x"]}, "/numbers/1"),
            ({"numbers": ["+919876543210", "+91987654321012345"]}, "/numbers/1"),
            ({"numbers": ["+919876543210", EXOTEL["caller_id"]]}, "/numbers/1"),
            ({"caller_id": "nobody"}, "/caller_id"),
            ({"schedule": {"daily_start": "9"}}, "/schedule/daily_start"),
            ({"schedule": {"end_at": "2026-01-25T10:00:00Z"}}, "/schedule/end_at"),
            ({"schedule": {"end_at": "2026-06-25T10:00:00Z"}}, "/schedule/end_at"),
        ],
    )
    def test_a_wrong_field_is_pointed_at(self, world: World, change: dict[str, object], pointer: str) -> None:
        answer = world.request("POST", CAMPAIGNS, {**EXOTEL, **change})
        assert (answer.status_code, answer.json_body["errors"][0]["pointer"]) == (422, pointer)
        assert ENV["TWILIO_ACCOUNT_SID"] not in answer.body.decode()
