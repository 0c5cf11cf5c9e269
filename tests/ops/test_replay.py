"""The command `python -m ops replay`: dead letters in moto, and a scripted Lambda."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from chalicelib.errors import RedialError
from ops.__main__ import main
from ops.data import replay as replaying
from ops.data.queue import queue_attributes
from ops.data.replay import Replay
from tests.support.deployed import arn, client, empty_aws

QUEUE = "redial-dev-dead-letters"


@dataclass
class ScriptedLambda:
    """A Lambda that fails on the chosen wakes and accepts all other invocations."""

    failing: set[str] = field(default_factory=set)
    invoked: list[tuple[str, Any]] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 - as botocore spells them
        event = json.loads(Payload)
        self.invoked.append((FunctionName, event))
        if event.get("wake") in self.failing:
            failure = {"errorMessage": "the table is gone", "errorType": "ResourceNotFoundException"}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(failure).encode())}
        return {"Payload": io.BytesIO(b'{"dialed": 1}')}


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedLambda]:
    scripted = ScriptedLambda()
    with empty_aws(monkeypatch):
        client("sqs").create_queue(QueueName=QUEUE, Attributes=queue_attributes())
        monkeypatch.setattr(replaying, "WAIT_SEC", 0)  # moto has one server
        monkeypatch.setattr(replaying, "_client", lambda name: scripted if name == "lambda" else client(name))
        yield scripted


def url() -> str:
    return str(client("sqs").get_queue_url(QueueName=QUEUE)["QueueUrl"])


def put(wake: str, function: str = "redial-dev-redial") -> None:
    """Put a record into the queue as Lambda sends it to an on-failure destination."""
    record = {
        "version": "1.0",
        "timestamp": "2026-01-26T10:30:07.000Z",
        "requestContext": {"functionArn": f"{arn(function)}:$LATEST", "condition": "RetriesExhausted"},
        "requestPayload": {"wake": wake},
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "Rate exceeded", "errorType": "ThrottlingException"},
    }
    client("sqs").send_message(QueueUrl=url(), MessageBody=json.dumps(record))


def waiting() -> int:
    """Count the messages that are visible now."""
    asked = client("sqs").get_queue_attributes(QueueUrl=url(), AttributeNames=["ApproximateNumberOfMessages"])
    return int(asked["Attributes"]["ApproximateNumberOfMessages"])


def replay(function: ScriptedLambda, **options: Any) -> tuple[dict[str, int], str]:
    said: list[str] = []
    make = replaying._client
    return dict(Replay("dev", make, say=said.append, **options).run()), "\n".join(said)


def test_what_succeeds_now_is_removed(function: ScriptedLambda) -> None:
    put("2026-01-26T10:30Z")
    put("2026-01-26T10:31Z", "redial-dev-sweep")
    counts, _ = replay(function)
    assert counts == {"replayed": 2}
    assert sorted(function.invoked) == [
        ("redial-dev-redial", {"wake": "2026-01-26T10:30Z"}),
        ("redial-dev-sweep", {"wake": "2026-01-26T10:31Z"}),
    ]
    assert waiting() == 0


def test_each_is_shown_with_what_failed_when_and_why(function: ScriptedLambda) -> None:
    put("2026-01-26T10:30Z")
    _, said = replay(function)
    assert said == (
        "  1/1  2026-01-26T10:30:07.000Z  redial-dev-redial (2026-01-26T10:30Z): ThrottlingException: Rate exceeded\n"
        '      replayed: {"dialed": 1}'
    )


def test_what_fails_again_is_left_for_the_next_time(function: ScriptedLambda) -> None:
    put("2026-01-26T10:30Z")
    put("2026-01-26T10:31Z")
    function.failing = {"2026-01-26T10:31Z"}
    counts, said = replay(function)
    assert counts == {"replayed": 1, "failed": 1}
    assert "failed again: the table is gone" in said
    assert waiting() == 1
    function.failing = set()
    assert replay(function)[0] == {"replayed": 1}


def test_a_dry_run_shows_them_and_leaves_them_where_they_are(function: ScriptedLambda) -> None:
    put("2026-01-26T10:30Z")
    counts, said = replay(function, dry_run=True)
    assert (counts, function.invoked, waiting()) == ({"left": 1}, [], 1)
    assert "ThrottlingException: Rate exceeded" in said


def test_several_pages_are_replayed_up_to_the_maximum(function: ScriptedLambda) -> None:
    for minute in range(25):
        put(f"2026-01-26T10:{minute:02d}Z")
    assert replay(function, most=12)[0] == {"replayed": 12}
    assert replay(function)[0] == {"replayed": 13}
    assert len(function.invoked) == len({event["wake"] for _, event in function.invoked}) == 25


@pytest.mark.parametrize("body", ["not json", "{}", '{"requestContext": {"functionArn": "short"}}', "[1]"])
def test_a_foreign_message_is_left_alone(function: ScriptedLambda, body: str) -> None:
    client("sqs").send_message(QueueUrl=url(), MessageBody=body)
    counts, said = replay(function)
    assert (counts, function.invoked, waiting()) == ({"left": 1}, [], 1)
    assert "not a record of Lambda's" in said


@pytest.mark.parametrize("name", ["redial-prod-redial", "redial-dev", "payments"])
def test_an_event_of_another_lambda_is_not_sent_anywhere(function: ScriptedLambda, name: str) -> None:
    put("2026-01-26T10:30Z", name)
    assert (replay(function)[0], function.invoked) == ({"left": 1}, [])


def test_without_a_queue_it_says_how_to_get_one(function: ScriptedLambda) -> None:
    with pytest.raises(RedialError, match=r"no queue redial-prod-dead-letters: python -m ops provision --stage prod"):
        Replay("prod", replaying._client).run()


def test_the_command_fails_while_something_fails(function: ScriptedLambda, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay"]) == 0
    assert "none: nothing has failed" in capsys.readouterr().out
    put("2026-01-26T10:30Z")
    function.failing = {"2026-01-26T10:30Z"}
    assert main(["replay", "--dry-run"]) == 0
    assert main(["replay"]) == 1
    assert capsys.readouterr().out.endswith("1 failed\n")
    function.failing = set()
    assert main(["replay"]) == 0
