"""Dead letters: ``python -m ops replay --stage dev`` tries failed events again.

Dead letters are the events that redial or sweep failed on. The command shows them, invokes the Lambda again for each,
and deletes those that succeed.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.errors import RedialError
from ops import aws
from ops.data.queue import REPLAY_SEC
from ops.names import ASYNCHRONOUS, dead_letters

MAX_CALLS = 100
PAGE = 10
#: Without a wait, SQS queries only some of its servers.
WAIT_SEC = 1
#: redial runs for two minutes at most. If the client timed out and repeated the request, redial would run a second
#: time.
INVOKE_CONFIG = Config(read_timeout=180, retries={"total_max_attempts": 1})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a Lambda failed on each time, in the form of Lambda's record.

    ``function`` and ``event`` are None if the message is not such a record. See
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """

    message_id: str
    receipt: str
    function: str | None
    event: Any
    failed_at: str
    reason: str

    @classmethod
    def read(cls, message: dict[str, Any]) -> "DeadLetter":
        """Read an SQS message.

        A message that is not a record of Lambda's says so as its reason, and is never replayed.
        """
        sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
        sent = sent_at.isoformat(timespec="seconds")
        try:
            record = json.loads(message["Body"])
            function = str(record["requestContext"]["functionArn"]).split(":")[6]
            event, answer = record["requestPayload"], record.get("responsePayload") or {}
        except (ValueError, LookupError, TypeError):
            return cls(message["MessageId"], message["ReceiptHandle"], None, None, sent, "not a record of Lambda's")
        condition = record["requestContext"].get("condition", "failed")
        reason = ": ".join(filter(None, (answer.get("errorType"), answer.get("errorMessage")))) or condition
        at = str(record.get("timestamp") or sent)
        return cls(message["MessageId"], message["ReceiptHandle"], function, event, at, reason)

    def __str__(self) -> str:
        event = self.event if isinstance(self.event, dict) else {}
        wake = event.get("wake") or event.get("time")
        return f"{self.failed_at}  {self.function or 'unknown'}{f' ({wake})' if wake else ''}: {self.reason}"


@dataclass(slots=True)
class Replay:
    """A pass over a stage's dead letters, at most ``most`` of them.

    It is safe to repeat: redial dials only calls that are still due, whatever its wake, and sweep repairs what it
    finds.
    """

    stage: str
    make_client: aws.MakeClient
    say: Callable[[str], None] = print
    dry_run: bool = False
    most: int = MAX_CALLS

    def run(self) -> Counter[str]:
        """Replay the dead letters, and return the counts by result.

        The results are ``replayed``, ``failed`` (again) and ``left`` (not replayed). Raises RedialError if AWS refuses
        a request.
        """
        try:
            return self._run()
        except (BotoCoreError, ClientError) as error:
            raise RedialError(f"the replay of stage {self.stage!r} stopped: {aws.in_words(error)}") from error

    def _run(self) -> Counter[str]:
        sqs, name = self.make_client("sqs"), dead_letters(self.stage)
        found = aws.find(lambda: sqs.get_queue_url(QueueName=name))
        if found is None:
            raise RedialError(f"there is no queue {name}: python -m ops provision --stage {self.stage} makes it")
        url = found["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        total = int(attributes["Attributes"]["ApproximateNumberOfMessages"])
        counts: Counter[str] = Counter()
        not_replayed: list[DeadLetter] = []
        for number, letter in enumerate(self._receive(sqs, url), 1):
            end, note = self._replay_one(letter)
            counts[end] += 1
            self.say(f"  {number}/{max(number, min(total, self.most))}  {letter}\n      {end}{note}")
            if end == "replayed":
                sqs.delete_message(QueueUrl=url, ReceiptHandle=letter.receipt)
            else:
                not_replayed.append(letter)
        for letter in not_replayed:
            # Other readers see the message now, not only after REPLAY_SEC.
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=letter.receipt, VisibilityTimeout=0)
        return counts

    def _receive(self, sqs: Any, url: str) -> Iterator[DeadLetter]:
        seen: set[str] = set()
        while len(seen) < self.most:
            page = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(PAGE, self.most - len(seen)),
                VisibilityTimeout=REPLAY_SEC,
                WaitTimeSeconds=WAIT_SEC,
                AttributeNames=["SentTimestamp"],
            ).get("Messages", [])
            new = [message for message in page if message["MessageId"] not in seen]
            if not new:
                return
            seen |= {message["MessageId"] for message in new}
            yield from map(DeadLetter.read, new)

    def _replay_one(self, letter: DeadLetter) -> tuple[str, str]:
        """Replay one dead letter. Return the word that counts it, and a note."""
        if letter.function not in {each.name(self.stage) for each in ASYNCHRONOUS}:
            return "left", f": {letter.function or 'this'} is no Lambda of this stage that takes events"
        if self.dry_run:
            return "left", ": a dry run replays nothing"
        invoke = self.make_client("lambda").invoke
        answer = invoke(FunctionName=letter.function, Payload=json.dumps(letter.event).encode())
        answer_text = answer["Payload"].read().decode()
        if answer.get("FunctionError"):
            return "failed", f" again: {_message(answer_text)}"
        return "replayed", f": {answer_text}"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register ``replay``."""
    parser = subparsers.add_parser("replay", help="run the failed events of the Lambdas (the dead letters) again")
    parser.add_argument("--stage", default="dev", help="the Chalice stage (default: dev)")
    parser.add_argument("--dry-run", action="store_true", help="show the events, and run none")
    parser.add_argument(
        "--most", type=int, default=MAX_CALLS, help=f"the maximum number of events (default: {MAX_CALLS})"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    replay = Replay(arguments.stage, _client, dry_run=arguments.dry_run, most=arguments.most)
    print(f"dead letters of stage {arguments.stage}:")
    counts = replay.run()
    if not counts:
        print("none: nothing has failed")
        return 0
    print(", ".join(f"{n} {end}" for end, n in sorted(counts.items())))
    return 1 if counts["failed"] or (counts["left"] and not arguments.dry_run) else 0


def _client(service: str) -> Any:
    return boto3.client(service, config=INVOKE_CONFIG)


def _message(payload: str) -> str:
    try:
        return str(json.loads(payload)["errorMessage"])
    except (ValueError, LookupError, TypeError):
        return payload
