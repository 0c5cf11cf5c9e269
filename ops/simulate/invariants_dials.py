"""Invariants about dials: no double dials, and none against hours, caps or a user."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest
from typing import Any

from ops.simulate.carrier import Leg, Replied
from ops.simulate.evidence import Claimed, Evidence
from ops.simulate.hours import counted_at_least, is_open_some_time, utc
from ops.simulate.retry_rules import caps_of, own_wait_minutes
from ops.simulate.tally import Tally

#: The longest time from reading the clock to the commit of a claim, and from the claim to the request, slow calls
#: included
CLAIM_TAKES = timedelta(seconds=30)
DIAL_TAKES = timedelta(seconds=60)
#: Two readings of a clock that is stepped may differ by this much, including the time of a dial.
SLACK = timedelta(minutes=2)


def one_dial(evidence: Evidence, tally: Tally) -> None:
    """Expect no second request unless the provider confirmed that no call was made."""
    spent: dict[tuple[str, int], Leg] = {}
    tokens: Counter[str] = Counter()
    for leg in evidence.legs:
        attempt = (leg.call_id, leg.attempt)
        tokens[leg.token] += 1
        tally.expect(tokens[leg.token] == 1, leg.index, f"{leg.call_id}-{leg.attempt} is requested twice in one claim")
        tally.expect(attempt not in spent, leg.index, f"{leg.call_id}-{leg.attempt} is requested again")
        if leg.replied is not Replied.DEFERRED:
            spent[attempt] = leg


def one_at_a_time(evidence: Evidence, tally: Tally) -> None:
    """Expect no request for a call while another attempt of the call is in flight."""
    for call_id in evidence.calls:
        legs = evidence.legs_of(call_id)
        for earlier, later in ((a, b) for number, b in enumerate(legs) for a in legs[:number]):
            over = earlier.ended_at is None or earlier.ended_at <= later.at
            text = f"{call_id}-{later.attempt} is requested at {later.at:%d %H:%M:%S}, while {earlier.attempt} lives"
            tally.expect(over, later.index, text)


def window(evidence: Evidence, tally: Tally) -> None:
    """Expect each claim and its request to the provider in the window.

    The app's own clock counts.
    """
    claimed = {claim.token: claim for claim in evidence.claims}
    for claim, hours, zone in _claims_in_windows(evidence):
        inside = is_open_some_time(hours, zone, claim.app_at - CLAIM_TAKES, claim.app_at)
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.app_at:%a %d %H:%M:%S}, outside its window"
        tally.expect(inside, evidence.index_of(claim.call_id), text)
    for leg in evidence.legs:
        soon = leg.token in claimed and leg.app_at - claimed[leg.token].app_at <= DIAL_TAKES
        text = (
            f"{leg.call_id}-{leg.attempt} is requested at {leg.app_at:%d %H:%M:%S}, long after its claim or without one"
        )
        tally.expect(soon, leg.index, text)


def _claims_in_windows(evidence: Evidence) -> Iterator[tuple[Claimed, dict[str, object], str]]:
    for claim in evidence.claims:
        request = evidence.call_requests.get(evidence.index_of(claim.call_id))
        if request is not None and "window" in request.retry:
            yield claim, request.retry["window"], request.to.zone


def caps(evidence: Evidence, tally: Tally) -> None:
    """Expect no dial over a cap.

    The count includes each create-call that the carrier received, from every call to the number, except those of which
    the provider said that it never had them. It goes in the order of the claims, because Redial checks the cap at the
    claim, and one request may overtake another.
    """
    made: dict[str, list[tuple[Leg, datetime]]] = {}
    rows = (row for found in evidence.attempts.values() for row in found)
    never_placed = {row["token"] for row in rows if row.get("cause") == "never-placed"}
    claimed = {claim.token: claim for claim in evidence.claims}
    known = [leg for leg in evidence.legs if leg.token in claimed]
    for leg in sorted(known, key=lambda leg: claimed[leg.token].tick):
        at = claimed[leg.token].app_at
        request = evidence.call_requests.get(leg.index)
        known_calls = [
            (other, was) for other, was in made.setdefault(leg.to, []) if _may_be_known(other, claimed[leg.token])
        ]
        before = _remembered(evidence, leg, known_calls)
        for cap in caps_of(evidence.env, request.retry) if request else ():
            used = counted_at_least(cap, request.to.zone, at, before, SLACK) if request else 0
            text = f"{leg.call_id}-{leg.attempt} is number {used + 1} to {leg.to} under a cap of {cap}"
            tally.expect(used < cap["max_attempts"], leg.index, text)
        if leg.replied is not Replied.DEFERRED and (leg.made is not None or leg.token not in never_placed):
            made[leg.to].append((leg, at))


def _may_be_known(leg: Leg, claim: Claimed) -> bool:
    """Return True if a claim could know of an earlier create-call.

    A claim cannot know of a create-call that its provider neither answered nor shows.
    """
    if leg.shown_at is None or leg.replied is Replied.PLACED:
        return True
    return any(each.status == 200 and each.tick < claim.tick for each in leg.callbacks)


def _remembered(evidence: Evidence, leg: Leg, made: list[tuple[Leg, datetime]]) -> list[datetime]:
    """Return the earlier dials to a number, without those that its erasure removed."""
    erasing = [t for t in evidence.act_requests if t.kind == "erase" and t.number == leg.to and t.asked_tick < leg.tick]
    forgotten = max((request.tick for request in erasing), default=0)
    return [at for other, at in made if other.tick > forgotten]


def opt_out(evidence: Evidence, tally: Tally) -> None:
    """Expect no claim after an answered opt-out or erasure, until an opt-in."""
    for claim in evidence.claims:
        index = evidence.index_of(claim.call_id)
        request = evidence.call_requests.get(index)
        if request is None:
            continue
        acts = [
            a for a in evidence.answered_acts if a.act.number == request.to.e164 and a.act.kind in ("opt-out", "erase")
        ]
        outs = [a.tick for a in acts if a.tick < claim.tick]
        back = [t for t in evidence.act_requests if t.number == request.to.e164 and t.kind == "opt-in"]
        ins = [t.tick for t in back if t.asked_tick < claim.tick]
        out = bool(outs) and (not ins or max(ins) < max(outs))
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.at:%d %H:%M:%S}, after its number opted out"
        tally.expect(not out, index, text)


def reached(evidence: Evidence, tally: Tally) -> None:
    """Expect no further attempt after a callback proved that a person answered.

    The carrier's own record says whether a person answered.
    """
    for leg in evidence.legs:
        if not leg.person_answered:
            continue
        proofs = [t.tick for t in leg.proofs()]
        later = [c for c in evidence.claims if c.call_id == leg.call_id and proofs and c.tick > min(proofs)]
        text = f"{leg.call_id} is claimed again after attempt {leg.attempt} reached a person, as a callback proved"
        tally.expect(not later, leg.index, text)


def canceled(evidence: Evidence, tally: Tally) -> None:
    """Expect no further attempt after the app answered a cancel."""
    for answered in evidence.answered_acts:
        if answered.act.kind == "cancel":
            later = [c for c in evidence.claims if c.call_id == answered.call_id and c.tick > answered.tick]
            tally.expect(not later, answered.act.index, f"{answered.call_id} is claimed after its cancel was answered")


def acted(evidence: Evidence, tally: Tally) -> None:
    """Expect that an act ended or rescheduled each waiting call to the number.

    Only calls that waited from the request to the answer count.
    """
    for answered in evidence.answered_acts:
        if answered.act.kind in ("opt-out", "contacted", "erase"):
            text = f"{answered.act.kind} of {answered.act.number} leaves {', '.join(answered.left)} waiting as before"
            tally.expect(not answered.left, answered.act.index, text)


def _gave_back(decision: dict[str, Any], after: dict[str, Any] | None) -> bool:
    """Return True if the next decision gave back the place that this decision booked."""
    if after is None or not decision.get("due_at"):
        return False
    claimed = after["attempt"] != decision["attempt"] or after["reason"] in ("deferred-by-provider", "never-placed")
    in_time = datetime.fromisoformat(after["at"]) < datetime.fromisoformat(decision["due_at"]) + timedelta(minutes=1)
    return in_time and not claimed


def pace(evidence: Evidence, tally: Tally) -> None:
    """Expect no more planned dials in a minute than the rate limit allows.

    A plan does not count if the next decision gave its place back before the minute was over and before any claim.
    Decisions about a call that may have changed to a second provider are left out, because they do not say which
    account's place they booked.
    """
    rates = {"twilio": evidence.env["TWILIO_CALLS_PER_SECOND"] or "1"}
    if own := evidence.env["WORKSPACE_CALLS_PER_SECOND"]:
        rates["workspace"] = own
    planned: Counter[tuple[str, str]] = Counter()
    for call_id, made in evidence.decisions.items():
        request = evidence.call_requests.get(evidence.index_of(call_id))
        if request is None:
            continue
        kept = [decision for decision, after in zip_longest(made, made[1:]) if not _gave_back(decision, after)]
        planned.update(("workspace", decision["due_at"]) for decision in kept if decision.get("due_at"))
        if request.body.get("provider", "twilio") != "twilio":
            continue
        for place, decision in enumerate(made):
            turned_away = any(earlier["reason"] == "deferred-by-provider" for earlier in made[:place])
            may_change = "failover" in request.retry and (decision["attempt"] > 0 or turned_away)
            if not may_change and decision.get("due_at") and decision in kept:
                planned["twilio", decision["due_at"]] += 1
    for (scope, minute), count in planned.items():
        if rate := rates.get(scope):
            room = a_minute(float(rate))
            text = f"{count} dials are planned for {minute}, which has room for {room} of {scope}"
            tally.expect(count <= room, -1, text)


def a_minute(per_second: float) -> int:
    """Return how many dials a minute has room for."""
    most, seconds = stretch(per_second)
    return max(1, 60 * most // seconds)


def stretch(per_second: float) -> tuple[int, int]:
    """Return calls and whole seconds: that many calls in that time keep to the rate."""
    if per_second < 1:
        return 1, -int(-1 // per_second)
    return int(per_second), 1


def failover(evidence: Evidence, tally: Tally) -> None:
    """Expect a change of provider only after a known end of the attempt before."""
    deferred = {
        (call_id, decision["attempt"])
        for call_id, made in evidence.decisions.items()
        for decision in made
        if decision["reason"] == "deferred-by-provider"
    }
    for call_id, attempts in evidence.attempts.items():
        for before, after in pairwise(attempts):
            known = before.get("cause") != "no-callback" or before["provider"] == after["provider"]
            text = f"attempt {after['number']} of {call_id} goes to {after['provider']}, the one before is unknown"
            # Redial retries an attempt at the other provider if the first provider could not be reached. The attempt
            # before does not matter then.
            tally.expect(known or (call_id, after["number"]) in deferred, evidence.index_of(call_id), text)


def waits(evidence: Evidence, tally: Tally) -> None:
    """Expect no attempt before the wait that a rule or the strategy names is over.

    Attempts that the provider did not show are left out: Redial planned the next attempt after another end.
    """
    late = {leg.token for leg in evidence.legs if leg.shown_at is not None}
    for call_id, attempts in evidence.attempts.items():
        index = evidence.index_of(call_id)
        request = evidence.call_requests.get(index)
        for before, after in pairwise(attempts):
            wait = own_wait_minutes(request.retry, before["outcome"]) if request else None
            if wait is None or not before.get("ended_at") or before["token"] in late:
                continue
            earliest = utc(before["ended_at"]) + timedelta(minutes=wait) - timedelta(seconds=30)
            text = f"attempt {after['number']} of {call_id} comes less than {wait} min after {before['outcome']}"
            tally.expect(utc(after["claimed_at"]) >= earliest, index, text)
