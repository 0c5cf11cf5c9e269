"""Many workers on one table, in threads and processes, and a recording provider."""

import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from twilio.request_validator import RequestValidator

from chalicelib.providers import CallbackRequest
from chalicelib.providers.http import Answer
from chalicelib.runtime import services as parts
from chalicelib.runtime.services import Services
from chalicelib.usecases.ports import Ports
from tests.support.fake_http import Asked, Replying, answer

Done = TypeVar("Done")

#: A worker waits this long for the others at most.
MEETING_SEC = 60
#: How long the provider takes to answer
ANSWER_SEC = 0.005


@dataclass(frozen=True)
class ClockAhead:
    """The machine's clock, ahead by a time, so that future plans are due."""

    ahead: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Ledger(Replying):
    """A provider that accepts every create-call and writes it to one file.

    Each create-call is one line, from any process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def reply(self, asked: Asked) -> Answer:
        fields = dict(asked.form or ())
        if asked.method != "POST" or not asked.url.endswith("/Calls.json"):
            self.write("asked", url=asked.url)
            return answer(404, {})
        token = fields["StatusCallback"].rpartition("/")[2]
        sid = "CA" + hashlib.sha256(token.encode()).hexdigest()[:32]
        self.write("posted", token=token, sid=sid, url=fields["StatusCallback"])
        time.sleep(ANSWER_SEC)
        return answer(201, {"sid": sid, "status": "queued"})

    def write(self, kind: str, **fields: str) -> None:
        """Add one line.

        POSIX writes the whole line to the end of a file that is opened with O_APPEND, even if other processes write
        too.
        """
        line = json.dumps({"kind": kind, **fields}) + "\n"
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)

    def claim(self, token: str) -> bool:
        """Claim the end of a call. Return True for the first worker that asks."""
        try:
            os.close(os.open(self.path.with_name(f"{token}.end"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def lines(self, kind: str | None = None) -> list[dict[str, str]]:
        """Return the lines so far, in order."""
        text = self.path.read_text() if self.path.exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if kind in (None, line["kind"])]

    def tokens(self) -> list[str]:
        """Return the tokens of all create-calls, in order."""
        return [line["token"] for line in self.lines("posted")]


@dataclass(frozen=True)
class Site:
    """A worker's data: the environment that names a table, and the ledger's path."""

    env: Mapping[str, str]
    path: Path

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.path)

    def having(self, **env: str) -> "Site":
        """Return the same site with more settings."""
        return replace(self, env={**self.env, **env})

    def services(self, ahead: timedelta = timedelta()) -> Services:
        return parts.build(self.env, ClockAhead(ahead), None, self.ledger)

    def ports(self, ahead: timedelta = timedelta()) -> Ports:
        return self.services(ahead).ports

    def items(self, prefix: str) -> list[dict[str, Any]]:
        """Return the items of the table whose partition key begins with ``prefix``."""
        pages = (
            parts.client("dynamodb")
            .get_paginator("scan")
            .paginate(TableName=self.env["TABLE_NAME"], ConsistentRead=True)
        )
        return [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith(prefix)]

    def changes(self) -> list[tuple[str, str, str]]:
        """Return (what, partition key, sort key) of each change in commit order.

        ``what`` is INSERT, MODIFY or REMOVE.
        """
        keys = [(what, record["Keys"]) for what, record in self._stream()]
        return [(what, key["pk"]["S"], key["sk"]["S"]) for what, key in keys]

    def versions(self, partition: str) -> list[dict[str, Any]]:
        """Return what the items of a partition held after each change, in commit order."""
        return [record["NewImage"] for _, record in self._stream() if record["Keys"]["pk"]["S"] == partition]

    def _stream(self) -> list[tuple[str, dict[str, Any]]]:
        """Read the stream of the table, which in ministack is one shard."""
        table = parts.client("dynamodb").describe_table(TableName=self.env["TABLE_NAME"])["Table"]
        streams, arn = parts.client("dynamodbstreams"), table["LatestStreamArn"]
        (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        found, page = [], streams.get_records(ShardIterator=at["ShardIterator"])
        while page["Records"]:
            found += [(record["eventName"], record["dynamodb"]) for record in page["Records"]]
            page = streams.get_records(ShardIterator=page["NextShardIterator"])
        return found

    def callback(self, posted: Mapping[str, str], status: str) -> CallbackRequest:
        """Return Twilio's callback about the end of a call, signed by Twilio's own code."""
        form = {
            "CallSid": posted["sid"],
            "AccountSid": self.env["TWILIO_ACCOUNT_SID"],
            "CallStatus": status,
            "SequenceNumber": "3",
        }
        signature = RequestValidator(self.env["TWILIO_AUTH_TOKEN"]).compute_signature(posted["url"], form)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        return CallbackRequest("POST", posted["url"], headers, urlencode(form).encode())


class Tally:
    """The transactions of this process, counted by thread and result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str]] = Counter()

    def watch(self, client: Any) -> None:
        client.meta.events.register("after-call.dynamodb.TransactWriteItems", self._count)

    def _count(self, parsed: Mapping[str, Any], **_: Any) -> None:
        codes = [reason.get("Code") for reason in parsed.get("CancellationReasons", ())]
        with self._lock:
            for kind in (
                "tries",
                *(kind for kind in ("TransactionConflict", "ConditionalCheckFailed") if kind in codes),
            ):
                self._counts[threading.get_ident(), kind] += 1

    def take(self, thread: int | None = None) -> Counter[str]:
        """Return and remove the counts of one thread, or of all."""
        with self._lock:
            taken = {key: n for key, n in self._counts.items() if thread in (None, key[0])}
            for key in taken:
                del self._counts[key]
        counts: Counter[str] = Counter()
        for (_, kind), n in taken.items():
            counts[kind] += n
        return counts


TALLY = Tally()
_meeting: Any = None


def enter(env: Mapping[str, str], meeting: Any = None) -> None:
    """Begin work in this process, with the AWS endpoint of the environment."""
    global _meeting
    _meeting = meeting
    os.environ.update(env)
    parts.client.cache_clear()
    TALLY.watch(parts.client("dynamodb"))
    parts.client("events")


@dataclass(frozen=True)
class Crowd:
    """A number of processes with a number of threads each.

    ``pool`` is None if the one process is this one.
    """

    processes: int
    threads: int
    pool: Executor | None = None

    def __str__(self) -> str:
        return f"{self.processes} process{'es' if self.pool else ''} of {self.threads} threads"

    @property
    def size(self) -> int:
        return self.processes * self.threads

    def do(self, work: Callable[..., Done], *args: Any) -> tuple[list[Done], Counter[str]]:
        """Do ``work(*args, worker)`` in every worker at the same moment.

        Returns what each worker returned, and the counts of the transactions. ``worker`` counts from 0.
        """
        if self.pool is None:
            return _together(work, args, 0, self.threads)
        each = [self.pool.submit(_together, work, args, n * self.threads, self.threads) for n in range(self.processes)]
        finished = [future.result() for future in each]
        return [done for results, _ in finished for done in results], sum((tally for _, tally in finished), Counter())


def _together(
    work: Callable[..., Done], args: tuple[Any, ...], first: int, threads: int
) -> tuple[list[Done], Counter[str]]:
    TALLY.take()
    start = threading.Barrier(threads, _meeting.wait if _meeting else None, MEETING_SEC)

    def one(worker: int) -> Done:
        start.wait()
        return work(*args, worker)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(first, first + threads))), TALLY.take()


@contextmanager
def process_pool(processes: int, env: Mapping[str, str]) -> Iterator[Executor]:
    """Provide processes that share nothing with this one and start work together."""
    spawn = multiprocessing.get_context("spawn")
    meeting = spawn.Barrier(processes, timeout=MEETING_SEC)
    with ProcessPoolExecutor(processes, spawn, enter, (env, meeting)) as pool:
        yield pool


def in_eight_threads(work: Callable[[str], Done], over: Iterable[str]) -> list[Done]:
    """Do the work for all items, only to finish sooner and not to cause conflicts."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, over))
