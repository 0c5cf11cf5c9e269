"""Whole runs of the simulator: a seed repeats its run, each invariant can fail."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ops.simulate.__main__ import main
from ops.simulate.carrier import AnsweredCallback, Leg, Replied
from ops.simulate.evidence import (
    ActRequest,
    AnsweredAct,
    AppRequest,
    Claimed,
    Evidence,
    GateSeen,
    LimitSet,
    Misindexed,
    Misplaced,
    Plan,
    SlotLeft,
    Waited,
)
from ops.simulate.faults import Level
from ops.simulate.invariants import INVARIANTS, judge, violations_of
from ops.simulate.traffic import Act
from ops.simulate.world import World, simulate

PLAN = Plan(seed=1, calls=24, level=Level.NONE)
DIGEST = """
from ops.simulate.evidence import Plan
from ops.simulate.faults import Level
from ops.simulate.world import simulate
print(simulate(Plan(5, 6, Level.HEAVY)).digest)
"""


@pytest.fixture(scope="module")
def whole() -> Evidence:
    """Simulate a run without faults."""
    return simulate(PLAN)


def test_a_run_without_faults_breaks_nothing(whole: Evidence) -> None:
    verdicts = judge(whole)
    assert violations_of(verdicts) == []
    assert {verdict.name: verdict.checked for verdict in verdicts if verdict.checked == 0} == {}


@pytest.mark.slow
def test_a_seed_gives_the_same_run_in_every_process() -> None:
    def digest(hash_seed: str) -> str:
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."}
        ran = subprocess.run(
            [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    assert digest("1") == digest("2") == simulate(Plan(5, 6, Level.HEAVY)).digest


def test_leaving_calls_out_leaves_the_others_what_they_ask_for(whole: Evidence) -> None:
    fewer = simulate(replace(PLAN, kept=frozenset({2, 7})))
    assert fewer.call_requests == {index: whole.call_requests[index] for index in (2, 7)}


def test_the_command_reports_each_invariant_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--calls", "4", "--faults", "none"]) == 0
    told = capsys.readouterr().out
    assert '"event"' not in told
    assert "_aws" not in told
    assert [name for name in INVARIANTS if name not in told] == []
    assert "violations: 0   seed: 3   calls: 4   faults: none" in told


@pytest.mark.slow
def test_a_run_leaves_the_environment_as_it_was() -> None:
    before, environ = dict(os.environ), os.environ
    simulate(Plan(3, 6, Level.HEAVY))
    assert os.environ is environ
    assert dict(os.environ) == before


@pytest.mark.slow
def test_the_command_adds_up_several_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "3-4", "--calls", "3", "--faults", "heavy"]) == 0
    told = capsys.readouterr().out
    plans = [Plan(seed, 3, Level.HEAVY) for seed in (3, 4)]
    runs = [simulate(plan) for plan in plans]
    attempts = sum(len(rows) for run in runs for rows in run.attempts.values())
    faults = sum(len(run.injected) for run in runs)
    calls = sum(len(run.calls) for run in runs)
    assert f"violations: 0   seeds: 2   calls: {calls}   attempts: {attempts}   faults: {faults}" in told
    assert [name for name in INVARIANTS if name not in told] == []


def first_leg(evidence: Evidence) -> Leg:
    """Return the first attempt of a call that was placed and that a person answered."""
    return next(
        leg
        for leg in evidence.legs
        if leg.made is not None and leg.made.end == "completed" and not leg.made.line.behaviour.machine
    )


def claim_again(evidence: Evidence, call_id: str, **changes: Any) -> None:
    """Add one more claim of a call, after everything else."""
    last = next(claim for claim in reversed(evidence.claims) if claim.call_id == call_id)
    later = replace(last, attempt=last.attempt + 1, token=last.token + "x", tick=10**6)
    evidence.claims.append(replace(later, **changes))


def answered(evidence: Evidence, kind: str, leg: Leg, left: tuple[str, ...] = ()) -> None:
    act = Act(leg.at, kind, leg.index, leg.to, {})
    evidence.answered_acts.append(AnsweredAct(act, leg.call_id, leg.tick, leg.tick, leg.at, left))


def row_of(evidence: Evidence, leg: Leg) -> dict[str, Any]:
    return next(row for row in evidence.attempts[leg.call_id] if row["token"] == leg.token)


def in_window(evidence: Evidence) -> str:
    """Return a claimed call whose window is closed at some time of a day."""
    return next(
        claim.call_id
        for claim in evidence.claims
        if "window" in evidence.call_requests[evidence.index_of(claim.call_id)].retry
        and "24:00" not in str(evidence.call_requests[evidence.index_of(claim.call_id)].retry["window"])
    )


def post_twice(evidence: Evidence) -> None:
    evidence.legs = [*evidence.legs, first_leg(evidence)]


def post_while_live(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    twin = replace(leg, attempt=leg.attempt + 1, token="other", at=leg.at + timedelta(seconds=1))
    evidence.legs = [*evidence.legs, twin]


def claim_at_every_hour(evidence: Evidence) -> None:
    for hour in range(7 * 24):
        claim = next(claim for claim in evidence.claims if claim.call_id == in_window(evidence))
        evidence.claims.append(replace(claim, app_at=claim.app_at + timedelta(hours=hour)))


def post_over_cap(evidence: Evidence) -> None:
    capped = next(leg for leg in evidence.legs if "caps" in evidence.call_requests[leg.index].retry)
    claim = next(claim for claim in evidence.claims if claim.token == capped.token)
    for n in range(1, 6):
        evidence.legs = [*evidence.legs, replace(capped, token=f"more{n}", replied=Replied.PLACED)]
        soon = claim.app_at + timedelta(minutes=n)
        evidence.claims.append(replace(claim, token=f"more{n}", tick=10**6 + n, app_at=soon))


def claim_after(kind: str) -> Callable[[Evidence], None]:
    def doctor(evidence: Evidence) -> None:
        evidence.act_requests = []  # no user opts in again
        answered(evidence, kind, first_leg(evidence))
        claim_again(evidence, first_leg(evidence).call_id)

    return doctor


def leave_waiting(evidence: Evidence) -> None:
    answered(evidence, "contacted", first_leg(evidence), ("call_that_waits",))


def overbook(evidence: Evidence) -> None:
    by_twilio = {index for index, asked in evidence.call_requests.items() if "provider" not in asked.body}
    call_id = next(call_id for call_id in evidence.decisions if evidence.index_of(call_id) in by_twilio)
    made = evidence.decisions[call_id]
    due_at, at = "2026-01-26T10:00:00+00:00", "2026-01-26T10:05:00+00:00"
    row = {"attempt": 0, "due_at": due_at, "at": at, "reason": "started", "sk": "DECISION#000001"}
    evidence.decisions[call_id] = [*made, *([row] * 100)]


def change_provider(evidence: Evidence) -> None:
    row = row_of(evidence, first_leg(evidence))
    evidence.attempts[row["call_id"]] = [row | {"cause": "no-callback"}, row | {"provider": "another", "number": 99}]


def hurry(evidence: Evidence) -> None:
    for index, asked in evidence.call_requests.items():
        evidence.call_requests[index] = replace(
            asked, body=asked.body | {"retry": {**asked.retry, "on": {}, "strategy": WAIT}}
        )


WAIT = {"type": "fixed", "wait_minutes": 10**5}


def stay_live(evidence: Evidence) -> None:
    next(iter(evidence.calls.values()))["state"] = "dialing"


def end_hours_late(evidence: Evidence) -> None:
    """Let an attempt time out four hours after its call expired."""
    leg = first_leg(evidence)
    call, row = evidence.calls[leg.call_id], evidence.attempts[leg.call_id][leg.attempt - 1]
    row["cause"] = "no-callback"
    call["ended_at"] = (datetime.fromisoformat(call["expires_at"]) + timedelta(hours=4, minutes=11)).isoformat()


def come_late(evidence: Evidence) -> None:
    due_at = first_leg(evidence).at
    evidence.waited.append(Waited(first_leg(evidence).call_id, due_at, due_at + timedelta(hours=1), "dialing"))


def make_two(evidence: Evidence) -> None:
    evidence.call_ids[first_leg(evidence).index].append("call_twin")


def leave_rule(evidence: Evidence) -> None:
    evidence.rules_left.append("redial-dev-wake-202601261030")


def miscount(evidence: Evidence) -> None:
    next(iter(evidence.numbers.values()))["made"]["call_nobody-1"] = 1


def forget_attempt(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    evidence.attempts[leg.call_id].remove(row_of(evidence, leg))


def tell_a_lie(evidence: Evidence) -> None:
    row_of(evidence, first_leg(evidence))["outcome"] = "busy"


def swallow(evidence: Evidence) -> None:
    first_leg(evidence).callbacks.append(AnsweredCallback("ended", 10**6, 200, kept=False))


def retry_too_often(evidence: Evidence) -> None:
    row = row_of(evidence, first_leg(evidence))
    evidence.attempts[row["call_id"]] += [row] * 10


def end_otherwise(evidence: Evidence) -> None:
    evidence.calls[first_leg(evidence).call_id]["summary_status"] = "all_retries_exhausted"


def decide_nothing(evidence: Evidence) -> None:
    evidence.decisions[first_leg(evidence).call_id] = []


def count_twice(evidence: Evidence) -> None:
    evidence.paced += [replace(evidence.paced[0]) for _ in range(100)]


def count_too_early(evidence: Evidence) -> None:
    evidence.paced[0] = replace(evidence.paced[0], stretch=evidence.paced[0].stretch + 1)


def count_none(evidence: Evidence) -> None:
    evidence.paced.clear()


def limits(evidence: Evidence, **most: str) -> None:
    evidence.env = {**evidence.env, **most}


def claim_while_many_are_out(evidence: Evidence) -> None:
    limits(evidence, TWILIO_MAX_CONCURRENT_CALLS="2")
    claim = next(claim for claim in evidence.claims if claim.provider == "twilio")
    for number in range(2):
        evidence.claims.insert(0, replace(claim, token=f"other{number}", tick=claim.tick - 1))


def claim_while_phones_ring(evidence: Evidence) -> None:
    """End an attempt in the table while the carrier's call is still in progress."""
    limits(evidence, TWILIO_MAX_CONCURRENT_CALLS="1")
    leg = first_leg(evidence)
    claim = next(claim for claim in evidence.claims if claim.token == leg.token)
    evidence.settled[claim.token] = claim.tick
    evidence.claims.append(replace(claim, token="other", tick=10**6, at=leg.at + timedelta(seconds=1)))


def keep_slot(evidence: Evidence) -> None:
    row = row_of(evidence, first_leg(evidence))
    evidence.slots_left.append(SlotLeft("twilio|000001", f"{row['call_id']}-{row['number']}", 2**40))


def claim_in_pause(evidence: Evidence) -> None:
    claim = evidence.claims[-1]
    act = Act(claim.at, "pause", -1, "", {"until": (claim.app_at + timedelta(minutes=1)).isoformat()})
    evidence.answered_acts.append(AnsweredAct(act, "", claim.tick - 1, claim.tick - 1, claim.at))


def resume_too_late(evidence: Evidence) -> None:
    claim = evidence.claims[-1]
    tick = claim.tick
    evidence.answered_acts.append(AnsweredAct(Act(claim.at, "pause", -1, "", {}), "", tick - 1, tick - 1, claim.at))
    evidence.act_requests.append(ActRequest("resume", "", tick + 1, tick + 2))


def trip(evidence: Evidence, claim: Claimed, later: timedelta = timedelta()) -> GateSeen:
    scope = f"account:{claim.provider}:x"
    gate = GateSeen(scope, claim.tick - 1, "by-breaker", claim.app_at + later)
    evidence.gates += [gate, GateSeen(scope, 10**6, None)]
    return gate


def claim_behind_the_breaker(evidence: Evidence) -> None:
    trip(evidence, evidence.claims[0], timedelta(minutes=1))


def probe_twice(evidence: Evidence) -> None:
    claim = evidence.claims[0]
    trip(evidence, claim)
    evidence.claims.insert(1, replace(claim, call_id="call_other", token="other"))


def stay_closed(evidence: Evidence) -> None:
    evidence.gates.append(GateSeen("account:twilio:x", 10**6, "by-breaker", None))


def never_come_to_the_last(evidence: Evidence) -> None:
    evidence.legs = [leg for leg in evidence.legs if leg.index < PLAN.calls]


def turn_away(evidence: Evidence) -> None:
    first_leg(evidence).replied = Replied.DEFERRED


def keep_digits(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    evidence.act_requests = []
    answered(evidence, "erase", leg)
    evidence.digits_left[leg.to] = ["NUMBER#acme NUMBER"]


def send_an_unknown_field(evidence: Evidence) -> None:
    evidence.malformed.append((0, "Colour is not a known field"))


def ring_on(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    leg.hang_up_asked, leg.was_to_end = False, leg.at + timedelta(minutes=1)
    answered(evidence, "cancel", leg)


def call_the_contacted(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    answered(evidence, "contacted", leg)
    claim_again(evidence, leg.call_id)


def call_too_early(evidence: Evidence) -> None:
    """Claim a call that is to wait for an hour a minute too early."""
    leg = first_leg(evidence)
    answered(evidence, "contacted", leg)
    until = leg.app_at + timedelta(hours=1)
    evidence.answered_acts[-1] = replace(evidence.answered_acts[-1], until=until)
    claim_again(evidence, leg.call_id, app_at=until - timedelta(minutes=1))


def book_past_the_end(evidence: Evidence) -> None:
    call_id = first_leg(evidence).call_id
    evidence.decisions[call_id].append({"reason": "retry", "due_at": "2199-01-01T00:00:00+00:00"})


def keep_a_place(evidence: Evidence) -> None:
    evidence.misplaced.append(Misplaced(first_leg(evidence).at, over=1, under=0, leaks=0))


def stand_before_its_time(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    evidence.misindexed.append(Misindexed(leg.call_id, leg.at, due_at=leg.at + timedelta(days=1), indexed_at=leg.at))


def lack_a_place(evidence: Evidence) -> None:
    evidence.misplaced.append(Misplaced(first_leg(evidence).at, over=0, under=1, leaks=100))


def believe_a_day(evidence: Evidence) -> None:
    waits: dict[str, Any] = {
        "reason": "deferred-by-provider",
        "steps": ["+1440 min until the next try at the provider"],
    }
    waits |= {"at": "2026-01-26T10:00:00+00:00", "retry_at": "2026-01-27T10:00:00+00:00"}
    call_id = next(
        call_id for call_id in evidence.decisions if evidence.index_of(call_id) >= evidence.plan.calls
    )  # to a number that no other call has
    evidence.decisions[call_id].append(waits)


def give_up_early(evidence: Evidence) -> None:
    row_of(evidence, first_leg(evidence)).update(cause="no-callback")


def answer_late(evidence: Evidence) -> None:
    began = first_leg(evidence).at
    evidence.app_requests.append(AppRequest("place 0 1", began, began + timedelta(seconds=40)))


def adopt(evidence: Evidence) -> None:
    evidence.calls[first_leg(evidence).call_id]["is_adopted"] = True


def keep_a_deadline(evidence: Evidence) -> None:
    evidence.calls[first_leg(evidence).call_id]["deadline_at"] = "2026-01-26T10:00:00+00:00"


def tell_of_a_pause_twice(evidence: Evidence) -> None:
    paused = {"reason": "paused", "steps": ["acme is paused"], "sk": "DECISION#1", "attempt": 0, "retry_at": "x"}
    made = evidence.decisions[first_leg(evidence).call_id]
    evidence.decisions[first_leg(evidence).call_id] = [paused, paused, *made]


def pass_a_lowered_limit(evidence: Evidence) -> None:
    claim = evidence.claims[-1]
    evidence.own_limit = 10
    evidence.lowered.append(LimitSet(claim.at - timedelta(minutes=5), 1))
    evidence.claims.insert(0, replace(claim, token="other", tick=claim.tick - 1))


def spend_for_the_account(evidence: Evidence) -> None:
    leg = first_leg(evidence)
    leg.faulted, leg.looked_up = True, 1


def take_the_slot_of_a_retry(evidence: Evidence) -> None:
    """Let a retry wait for a slot of the account while a first attempt has one."""
    evidence.env = {**evidence.env, "RETRIES_FIRST": "true"}
    row = row_of(evidence, next(leg for leg in evidence.legs if leg.attempt == 1))
    row.update(slots=["account:twilio:x|1"], claimed_at="2026-01-26T10:02:00+00:00")
    waits: dict[str, Any] = {"reason": "no-slot", "attempt": 1, "steps": ["all 2 slots of account:twilio:x are taken"]}
    waits |= {"at": "2026-01-26T10:00:00+00:00", "due_at": "2026-01-26T10:03:00+00:00"}
    evidence.decisions[row["call_id"]] = [waits]


def take_for_two(evidence: Evidence) -> None:
    row = row_of(evidence, first_leg(evidence))
    evidence.attempts[row["call_id"]].append(row | {"number": row["number"] + 1})


DOCTORED: list[tuple[str, Callable[[Evidence], None]]] = [
    ("one-dial", post_twice),
    ("one-at-a-time", post_while_live),
    ("window", claim_at_every_hour),
    ("caps", post_over_cap),
    ("opt-out", claim_after("opt-out")),
    ("opt-out", claim_after("erase")),
    ("reached", lambda evidence: claim_again(evidence, first_leg(evidence).call_id)),
    ("canceled", claim_after("cancel")),
    ("hung-up", ring_on),
    ("contacted", call_the_contacted),
    ("contacted", call_too_early),
    ("acted", leave_waiting),
    ("kept", book_past_the_end),
    ("places", keep_a_place),
    ("places", lack_a_place),
    ("pace", overbook),
    ("in-pace", count_twice),
    ("in-pace", count_too_early),
    ("in-pace", count_none),
    ("slots", claim_while_many_are_out),
    ("slots", claim_while_phones_ring),
    ("slots", keep_slot),
    ("slots", pass_a_lowered_limit),
    ("retries-first", take_the_slot_of_a_retry),
    ("paused", claim_in_pause),
    ("paused", resume_too_late),
    ("breaker", claim_behind_the_breaker),
    ("breaker", probe_twice),
    ("breaker", stay_closed),
    ("breaker", never_come_to_the_last),
    ("deferred", turn_away),
    ("deferred", spend_for_the_account),
    ("waits-named", believe_a_day),
    ("patience", give_up_early),
    ("in-time", answer_late),
    ("strangers", adopt),
    ("erased", keep_digits),
    ("failover", change_provider),
    ("waits", hurry),
    ("ends", stay_live),
    ("ends", keep_a_deadline),
    ("ends", end_hours_late),
    ("on-time", come_late),
    ("indexed", stand_before_its_time),
    ("once-made", make_two),
    ("requests", send_an_unknown_field),
    ("aws", leave_rule),
    ("numbers", miscount),
    ("history", forget_attempt),
    ("one-owner", take_for_two),
    ("outcomes", tell_a_lie),
    ("outcomes", swallow),
    ("retries", retry_too_often),
    ("endings", end_otherwise),
    ("decisions", decide_nothing),
    ("decisions", tell_of_a_pause_twice),
]


@pytest.mark.parametrize(("name", "doctor"), DOCTORED, ids=[f"{n}-{getattr(d, '__name__', '')}" for n, d in DOCTORED])
def test_an_invariant_fails_on_evidence_that_breaks_it(
    whole: Evidence, name: str, doctor: Callable[[Evidence], None]
) -> None:
    broken = copy.deepcopy(whole)
    doctor(broken)
    assert {violation.invariant for violation in violations_of(judge(broken, [name]))} == {name}


def test_credentials_that_come_back_during_a_request_stay() -> None:
    world = World(PLAN)
    with world._standing():
        os.environ["PLIVO_AUTH_TOKEN"] = ""
        with world.client.http._patched_env_vars({}):
            os.environ["PLIVO_AUTH_TOKEN"] = "back"
        assert os.environ["PLIVO_AUTH_TOKEN"] == "back"


TWILIO_SCOPE = "account:twilio:x"


def no_slot(at: datetime, attempt: int = 0) -> dict[str, Any]:
    due_at = (at + timedelta(minutes=3)).isoformat()
    steps = [f"all 1 slots of {TWILIO_SCOPE} are taken"]
    return {"reason": "no-slot", "steps": steps, "attempt": attempt, "at": at.isoformat(), "due_at": due_at}


def wait_for_a_slot(evidence: Evidence, minutes: int, every: int) -> datetime:
    """Let the last call of twilio find no slot for so many minutes.

    Return the time of its request.
    """
    evidence.env = {**evidence.env, "TWILIO_MAX_CONCURRENT_CALLS": "1", "RETRIES_FIRST": "true"}
    evidence.own_limit = None
    request = next(request for request in evidence.last_requests if request.body["provider"] == "twilio")
    tries = [no_slot(request.at + timedelta(minutes=minute)) for minute in range(0, minutes, every)]
    evidence.decisions[evidence.call_ids[request.index][0]] = tries
    for leg in evidence.legs:
        if leg.index == request.index:
            leg.at = request.at + timedelta(minutes=minutes)
    return request.at


def hold_the_slot(evidence: Evidence, at: datetime) -> None:
    claim = next(claim for claim in evidence.claims if claim.provider == "twilio")
    evidence.claims.append(replace(claim, call_id="call_other", token="other", at=at, app_at=at))


@pytest.mark.parametrize(("every", "held", "may_wait"), [(3, True, True), (3, False, False), (12, True, False)])
def test_the_last_call_waits_only_while_each_try_finds_no_slot(
    whole: Evidence, every: int, held: bool, may_wait: bool
) -> None:
    evidence = copy.deepcopy(whole)
    asked_at = wait_for_a_slot(evidence, 36, every)
    if held:
        hold_the_slot(evidence, asked_at - timedelta(minutes=1))
    found = [violation.text for violation in violations_of(judge(evidence, ["breaker"])) if "last" in violation.text]
    assert found == ([] if may_wait else ["the last call of twilio is not dialled, though all is well"])


def test_the_last_call_waits_for_a_retry_in_line_until_its_grace_is_over(whole: Evidence) -> None:
    evidence = copy.deepcopy(whole)
    asked_at = wait_for_a_slot(evidence, 15, 5)
    waiting = no_slot(asked_at + timedelta(minutes=1), attempt=1)
    evidence.decisions["call_other"] = [waiting]
    last = "the last call of twilio is not dialled, though all is well"
    # A try five minutes after the request is in the grace of the retry, which ends a minute later. The try at ten
    # minutes is not.
    assert not violations_of(judge(evidence, ["breaker"]))
    for leg in evidence.legs:
        if leg.index == PLAN.calls:
            leg.at = asked_at + timedelta(minutes=16)
    assert [violation.text for violation in violations_of(judge(evidence, ["breaker"]))] == [last]


def test_a_call_may_end_hours_late_if_its_provider_says_that_it_goes_on(whole: Evidence) -> None:
    evidence = copy.deepcopy(whole)
    end_hours_late(evidence)
    first_leg(evidence).never_ends = True
    assert not violations_of(judge(evidence, ["ends"]))


def test_every_invariant_is_shown_to_fail() -> None:
    assert {name for name, _ in DOCTORED} == set(INVARIANTS)
