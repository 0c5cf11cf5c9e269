"""What a process keeps between two invocations, though AWS's runtime changes the environment before each."""

import os
from typing import Any

import pytest

from chalicelib import services as parts
from chalicelib.api import current
from tests.support.world import ENV, World, new_client

PARAMETER = "/redial-dev/twilio-auth-token"


@pytest.fixture
def reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reads of Parameter Store, where Twilio's token is kept."""
    ssm = parts.client("ssm")
    ssm.put_parameter(Name=PARAMETER, Value=ENV["TWILIO_AUTH_TOKEN"], Type="SecureString")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", f"ssm:{PARAMETER}")
    world.client = new_client().__enter__()
    counted: list[str] = []
    ssm.meta.events.register("before-call.ssm.GetParameters", lambda **_: counted.append("read"))
    return counted


def test_thirty_invocations_build_once_and_read_a_secret_once(
    world: World, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    builds: list[Any] = []

    def build(*args: Any) -> parts.Services:
        builds.append(args)
        return parts.build(*args)

    monkeypatch.setattr(current, "build", build)
    world.place()
    for number in range(30):
        # AWS's runtime writes it so before each invocation. setenv() of these tests would start the process again.
        monkeypatch.setitem(
            os.environ, "_X_AMZN_TRACE_ID", f"Root=1-5759e988-bd862e3fe1be46a9942{number:05d};Sampled=1"
        )
        assert world.callback(world.twilio.placed[0], "ringing").status_code == 200
    assert (len(builds), len(reads)) == (1, 1)
