"""The real handlers, with moto in AWS's place and a fake Twilio.

The routes and the Lambdas run in this process. Their clock stands still until somebody moves it.
"""

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from hmac import new as hmac
from io import StringIO
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import moto
from chalice.test import Client
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table

from chalicelib.api import current
from chalicelib.domain.call import CallRecord
from chalicelib.providers.http import Answer
from chalicelib.runtime import services as parts
from chalicelib.runtime import settings
from chalicelib.usecases.ports import Ports
from chalicelib.wheel import plan
from ops.benchmarks.cold_start import ENV, PUBLIC_URL, SECRET
from ops.data.keys import create_key
from ops.data.table import table_definition
from ops.simulate import quick_moto

TABLE = "redial-dev"
START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
WAIT_MINUTES = 30
#: the status of a callback for each event that Twilio can report about a busy line, which is never answered
BUSY_LINE = {"initiated": "initiated", "ringing": "ringing", "completed": "busy"}


class Clock:
    """A clock that stands still. ``at`` is its time."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """Return the time."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Move the clock forward."""
        self.at += timedelta(seconds=seconds)


class FakeTwilio:
    """A Twilio that accepts every call.

    ``addresses`` has the address of the callbacks of each call, by the call's id at Twilio. ``events`` are the events
    that the latest request subscribed to.
    """

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}
        self.events: tuple[str, ...] = ()

    def request(self, method: str, url: str, *, form: Any = None, **_: Any) -> Answer:
        """Accept a call."""
        sid = f"CA{len(self.addresses) + 1:032x}"
        self.addresses[sid] = dict(form)["StatusCallback"]
        self.events = tuple(value for name, value in form if name == "StatusCallbackEvent")
        body = json.dumps({"sid": sid, "status": "queued"}).encode()
        return Answer(201, {"content-type": "application/json"}, body)


class Handlers:
    """The handlers of a deployment with one API key. ``printed`` has their logs."""

    def __init__(self, client: Client, clock: Clock, twilio: FakeTwilio, key: str, printed: StringIO) -> None:
        self.clock = clock
        self.twilio = twilio
        self.printed = printed
        self._client = client
        self._key = key
        self._placed = 0

    @property
    def ports(self) -> Ports:
        """The ports of the use cases."""
        return current.services().ports

    @property
    def table(self) -> Table:
        """Moto's table, with an item for each key."""
        found: Table = dynamodb_backends[DEFAULT_ACCOUNT_ID][ENV["AWS_DEFAULT_REGION"]].tables[TABLE]
        return found

    def place(self, max_retries: int = 3, start_at: datetime | None = None) -> str:
        """Place a call to a new number, and return its id.

        The call is dialled now, or waits for ``start_at``. Raises RuntimeError if the API refuses the call.
        """
        self._placed += 1
        body: dict[str, Any] = {
            "from_number": "+14155550100",
            "to_number": f"+1650555{100 + self._placed:04d}",
            "retry": {"max_retries": max_retries, "wait_minutes": WAIT_MINUTES},
        }
        if start_at is not None:
            body["start_at"] = start_at.isoformat()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        answer = self._client.http.post("/calls", headers=headers, body=json.dumps(body).encode())
        if answer.status_code != 201:
            raise RuntimeError(f"a call was not placed: {answer.body!r}")
        return str(answer.json_body["call_id"])

    def load(self, call_id: str) -> CallRecord:
        """Return the record of a call. Raises LookupError if there is no such call."""
        record = self.ports.calls.load(call_id)
        if record is None:
            raise LookupError(f"the table has no call {call_id}")
        return record

    def callback(self, sid: str, status: str, number: int) -> None:
        """Post a callback about a call, signed as Twilio signs it.

        ``number`` is the place of the callback in their sequence, from 0. Raises RuntimeError if the API refuses it.
        """
        url = self.twilio.addresses[sid]
        form = {"AccountSid": ENV["TWILIO_ACCOUNT_SID"], "CallSid": sid, "CallStatus": status}
        form["SequenceNumber"] = str(number)
        signed = url + "".join(name + form[name] for name in sorted(form))
        signature = b64encode(hmac(SECRET.encode(), signed.encode(), sha1).digest()).decode()
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        path = url.removeprefix(PUBLIC_URL)
        answer = self._client.http.post(path, headers=headers, body=urlencode(form).encode())
        if answer.status_code != 200:
            raise RuntimeError(f"a callback was refused: {answer.body!r}")

    @property
    def busy_statuses(self) -> list[str]:
        """The statuses of the callbacks about a busy line that Redial subscribed to."""
        return [BUSY_LINE[event] for event in self.twilio.events if event in BUSY_LINE]

    def wake(self) -> dict[str, int]:
        """Run the redial Lambda for the wake of this minute. Return its counts."""
        import app

        counts: dict[str, int] = app.redial({"wake": plan.wake_text(self.clock.at)}, _context("redial"))
        return counts

    def sweep(self) -> dict[str, int]:
        """Run the sweep Lambda. Return its counts."""
        import app

        event = {"version": "0", "account": "", "region": "", "detail": {}, "detail-type": "", "source": "", "time": ""}
        counts: dict[str, int] = app.sweep({**event, "id": "", "resources": []}, _context("sweep"))
        return counts


@contextmanager
def running(concurrent_calls: int) -> Iterator[Handlers]:
    """Run the handlers until the block ends, and yield them.

    ``concurrent_calls`` is the concurrency limit of the Twilio account. It may be larger than the settings allow.
    """
    from app import app

    environ = os.environ
    limits = {"TWILIO_CALLS_PER_SECOND": "50", "TWILIO_MAX_CONCURRENT_CALLS": str(concurrent_calls)}
    variables = {**ENV, **limits, "TABLE_NAME": TABLE, "DIAL_POOL_SIZE": "1"}
    quick_moto.install()
    clock, twilio, printed = Clock(), FakeTwilio(), StringIO()
    most = max(settings.MAX_SLOTS, concurrent_calls)
    with patch.dict(os.environ, variables), patch.object(settings, "MAX_SLOTS", most), moto.mock_aws():
        parts.client.cache_clear()
        dynamodb = parts.client("dynamodb")
        dynamodb.create_table(**table_definition(TABLE))
        current.restart(clock, twilio)  # type: ignore[arg-type]
        key = create_key(dynamodb, TABLE, workspace="acme", role="write", now=START)
        with Client(app, stage_name="dev") as client, redirect_stdout(printed):
            yield Handlers(client, clock, twilio, key, printed)
    os.environ = environ  # noqa: B003 - Chalice's client leaves a copy behind
    current.restart()
    parts.client.cache_clear()


def _context(name: str) -> SimpleNamespace:
    return SimpleNamespace(
        function_name=name,
        aws_request_id="r",
        invoked_function_arn="a",
        get_remaining_time_in_millis=lambda: 120_000,
    )
