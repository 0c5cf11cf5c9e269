"""The tests of the mock carriers that all providers share.

Each mock carrier is driven by the provider's own class. A file ``test_carrier_<name>.py`` holds a CASE, and a subclass
of CarrierTests that runs the shared tests over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DialResult, Http, PlacementUnknown, SignatureError
from tests.support.carrier_caller import TOKEN, Caller, CarrierCase
from tests.support.shared import SharedTests, each_row

#: the progress in an event by its status; an event of answering machine detection has no progress
PROGRESS = {
    "initiated": Progress.INITIATED,
    "started": Progress.INITIATED,
    "ringing": Progress.RINGING,
    "answered": Progress.IN_PROGRESS,
    "in-progress": Progress.IN_PROGRESS,
}


class CarrierTests(SharedTests):
    """The shared tests of one provider's mock carrier.

    The fixture ``caller`` reads the CASE of the module.
    """

    case: CarrierCase

    def looked_up_at(self, caller: Caller, last: CallEvent) -> datetime | None:
        """Return the time that a look-up after the end must have: that of the last event.

        A subclass that returns another time says why its vendor's times differ.
        """
        return last.occurred_at

    @each_row("endings", "word", "statuses", "outcome", "cause")
    def test_a_call_is_reported_to_its_end_and_looked_up(
        self, caller: Caller, word: str, statuses: Sequence[str], outcome: Outcome, cause: str | None
    ) -> None:
        case, dial = self.case, self.case.dial
        caller.script(word)
        call_id = caller.place()

        events = caller.reported(len(statuses))
        # The callback of the end has come, so the first look-up must show the end.
        found = caller.lookup(call_id)
        last = events[-1]
        assert [event.status for event in events] == list(statuses)
        assert [event.progress for event in events] == [
            None if event.amd else PROGRESS.get(event.status or "") for event in events
        ]
        assert [event.outcome for event in events] == [*[None] * (len(statuses) - 1), outcome]
        assert (last.cause, last.fault, last.duration_sec) == (cause, None, case.reported_sec.of(outcome))
        assert len({event.event_id for event in events}) == len(events)
        token = TOKEN if case.carries_token else None
        of_call = {(event.provider_call_id, event.to_number, event.from_number, event.token) for event in events}
        assert of_call == {(call_id, dial.to_number, dial.from_number, token)}
        assert (found.outcome, found.cause, found.fault, found.duration_sec) == (
            case.looked_up.get(word, outcome),
            cause if case.looks_up_causes else None,
            None,
            case.looked_up_sec.of(outcome),
        )
        assert (found.provider_call_id, found.to_number, found.from_number, found.token) == (
            call_id,
            dial.to_number,
            dial.from_number,
            TOKEN if case.looks_up_token else None,
        )
        assert found.occurred_at == self.looked_up_at(caller, last)

    @each_row("refusals", "word", "result")
    def test_a_scripted_refusal_is_read_for_what_it_is(self, caller: Caller, word: str, result: DialResult) -> None:
        caller.script(word)

        assert replace(caller.dial(), evidence={}) == result
        assert [each["sid"] for each in caller.carrier.requests("")] == [None]

    def test_a_call_behind_a_server_error_rings_all_the_same(self, caller: Caller) -> None:
        caller.script("server-error-but-placed")

        # The answer is that of a call that was not placed.
        assert replace(caller.dial(), evidence={}) == dict(self.case.refusals)["error"]
        assert caller.reported(len(self.case.answered))[-1].outcome is Outcome.COMPLETED
        assert len(caller.carrier.requests("")) == 1

    def test_a_call_whose_answer_is_late_rings_all_the_same(self, caller: Caller) -> None:
        caller.script("timeout")

        result = caller.dial(Http(read_sec=0.05))
        assert isinstance(result, PlacementUnknown)
        assert result.cause == "answer-lost"
        assert caller.reported(len(self.case.answered))[-1].outcome is Outcome.COMPLETED
        assert len(caller.carrier.requests("")) == 1

    def test_a_silent_call_is_known_by_looking_it_up(self, caller: Caller) -> None:
        caller.script("silent")
        before = list(caller.carrier.sink.received)
        call_id = caller.place()

        caller.look_up_until(call_id, lambda event: event.outcome is Outcome.COMPLETED)
        assert caller.carrier.sink.received == before

    def test_a_call_just_placed_is_looked_up_and_hung_up(self, caller: Caller) -> None:
        caller.script({"outcome": "completed", "ring_sec": 30})
        call_id = caller.place()

        found = caller.lookup(call_id)
        assert (found.status, found.progress, found.outcome) == (*self.case.placed, None)
        self.hang_up(caller, call_id, self.case.stopped)

    @each_row("hang_ups", "times", "progress", "ended")
    def test_a_call_under_way_is_looked_up_and_hung_up(
        self, caller: Caller, times: Mapping[str, float], progress: Progress, ended: Outcome | None
    ) -> None:
        caller.script({"outcome": "completed", **times})
        call_id = caller.place()

        caller.reported_until(lambda events: any(event.progress is progress for event in events))
        found = caller.lookup(call_id)
        assert (found.progress, found.outcome) == (progress, None)
        self.hang_up(caller, call_id, ended)

    def hang_up(self, caller: Caller, call_id: str, ended: Outcome | None) -> None:
        """Hang the call up twice, and check that only the first time counts.

        The first time ends the call as ``ended``, or not at all if ``ended`` is None.
        """
        provider = caller.provider()
        assert (provider.hang_up(call_id), provider.hang_up(call_id)) == (ended is not None, False)
        if ended:
            events = caller.reported_until(lambda events: any(event.is_terminal for event in events))
            assert events[-1].outcome is ended
            assert caller.lookup(call_id).outcome is ended
        assert provider.hang_up(self.case.unknown_id) is False
        assert provider.lookup(self.case.unknown_id) is None

    def test_a_callback_counts_for_its_own_secret_only(self, caller: Caller) -> None:
        caller.place()
        callback = caller.carrier.sink.wait(1)[0].request(caller.carrier.sink.url)

        caller.provider().verify(callback)
        with pytest.raises(SignatureError):
            caller.provider(**self.case.other_secret).verify(callback)
