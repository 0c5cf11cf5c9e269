"""A running mock carrier with calls of 10 ms, and a sink for its callbacks."""

from collections.abc import Iterator

import pytest

from ops.local.carrier import Carrier
from tests.support.carrier_caller import Caller
from tests.support.carrier_client import SID, TOKEN, CarrierClient, Sink

pytest.register_assert_rewrite("tests.ops.calling")


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as sink:
        yield sink


@pytest.fixture
def carrier(sink: Sink) -> Iterator[CarrierClient]:
    account = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": TOKEN}
    with Carrier(environment=account, ring_sec=0.01, talk_sec=0.01, hold_sec=0.3) as running:
        yield CarrierClient(running.url, sink, running.environment)


@pytest.fixture
def caller(request: pytest.FixtureRequest, carrier: CarrierClient) -> Caller:
    """Return a caller through the provider of the module's CASE."""
    return Caller(carrier, request.module.CASE)
