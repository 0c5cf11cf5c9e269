"""A deployed and healthy stage for the doctor, and the world outside AWS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from moto.core.base_backend import BackendDict

from chalicelib.domain import zones
from chalicelib.providers.http import Answer, NotSent
from ops.data.keys import create_key
from ops.deploying.alarms import Alarmer
from ops.deploying.provision import Provisioner
from ops.doctor import examine
from ops.doctor.deployment import Deployment, Fetched
from ops.doctor.finding import Finding, Level
from tests.support.deployed import REGION, client, deploy, empty_aws
from tests.support.kept_aws import KeptAws

TWILIO = {
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "tok-98765",
    "TWILIO_ANSWER_URL": "https://example.com/answer.xml",
}
SWEEP_LOG = "/aws/lambda/redial-dev-sweep"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:pager"


@dataclass
class Outside:
    """The world outside AWS: a provider that answers ``status``, and a public API."""

    status: int = 404
    body: bytes = b"{}"
    lost: bool = False
    fetched: Fetched | OSError = field(default_factory=lambda: Fetched(200, datetime.now(UTC) + timedelta(days=200)))
    asked: list[str] = field(default_factory=list)

    def request(self, method: str, url: str, **_: Any) -> Answer:
        self.asked.append(f"{method} {url}")
        if self.lost:
            raise NotSent("no route to host")
        return Answer(self.status, {}, self.body)

    def fetch(self, url: str) -> Fetched:
        self.asked.append(f"GET {url}")
        if isinstance(self.fetched, OSError):
            raise self.fetched
        return self.fetched


@contextmanager
def healthy_stage(monkeypatch: pytest.MonkeyPatch, *, again: bool = False) -> Iterator[Outside]:
    """Provide a stage that was set up as in the README and has run for a while.

    The commands set it up once in a process, and later stages are copies. ``again`` runs the commands in any case.
    """
    with empty_aws(monkeypatch):
        # The zone rules grow old while the tests do not change, so each test has rules that are a day old.
        monkeypatch.setattr(zones, "RELEASED_ON", datetime.now(UTC).date() - timedelta(days=1))
        if again:
            _set_up()
        else:
            _set_up_once().restore()
        # moto has no account settings.
        may_run(monkeypatch, 1000)
        create_key(client("dynamodb"), "redial-dev", workspace="acme", role="admin", now=datetime.now(UTC))
        logs = client("logs")
        logs.create_log_stream(logGroupName=SWEEP_LOG, logStreamName="today")
        event = {"timestamp": int(datetime.now(UTC).timestamp() * 1000), "message": "START"}
        logs.put_log_events(logGroupName=SWEEP_LOG, logStreamName="today", logEvents=[event])
        yield Outside()


def _set_up() -> None:
    deploy(**TWILIO)
    Provisioner("dev", client, say=lambda line: None).provision()
    Alarmer("dev", client("cloudwatch"), REGION, topic_arn=TOPIC, say=lambda line: None).put()


@cache
def _set_up_once() -> KeptAws:
    """Return the AWS of a stage; nothing stays in moto."""
    _set_up()
    kept = KeptAws()
    BackendDict.reset()
    return kept


def may_run(monkeypatch: pytest.MonkeyPatch, lambdas: int) -> None:
    """Let the account run this many Lambdas at the same time."""
    limits = {"AccountLimit": {"ConcurrentExecutions": lambdas}}
    monkeypatch.setattr(client("lambda"), "get_account_settings", lambda: limits)


def deployment(outside: Outside, **changes: Any) -> Deployment:
    return Deployment("dev", **{"make_client": client, "http": outside, "fetch": outside.fetch, **changes})


def findings(outside: Outside, **changes: Any) -> list[tuple[str, Finding]]:
    return list(examine(deployment(outside, **changes)))


def of(found: list[tuple[str, Finding]], level: Level) -> list[tuple[str, str, str]]:
    return [(name, finding.what, finding.advice) for name, finding in found if finding.level is level]
