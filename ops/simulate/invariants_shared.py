"""Invariants about slots, rate limits, pauses, the breaker and erased numbers."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from ops.simulate.carrier import Replied
from ops.simulate.evidence import AnsweredAct, Claimed, Evidence, GateSeen
from ops.simulate.invariants_dials import stretch
from ops.simulate.tally import Tally
from ops.simulate.traffic import CallRequest

PROVIDERS = ("twilio", "plivo")
#: The longest time from leasing slots, counting for the rate limit and checking gates to the commit of the claim
CLAIM_TAKES = timedelta(seconds=45)
#: The parts of a slot's lease besides the longest call: the longest ring, and a margin of two minutes for the last
#: callback and half an hour for the sweep
RING_SEC, LEASE_MARGIN = 60, timedelta(minutes=32)
#: A call that was counted for the rate limit is claimed before its Lambda ends.
PACE_KEPT = timedelta(seconds=150)
#: How long a stepped clock stays wrong
STEPPED = timedelta(seconds=600)
#: A stepped clock may open a gate this much too early.
EARLY = timedelta(seconds=20)
#: A probe without any callback gives way to the next probe after two minutes. The two claims may take some of that
#: time.
PROBES_APART = timedelta(seconds=60)
#: A call that nothing delays is dialled within this time.
GOES_THROUGH = timedelta(minutes=10)
#: After all faults, a try to claim a call reads the slots within this time from its decision's ``at``.
SLOTS_READ = timedelta(seconds=2)
#: With RETRIES_FIRST, no fresh call takes a slot until this long after the due time of a retry that got none
#: (ASKING_GRACE in usecases/calls/claim.py). The retry may have got its slot before.
LINE_KEPT = timedelta(minutes=2)
#: A retry keeps fresh calls waiting only if it tries again within this time (MAX_IN_LINE in usecases/calls/claim.py).
LINE_LIMIT = timedelta(minutes=5)


def slots(evidence: Evidence, tally: Tally) -> None:
    """Expect at most as many attempts in flight as the limit, at each claim."""
    for scope, limit, providers in _limits(evidence):
        claims = [claim for claim in evidence.claims if claim.provider in providers]
        for place, claim in enumerate(claims):
            most = limit(claim.began)
            out = 1 + sum(1 for other in claims[:place] if _in_flight(evidence, other, claim))
            text = f"{claim.call_id}-{claim.attempt} is number {out} of the {most} calls that {scope} may have out"
            tally.expect(out <= most, evidence.index_of(claim.call_id), text)
    rows = {f"{row['call_id']}-{row['number']}": row for found in evidence.attempts.values() for row in found}
    for left in evidence.slots_left:
        row = rows.get(left.holder, {})
        ended_at = row.get("ended_at")
        lapsed = ended_at is not None and left.lease_until < datetime.fromisoformat(ended_at).timestamp()
        index = evidence.index_of(left.holder.rpartition("-")[0])
        tally.expect(lapsed, index, f"{left.slot} is still held by {left.holder}, which has ended")


def _limits(evidence: Evidence) -> Iterator[tuple[str, Callable[[datetime], int], tuple[str, ...]]]:
    """Yield the concurrency limits: name, limit at a time, and providers.

    The calls of these providers take the slots. The time is when a process of the app began to use the limit.
    """
    for provider in PROVIDERS:
        if most := int(evidence.env[f"{provider.upper()}_MAX_CONCURRENT_CALLS"] or 0):
            yield provider, lambda _, most=most: most, (provider,)  # type: ignore[misc]
    if most := evidence.own_limit or int(evidence.env["WORKSPACE_MAX_CONCURRENT_CALLS"] or 0):
        yield "the workspace", lambda began: _own_limit(evidence, most, began), PROVIDERS


def _own_limit(evidence: Evidence, first: int, began: datetime) -> int:
    """Return the workspace's limit in a process that began to work at this time."""
    return next((lower.most for lower in reversed(evidence.lowered) if lower.at <= began), first)


def _in_flight(evidence: Evidence, other: Claimed, claim: Claimed) -> bool:
    """Return True if an earlier attempt was in flight, as far as the app knew."""
    if other.app_at + _lease(evidence) - CLAIM_TAKES < claim.app_at:
        return False
    leg = evidence.leg_of(other.token)
    rings = leg is not None and leg.ended_at is not None and leg.at <= claim.at < leg.ended_at
    return rings or evidence.settled.get(other.token, claim.tick) >= claim.tick


def _lease(evidence: Evidence) -> timedelta:
    return timedelta(seconds=RING_SEC + int(evidence.env["MAX_CALL_SECONDS"])) + LEASE_MARGIN


def retries_first(evidence: Evidence, tally: Tally) -> None:
    """Expect that no first attempt takes a slot while a retry waits for one.

    This holds only with RETRIES_FIRST.
    """
    waiting = list(_waiting_retries(evidence)) if evidence.env["RETRIES_FIRST"] == "true" else []
    for call_id, rows in evidence.attempts.items():
        for row in (each for each in rows if each["number"] == 1):
            scopes = {slot.rpartition("|")[0] for slot in row.get("slots") or ()}
            at = datetime.fromisoformat(row["claimed_at"])
            before = next((w for scope, since, until, w in waiting if scope in scopes and since < at < until), None)
            text = f"{call_id} takes a slot at {at:%d %H:%M:%S}, and {before} waits for one"
            tally.expect(before is None, evidence.index_of(call_id), text)


def _waiting_retries(evidence: Evidence) -> Iterator[tuple[str, datetime, datetime, str]]:
    """Yield the waits of retries for a slot: scope, begin, end and call id.

    Waits that a fault may have disturbed are left out.
    """
    for call_id, made in evidence.decisions.items():
        for decision, after in zip_longest(made, made[1:]):
            if decision["reason"] != "no-slot" or not decision["attempt"]:
                continue
            at, until = datetime.fromisoformat(decision["at"]), datetime.fromisoformat(decision["due_at"])
            if until > at + LINE_LIMIT:
                continue
            if after is not None:
                until = min(until, datetime.fromisoformat(after["at"]))
            if not evidence.is_disturbed(at - CLAIM_TAKES, until, evidence.index_of(call_id)):
                yield _scope_without_slot(decision), at + CLAIM_TAKES, until, call_id


def _scope_without_slot(decision: Mapping[str, Any]) -> str:
    """Return the scope that a ``no-slot`` decision names."""
    return "".join(step.partition(" slots of ")[2].removesuffix(" are taken") for step in decision["steps"])


def in_pace(evidence: Evidence, tally: Tally) -> None:
    """Expect no more calls in a stretch of time than the rate limit allows.

    Each claim was counted for the rate limit. While the clock was set back, and just after, the same stretches come
    again: they are left out.
    """
    steps = [fault.at for fault in evidence.injected if fault.kind == "clock-step"]
    for scope in (*PROVIDERS, "workspace"):
        if not (rate := evidence.env[f"{scope.upper()}_CALLS_PER_SECOND"]):
            continue
        most, seconds = stretch(float(rate))
        given = [pace for pace in evidence.paced if pace.scope == scope]
        counted: Counter[int] = Counter()
        for pace in given:
            if not any(at <= pace.at <= at + STEPPED + CLAIM_TAKES for at in steps):
                counted[pace.stretch] += 1
                begun = pace.stretch * seconds <= pace.at.timestamp()
                text = f"{counted[pace.stretch]} calls are started in a stretch of {seconds} s, which takes {most}"
                tally.expect(begun and counted[pace.stretch] <= most, -1, f"{scope}: {text}")
        for claim in evidence.claims:
            if scope in (claim.provider, "workspace"):
                mine = next((p for p in given if p.tick < claim.tick and claim.at - p.at <= PACE_KEPT), None)
                text = f"{claim.call_id}-{claim.attempt} is claimed and was not counted for the pace of {scope}"
                tally.expect(mine is not None, evidence.index_of(claim.call_id), text)
                if mine is not None:
                    given.remove(mine)


def paused(evidence: Evidence, tally: Tally) -> None:
    """Expect no claim between an answered pause and its end or a request to resume."""
    resumes = [request.asked_tick for request in evidence.act_requests if request.kind == "resume"]
    pauses = [answered for answered in evidence.answered_acts if answered.act.kind == "pause"]
    for claim in evidence.claims:
        pause = max((p for p in pauses if p.tick < claim.tick), key=lambda p: p.tick, default=None)
        resumed = pause is not None and any(pause.tick < tick < claim.tick for tick in resumes)
        holds = pause is None or resumed or _is_over(pause, claim)
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.at:%d %H:%M:%S}, after a pause was answered"
        tally.expect(holds, evidence.index_of(claim.call_id), text)


def _is_over(pause: AnsweredAct, claim: Claimed) -> bool:
    until = pause.act.body.get("until")
    return until is not None and claim.app_at >= datetime.fromisoformat(until) - EARLY


def breaker(evidence: Evidence, tally: Tally) -> None:
    """Expect single probes behind the breaker's gate, and an open gate at the end."""
    for provider in PROVIDERS:
        seen = [gate for gate in evidence.gates if gate.scope.startswith(f"account:{provider}:")]
        probes: dict[int, Claimed] = {}
        for claim in evidence.claims:
            if claim.provider != provider:
                continue
            gate = max((g for g in seen if g.tick < claim.tick), key=lambda g: g.tick, default=None)
            before = probes.get(gate.tick) if gate else None
            text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.at:%d %H:%M:%S}, while {provider} is paused"
            tally.expect(_may_pass(gate, before, claim), evidence.index_of(claim.call_id), text)
            if gate is not None and gate.closed:
                probes[gate.tick] = claim
        last = max(seen, key=lambda gate: gate.tick, default=None)
        for request in evidence.last_requests:
            if request.body["provider"] != provider:
                continue
            legs = [leg for leg in evidence.legs if leg.index == request.index]
            free_at = _free_at(evidence, request)
            soon = any(leg.at <= free_at + GOES_THROUGH for leg in legs)
            tally.expect(soon, request.index, f"the last call of {provider} is not dialled, though all is well")
            stuck = last is not None and last.closed is not None
            tally.expect(not stuck, request.index, f"the gate of {provider} is closed in the end, though all is well")


def _free_at(evidence: Evidence, request: CallRequest) -> datetime:
    """Return the last time at which a last call found no slot.

    It is the time of the request if the call never had to wait for a slot.

    After a day of heavy faults, many calls may still wait under a limit of one or two calls in flight. The last call
    has no right to go before them, so it may wait as long as each of its tries finds no slot. Each try counts only if
    the run's own record confirms it, and if it comes in time after the try before. A slot that leaked, or a call that
    does not try again, explains no wait.
    """
    free_at = request.at
    for call_id in evidence.call_ids.get(request.index, ()):
        for decision in evidence.decisions.get(call_id, ()):
            at = datetime.fromisoformat(decision["at"])
            in_time = at <= free_at + GOES_THROUGH
            if decision["reason"] == "no-slot" and in_time and _had_no_slot(evidence, decision, request, at):
                free_at = at
    return free_at


def _had_no_slot(evidence: Evidence, decision: Mapping[str, Any], request: CallRequest, at: datetime) -> bool:
    """Return True if no slot was free for a fresh call.

    Attempts held all slots, or retries waited for one.
    """
    for _, limit, providers in _limits(evidence):
        claims = (claim for claim in evidence.claims if claim.provider in providers)
        held = sum(1 for claim in claims if _holds_slot(evidence, claim, at))
        if request.body["provider"] in providers and held >= limit(at):
            return True
    return evidence.env["RETRIES_FIRST"] == "true" and _has_line(evidence, _scope_without_slot(decision), at)


def _holds_slot(evidence: Evidence, claim: Claimed, at: datetime) -> bool:
    """Return True if an attempt held its slots during a try that began at ``at``."""
    tick = evidence.settled.get(claim.token)
    settled_at = evidence.trace[tick - 1].at if tick else claim.app_at + _lease(evidence)
    return claim.at <= at + SLOTS_READ and min(settled_at, claim.app_at + _lease(evidence)) >= at


def _has_line(evidence: Evidence, scope: str, at: datetime) -> bool:
    """Return True if a retry that got no slot keeps fresh calls waiting."""
    return any(
        other["reason"] == "no-slot"
        and other["attempt"]
        and _scope_without_slot(other) == scope
        and datetime.fromisoformat(other["at"]) <= at + SLOTS_READ
        and datetime.fromisoformat(other["due_at"]) <= datetime.fromisoformat(other["at"]) + LINE_LIMIT
        and at < datetime.fromisoformat(other["due_at"]) + LINE_KEPT
        for made in evidence.decisions.values()
        for other in made
    )


def _may_pass(gate: GateSeen | None, before: Claimed | None, claim: Claimed) -> bool:
    if gate is None or gate.closed is None:
        return True
    if gate.until is None or claim.app_at < gate.until - EARLY:
        return False
    if before is None or (before.call_id, before.attempt) == (claim.call_id, claim.attempt):
        return True
    return claim.at - before.at >= PROBES_APART


def deferred(evidence: Evidence, tally: Tally) -> None:
    """Expect that a rejection for a rate limit or an account fault uses up no attempt."""
    rows = {row["token"]: row for found in evidence.attempts.values() for row in found}
    for leg in evidence.legs:
        if leg.replied is Replied.DEFERRED:
            row = rows.get(leg.token, {"counts": False})
            # A call that was canceled meanwhile is not dialled again: its attempt has ended there. If the dialer died
            # before it could read the answer, nobody knows that the provider rejected the attempt.
            known = row.get("outcome") != "canceled" and row.get("cause") != "no-callback"
            spent = row.get("counts", True) and known
            tally.expect(not spent, leg.index, f"{leg.call_id}-{leg.attempt} was deferred and counts as {row}")
        elif leg.faulted and leg.looked_up:
            row = rows.get(leg.token, {})
            spent = row.get("counts", True) and row.get("cause") not in ("no-callback", "provider-not-set-up")
            tally.expect(not spent, leg.index, f"{leg.call_id}-{leg.attempt} failed for want of credits and is {row}")


def erased(evidence: Evidence, tally: Tally) -> None:
    """Expect an erased number in no item, unless a user opted the number in again."""
    for answered in evidence.answered_acts:
        if answered.act.kind != "erase":
            continue
        number = answered.act.number
        back = any(
            t.kind == "opt-in" and t.number == number and t.tick > answered.asked_tick for t in evidence.act_requests
        )
        found = evidence.digits_left.get(number, [])
        text = f"{number} was erased and stands in {', '.join(found[:3])}"
        tally.expect(back or not found, answered.act.index, text)
