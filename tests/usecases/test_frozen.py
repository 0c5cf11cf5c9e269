"""A Lambda that was frozen for ten minutes dials on new connections.

Each phone rings in its minute, once.
"""

import itertools
import socket
from datetime import timedelta

import pytest

from chalicelib.api import current
from chalicelib.providers import Http
from tests.support.loopback import loopback, ok
from tests.support.world import START, World, new_client


def test_eight_calls_due_after_ten_minutes_of_rest_ring_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()

    def place(sock: socket.socket, request: bytes) -> bool:
        sock.sendall(ok(b'{"sid": "CA%032x", "status": "queued"}' % next(numbers)).replace(b"200 OK", b"201 Created"))
        return True

    with loopback(place) as twilio:
        monkeypatch.setenv("TWILIO_API_URL", twilio.url)
        monkeypatch.setenv("TWILIO_CALLS_PER_SECOND", "100")
        with new_client() as world.client:
            current.restart(world.clock, Http(wall_clock=lambda: world.clock.now().timestamp()))
            world.place(to_number="+16505550100")
            due_at = START + timedelta(minutes=10)
            due = [
                world.place(to_number=f"+1650555011{index}", start_at=due_at.isoformat())["id"] for index in range(8)
            ]
            assert len(twilio.requests) == 1
            # The gateway in between has dropped the connection, and the frozen process has not noticed it.
            twilio.forget_connections()
            world.clock.turn(to=due_at)
            world.redial(due_at)
            statuses = {world.history(call_id)[0] for call_id in due}
    rung = sorted(request.rpartition(b"To=")[2][:14] for request in twilio.requests[1:])
    assert rung == [b"%%2B1650555011%d" % index for index in range(8)]
    assert statuses == {(1, "placed")}
