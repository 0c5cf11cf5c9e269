"""The state of a process between two invocations.

AWS's runtime changes the environment before each invocation.
"""

import os
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from chalicelib.api import current
from chalicelib.providers import REGISTRY, provider_class
from chalicelib.runtime import services as parts
from tests.support.world import ENV, World, new_client

PARAMETER = "/redial-dev/twilio-auth-token"


@pytest.fixture
def reads(world: World, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep Twilio's token in Parameter Store, and return the reads of it."""
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
        # AWS's runtime writes the environment in this way before each invocation. setenv() of these tests would restart
        # the process.
        monkeypatch.setitem(
            os.environ, "_X_AMZN_TRACE_ID", f"Root=1-5759e988-bd862e3fe1be46a9942{number:05d};Sampled=1"
        )
        assert world.callback(world.twilio.placed[0], "ringing").status_code == 200
    assert (len(builds), len(reads)) == (1, 1)


#: provider -> (the settings that it needs, its secret)
SIGNED = {
    "dialnexa": ({"API_KEY": "k", "WEBHOOK_SECRET": "s"}, "WEBHOOK_SECRET"),
    "plivo": ({"AUTH_ID": "MAXXXXXXXXXXXXXXXXXX", "AUTH_TOKEN": "s"}, "AUTH_TOKEN"),
    "signalwire": ({"PROJECT_ID": "p", "API_TOKEN": "s", "SPACE": "a.signalwire.com"}, "API_TOKEN"),
    "telnyx": ({"API_KEY": "k", "CONNECTION_ID": "1", "PUBLIC_KEY": "s"}, "API_KEY"),
    "twilio": ({"ACCOUNT_SID": "AC" + "0" * 32, "AUTH_TOKEN": "s"}, "AUTH_TOKEN"),
    "vonage": ({"API_KEY": "k", "APPLICATION_ID": "a", "PRIVATE_KEY": "p", "SIGNATURE_SECRET": "s"}, "PRIVATE_KEY"),
}
UNSIGNED = {"bolna": ({"API_KEY": "s"}, "API_KEY"), "exotel": ({}, "API_TOKEN")}
ADDRESSES = ("/token", "/adopt/token", "")


def keep_in_ssm(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Set a provider up with its credentials in Parameter Store.

    Returns the reads of Parameter Store.
    """
    given = (SIGNED | UNSIGNED)[name][0]
    ssm = parts.client("ssm")
    for key in {*provider_class(name).required, *(each.lower() for each in given)}:
        variable = f"{name.upper()}_{key.upper()}"
        name_there, value = f"/redial-dev/{variable}", given.get(key.upper(), "x")
        ssm.put_parameter(Name=name_there, Value=value, Type="SecureString", Overwrite=True)
        monkeypatch.setenv(variable, f"ssm:/redial-dev/{variable}")
    world.client = new_client().__enter__()
    world.restart()
    counted: list[str] = []
    ssm.meta.events.register("before-call.ssm.GetParameters", lambda **_: counted.append("read"))
    return counted


@pytest.mark.parametrize("name", sorted(n for n in REGISTRY if provider_class(n).signs_callbacks))
def test_an_unsigned_callback_reads_no_secret(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    reads = keep_in_ssm(world, monkeypatch, name)
    for address in ADDRESSES * 7:
        for method in ("POST", "GET"):
            headers = {"Content-Type": "application/json"}
            answer = world.client.http.request(method, f"/callbacks/{name}{address}", headers=headers, body=b"{}")
            assert answer.status_code == 403, answer.body
            assert b"missing" in answer.body
    assert reads == []


@pytest.mark.parametrize("name", sorted(n for n in REGISTRY if provider_class(n).signs_callbacks))
def test_every_way_of_signing_is_verified(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for names in provider_class(name).signature_headers:
        reads = keep_in_ssm(world, monkeypatch, name)
        headers = dict.fromkeys(names, "Bearer wrong") | {"Content-Type": "application/json"}
        world.client.http.post(f"/callbacks/{name}/token", headers=headers, body=b"{}")
        assert reads, names
        world.clock.turn(minutes=10)


@pytest.mark.parametrize("name", sorted(n for n in REGISTRY if not provider_class(n).signs_callbacks))
def test_a_sender_that_is_not_listed_reads_no_secret(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"{name.upper()}_ALLOWED_IPS", "192.0.2.0/24")
    reads = keep_in_ssm(world, monkeypatch, name)
    for address in ADDRESSES * 7:
        answer = world.client.http.post(f"/callbacks/{name}{address}", headers={}, body=b"{}")
        assert answer.status_code == 403, answer.body
    assert reads == []


def test_after_a_rotation_the_secret_is_read_once_more(world: World, reads: list[str]) -> None:
    world.place()
    assert world.callback(world.twilio.placed[0], "ringing").status_code == 200
    parts.client("ssm").put_parameter(Name=PARAMETER, Value="rotated", Type="SecureString", Overwrite=True)
    world.clock.turn(minutes=2)
    url = world.twilio.placed[0].callback_url
    form = {"CallSid": world.twilio.placed[0].sid, "CallStatus": "in-progress"}
    signature = RequestValidator("rotated").compute_signature(url, form)
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    for _ in range(5):
        path = url.removeprefix(ENV["PUBLIC_URL"])
        assert world.client.http.post(path, headers=headers, body=urlencode(form).encode()).status_code == 200
    assert len(reads) == 2
