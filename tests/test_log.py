"""Log lines: one JSON line for each event, from every source."""

import json
import logging
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.runtime import log
from tests.support.app_output import figures, logged
from tests.support.world import ENV, World

ROOT = Path(__file__).parent.parent
#: Lambda's runtime prepares the root logger in this way before it loads the app. Then the redial Lambda is invoked.
AS_LAMBDA_DOES = """
import logging, sys
from types import SimpleNamespace
prefixed = logging.StreamHandler(sys.stdout)
prefixed.setFormatter(logging.Formatter("[%(levelname)s]\\t%(message)s"))
logging.getLogger().addHandler(prefixed)
import app
from chalicelib.runtime import log
def dial(event):
    log.log("dialed", call="call_1", attempt=1)
    log.warn("placement-unknown", call="call_1")
    logging.getLogger("botocore").warning("slow %s", "down")
    app.app.log.error("of chalice")
    log.with_context(lambda n: log.log("pooled", n=n))(1)
context = SimpleNamespace(function_name="redial-dev-redial", aws_request_id="r-1", invoked_function_arn="arn")
app.accounting(SimpleNamespace(lambda_context=context), dial)
app.accounting(SimpleNamespace(lambda_context=context), dial)
"""


def said(code: str) -> list[dict[str, Any]]:
    """Return every line on stdout of a fresh interpreter.

    Each must be JSON, and nothing may be on stderr.
    """
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **ENV, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_in_lambda_every_line_is_written_once_as_json_with_its_invocation() -> None:
    lines = said(AS_LAMBDA_DOES)
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    warm = {"function": "redial-dev-redial", "request_id": "r-1", "cold_start": False}
    of_one = [
        {"level": "INFO", "event": "dialed", **warm, "call": "call_1", "attempt": 1},
        {"level": "WARNING", "event": "placement-unknown", **warm, "call": "call_1"},
        {"level": "WARNING", "event": "library", **warm, "logger": "botocore", "message": "slow down"},
        {"level": "ERROR", "event": "library", **warm, "logger": "redial", "message": "of chalice"},
        {"level": "INFO", "event": "pooled", **warm, "n": 1},
    ]
    assert lines == [{**line, "cold_start": True} for line in of_one] + of_one


def test_the_lines_of_a_pool_s_threads_name_their_invocation(capsys: pytest.CaptureFixture[str]) -> None:
    context = SimpleNamespace(function_name="f", aws_request_id="r-2")
    with log.invocation(context), ThreadPoolExecutor(4) as pool:
        list(pool.map(log.with_context(lambda n: log.log("pooled", n=n)), range(40)))
    told = logged(capsys.readouterr().out)
    assert sorted((line["n"], line["request_id"], line["function"]) for line in told) == [
        (n, "r-2", "f") for n in range(40)
    ]


def test_a_line_after_an_invocation_names_none(capsys: pytest.CaptureFixture[str]) -> None:
    with log.invocation(SimpleNamespace(function_name="f", aws_request_id="r-3")):
        log.log("during")
    log.log("after")
    during, after = logged(capsys.readouterr().out)
    assert during["request_id"] == "r-3"
    assert after.keys() == {"time", "level", "event"}


def test_an_error_is_one_line_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        log.broken("broken", error, call="call_1")
    (line,) = logged(capsys.readouterr().out)
    assert (line["level"], line["event"], line["error"]) == ("ERROR", "broken", r"ValueError('two\nlines')")
    assert line["trace"].startswith("Traceback (most recent call last):\n")


def test_a_library_s_error_is_one_line_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("pk")
    except KeyError:
        logging.getLogger("urllib3").exception("it broke")
    (line,) = logged(capsys.readouterr().out)
    assert (line["event"], line["logger"], line["message"]) == ("library", "urllib3", "it broke")
    assert line["trace"].endswith("KeyError: 'pk'")


def test_every_line_of_a_call_s_life_names_its_lambda_and_request(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    call = world.place()
    world.end("busy")
    lines = logged(capsys.readouterr().out)
    assert [(line["event"], line["call"]) for line in lines] == [
        ("dialed", call["id"]),
        ("call-placed", call["id"]),
        ("callback", call["id"]),
    ]
    assert {line["function"] for line in lines} == {"api_handler"}
    assert len({line["request_id"] for line in lines}) == 2
    assert (lines[2]["reason"], lines[2]["retry_at"]) == ("retry", world.call(call["id"])["next_attempt_at"])


def test_an_invocation_that_fails_is_one_line_and_fails(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="not-a-wake"):
        world.client.lambda_.invoke("redial", {"wake": "not-a-wake"})
    out = capsys.readouterr().out
    (line,) = logged(out)
    assert (line["event"], line["function"], line["level"]) == ("invocation-failed", "redial", "ERROR")
    assert figures(out) == {}
