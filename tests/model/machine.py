"""A state machine of users, providers and the clock, with a model of the truth."""

from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.model.carrier import LONG_AGO, REQUEST_RESULTS, Ring
from tests.model.redial import Redial, interrupted, running
from tests.support.world import BODY

NUMBERS = [f"+1650555010{n}" for n in range(3)]
MAX_RETRIES = 2
RETRY = {"max_retries": MAX_RETRIES, "strategy": {"type": "fixed", "wait_minutes": 30}, "on": {"failed": True}}
FOREVER = datetime.max.replace(tzinfo=UTC)
TEN_DAYS = timedelta(days=10)
#: the requests that claim a call or open a gate
WRITES = frozenset({"TransactWriteItems", "DeleteItem"})
#: Redial reads a workspace's settings once a minute.
MINUTES = st.sampled_from([0, 1, 3, 20, 31, 60])


@dataclass
class UserCall:
    """A call as its user knows it, and when it may be dialled again."""

    call_id: str
    number: str
    quiet_until: datetime = LONG_AGO
    is_over: bool = False


@dataclass
class Model:
    """The answers so far, which must hold from then on."""

    calls: dict[str, UserCall] = field(default_factory=dict)
    opted_out: set[str] = field(default_factory=set)
    paused_until: datetime = LONG_AGO
    most_in_flight: int = 3
    dialled: set[str] = field(default_factory=set)

    def may_ring(self, ring: Ring, in_flight: int) -> None:
        """Check a call at the moment at which its phone begins to ring."""
        assert ring.token not in self.dialled, f"{ring.token} is dialled twice"
        self.dialled.add(ring.token)
        assert ring.at >= self.paused_until, f"dialled at {ring.at}, paused until {self.paused_until}"
        assert ring.to_number not in self.opted_out, f"{ring.to_number} has opted out"
        assert in_flight < self.most_in_flight, f"{in_flight} are in flight, {self.most_in_flight} may be"
        call = self.calls.get(ring.call_id)
        if call is not None:
            assert not call.is_over, f"{ring.call_id} is dialled after its end was answered"
            assert ring.at >= call.quiet_until, f"the customer called back; quiet until {call.quiet_until}"

    def to(self, number: str) -> list[UserCall]:
        return [call for call in self.calls.values() if call.number == number]


class RedialMachine(RuleBasedStateMachine):
    """All acts of users, providers and the clock, in any order."""

    calls = Bundle("calls")

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self.model = Model()
        self.wrong: list[str] = []
        self.redial: Redial = self._stack.enter_context(running(self._on_ring))

    @property
    def now(self) -> datetime:
        return self.redial.clock.now()

    def _on_ring(self, ring: Ring) -> None:
        try:
            self.model.may_ring(ring, len(self.redial.carrier.live()))
        except AssertionError as error:  # Redial would catch this error, as it catches every error of a dial
            self.wrong.append(str(error))

    @initialize(target=calls)
    def begin(self) -> Any:
        self.redial.limit_calls_in_flight(self.model.most_in_flight)
        return multiple(*(self.place(number, 0) for number in NUMBERS[:2]))

    # Users

    @rule(target=calls, number=st.sampled_from(NUMBERS), wait_minutes=MINUTES)
    def place(self, number: str, wait_minutes: int) -> Any:
        body = {**BODY, "to_number": number, "retry": RETRY}
        if wait_minutes:
            body["start_at"] = (self.now + timedelta(minutes=wait_minutes)).isoformat()
        made = self.redial.ask("POST", "/calls", body)
        if made is None:
            return multiple()
        call = UserCall(made["id"], number, is_over=made["state"] == "final")
        self.model.calls[call.call_id] = call
        return call

    @rule(call=calls)
    def cancel(self, call: UserCall) -> None:
        assert self.redial.ask("POST", f"/calls/{call.call_id}/cancel")
        call.is_over = True

    @rule(call=consumes(calls))
    def cancel_while_it_is_dialled(self, call: UserCall) -> None:
        """Cancel the call while the next phone begins to ring.

        That phone may be another call's. Redial answers the cancel before the create-call ends.
        """
        self.redial.carrier.meanwhile.append(lambda ring: self.cancel(call))

    @rule(number=st.sampled_from(NUMBERS), back_in=st.booleans())
    def opt_out(self, number: str, back_in: bool) -> None:
        self.redial.ask("PUT", f"/numbers/{number}/opt-out", {})
        for call in self.model.to(number):
            call.is_over = True
        self.model.opted_out.add(number)
        if back_in:
            self.redial.ask("DELETE", f"/numbers/{number}/opt-out")
            self.model.opted_out.discard(number)

    @rule(call=calls, for_hours=st.sampled_from([None, 2, 26]))
    def contacted(self, call: UserCall, for_hours: int | None) -> None:
        until = self.now + timedelta(hours=for_hours) if for_hours else FOREVER
        body = {"postpone_until": until.isoformat()} if for_hours else {}
        self.redial.ask("POST", f"/numbers/{call.number}/contacted", body)
        for each in self.model.to(call.number):
            each.quiet_until = max(each.quiet_until, until)

    @rule(for_minutes=st.sampled_from([20, 20, 90, None]))
    def pause(self, for_minutes: int | None) -> None:
        until = self.now + timedelta(minutes=for_minutes) if for_minutes else FOREVER
        body = {"until": until.isoformat()} if for_minutes else {}
        self.redial.ask("POST", "/pause-all", body)
        self.model.paused_until = until

    @rule()
    def resume(self) -> None:
        self.redial.ask("POST", "/resume-all")
        self.model.paused_until = LONG_AGO

    @rule(target=calls, number=st.sampled_from(NUMBERS), at_request=st.sampled_from([*range(3, 8), WRITES]))
    def extend_a_pause_as_it_ends(self, number: str, at_request: int | frozenset[str]) -> Any:
        """Extend a pause while a wake dials the calls that waited for its end."""
        self.pause(20)
        ends_at = self.model.paused_until
        waits = self.place(number, 0)
        self.redial.advance(ends_at - timedelta(seconds=1))
        with interrupted(at_request, lambda: self.pause(90)):
            self.redial.advance(ends_at + timedelta(minutes=6))
        return waits

    @rule(most=st.integers(1, 3))
    def limit_calls_in_flight(self, most: int) -> None:
        self.redial.limit_calls_in_flight(most)
        self.model.most_in_flight = most

    # The provider

    @rule(what=st.sampled_from([name for name in REQUEST_RESULTS if name != "placed"]))
    def answer_the_next_request(self, what: str) -> None:
        self.redial.carrier.next_answers.append(what)

    @rule(hours=st.sampled_from([1, 3]))
    def stop_answering(self, hours: int) -> None:
        self.redial.carrier.down_until = self.now + timedelta(hours=hours)

    @rule(data=st.data(), end=st.sampled_from(["answer", "busy", "no-answer", "completed", "fault"]))
    def go_on(self, data: st.DataObject, end: str) -> None:
        """Let a person answer, or a call end. Redial gets no callback yet."""
        live = self.redial.carrier.live()
        if not live:
            return
        ring = data.draw(st.sampled_from(live), label="ring")
        if end in ("answer", "completed"):
            ring.answered_at = ring.answered_at or self.now
        if end != "answer":
            self.end(ring, "completed" if ring.answered_at else end)

    def end(self, ring: Ring, how: str) -> None:
        ring.end, ring.ended_at = how, self.now

    @rule(data=st.data(), kind=st.sampled_from(["ringing", "answered", "end", "end"]), times=st.integers(1, 2))
    def tell(self, data: st.DataObject, kind: str, times: int) -> None:
        """Deliver a callback of any call, in any order, once or twice.

        A callback that never comes is lost.
        """
        self.redial.carrier.let_time_pass()
        could = {"ringing": lambda r: True, "answered": lambda r: r.answered_at, "end": lambda r: r.end}
        rings = [ring for ring in self.redial.carrier.rings if could[kind](ring)]
        if rings:
            ring = data.draw(st.sampled_from(rings), label="ring")
            for _ in range(times):
                self.told(ring, kind)

    @rule(kind=st.sampled_from(["ringing", "busy"]))
    def tell_before_the_answer(self, kind: str) -> None:
        """Deliver a callback of the next call before the answer to its create-call."""

        def act(ring: Ring) -> None:
            if kind == "busy":
                self.end(ring, "busy")
            self.told(ring, "end" if kind == "busy" else "ringing")

        self.redial.carrier.meanwhile.append(act)

    def told(self, ring: Ring, kind: str) -> None:
        taken = self.redial.tell(ring, kind)
        call = self.model.calls.get(ring.call_id)
        if taken and call is not None and kind == "end" and ring.end == "completed":
            call.is_over = True

    # The clock

    @rule(minutes=st.integers(1, 20))
    def wait_a_moment(self, minutes: int) -> None:
        self.redial.advance(self.now + timedelta(minutes=minutes))

    @rule(minutes=st.sampled_from([31, 65, 180]))
    def wait_for_retries(self, minutes: int) -> None:
        self.redial.advance(self.now + timedelta(minutes=minutes))

    # What must always be true

    @invariant()
    def no_phone_rings_that_must_not(self) -> None:
        assert self.wrong == []

    @invariant()
    def places_are_those_of_the_calls_that_wait(self) -> None:
        items = self.redial.stored("WAKE#", "CALL#")
        held, needed = places(items, self.now), scheduled(items, self.now)
        assert held == needed, f"places {held} for the calls due at {needed}"

    def teardown(self) -> None:
        with closing(self):
            self.let_everything_end()

    def close(self) -> None:
        self._stack.close()

    def let_everything_end(self) -> None:
        """Check that nothing is left to do ten days later."""
        self.resume()
        self.redial.carrier.next_answers.clear()
        self.redial.advance(self.now + TEN_DAYS)
        self.no_phone_rings_that_must_not()
        items = self.redial.stored("CALL#", "SLOTS#")
        states = {item["pk"]: item["data"]["state"] for item in items if item["sk"] == "CALL"}
        assert set(states.values()) <= {"final"}, f"after ten days {states}"
        assert [item["pk"] for item in items if "due_shard" in item] == []
        assert self.redial.rule_names() == []
        assert [item for item in items if item["pk"].startswith("SLOTS#") and item["sk"].isdecimal()] == []
        rings = {ring.uuid: ring for ring in self.redial.carrier.rings}
        counted = Counter(ring.call_id for ring in rings.values() if ring.end != "fault")
        assert max(counted.values(), default=0) <= 1 + MAX_RETRIES, counted
        for call in states:
            for attempt in self.redial.ask("GET", f"/calls/{call.removeprefix('CALL#')}")["attempts"]:
                if (found := rings.get(attempt["provider_call_id"])) is not None:
                    how = "error" if found.end == "fault" else found.end
                    assert attempt["outcome"] == how, f"{call} ended {how}, and Redial says {attempt}"


def places(items: list[dict[str, Any]], now: datetime) -> dict[datetime, int]:
    """Count the planned dials in each future minute."""
    held: dict[datetime, int] = {}
    for item in items:
        if item["pk"].startswith("WAKE#"):
            hour = datetime.strptime(f"{item['pk'][5:]}{item['sk'][:2]}+0000", "%Y%m%d%H%z")
            for name, count in item.items():
                if name.startswith("p") and name[1:].isdecimal() and count:
                    held[hour + timedelta(minutes=int(name[1:]))] = int(count)
    return {minute: count for minute, count in sorted(held.items()) if minute > now}


def scheduled(items: list[dict[str, Any]], now: datetime) -> dict[datetime, int]:
    """Count the calls that are due in each future minute."""
    due = [item["data"]["due_at"] for item in items if item["sk"] == "CALL" and item["data"]["state"] == "scheduled"]
    times = [datetime.fromisoformat(each) for each in due if each]
    return {at: times.count(at) for at in sorted(times) if at > now}
