"""The app on moto under AWS's runtime (``python -m awslambdaric``), as a process.

Each answer contains how often the services were built and the secret was read so far. The event ``{"rotate": "..."}``
rotates the secret and lets two minutes pass.
"""

from typing import Any

import moto

from chalicelib.api import current
from chalicelib.runtime import services as parts
from tests.support.world import FakeTwilio, TurnedClock, app, create_table

PARAMETER = "/redial-dev/twilio-auth-token"
SEEN = {"builds": 0, "reads": 0}

moto.mock_aws().start()
_clock = TurnedClock()
current.restart(_clock, FakeTwilio(_clock))  # type: ignore[arg-type]
create_table(parts.client("dynamodb"))
_ssm = parts.client("ssm")
_ssm.put_parameter(Name=PARAMETER, Value="first", Type="SecureString")


def _count(what: str) -> None:
    SEEN[what] += 1


def _build(*args: Any) -> parts.Services:
    _count("builds")
    return parts.build(*args)


_ssm.meta.events.register("before-call.ssm.GetParameters", lambda **_: _count("reads"))
current.build = _build  # type: ignore[attr-defined]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the app's status for a request, and the counts so far."""
    if "rotate" in event:
        _ssm.put_parameter(Name=PARAMETER, Value=event["rotate"], Type="SecureString", Overwrite=True)
        _clock.turn(minutes=2)
        return {"status": 0, **SEEN}
    return {"status": app(event, context)["statusCode"], **SEEN}
