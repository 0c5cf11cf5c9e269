"""A whole Redial in one process: app on moto, turned clock, scripted provider."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from chalice.test import Client, HTTPResponse
from twilio.request_validator import RequestValidator

from app import app
from chalicelib.api import current
from chalicelib.providers.http import Answer, AnswerLost
from chalicelib.runtime import services as parts
from chalicelib.runtime.services import Services
from chalicelib.wheel import plan
from ops.data.keys import create_key
from ops.data.table import table_definition
from ops.simulate.strict_aws import StrictAws, parse_cron

PUBLIC_URL = "https://redial.example.com/api"
TABLE = "redial-dev"
AUTH_TOKEN = "12345"
ENV = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "TABLE_NAME": TABLE,
    "PUBLIC_URL": PUBLIC_URL,
    "REDIAL_STAGE": "dev",
    "REDIAL_ARN": "arn:aws:lambda:us-east-1:123456789012:function:redial-dev-redial",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_ANSWER_URL": "https://example.com/answer.xml",
    "TWILIO_CALLS_PER_SECOND": "50",
    "DIAL_POOL_SIZE": "1",
}
START = datetime(2026, 1, 26, 10, 0, tzinfo=UTC)
BODY = {
    "from_number": "+14155550100",
    "to_number": "+16505550199",
    "agent_version_id": "av_01hx",
    "retry": {
        "max_retries": 3,
        "wait_minutes": 30,
        "retry_on_voicemail": False,
        "retry_on_no_answer": True,
        "retry_on_busy": True,
    },
}


class TurnedClock:
    """A clock that stands still until the test turns it."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.turn(seconds=seconds)

    def turn(self, to: datetime | None = None, **by: float) -> None:
        """Set the clock to a time, or turn it by ``minutes=``, ``seconds=`` and the like."""
        self.at = to if to is not None else self.at + timedelta(**by)


@dataclass
class Placed:
    """A create-call request as the provider received it."""

    form: dict[str, Any]
    sid: str
    at: datetime

    @property
    def callback_url(self) -> str:
        return str(self.form["StatusCallback"])


@dataclass
class FakeTwilio:
    """A stand-in for Http that accepts create-calls.

    It gives the answers that the test sets, and by default it answers with a new call.
    """

    clock: TurnedClock
    placed: list[Placed] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    answers: list[Answer | Exception] = field(default_factory=list)
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    on_place: Callable[[Placed], None] | None = None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        form: Sequence[tuple[str, str]] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        self.requests.append((method, url))
        if method == "GET" and "/Calls.json?" in url:
            return self._listed(url)
        if method == "GET":
            sid = url.rsplit("/", 1)[1].removesuffix(".json")
            found = self.known.get(sid)
            return answer_json(200, {"sid": sid, **found}) if found else answer_json(404, {"code": 20404})
        if url.endswith("/Call/"):
            # Plivo, the second provider of the tests that need one
            fields = json.loads(body or b"{}")
            self.placed.append(Placed(fields, f"plivo-{len(self.placed) + 1}", self.clock.now()))
            return answer_json(201, {"message": "call fired", "request_uuid": self.placed[-1].sid})
        if not url.endswith("/Calls.json"):
            return answer_json(200, {"status": "completed"})
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or isinstance(answer, AnswerLost):
            sid = f"CA{len(self.placed) + 1:032x}"
            fields = dict(form or [])
            fields["StatusCallbackEvent"] = [v for k, v in form or [] if k == "StatusCallbackEvent"]
            self.placed.append(Placed(fields, sid, self.clock.now()))
            if self.on_place is not None:
                self.on_place(self.placed[-1])
            answer = answer or answer_json(201, {"sid": sid, "status": "queued"})
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _listed(self, url: str) -> Answer:
        """Return Twilio's list of the calls between two numbers, all on one page."""
        asked = dict(parse_qsl(urlsplit(url).query))
        calls = [
            {
                "sid": each.sid,
                "to": each.form["To"],
                "from": each.form["From"],
                "direction": "outbound-api",
                "date_created": format_datetime(each.at, usegmt=True),
                "status": "queued",
                **self.known.get(each.sid, {}),
            }
            for each in self.placed
            if (each.form.get("To"), each.form.get("From")) == (asked["To"], asked["From"])
        ]
        return answer_json(200, {"calls": calls, "next_page_uri": None})


def answer_json(status: int, body: Any) -> Answer:
    """Return a provider's JSON answer."""
    return Answer(status, {"content-type": "application/json"}, json.dumps(body).encode())


class World:
    """The app, its table, its clock and its provider, with the verbs that tests need."""

    def __init__(self, client: Client, clock: TurnedClock, twilio: FakeTwilio, aws: StrictAws) -> None:
        self.client = client
        self.clock = clock
        self.twilio = twilio
        self.aws = aws
        self.dynamodb = parts.client("dynamodb")
        self.events = parts.client("events")
        self.key = create_key(self.dynamodb, TABLE, workspace="acme", role="admin", now=clock.now())
        self.invoked: list[dict[str, Any]] = []

    @property
    def services(self) -> Services:
        return current.services()

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, headers: Mapping[str, str] = {}
    ) -> HTTPResponse:
        sent = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json", **headers}
        raw = json.dumps(body).encode() if body is not None else b""
        return self.client.http.request(method, path, headers=sent, body=raw)

    def place(self, **changes: Any) -> dict[str, Any]:
        """Place a call with DialNexa's documented body and changes, and return the call."""
        answer = self.request("POST", "/calls", {**BODY, **changes})
        assert answer.status_code == 201, answer.body
        body: dict[str, Any] = answer.json_body
        return body

    def call(self, call_id: str) -> dict[str, Any]:
        """Read ``GET /calls/{id}``."""
        body: dict[str, Any] = self.request("GET", f"/calls/{call_id}").json_body
        return body

    def history(self, call_id: str) -> list[tuple[int, str]]:
        """Return (attempt, status) of a call's attempts, as DialNexa's route shows them."""
        data = self.request("GET", f"/call-logs/{call_id}/retries").json_body["data"]
        return [(entry["attempt"], entry["status"]) for entry in data]

    def callback(self, placed: Placed, status: str | None, **fields: str) -> HTTPResponse:
        """Post one of Twilio's callbacks for a placed call, signed by Twilio's own code."""
        form = {"CallSid": placed.sid, "AccountSid": ENV["TWILIO_ACCOUNT_SID"], "ToZip": ""}
        if status is not None:
            form["CallStatus"] = status
        form |= fields
        return self.post_signed(placed.callback_url, form)

    def post_signed(self, url: str, form: Mapping[str, str]) -> HTTPResponse:
        signature = RequestValidator(AUTH_TOKEN).compute_signature(url, form)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        path = url.removeprefix(PUBLIC_URL)
        return self.client.http.post(path, headers=headers, body=urlencode(form).encode())

    def end(self, status: str, **fields: str) -> HTTPResponse:
        """Post the last callback of the call that was placed last."""
        answer = self.callback(self.twilio.placed[-1], status, SequenceNumber="3", **fields)
        assert answer.status_code == 200, answer.body
        return answer

    def items(self) -> list[dict[str, Any]]:
        """Return all items of the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules of EventBridge."""
        pages = self.events.get_paginator("list_rules").paginate()
        return [rule for page in pages for rule in page["Rules"]]

    def restart(self) -> None:
        """Let the process die. A new process takes the next request."""
        current.restart(self.clock, self.twilio)  # type: ignore[arg-type]

    def pump(self, until: datetime, *, forgiving: bool = False) -> None:
        """Let time pass to ``until``, and fire every rule in its minute like EventBridge.

        ``forgiving`` accepts a rule without a target, which is left if its creation was interrupted.
        """
        fired: set[str] = set()
        while True:
            due = sorted((at, name) for at, name in self._fire_times() if at <= until and name not in fired)
            if not due:
                self.clock.turn(to=max(until, self.clock.now()))
                return
            at, name = due[0]
            self.clock.turn(to=max(at, self.clock.now()))
            fired.add(name)
            self._fire(name, forgiving=forgiving)

    def _fire_times(self) -> Iterator[tuple[datetime, str]]:
        for rule in self.rules():
            minute, hour, day, month, year = parse_cron(rule["ScheduleExpression"])
            at = datetime(year, month, day, hour, minute, tzinfo=UTC)
            # A rule whose minute is past never fires again.
            if at >= self.clock.now().replace(second=0, microsecond=0):
                yield at, rule["Name"]

    def _fire(self, name: str, *, forgiving: bool) -> None:
        targets = self.events.list_targets_by_rule(Rule=name)["Targets"]
        if forgiving and not targets:
            return
        assert targets, f"rule {name} fires at nothing"
        for target in targets:
            assert target["Arn"] == ENV["REDIAL_ARN"]
            event = json.loads(target["Input"])
            self.invoked.append(event)
            self.client.lambda_.invoke("redial", event)
        assert name not in {rule["Name"] for rule in self.rules()}, f"{name} fired and was left behind"

    def redial(self, wake: datetime) -> Any:
        """Invoke the redial Lambda directly."""
        return self.client.lambda_.invoke("redial", {"wake": plan.wake_text(wake)}).payload

    def sweep(self) -> Any:
        """Invoke the sweep as EventBridge does each minute."""
        event = self.client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        return self.client.lambda_.invoke("sweep", event).payload


def create_table(dynamodb: Any) -> None:
    dynamodb.create_table(**table_definition(TABLE))


def new_client() -> Client:
    return Client(app, stage_name="dev")
