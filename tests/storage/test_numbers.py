"""The numbers' items: an opt-out while others write."""

from datetime import timedelta
from typing import Any

import pytest

from chalicelib.storage.numbers import Number
from chalicelib.storage.transact import transact
from tests.support.world import START, World

WORKSPACE, NUMBER = "acme", "+16505550199"


def test_an_opt_out_succeeds_even_if_the_number_is_called_all_the_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = world.services.ports.numbers
    look = numbers.load
    claimed: list[str] = []

    def look_and_lose(workspace: str, number: str) -> Number:
        known = look(workspace, number)
        if known.opted_out_at is None:
            claimed.append(f"call_{len(claimed)}-1")
            transact(world.dynamodb, [numbers.adding(known, claimed[-1], START)])
        return known

    monkeypatch.setattr(numbers, "load", look_and_lose)
    known = numbers.set_opt_out(WORKSPACE, NUMBER, START, "asked us to stop")
    made = dict.fromkeys(claimed, START)
    assert claimed == ["call_0-1", "call_1-1"]
    assert known == Number(WORKSPACE, NUMBER, 3, START, "asked us to stop", made)


def test_opting_back_in_keeps_what_was_made_and_forgets_the_reason(world: World) -> None:
    numbers = world.services.ports.numbers
    numbers.set_opt_out(WORKSPACE, NUMBER, START, "asked us to stop")
    again: Any = numbers.set_opt_out(WORKSPACE, NUMBER, START + timedelta(days=1), "asked again")
    assert again == Number(WORKSPACE, NUMBER, 1, START, "asked us to stop")
    assert numbers.set_opt_out(WORKSPACE, NUMBER, None, None) == Number(WORKSPACE, NUMBER, 2)
