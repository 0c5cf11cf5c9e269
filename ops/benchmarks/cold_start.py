"""The cost of a cold start in fresh processes, compared with a floor.

The floor is the least that any such app must load: chalice, pydantic, a botocore session and a DynamoDB client. The
app's side has the same parts: its import, and its services with their DynamoDB client. Every process finds compiled
bytecode. A Lambda may have to compile it first; then both sides take longer.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from hmac import new as hmac
from pathlib import Path

from chalicelib import ids

ROOT = Path(__file__).parents[2]
RUNS = 10
#: the maximum cost of the app's start, as a multiple of the floor
LIMIT = 1.25

PUBLIC_URL = "https://redial.example.com/api"
SECRET = "12345"  # noqa: S105 - a value for tests
ENV = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "PUBLIC_URL": PUBLIC_URL,
    "REDIAL_ARN": "arn:aws:lambda:us-east-1:123456789012:function:redial-dev-redial",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": SECRET,
    "TWILIO_ANSWER_URL": "https://example.com/answer.xml",
}

FLOOR = """
from chalice.app import Chalice
from pydantic import BaseModel
import botocore.session
botocore.session.get_session().create_client("dynamodb", region_name="us-east-1")
"""
APP = """
import app
from chalicelib.api import current
current.services()
"""
#: The code of a process's first request. It stops when it would send its first request to AWS.
FIRST_REQUEST = """
import app
from types import SimpleNamespace
from chalicelib.runtime import services
class AtAws(BaseException): pass
def stop(**_): raise AtAws
services.client("dynamodb").meta.events.register("before-send.dynamodb", stop)
context = SimpleNamespace(
    function_name="f", aws_request_id="r", invoked_function_arn="a", get_remaining_time_in_millis=lambda: 60000
)
try:
    {invoke}
except AtAws:
    pass
else:
    raise SystemExit("the code sent no request to AWS")
"""
REDIAL = FIRST_REQUEST.replace("{invoke}", 'app.redial({"wake": "2026-01-26T10:30Z"}, context)')
TIMED = "import time\nBEGAN = time.perf_counter()\n{code}\nprint('took', (time.perf_counter() - BEGAN) * 1000)"


def cases() -> dict[str, str]:
    """Return the code to measure, by name. The others are compared with the first."""
    event = json.dumps(_callback())
    callback = FIRST_REQUEST.replace("{invoke}", f"import json; app.app(json.loads({event!r}), context)")
    return {
        "floor: chalice, pydantic, a DynamoDB client": FLOOR,
        "the app and its services": APP,
        "a callback, up to its first AWS call": callback,
        "a wake, up to its first AWS call": REDIAL,
    }


def medians_ms(codes: Mapping[str, str], runs: int = RUNS) -> dict[str, float]:
    """Return the median milliseconds of each code in fresh processes.

    One process of each code runs in turn, ``runs`` times.
    """
    with tempfile.TemporaryDirectory() as compiled:
        for code in codes.values():
            _run_ms(code, compiled)
        rounds = [{what: _run_ms(code, compiled) for what, code in codes.items()} for _ in range(runs)]
    return {what: statistics.median(each[what] for each in rounds) for what in codes}


def ratio(runs: int = RUNS) -> float:
    """Return the cost of the app's start as a multiple of the floor."""
    floor_ms, app_ms = medians_ms({"floor": FLOOR, "app": APP}, runs).values()
    return app_ms / floor_ms


def _run_ms(code: str, compiled: str) -> float:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {**ENV, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": compiled}
    command: Sequence[str] = [sys.executable, "-c", TIMED.replace("{code}", code)]
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"a measured process failed: {run.stderr[-2000:]}")
    return float(run.stdout.rsplit("took", 1)[1])


def _callback() -> dict[str, object]:
    """Return a signed Twilio callback as API Gateway passes it to the Lambda."""
    token = ids.callback_token("call_" + "0" * 26, 1)
    form = {"AccountSid": ENV["TWILIO_ACCOUNT_SID"], "CallSid": "CA" + "0" * 32, "CallStatus": "busy"}
    signed = f"{PUBLIC_URL}/callbacks/twilio/{token}" + "".join(name + form[name] for name in sorted(form))
    signature = b64encode(hmac(SECRET.encode(), signed.encode(), sha1).digest()).decode()
    return {
        "httpMethod": "POST",
        "path": f"/callbacks/twilio/{token}",
        "headers": {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"},
        "multiValueQueryStringParameters": None,
        "pathParameters": {"provider": "twilio", "token": token},
        "stageVariables": None,
        "isBase64Encoded": False,
        "body": "&".join(f"{name}={value}" for name, value in form.items()),
        "requestContext": {"httpMethod": "POST", "resourcePath": "/callbacks/{provider}/{token}", "identity": {}},
    }
