"""A counted story: calls come due together, Redial dials them, and nobody answers.

The real handlers dial the calls. moto stands in for AWS.
"""

import io
import json
import os
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from hmac import new as hmac
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import moto
from chalice.test import Client
from moto.core.botocore_stubber import BotocoreStubber

from chalicelib.api import current
from chalicelib.providers.cxml_calls import CALLBACK_EVENTS
from chalicelib.providers.http import Answer
from chalicelib.runtime import services as parts
from chalicelib.wheel import plan
from ops.benchmarks.cold_start import ENV, PUBLIC_URL, SECRET
from ops.benchmarks.metering import Meter
from ops.data.keys import create_key
from ops.data.table import table_definition
from ops.simulate import quick_moto

TABLE = "redial-dev"
START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
WAIT_MINUTES = 30
#: The number of calls that share a wake and its cost.
CALLS = 10
#: The statuses that Twilio's callbacks report. A busy call is never answered.
STATUSES = [{"completed": "busy"}.get(event, event) for event in CALLBACK_EVENTS if event != "answered"]


@dataclass(frozen=True, slots=True)
class Counted:
    """The usage of one redialled attempt.

    It includes the attempt's share of the wake, its claim and dial, its callbacks, and the booking of its next attempt.
    """

    write_units: float
    read_units: float
    callbacks: float
    invocations: float
    aws_requests: float
    log_bytes: float
    dial_cpu_ms: float
    callback_cpu_ms: float


class _Clock:
    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class _Twilio:
    """A Twilio that accepts every call and remembers the address of its callbacks."""

    def __init__(self) -> None:
        self.addresses: dict[str, str] = {}

    def request(self, method: str, url: str, *, form: Any = None, **_: Any) -> Answer:
        sid = f"CA{len(self.addresses) + 1:032x}"
        self.addresses[sid] = dict(form)["StatusCallback"]
        body = json.dumps({"sid": sid, "status": "queued"}).encode()
        return Answer(201, {"content-type": "application/json"}, body)


class _CpuWithoutMoto:
    """The CPU time of this thread, without the time that moto spends in AWS's place."""

    def __init__(self) -> None:
        self._motos = 0.0

    @contextmanager
    def without_moto(self) -> Iterator[None]:
        answer, outer = BotocoreStubber.__call__, self

        def timed(stubber: Any, *arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return answer(stubber, *arguments, **options)
            finally:
                outer._motos += time.thread_time() - began

        with patch.object(BotocoreStubber, "__call__", timed):
            yield

    def now(self) -> float:
        return time.thread_time() - self._motos


def count(calls: int = CALLS) -> Counted:
    """Return the usage of one redialled attempt, as the mean of ``calls`` attempts.

    Every call is busy twice. Only the second attempt is counted. Raises RuntimeError if Redial did not dial every call.
    """
    with _standing() as (client, clock, twilio, key):
        for number in range(calls):
            _place(client, key, number)
        _end_all(client, twilio.addresses)
        first, clock.at = dict(twilio.addresses), START + timedelta(minutes=WAIT_MINUTES)
        cpu, meter, out = _CpuWithoutMoto(), Meter(), io.StringIO()
        with meter.counting(), redirect_stdout(out):
            _wake(clock.at)
            redialled = {sid: url for sid, url in twilio.addresses.items() if sid not in first}
            _end_all(client, redialled)
        if len(redialled) != calls:
            raise RuntimeError(f"{len(redialled)} of {calls} calls were dialled")
        dial_ms, callback_ms = _cpu(client, clock, twilio, cpu)
    callbacks = calls * len(STATUSES)
    return Counted(
        write_units=meter.write_units / calls,
        read_units=meter.read_units / calls,
        callbacks=len(STATUSES),
        invocations=(callbacks + 1) / calls,
        aws_requests=meter.requests.total() / calls,
        log_bytes=len(out.getvalue().encode()) / calls,
        dial_cpu_ms=dial_ms,
        callback_cpu_ms=callback_ms,
    )


def _cpu(client: Client, clock: _Clock, twilio: _Twilio, cpu: _CpuWithoutMoto) -> tuple[float, float]:
    """Return the milliseconds of CPU of one dial and one callback in a warm process."""
    known = dict(twilio.addresses)
    clock.at += timedelta(minutes=WAIT_MINUTES)
    with redirect_stdout(io.StringIO()), cpu.without_moto():
        began = cpu.now()
        _wake(clock.at)
        dialled = cpu.now()
        redialled = {sid: url for sid, url in twilio.addresses.items() if sid not in known}
        _end_all(client, redialled)
        ended = cpu.now()
    return (dialled - began) / len(redialled) * 1000, (ended - dialled) / len(redialled) / len(STATUSES) * 1000


@contextmanager
def _standing() -> Iterator[tuple[Client, _Clock, _Twilio, str]]:
    from app import app

    environ = os.environ
    variables = {**ENV, "TABLE_NAME": TABLE, "DIAL_POOL_SIZE": "1", "TWILIO_CALLS_PER_SECOND": "50"}
    quick_moto.install()
    clock, twilio = _Clock(), _Twilio()
    with patch.dict(os.environ, variables), moto.mock_aws():
        parts.client.cache_clear()
        dynamodb = parts.client("dynamodb")
        dynamodb.create_table(**table_definition(TABLE))
        current.restart(clock, twilio)  # type: ignore[arg-type]
        key = create_key(dynamodb, TABLE, workspace="acme", role="write", now=START)
        with Client(app, stage_name="dev") as client, redirect_stdout(io.StringIO()):
            yield client, clock, twilio, key
    os.environ = environ  # noqa: B003 - Chalice's client leaves a copy behind
    current.restart()
    parts.client.cache_clear()


def _place(client: Client, key: str, number: int) -> None:
    body = {
        "from_number": "+14155550100",
        "to_number": f"+16505550{100 + number}",
        "retry": {"max_retries": 3, "wait_minutes": WAIT_MINUTES},
    }
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    answer = client.http.post("/calls", headers=headers, body=json.dumps(body).encode())
    if answer.status_code != 201:
        raise RuntimeError(f"a call was not placed: {answer.body!r}")


def _wake(at: datetime) -> None:
    import app

    context = SimpleNamespace(
        function_name="redial",
        aws_request_id="r",
        invoked_function_arn="a",
        get_remaining_time_in_millis=lambda: 120_000,
    )
    app.redial({"wake": plan.wake_text(at)}, context)


def _end_all(client: Client, addresses: Mapping[str, str]) -> None:
    """Post the callbacks of every call, signed as Twilio signs them."""
    for sid, url in addresses.items():
        for number, status in enumerate(STATUSES):
            form = {"AccountSid": ENV["TWILIO_ACCOUNT_SID"], "CallSid": sid, "CallStatus": status}
            form["SequenceNumber"] = str(number)
            signed = url + "".join(name + form[name] for name in sorted(form))
            signature = b64encode(hmac(SECRET.encode(), signed.encode(), sha1).digest()).decode()
            headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
            path = url.removeprefix(PUBLIC_URL)
            answer = client.http.post(path, headers=headers, body=urlencode(form).encode())
            if answer.status_code != 200:
                raise RuntimeError(f"a callback was refused: {answer.body!r}")
