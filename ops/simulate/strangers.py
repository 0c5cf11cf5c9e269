"""Callbacks of calls that Redial must not redial.

These are customers' own calls, legs of other calls, and calls without a direction.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from ops.local.exchange import Callback, Reply
from ops.simulate import twists
from ops.simulate.carrier import ModelCarrier
from ops.simulate.chance import Chance
from ops.simulate.engine import Engine
from ops.simulate.evidence import Evidence
from ops.simulate.settings import PUBLIC_URL, SPAN
from ops.simulate.users import Ask

#: The fields of the callback and of the look-up for each kind. The provider knows a direction that the callback leaves
#: out.
KINDS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "an inbound call": ({"Direction": "inbound"}, {"direction": "inbound"}),
    "a leg of another call": (
        {"Direction": "outbound-dial", "ParentCallSid": "CA" + "7" * 32},
        {"direction": "outbound-dial", "parent_call_sid": "CA" + "7" * 32},
    ),
    "a child": ({"Direction": "outbound-api", "ParentCallSid": "CA" + "6" * 32}, {"direction": "outbound-dial"}),
    "a call of no direction": ({}, {"direction": "inbound"}),
}
OUR_NUMBER = "+14155550100"

#: The policy for adopted calls, which the user's own code placed
POLICY = {"retry": {"max_retries": 2, "strategy": {"type": "fixed", "wait_minutes": 5}}}


class Strangers:
    """Posts Twilio's callbacks of such calls to the adoption address, at random times."""

    def __init__(
        self, engine: Engine, chance: Chance, carrier: ModelCarrier, evidence: Evidence, ask: Ask, key: str
    ) -> None:
        self._engine = engine
        self._chance = chance
        self._carrier = carrier
        self._evidence = evidence
        self._ask = ask
        self._key = key
        self._address: str | None = None

    def expect(self, start: datetime) -> None:
        """Schedule some of the callbacks."""
        for number in range(max(len(KINDS), self._evidence.plan.calls // 8)):
            at = start + SPAN * self._chance.unit("stranger", number)
            self._engine.at_time(at, lambda number=number: self._come(number))  # type: ignore[misc]

    def _post(self, kind: str, form: Mapping[str, str]) -> None:
        if self._address is None:
            self._address = self._adoption_address()
        if self._address is None:
            return
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = PUBLIC_URL + self._address
        callback = twists.signed(self._evidence.env, "twilio", Callback(url, "POST", headers, b"", form), form)
        status, said = self._ask(f"stranger {kind}", "POST", self._address, dict(callback.headers), callback.body)
        self._engine.say(None, f"a callback of {kind} is answered {status}: {said}")
        self._evidence.strangers.append((kind, status))

    def _adoption_address(self) -> str | None:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        body = json.dumps(POLICY).encode()
        status, said = self._ask("put policy", "PUT", "/policies/adopted", headers, body)
        address = said.get("adoption", {}).get("address") if status in (200, 201) and said else None
        return address.removeprefix(PUBLIC_URL) if address else None

    def _come(self, number: int) -> None:
        kind = list(KINDS)[number % len(KINDS)]
        said, known = KINDS[kind]
        sid = f"CA{'5' * 24}{number:08d}"
        caller = f"+1650555{9000 + number:04d}"
        parties = {"From": caller, "To": OUR_NUMBER} if "inbound" in known["direction"] else {"From": OUR_NUMBER}
        account = self._evidence.env["TWILIO_ACCOUNT_SID"]
        form = {"CallSid": sid, "AccountSid": account, "To": caller, **parties, "CallStatus": "busy", **said}
        parent = {"parent_call_sid": None, **known}
        resource = {"sid": sid, "status": "busy", "from": form["From"], "to": form["To"], "duration": "0", **parent}
        self._carrier.strangers[sid] = Reply(200, resource)
        self._post(kind, form)
