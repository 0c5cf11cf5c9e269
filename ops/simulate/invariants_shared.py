"""Invariants about what calls share: slots, the pace of an account, pauses, the circuit breaker, and erased numbers."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import zip_longest

from ops.simulate.carrier import Replied
from ops.simulate.evidence import Answered, Claimed, Evidence, GateSeen
from ops.simulate.invariants_dials import stretch
from ops.simulate.tally import Tally

PROVIDERS = ("twilio", "plivo")
#: A claim is committed this long after its slots were leased, its pace counted and its gates looked at, at the most.
CLAIM_TAKES = timedelta(seconds=45)
#: A slot's lease: the longest ring and talk, two minutes for the last callback, and half an hour for the sweep
RING_SEC, LEASE_MARGIN = 60, timedelta(minutes=32)
#: What was counted for the pace is claimed before its Lambda ends.
PACE_KEPT = timedelta(seconds=150)
#: How long a clock that was stepped stays so
STEPPED = timedelta(seconds=600)
#: How early a clock that is stepped may have a gate opened
EARLY = timedelta(seconds=20)
#: A probe of which nothing is heard makes way for the next one after two minutes, less what the two claims take.
PROBES_APART = timedelta(seconds=60)
#: A call that nothing stands against is asked for within this.
GOES_THROUGH = timedelta(minutes=10)


def slots(evidence: Evidence, tally: Tally) -> None:
    """At each claim the attempts in flight under a limit, it included, are no more than the limit."""
    for scope, limit, belongs in _limits(evidence):
        claims = [claim for claim in evidence.claims if belongs(claim)]
        for place, claim in enumerate(claims):
            most = limit(claim)
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


def _limits(evidence: Evidence) -> Iterator[tuple[str, Callable[[Claimed], int], Callable[[Claimed], bool]]]:
    for provider in PROVIDERS:
        if most := int(evidence.env[f"{provider.upper()}_MAX_CONCURRENT_CALLS"] or 0):
            yield provider, lambda _, most=most: most, lambda claim, name=provider: claim.provider == name  # type: ignore[misc]
    if most := evidence.own_limit or int(evidence.env["WORKSPACE_MAX_CONCURRENT_CALLS"] or 0):
        yield "the workspace", lambda claim: _own_limit(evidence, most, claim), lambda claim: True


def _own_limit(evidence: Evidence, first: int, claim: Claimed) -> int:
    """The workspace's limit at a claim: that of the process which made it."""
    return next((lower.most for lower in reversed(evidence.lowered) if lower.at <= claim.began), first)


def _in_flight(evidence: Evidence, other: Claimed, claim: Claimed) -> bool:
    """Whether an earlier attempt was out when a claim was committed, for all that the app could know."""
    lease = timedelta(seconds=RING_SEC + int(evidence.env["MAX_CALL_SECONDS"])) + LEASE_MARGIN
    if other.app_at + lease - CLAIM_TAKES < claim.app_at:
        return False
    leg = evidence.leg_of(other.token)
    rings = leg is not None and leg.ended_at is not None and leg.at <= claim.at < leg.ended_at
    return rings or evidence.settled.get(other.token, claim.tick) >= claim.tick


def retries_first(evidence: Evidence, tally: Tally) -> None:
    """While a retry waits for a slot no fresh call takes one, where retries go first."""
    waiting = list(_waiting_retries(evidence)) if evidence.env["RETRIES_FIRST"] == "true" else []
    for call_id, rows in evidence.attempts.items():
        for row in (each for each in rows if each["number"] == 1):
            scopes = {slot.rpartition("|")[0] for slot in row.get("slots") or ()}
            at = datetime.fromisoformat(row["claimed_at"])
            before = next((w for scope, since, until, w in waiting if scope in scopes and since < at < until), None)
            text = f"{call_id} takes a slot at {at:%d %H:%M:%S}, and {before} waits for one"
            tally.expect(before is None, evidence.index_of(call_id), text)


def _waiting_retries(evidence: Evidence) -> Iterator[tuple[str, datetime, datetime, str]]:
    """The scopes in which retries wait for a slot, since when and until when, where no fault can have lost that."""
    for call_id, made in evidence.decisions.items():
        for decision, after in zip_longest(made, made[1:]):
            if decision["reason"] != "no-slot" or not decision["attempt"]:
                continue
            at, until = datetime.fromisoformat(decision["at"]), datetime.fromisoformat(decision["due_at"])
            if after is not None:
                until = min(until, datetime.fromisoformat(after["at"]))
            if not evidence.is_disturbed(at - CLAIM_TAKES, until, evidence.index_of(call_id)):
                scope = "".join(
                    step.partition(" slots of ")[2].removesuffix(" are taken") for step in decision["steps"]
                )
                yield scope, at + CLAIM_TAKES, until, call_id


def in_pace(evidence: Evidence, tally: Tally) -> None:
    """No stretch of time is given more calls than the pace of its account or of the workspace; no claim goes without.

    While the clock was deferred, and just after, stretches come again: they are left out.
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
    """From the answer to a pause until somebody asks to resume, or until it ends by itself, nothing is claimed."""
    asked = [tried.asked_tick for tried in evidence.tried if tried.kind == "resume"]
    pauses = [answered for answered in evidence.answered if answered.act.kind == "pause"]
    for claim in evidence.claims:
        pause = max((p for p in pauses if p.tick < claim.tick), key=lambda p: p.tick, default=None)
        resumed = pause is not None and any(pause.tick < tick < claim.tick for tick in asked)
        holds = pause is None or resumed or _is_over(pause, claim)
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.at:%d %H:%M:%S}, after a pause was answered"
        tally.expect(holds, evidence.index_of(claim.call_id), text)


def _is_over(pause: Answered, claim: Claimed) -> bool:
    until = pause.act.body.get("until")
    return until is not None and claim.app_at >= datetime.fromisoformat(until) - EARLY


def breaker(evidence: Evidence, tally: Tally) -> None:
    """Behind the gate that the breaker has closed one probe at a time is claimed, and it opens when all is well."""
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
        for asked in evidence.last_asked:
            if asked.body["provider"] != provider:
                continue
            legs = [leg for leg in evidence.legs if leg.index == asked.index]
            soon = any(leg.at <= asked.at + GOES_THROUGH for leg in legs)
            tally.expect(soon, asked.index, f"the last call of {provider} is not asked for, though all is well")
            stuck = last is not None and last.closed is not None
            tally.expect(not stuck, asked.index, f"the gate of {provider} is closed in the end, though all is well")


def _may_pass(gate: GateSeen | None, before: Claimed | None, claim: Claimed) -> bool:
    if gate is None or gate.closed is None:
        return True
    if gate.until is None or claim.app_at < gate.until - EARLY:
        return False
    if before is None or (before.call_id, before.attempt) == (claim.call_id, claim.attempt):
        return True
    return claim.at - before.at >= PROBES_APART


def deferred(evidence: Evidence, tally: Tally) -> None:
    """What the provider turned away, for pace or for a fault of the account, uses up none of the call's attempts."""
    rows = {row["token"]: row for found in evidence.attempts.values() for row in found}
    for leg in evidence.legs:
        if leg.replied is Replied.DEFERRED:
            row = rows.get(leg.token, {"counts": False})
            # A call that was canceled meanwhile is not asked for again: its attempt has ended there. Where the dialer
            # died before it could read the answer, nobody knows that the attempt was turned away.
            known = row.get("outcome") != "canceled" and row.get("cause") != "no-callback"
            spent = row.get("counts", True) and known
            tally.expect(not spent, leg.index, f"{leg.call_id}-{leg.attempt} was deferred and counts as {row}")
        elif leg.faulted and leg.looked_up:
            row = rows.get(leg.token, {})
            spent = row.get("counts", True) and row.get("cause") not in ("no-callback", "provider-not-set-up")
            tally.expect(not spent, leg.index, f"{leg.call_id}-{leg.attempt} failed for want of credits and is {row}")


def erased(evidence: Evidence, tally: Tally) -> None:
    """Once an erasure is answered the digits stand nowhere, but where somebody opted the number in again."""
    for answered in evidence.answered:
        if answered.act.kind != "erase":
            continue
        number = answered.act.number
        back = any(t.kind == "opt-in" and t.number == number and t.tick > answered.asked_tick for t in evidence.tried)
        found = evidence.digits_left.get(number, [])
        text = f"{number} was erased and stands in {', '.join(found[:3])}"
        tally.expect(back or not found, answered.act.index, text)
