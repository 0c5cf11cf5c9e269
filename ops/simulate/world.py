"""A whole Redial in virtual time: the app on moto, its Lambdas, rules and users."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import moto
from chalice.test import BaseClient, Client
from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.dynamo_type import Item, LimitedSizeDict
from moto.events.models import events_backends

from app import app
from chalicelib.api import current
from chalicelib.runtime import log
from chalicelib.runtime import services as parts
from chalicelib.storage.workspaces import Workspace, WorkspaceStore
from ops.data.keys import create_key
from ops.local import carrier_plivo, carrier_twilio
from ops.local.exchange import Callback
from ops.local.line import Moment
from ops.simulate import quick_moto, settings, traffic
from ops.simulate.aws import AwsBoundary
from ops.simulate.carrier import AnsweredCallback, Leg, ModelCarrier
from ops.simulate.chance import Chance, no_real_chance
from ops.simulate.engine import Engine, Event
from ops.simulate.evidence import AppRequest, Evidence, Misplaced, Plan
from ops.simulate.faults import Crash, Faults, Injected
from ops.simulate.final_table import read_table
from ops.simulate.operators import Operators
from ops.simulate.rules import Rules
from ops.simulate.settings import ACCOUNT, PUBLIC_URL, REGION, TABLE, TIMEOUT_SEC, WORKSPACE
from ops.simulate.strangers import Strangers
from ops.simulate.strict_aws import StrictAws
from ops.simulate.table_watch import TableWatch
from ops.simulate.users import Users

#: Lambda retries a failed event twice: after one minute and after two more.
EVENT_TRIES = 3
#: The app's clock is never wrong by more than this.
MAX_SKEW_SEC = 8.0
#: The sweep runs once a minute, this many seconds after the beginning of the minute.
SWEEP_AT_SEC = 40
#: The sweep looks for a rule that is left over only this often.
STALE_AGAIN = timedelta(minutes=10)
#: Redial will not do an item any more that has been due for this long. The run stops.
STUCK = timedelta(hours=6)
#: A call that is live this long after the end of its policy has not ended in time. The run stops.
DOOMED = timedelta(hours=12)
#: This long after the last fault, nothing is left to do.
TEN_DAYS = timedelta(days=10)
#: The faults that may lose a place in the wheel after Redial took the place and before it wrote the call: the process
#: dies, or one of these writes fails
LEAKING = (
    "aws-refused",
    "callback-refused-by-aws",
    "aws-answer-lost",
    "aws-repeated",
    "died-before-aws",
    "died-after-aws",
)
LEAKING_WRITES = ("UpdateItem", "TransactWriteItems")
#: A place in a minute sooner than this may be in use already, because of a stepped clock.
LATER = timedelta(minutes=2)
#: The sweep runs at least this often, even if nothing is due.
SWEEP_ANYWAY = timedelta(hours=6)

Watcher = Callable[[int, int], None]


class VirtualContext:
    """A Lambda's context that uses the virtual clock."""

    def __init__(self, engine: Engine, function: str) -> None:
        self._engine = engine
        self._ends_at = engine.at + timedelta(seconds=TIMEOUT_SEC[function])
        self.function_name = function
        self.invoked_function_arn = ""

    def get_remaining_time_in_millis(self) -> float:
        """Return the time until the Lambda's timeout in milliseconds."""
        return max(0.0, (self._ends_at - self._engine.at) / timedelta(milliseconds=1))


class World:
    """One run of one plan.

    It calls ``progress`` with the number of calls that have ended and the number of all calls.
    """

    def __init__(self, plan: Plan, progress: Watcher = lambda done, of: None) -> None:
        self.plan = plan
        self.chance = Chance(plan.seed, plan.focus)
        self.env = settings.environment(self.chance, rush=plan.rush)
        self.start = settings.start_of(self.chance)
        self.engine = Engine(self.start)
        until = self.start + settings.SPAN + settings.FAULTS_AFTER
        self.faults = Faults(self.chance, plan.level, until, plan.muted)
        self.watch = TableWatch(self.engine, self._table)
        self._strict = StrictAws()
        self.aws = AwsBoundary(self.engine, self.chance, self.faults, self._strict, self.watch.touched)
        self.aws.names = self.watch.names
        self.aws.has_due = self.watch.has_due
        self.carrier = ModelCarrier(self.engine, self.chance, self.faults, self.env, self._post)
        self.rules = Rules(self.engine, self.faults, self.chance, self._wake)
        self.evidence = Evidence(
            plan, self.env, faults_until=until, own_limit=settings.own_limit(self.chance, rush=plan.rush)
        )
        self._progress = progress
        self._swept_at = self.start
        #: how many handlers run at the same time
        self._running = 0

    def run(self) -> Evidence:
        """Run the plan to its end and return the evidence."""
        rush = self.plan.rush
        requests = traffic.calls(self.chance, self.plan.calls, self.start, settings.SPAN, rush=rush)
        requests += traffic.last_calls(self.plan.calls, self.faults.until + settings.LAST_AFTER)
        kept = [call for call in requests if self.plan.kept is None or call.index in self.plan.kept]
        self.evidence.call_requests = {call.index: call for call in kept}
        with self._standing():
            operators = Operators(self.engine, self.chance, self.faults, self.env, self.evidence, self._begin_process)
            users = Users(
                self.engine,
                self.watch,
                self.evidence,
                self._ask,
                self._key,
                operators.lack_credentials,
                self.rules.fires_at,
            )
            for call in kept:
                users.expect(call)
                if self.chance.unit("asked twice", call.index) < traffic.ASKED_TWICE:
                    users.repeat(call)
            self.evidence.acts = traffic.acts(self.chance, [call for call in kept if call.index < self.plan.calls])
            for act in self.evidence.acts:
                users.plan(act)
            pause = traffic.pauses(self.chance, self.plan.calls, self.start, settings.SPAN, rush=rush)
            # If a limit is lowered in a rush, the run examines the calls that are in flight then. A pause would hide
            # them.
            if pause is not None and not (rush and self.evidence.own_limit):
                users.plan(pause)
            self._step_clocks()
            operators.expect(self.start)
            strangers = Strangers(self.engine, self.chance, self.carrier, self.evidence, self._ask, self._key)
            strangers.expect(self.start)
            self.engine.also = self._also
            self._let_time_pass()
            self._collect()
        return self.evidence

    def _table(self) -> Any:
        return dynamodb_backends[ACCOUNT][REGION].tables[TABLE]

    def _let_time_pass(self) -> None:
        limit = self.faults.until + TEN_DAYS
        steps = 0
        while self.engine.at < limit and not self._is_quiet() and not self._is_stuck():
            self.engine.step()
            steps += 1
            if steps % 50 == 0:
                waiting = len(self.watch.waiting) + sum(1 for key in self.watch.due if key.sk == "CALL")
                self._progress(
                    len(self.watch.call_ids) - min(waiting, len(self.watch.call_ids)), len(self.evidence.call_requests)
                )

    def _is_quiet(self) -> bool:
        return self.engine.idle and not self.watch.due and self.rules.none_left

    def _is_stuck(self) -> bool:
        if not self.watch.due:
            return False
        return min(self.watch.due.values()) < self.engine.at - STUCK or self.watch.live_until < self.engine.at - DOOMED

    @contextmanager
    def _standing(self) -> Iterator[None]:
        """Set up moto, the clock, chance and the app, and take them down at the end."""
        # The AWS settings of this machine must not reach the simulation.
        cleared = {name: "" for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL") if name in os.environ}
        quick_moto.install()
        with ExitStack() as stack:
            stack.enter_context(patch.dict(os.environ, self.env | cleared))
            # Chalice's client replaces ``os.environ`` with a copy for each request. An operator's change during a
            # request would be made in the copy and lost with it, and requests that overlap would leave a copy behind.
            stack.enter_context(patch.object(BaseClient, "_patched_env_vars", _same_environment))
            for name in cleared:
                os.environ.pop(name)
            stack.enter_context(no_real_chance(self.chance))
            stack.enter_context(patch("time.sleep", self.engine.linger))
            for module in (carrier_twilio, carrier_plivo):
                stack.enter_context(patch.object(module, "utc_now", lambda: self.engine.at))
            stack.enter_context(patch.object(log, "put_line", lambda text: None))
            parts.client.cache_clear()
            stack.enter_context(moto.mock_aws())
            stack.enter_context(patch.object(quick_moto, "indexed", self.watch.indexed))
            # No query of a run comes near the megabyte at which DynamoDB ends a page.
            stack.enter_context(patch.object(Item, "size", lambda item: 0))
            # moto measures an item again for each attribute that it gets. The run measures all items once, at its end.
            stack.enter_context(patch.object(LimitedSizeDict, "__setitem__", dict.__setitem__))
            self._set_up()
            stack.enter_context(self.aws.crossed())
            self.client = stack.enter_context(Client(app, stage_name="dev"))
            try:
                yield
            finally:
                self.engine.close()
                current.restart()
                parts.client.cache_clear()

    def _set_up(self) -> None:
        from ops.data.table import table_definition

        dynamodb = parts.client("dynamodb")
        dynamodb.create_table(**table_definition(TABLE))
        self._key = create_key(dynamodb, TABLE, workspace=WORKSPACE, role="admin", now=self.start)
        if (most := self.evidence.own_limit) is not None:
            store = WorkspaceStore(dynamodb, TABLE, self.engine.now)
            store.put(Workspace(WORKSPACE, max_concurrent_calls=most))
        self._begin_process()

    def _begin_process(self) -> None:
        """Begin a process of the app: the first one, or one after a crash."""
        current.restart(self.engine, self.carrier)

    def _look_at_places(self) -> None:
        """Compare the places in the wheel with the waiting calls while no handler runs."""
        if self._running:
            return
        over, under = self.watch.misplaced(self.engine.at + LATER)
        self.evidence.places_seen += 1
        if over or under:
            leaks = sum(1 for fault in self.faults.injected if _may_leak(fault))
            self.evidence.misplaced.append(Misplaced(self.engine.at, over, under, leaks))

    # Events that no user causes: rules, the sweep, the clock

    def _also(self) -> Event | None:
        found = [event for event in (self.rules.next(), self._next_sweep()) if event is not None]
        return min(found, default=None)

    def _wake(self, name: str, payload: dict[str, Any]) -> None:
        self._invoke("redial", payload, f"{name}")

    def _next_sweep(self) -> Event:
        wanted = [self._swept_at + SWEEP_ANYWAY]
        if self.watch.due:
            wanted.append(min(self.watch.due.values()) - self.engine.skew)
        if (stale := self.rules.stale_at) is not None:
            wanted.append(max(stale, self._swept_at + STALE_AGAIN))
        at = max(min(wanted), self._swept_at + timedelta(seconds=61 - SWEEP_AT_SEC))
        marked = at.replace(second=SWEEP_AT_SEC, microsecond=0)
        at = marked if marked >= at else marked + timedelta(minutes=1)

        def sweep() -> None:
            self._swept_at = self.engine.at
            self._invoke("sweep", None, f"sweep {self.engine.at:%d %H:%M}")

        return Event(max(at, self.engine.at), 0, sweep)

    def _step_clocks(self) -> None:
        at = self.start
        while at < self.faults.until:
            at += timedelta(minutes=30)
            self.engine.at_time(at, lambda at=at: self._step_clock(at))  # type: ignore[misc]
        self.engine.at_time(self.faults.until, lambda: self._set_skew(timedelta()))

    def _step_clock(self, at: datetime) -> None:
        name = f"{at:%d %H:%M}"
        if self.faults.hits("clock-step", at, name):
            off_sec = round(self.chance.between(-MAX_SKEW_SEC, MAX_SKEW_SEC, "step", name), 3)
            self._set_skew(timedelta(seconds=off_sec))
            self.engine.after(600, lambda: self._set_skew(timedelta()))

    def _set_skew(self, skew: timedelta) -> None:
        self.engine.skew = skew
        self.engine.say(None, f"the app's clock is off by {skew.total_seconds():+.3f} s")

    # Lambdas and requests

    def _invoke(self, function: str, payload: Any, label: str, tries: int = 1) -> None:
        """Invoke a Lambda as AWS does with an event: retry it twice if it fails."""
        if self.faults.lasts("outage", self.engine.at):
            self.engine.say(None, f"outage: {function} does not run: {label}")
            return
        event = payload
        if function == "sweep":
            event = self.client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        self.engine.say(None, f"{function} begins: {label}, try {tries}")
        context = VirtualContext(self.engine, function)
        try:
            with self._handling(f"{label} {tries}"):
                counts = app.handler_map[function](event, context)
        except (Crash, Exception) as error:
            self.engine.say(None, f"{function} fails: {label}: {error!r}")
            self._failed(function, error)
            if tries < EVENT_TRIES:
                self.engine.after(60 * tries, lambda: self._invoke(function, payload, label, tries + 1))
            return
        self.engine.say(None, f"{function} ends: {label}: {json.dumps(counts, sort_keys=True)}")
        totals = self.evidence.swept if function == "sweep" else self.evidence.redialed
        totals.update({kind: n for kind, n in counts.items() if n})
        self._look_at_places()

    @contextmanager
    def _handling(self, label: str) -> Iterator[None]:
        self._running += 1
        try:
            with self.engine.running(label):
                yield
        finally:
            self._running -= 1

    def _failed(self, function: str, error: BaseException) -> None:
        self.evidence.failed[f"{function}: {type(error).__name__}"] += 1
        if isinstance(error, Crash):
            self._begin_process()

    def _ask(self, label: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        """Send one HTTP request to the app. Return the status and the JSON of its answer.

        The status is 502 if the process dies, and 503 while no Lambda runs.
        """
        if self.faults.lasts("outage", self.engine.at):
            return 503, None
        began = self.engine.at
        try:
            with self._handling(label):
                answer = self.client.http.request(method, path, headers=headers, body=body)
        except Crash as crash:
            self._failed("api", crash)
            return 502, None
        self.evidence.app_requests.append(AppRequest(label, began, self.engine.at))
        if answer.status_code >= 500:
            self.evidence.failed[f"api: {answer.status_code}"] += 1
        return answer.status_code, answer.json_body

    # Callbacks

    def _post(self, leg: Leg, moment: Moment, callback: Callback) -> None:
        """Deliver a callback of the carrier to the app: soon, late, twice or never."""
        name = (
            leg.index,
            leg.call_id[-4:] if leg.index < 0 else leg.attempt,
            leg.provider,
            moment.name,
            len(leg.callbacks),
        )
        now = self.engine.at

        def hits(kind: str) -> bool:
            if not self.faults.hits(kind, now, *name):
                return False
            self.engine.say(leg.index, f"fault {kind}: {moment.name} of {leg.call_id}-{leg.attempt}")
            return True

        lost = self.chance.unit("incident-loses", *name) < 0.5
        if lost and self.faults.lasts("incident", now, leg.provider):
            self.engine.say(leg.index, f"incident: {moment.name} of {leg.call_id}-{leg.attempt} is lost")
            return
        delay_sec = self.chance.between(0.05, 1.5, "net", *name)
        if hits("callback-hours-late"):
            delay_sec += self.chance.between(3600, 6 * 3600, "late", *name)
        elif hits("callback-late"):
            delay_sec += self.chance.between(5, 300, "late", *name)
        if hits("callback-twice"):
            self.engine.after(
                delay_sec + self.chance.between(0, 20, "again", *name), lambda: self._deliver(leg, moment, callback, 10)
            )
        if not hits("callback-dropped"):
            self.engine.after(delay_sec, lambda: self._deliver(leg, moment, callback, 1))

    def _deliver(self, leg: Leg, moment: Moment, callback: Callback, tries: int) -> None:
        path = callback.url.removeprefix(PUBLIC_URL)
        label = f"callback {leg.index} {leg.attempt} {leg.provider} {moment.name} {tries}"
        status, said = self._ask(label, callback.method, path, dict(callback.headers), callback.body)
        effect = [event.get("decision") for event in said["events"]] if status == 200 and said else said
        text = f"callback {moment.name} of {leg.call_id}-{leg.attempt} is answered {status}: {effect}"
        tick = self.engine.say(leg.index, text)
        kept = moment.name != "ended" or self.watch.has_ended(leg.call_id, leg.attempt)
        leg.callbacks.append(AnsweredCallback(moment.name, tick, status, kept))
        # Some providers repeat a callback that was answered with 5xx. Twilio and Plivo do not by default.
        if status >= 500 and tries % 10 < 4 and self.chance.unit("repeats", leg.index, leg.attempt) < 0.5:
            self.engine.after(15.0 * tries, lambda: self._deliver(leg, moment, callback, tries + 1))

    def _collect(self) -> None:
        evidence = self.evidence
        evidence.call_ids = self.watch.call_ids
        evidence.claims = self.watch.claims
        evidence.waited = self.watch.waited
        evidence.gates = self.watch.gates
        evidence.paced = self.watch.paced
        evidence.settled = self.watch.settled
        evidence.indexed, evidence.misindexed = self.watch.indexed_calls, self.watch.misindexed
        evidence.aws_refused = self._strict.refused
        evidence.outages = self.faults.spans("outage")
        evidence.spans = self.faults.all_spans()
        evidence.made_at = self.watch.made_at
        evidence.legs = self.carrier.legs
        evidence.received, evidence.malformed = self.carrier.received, self.carrier.malformed
        evidence.injected = self.faults.injected
        evidence.aws_calls = self.aws.made
        evidence.trace = self.engine.trace
        evidence.digest = self.engine.digest()
        evidence.ended_at = self.engine.at
        evidence.rules_left = [
            rule.name for rule in events_backends[ACCOUNT][REGION].event_buses["default"].rules.values()
        ]
        read_table(self._table(), evidence)


@contextmanager
def _same_environment(client: BaseClient, variables: dict[str, str]) -> Iterator[None]:
    """Let a request of Chalice's client use ``os.environ`` itself."""
    yield


def _may_leak(fault: Injected) -> bool:
    if fault.kind not in LEAKING:
        return False
    return fault.kind.startswith("died") or fault.name.split("/")[1] in LEAKING_WRITES


def simulate(plan: Plan, progress: Watcher = lambda done, of: None) -> Evidence:
    """Run a plan and return the evidence."""
    return World(plan, progress).run()


def without(plan: Plan, **changes: Any) -> Plan:
    """Return the same plan with less in it."""
    return replace(plan, **changes)
