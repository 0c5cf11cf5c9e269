"""The tests of the mock carriers that all providers share.

Each mock carrier is driven by the provider's own class. A file ``test_carrier_<name>.py`` holds a CASE, and a subclass
of CarrierTests that runs the shared tests over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.domain.events import Progress
from chalicelib.domain.outcome import Outcome
from chalicelib.providers import DialResult, Http, PlacementUnknown, SignatureError
from tests.support.carrier_caller import TOKEN, Caller, CarrierCase
from tests.support.carrier_client import wait_until
from tests.support.shared import SharedTests, each_row


class CarrierTests(SharedTests):
    """The shared tests of one provider's mock carrier.

    The fixture ``caller`` reads the CASE of the module.
    """

    case: CarrierCase

    @each_row("endings", "word", "statuses", "outcome", "cause")
    def test_a_call_is_reported_to_its_end_and_looked_up(
        self, caller: Caller, word: str, statuses: Sequence[str], outcome: Outcome, cause: str | None
    ) -> None:
        caller.script(word)
        call_id = caller.place()

        events = caller.reported(len(statuses))
        assert [event.status for event in events] == list(statuses)
        assert [event.outcome for event in events] == [*[None] * (len(statuses) - 1), outcome]
        assert (events[-1].cause, events[-1].fault) == (cause, None)
        assert len({event.event_id for event in events}) == len(events)
        dial, token = self.case.dial, TOKEN if self.case.carries_token else None
        of_call = {(event.provider_call_id, event.to_number, event.from_number, event.token) for event in events}
        assert of_call == {(call_id, dial.to_number, dial.from_number, token)}
        length = 1 if outcome in (Outcome.COMPLETED, Outcome.VOICEMAIL) else 0
        assert events[-1].duration_sec in (length, None)
        found = caller.lookup(call_id)
        assert (found.outcome, found.to_number) == (self.case.looked_up.get(word, outcome), dial.to_number)
        assert found.cause == (cause if self.case.looks_up_causes else None)
        if found.occurred_at and events[-1].occurred_at:
            assert abs(found.occurred_at - events[-1].occurred_at) < timedelta(seconds=2)

    @each_row("refusals", "word", "result")
    def test_a_scripted_refusal_is_read_for_what_it_is(self, caller: Caller, word: str, result: DialResult) -> None:
        caller.script(word)

        assert replace(caller.dial(), evidence={}) == result
        assert [each["sid"] for each in caller.carrier.requests("")] == [None]

    def test_a_call_behind_a_server_error_rings_all_the_same(self, caller: Caller) -> None:
        caller.script("server-error-but-placed")

        assert isinstance(caller.dial(), PlacementUnknown)
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
        call_id = caller.place()

        caller.lookup(call_id, until=lambda event: event.outcome is Outcome.COMPLETED)
        assert caller.reported(0) == []

    @each_row("hang_ups", "times", "progress", "ended")
    def test_a_call_under_way_is_looked_up_and_hung_up(
        self, caller: Caller, times: Mapping[str, float], progress: Progress, ended: Outcome | None
    ) -> None:
        caller.script({"outcome": "completed", **times})
        call_id = caller.place()
        provider = caller.provider()

        caller.lookup(call_id, until=lambda event: event.progress is progress)
        assert provider.hang_up(call_id) is (ended is not None)
        if ended:
            wait_until(lambda: any(event.outcome is ended for event in caller.reported(1)))
            assert provider.hang_up(call_id) is False
        assert provider.hang_up(self.case.unknown_id) is False
        assert provider.lookup(self.case.unknown_id) is None

    def test_a_callback_counts_for_its_own_secret_only(self, caller: Caller) -> None:
        caller.place()
        callback = caller.carrier.sink.wait(1)[0].request(caller.carrier.sink.url)

        caller.provider().verify(callback)
        with pytest.raises(SignatureError):
            caller.provider(**self.case.other_secret).verify(callback)
