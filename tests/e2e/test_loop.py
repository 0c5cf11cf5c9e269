"""The loop on the local stack: real HTTP, packaged Lambdas, rules in their minute.

All calls are placed at the same time and have ended before the first test, so that the tests share the minutes of
waiting.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

import boto3
import pytest

pytestmark = pytest.mark.e2e

Stack = Mapping[str, str]

#: The script of each number, attempt by attempt. The last item repeats for any attempt beyond the expected ones.
SCRIPTS: dict[str, list[Any]] = {
    "+16505550201": ["busy", "completed"],
    "+16505550202": ["voicemail"],
    "+16505550203": [{"outcome": "busy", "duplicate": True}, "completed"],
    "+16505550204": ["busy"],
    # No callback comes for this call until it has ended, long after the answer to its request.
    "+16505550205": [{"outcome": "server-error-but-placed", "ring_sec": 6, "reorder": True}, "completed"],
}
REDIALLED, VOICEMAIL, TOLD_TWICE, CANCELED, PLACED_BY_A_500 = SCRIPTS
RETRY = {"max_retries": 3, "strategy": {"type": "fixed", "wait_minutes": 0}}

#: A call that is placed later in a minute could be due before it is canceled.
LAST_SECOND_TO_PLACE = 45
MAX_SECONDS = 100
#: Long enough after the due minute of a canceled call for a dial to show
AFTER_THE_MINUTE = timedelta(seconds=10)


@dataclass(frozen=True)
class Story:
    """A call that has ended, as each side shows it."""

    placed: dict[str, Any]
    call: dict[str, Any]
    due_at: datetime | None
    requests: list[dict[str, Any]]
    callbacks: list[dict[str, Any]]

    @property
    def history(self) -> list[tuple[int, str]]:
        return [(attempt["attempt"], attempt["outcome"]) for attempt in self.call["attempts"]]


@dataclass(frozen=True)
class Stories:
    """The stories by number, and the one-shot rules that were seen and that are left."""

    calls: dict[str, Story]
    rules_seen: set[str]
    rules_left: set[str]

    def __getitem__(self, number: str) -> Story:
        return self.calls[number]


@pytest.fixture(scope="module")
def stories(stack: Stack) -> Stories:
    if datetime.now(UTC).second > LAST_SECOND_TO_PLACE:
        time.sleep(60 - time.time() % 60)
    placed = {number: place(stack, number) for number in SCRIPTS}
    ids = {number: call["id"] for number, call in placed.items()}
    due_at = {number: wait_until_due(stack, ids[number]) for number in (REDIALLED, TOLD_TWICE, CANCELED)}
    seen = rules(stack)
    ask(stack, "POST", f"{stack['BASE_URL']}/calls/{ids[CANCELED]}/cancel", {})
    wait_until_ended(stack, ids.values())
    time.sleep(max(0.0, (due_at[CANCELED] + AFTER_THE_MINUTE - datetime.now(UTC)).total_seconds()))
    calls = {
        number: Story(
            placed=placed[number],
            call=read(stack, call_id),
            due_at=due_at.get(number),
            requests=log(stack, "calls", number),
            callbacks=log(stack, "callbacks", number),
        )
        for number, call_id in ids.items()
    }
    return Stories(calls, seen, rules(stack))


def test_a_busy_line_is_redialled_by_a_rule_in_its_minute(stories: Stories) -> None:
    story = stories[REDIALLED]
    assert story.due_at is not None
    assert story.history == [(1, "busy"), (2, "completed")]
    assert (story.call["state"], story.call["summary_status"]) == ("final", "completed")
    assert attempts_asked(story) == [1, 2]
    # The sweep would not have dialled the call before the next minute.
    assert story.due_at <= at(story.call["attempts"][1]["called_at"]) < story.due_at + timedelta(minutes=1)
    assert f"redial-dev-wake-{story.due_at:%Y%m%d%H%M}" in stories.rules_seen
    assert stories.rules_left == set()


def test_a_voicemail_is_final(stories: Stories) -> None:
    story = stories[VOICEMAIL]
    assert story.history == [(1, "voicemail")]
    assert (story.call["summary_status"], story.call["reason"]) == ("voicemail_final", "voicemail-is-final")
    assert story.call["attempts"][0]["amd"] == "machine"
    assert attempts_asked(story) == [1]


def test_a_callback_that_comes_twice_makes_one_retry(stories: Stories) -> None:
    story = stories[TOLD_TWICE]
    ends = [each for each in story.callbacks if each["form"].get("CallStatus") == "busy"]
    assert [each["status"] for each in ends] == [200, 200]
    assert story.history == [(1, "busy"), (2, "completed")]
    assert story.call["summary_status"] == "completed"
    assert attempts_asked(story) == [1, 2]


def test_a_canceled_call_is_not_redialled(stories: Stories) -> None:
    story = stories[CANCELED]
    assert story.history == [(1, "busy")]
    assert (story.call["summary_status"], story.call["next_attempt_at"]) == ("canceled", None)
    assert attempts_asked(story) == [1]


def test_a_request_that_was_answered_500_is_not_posted_again(stories: Stories) -> None:
    story = stories[PLACED_BY_A_500]
    assert [attempt["status"] for attempt in story.placed["attempts"]] == ["placement-unknown"]
    assert [request["status"] for request in story.requests] == [500]
    assert attempts_asked(story) == [1]
    assert story.history == [(1, "completed")]
    assert story.call["summary_status"] == "completed"


def place(stack: Stack, number: str) -> dict[str, Any]:
    """Place a call to the scripted number, and return the call of the answer."""
    ask(stack, "PUT", f"{stack['CARRIER_URL']}/script/{number}", {"outcomes": SCRIPTS[number]})
    body = {"to_number": number, "from_number": "+14155550100", "retry": RETRY}
    return ask(stack, "POST", f"{stack['BASE_URL']}/calls", body)


def read(stack: Stack, call_id: str) -> dict[str, Any]:
    return ask(stack, "GET", f"{stack['BASE_URL']}/calls/{call_id}")


def wait_until_due(stack: Stack, call_id: str) -> datetime:
    """Wait until the call waits for its second attempt, and return its due time."""
    deadline = time.monotonic() + 40
    while (call := read(stack, call_id))["state"] != "scheduled":
        assert time.monotonic() < deadline, f"not waiting for a retry within 40 s: {call}"
        time.sleep(0.1)
    return at(call["next_attempt_at"])


def wait_until_ended(stack: Stack, call_ids: Iterable[str]) -> None:
    deadline = time.monotonic() + MAX_SECONDS
    for call_id in call_ids:
        while (call := read(stack, call_id))["state"] != "final":
            assert time.monotonic() < deadline, f"not final within {MAX_SECONDS} s: {call}"
            time.sleep(0.5)


def attempts_asked(story: Story) -> list[int]:
    """Return the attempt of each create-call request, as its callback token names it."""
    return [int(request["form"]["StatusCallback"].rpartition("/")[2].split(".")[1]) for request in story.requests]


def log(stack: Stack, what: str, number: str) -> list[dict[str, Any]]:
    return list(ask(stack, "GET", f"{stack['CARRIER_URL']}/{what}?to={quote(number)}")[what])


def rules(stack: Stack) -> set[str]:
    """Return the names of the existing one-shot rules."""
    events = boto3.client(
        "events",
        endpoint_url=stack["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return {rule["Name"] for rule in events.list_rules(NamePrefix="redial-dev-wake-")["Rules"]}


def ask(stack: Stack, method: str, url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer's JSON. Raises HTTPError if the answer is not a success."""
    headers = {"Authorization": f"Bearer {stack['API_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, headers, method=method), timeout=30) as answer:
        return dict(json.load(answer))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
