"""The command `make run` continues from the last run, which was stopped or killed."""

import json
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from chalicelib.providers.signing import basic_login

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
#: packaging on two cores that run other tests too
START_SECONDS = 240
#: The retry's rule is gone with the process. The sweep finds the call within two minutes, plus cold starts.
CATCH_UP_SECONDS = 240
POLICY = {"retry": {"max_retries": 1, "wait_minutes": 60}}
FOREIGN = {"From": "+14155550100", "To": "+16505550176", "Url": "https://example.com/answer.xml"}
CALL = {"from_number": "+14155550100", "to_number": "+16505550177", "retry": {"max_retries": 1, "wait_minutes": 0.1}}


@contextmanager
def running(directory: Path, end: signal.Signals, *options: str) -> Iterator[dict[str, str]]:
    """Run a stack of `make run`, provide its environment, and end it with the signal.

    SIGTERM stands for Ctrl-C, because a process in the background of a shell ignores SIGINT.
    """
    command = [sys.executable, "-m", "ops.local", "--directory", str(directory), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    env = directory / "env"
    env.unlink(missing_ok=True)  # a killed stack leaves this file
    try:
        until = time.monotonic() + START_SECONDS
        while not env.exists():
            assert process.poll() is None, process.stdout and process.stdout.read().decode()
            assert time.monotonic() < until
            time.sleep(0.1)
        assert stat.S_IMODE(env.stat().st_mode) == 0o600
        yield dict(line.split("=", 1) for line in env.read_text().splitlines())
        process.send_signal(end)
        assert process.wait(60) == (0 if end == signal.SIGTERM else -end)
    finally:
        process.kill()
        process.wait()


def ask(
    env: Mapping[str, str], path: str, body: Mapping[str, Any] | None = None, method: str | None = None
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {env['API_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(f"{env['BASE_URL']}{path}", data, headers, method=method), timeout=60) as answer:
        document: dict[str, Any] = json.load(answer)
        return document


def place_at_twilio(env: Mapping[str, str], callback: str) -> None:
    """Place a call as the user's own code does, with callbacks to an adoption address."""
    account, token = env["TWILIO_ACCOUNT_SID"], env["TWILIO_AUTH_TOKEN"]
    headers = {"Authorization": basic_login(account, token), "Accept": "application/json"}
    form = urlencode({**FOREIGN, "StatusCallback": callback}).encode()
    urlopen(
        Request(f"{env['TWILIO_API_URL']}/2010-04-01/Accounts/{account}/Calls.json", form, headers), timeout=60
    ).close()


def is_adopted(env: Mapping[str, str]) -> bool:
    return FOREIGN["To"] in [entry["to_number"] for entry in ask(env, "/calls")["data"]]


def outcomes(env: Mapping[str, str], call_id: str) -> list[str]:
    return [attempt["outcome"] for attempt in ask(env, f"/calls/{call_id}")["attempts"]]


def wait_for(happened: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until
        time.sleep(1)


def test_calls_addresses_key_and_ports_outlive_the_process(tmp_path: Path) -> None:
    with running(tmp_path, signal.SIGKILL) as first:
        script = Request(f"{first['CARRIER_URL']}/script/{CALL['to_number']}", b'{"outcomes": ["busy"]}', method="PUT")
        urlopen(script, timeout=60).close()
        call_id = ask(first, "/calls", CALL)["id"]
        address = ask(first, "/policies/reminders", POLICY, "PUT")["adoption"]["address"]
        wait_for(lambda: outcomes(first, call_id) == ["busy"], 60)
    with running(tmp_path, signal.SIGTERM) as second:
        assert second == first
        assert outcomes(second, call_id)[0] == "busy"
        place_at_twilio(second, address)
        wait_for(lambda: is_adopted(second), 60)
    with running(tmp_path, signal.SIGTERM) as third:
        assert third == first
        wait_for(lambda: outcomes(third, call_id) == ["busy", "completed"], CATCH_UP_SECONDS)
        assert is_adopted(third)
    with running(tmp_path, signal.SIGTERM, "--fresh") as fresh:
        assert fresh["API_KEY"] != first["API_KEY"]
        assert ask(fresh, "/calls")["data"] == []
