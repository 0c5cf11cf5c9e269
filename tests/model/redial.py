"""Redial behind its public surface: routes, signed callbacks, rules and sweep."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import moto
from botocore.client import BaseClient
from moto.dynamodb.models import dynamodb_backends
from moto.events.models import events_backends

from chalicelib.api import current
from chalicelib.runtime import log
from chalicelib.runtime import services as parts
from chalicelib.storage import items
from chalicelib.storage.codec import from_item
from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.local.carrier_plivo import signature
from ops.simulate.chance import Chance, no_real_chance
from ops.simulate.strict_aws import StrictAws
from tests.model.carrier import Carrier, Ring, callback
from tests.support.crashes import Crash
from tests.support.world import ENV, PUBLIC_URL, START, TABLE, FakeTwilio, TurnedClock, World, create_table, new_client

TOKEN = "Y2Q2ZDgxZmY5YWRiOTI5YmQ1Njg0MTAxZWIy"
PLIVO = {
    "DEFAULT_PROVIDER": "plivo",
    "PLIVO_AUTH_ID": "MAYWJIZTLKODK5NTM3ND",
    "PLIVO_AUTH_TOKEN": TOKEN,
    "PLIVO_ANSWER_URL": "https://example.com/answer.xml",
    "PLIVO_CALLS_PER_SECOND": "50",
    "MAX_CALL_SECONDS": "600",
}
ACCOUNT, REGION = "123456789012", ENV["AWS_DEFAULT_REGION"]
MINUTE = timedelta(minutes=1)
#: A history of the model's size needs far fewer invocations. More of them is work without end.
MAX_INVOCATIONS = 400
NEVER = datetime.max.replace(tzinfo=UTC), ""
#: A rule fires this late in its minute, and the sweep runs this late.
FIRES_AT, SWEEPS_AT = timedelta(seconds=5), timedelta(seconds=40)


class Redial(World):
    """The real app on moto with the fake provider, as users, providers and AWS see it."""

    def __init__(self, clock: TurnedClock, aws: StrictAws, client: Any, on_ring: Callable[[Ring], None]) -> None:
        super().__init__(client, clock, FakeTwilio(clock), aws)
        self.carrier = Carrier(clock, on_ring)
        self.swept_at = clock.now()
        self.fired: set[str] = set()
        self.restart()

    def restart(self) -> None:
        current.restart(self.clock, self.carrier)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer to a request; None if the process died before it could answer."""
        try:
            answer = self.request(method, path, body)
        except Crash:
            self.restart()
            return None
        assert answer.status_code in (200, 201, 204, 503), (method, path, answer.status_code, answer.body)
        return answer.json_body if answer.status_code in (200, 201) else None

    def tell(self, ring: Ring, kind: str) -> bool:
        """Post a signed callback about a ring. Return True if Redial has recorded it."""
        fields, nonce = callback(ring, kind), f"{len(self.carrier.rings)}"
        signed = signature(TOKEN, ring.callback_url, nonce, fields)
        headers = {
            "X-Plivo-Signature-V3": signed,
            "X-Plivo-Signature-V3-Nonce": nonce,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        path = ring.callback_url.removeprefix(PUBLIC_URL)
        answer = self.client.http.post(path, headers=headers, body=urlencode(fields).encode())
        assert answer.status_code == 200, answer.body
        return True

    def limit_calls_in_flight(self, most: int) -> None:
        """Set the workspace's concurrency limit as the command does.

        A restart makes the process read the new limit.
        """
        store = WorkspaceStore(self.dynamodb, TABLE, self.clock.now)
        store.put(Workspace("acme", max_concurrent_calls=most))
        self.restart()

    # Events that no user causes

    def advance(self, until: datetime) -> None:
        """Let time pass.

        Rules fire in their minutes, and the sweep runs in each minute in which it has work.
        """
        for _ in range(MAX_INVOCATIONS):
            wake, sweep = self._next_wake(), self._next_sweep()
            at = min(wake[0], sweep)
            if at > until:
                self.clock.turn(to=max(until, self.clock.now()))
                return
            self.clock.turn(to=max(at, self.clock.now()))
            with suppress(_Died):
                self._invoke("redial", wake[1]) if wake[0] <= sweep else self._sweep()
        raise AssertionError(f"{MAX_INVOCATIONS} invocations, and there is work left at {self.clock.now()}")

    def _next_wake(self) -> tuple[datetime, str]:
        to_come = self.clock.now().replace(second=0, microsecond=0)
        times = [(at + FIRES_AT, name) for at, name in self._all_rules() if at >= to_come and name not in self.fired]
        return min(times, default=NEVER)

    def _invoke(self, function: str, rule: str) -> None:
        self.fired.add(rule)
        for target in self.events.list_targets_by_rule(Rule=rule)["Targets"]:
            event = json.loads(target["Input"])
            with self._may_die():
                self.client.lambda_.invoke(function, event)

    def _sweep(self) -> None:
        self.swept_at = self.clock.now()
        with self._may_die():
            self.sweep()

    @contextmanager
    def _may_die(self) -> Iterator[None]:
        try:
            yield
        except Crash:
            self.restart()
            raise _Died from None

    def _next_sweep(self) -> datetime:
        """Return the next time at which the sweep finds work.

        The work is something due, or a rule that is left over.
        """
        due = (each.attrs["due_at"] for each in self._raw() if "due_shard" in each.attrs)
        wanted = [datetime.fromtimestamp(int(at.value), UTC) for at in due]
        wanted += [at + timedelta(minutes=11) for at, _ in self._all_rules()]
        if not wanted:
            return NEVER[0]
        at = max(min(wanted), self.swept_at + MINUTE - SWEEPS_AT, self.clock.now())
        marked = at.replace(second=0, microsecond=0) + SWEEPS_AT
        return marked if marked >= at and marked > self.swept_at else marked + MINUTE

    def _all_rules(self) -> Iterator[tuple[datetime, str]]:
        for name in self.rule_names():
            yield datetime.strptime(name[-12:] + "+0000", "%Y%m%d%H%M%z"), name

    # What the checks may see of the table

    def stored(self, *kinds: str) -> list[dict[str, Any]]:
        """Return the items whose key begins with one of these kinds, directly from moto.

        Requests for them would take longer than the rest of the test.
        """
        found = (each for each in self._raw() if each.attrs["pk"].value.startswith(kinds))
        return [from_item(each.to_json()["Attributes"]) for each in found]

    def _raw(self) -> Iterator[Any]:
        for sorts in dynamodb_backends[ACCOUNT][REGION].tables[TABLE].items.values():
            yield from sorts.values()

    def rule_names(self) -> list[str]:
        """Return the names of the existing rules."""
        return list(events_backends[ACCOUNT][REGION].event_buses["default"].rules)


class _Died(Exception):
    """The process died during an invocation. The next invocation repairs what it left."""


@contextmanager
def running(on_ring: Callable[[Ring], None]) -> Iterator[Redial]:
    """Run a fresh Redial on an empty table, at 2026-01-26 10:00 UTC."""
    clock = TurnedClock(START)
    environ = os.environ
    with (
        no_real_chance(Chance(1)),
        patch.dict(os.environ, {**ENV, **PLIVO}),
        patch.object(log, "put_line", lambda text: None),
        patch.object(items, "DUE_SHARDS", 1),  # the tests read the due index often, and one shard is as good as eight
        moto.mock_aws(),
    ):
        parts.client.cache_clear()
        aws = StrictAws()
        for service in ("dynamodb", "events"):
            aws.attach(parts.client(service))
        create_table(parts.client("dynamodb"))
        current.restart(clock)
        with new_client() as client:
            yield Redial(clock, aws, client, on_ring)
        os.environ = environ  # noqa: B003 - overlapping calls leave the client's copy behind
    current.restart()
    parts.client.cache_clear()


@contextmanager
def interrupted(at_request: int | frozenset[str], act: Callable[[], None]) -> Iterator[None]:
    """Act once, just before the chosen AWS request.

    ``at_request`` is the number of the request, counted from 0, or a set of names: then the first request with one of
    these names is chosen.
    """
    send, seen = BaseClient._make_api_call, list[str]()
    names = at_request if isinstance(at_request, frozenset) else frozenset[str]()

    def sending(client: Any, operation: str, arguments: Mapping[str, Any]) -> Any:
        chosen = len(seen) == at_request or (operation in names and names.isdisjoint(seen))
        seen.append(operation)
        if chosen:
            act()
        return send(client, operation, arguments)

    with patch.object(BaseClient, "_make_api_call", sending):
        yield
