"""Gates under many claims: a model of DynamoDB's transaction conflicts.

The model counts tries and no seconds.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html says that DynamoDB rejects a
transaction if another running transaction holds one of its items, even only for a check. The same is true of a plain
write.
"""

import heapq
import random
from collections.abc import Callable

import pytest

from chalicelib.storage.gates import CLOSE_TRIES, COPIES
from chalicelib.storage.transact import CONFLICT_TRIES

#: a million contacts an hour
CLAIMS_PER_SEC = 278
SECONDS = 60
BEFORE = 16
#: the times in which a transaction holds one copy, in order
Held = list[tuple[float, float]]


def busy(copies: int, held_ms: int) -> tuple[list[Held], float, int]:
    """Let claims come at random times to random copies, and retry as transact() does.

    Returns when each copy was held, the share of rejected tries, and the number of claims that failed for good.
    """
    chance = random.Random(copies * 1000 + held_ms)
    held: list[Held] = [[] for _ in range(copies)]
    waiting: list[tuple[float, int, int]] = []
    at, tries, rejected, given_up = 0.0, 0, 0, 0
    while at < SECONDS:
        at += chance.expovariate(CLAIMS_PER_SEC)
        heapq.heappush(waiting, (at, chance.randrange(copies), 0))
    while waiting:
        at, copy, number = heapq.heappop(waiting)
        tries += 1
        if not (held[copy] and held[copy][-1][1] > at):
            held[copy].append((at, at + held_ms / 1000))
            continue
        rejected += 1
        if number + 1 == CONFLICT_TRIES:
            given_up += 1
        else:
            again = at + held_ms / 1000 + chance.uniform(0, 0.02 * 2 ** min(number, 5))
            heapq.heappush(waiting, (again, copy, number + 1))
    return held, rejected / tries, given_up


def tries_of_a_write(copies: list[Held], at: float, held_ms: int, most: int) -> int | None:
    """Count the tries of one write of all these copies; None if it never succeeds."""
    chance = random.Random(int(at * 1000))
    for number in range(most):
        if not any(begin < at + held_ms / 1000 and at < end for copy in copies for begin, end in copy):
            return number + 1
        # The same wait as in transact()
        at += held_ms / 1000 + chance.uniform(0, 0.02 * 2 ** min(number, 5))
    return None


@pytest.mark.parametrize("held_ms", [20, 90])
def test_more_copies_let_more_claims_through(held_ms: int, figure: Callable[[str], None]) -> None:
    lost = {copies: busy(copies, held_ms)[1:] for copies in (BEFORE, COPIES)}
    said = ", ".join(f"{share:.0%} with {n} copies ({given_up} given up)" for n, (share, given_up) in lost.items())
    figure(f"tries of claims rejected, transactions of {held_ms} ms: {said}")
    assert lost[COPIES][0] < lost[BEFORE][0] / 1.5
    # The sweep repeats a claim that failed for good.
    assert lost[COPIES][1] < CLAIMS_PER_SEC * SECONDS / 100


@pytest.mark.parametrize("held_ms", [20, 90])
def test_a_gate_closes_copy_by_copy_where_one_transaction_fails(held_ms: int, figure: Callable[[str], None]) -> None:
    held, *_ = busy(BEFORE, held_ms)
    starts = [1.0 + number for number in range(30)]
    at_once = [tries_of_a_write(held, at, held_ms, CLOSE_TRIES) for at in starts]
    held, *_ = busy(COPIES, held_ms)
    one_by_one = [tries_of_a_write([copy], at, 5, CLOSE_TRIES) for at in starts for copy in held]
    failed = sum(tries is None for tries in at_once)
    most = max(tries or CLOSE_TRIES + 1 for tries in one_by_one)
    figure(
        f"closing a gate, transactions of {held_ms} ms: {failed} of 30 fail as one transaction of {BEFORE} copies; "
        f"copy by copy none, at most {most} tries for one"
    )
    assert failed > 15
    assert None not in one_by_one
    assert most < CLOSE_TRIES / 2
