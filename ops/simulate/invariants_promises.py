"""Invariants about what was answered to users: a contact, a cancel, a place in the wheel, and requests in time."""

from datetime import datetime, timedelta

from ops.simulate.carrier import Leg, Replied
from ops.simulate.evidence import Answered, Claimed, Evidence
from ops.simulate.hours import is_open, utc
from ops.simulate.tally import Tally

#: How early a clock that is stepped may have a call dialled
EARLY = timedelta(seconds=20)
#: A call is hung up within this of its cancel, or of its placement.
HANGS_UP = timedelta(seconds=5)
#: Around what a user does, nothing may have gone wrong for a promise to be held against the code.
AROUND = timedelta(minutes=2)
#: API Gateway ends a request after this.
REQUEST_LIMIT = timedelta(seconds=29)
#: One fault may leak a place of the account and one of the workspace.
PLACES_A_FAULT = 2
#: A provider that names a longer wait is not believed.
MAX_WAIT = timedelta(minutes=62)
#: What a decision says that waits for the provider
ASKED_AGAIN = "until the next try at the provider"
#: Reasons of a decision that books the minute which the policy itself asks for
AS_THE_POLICY_SAYS = ("started", "retry")
#: What an attempt may end as while its provider does not answer
UNANSWERED = "no-callback"


def contacted(evidence: Evidence, tally: Tally) -> None:
    """From the answer to a contact on, no call that was there already is claimed before the time that was agreed."""
    contacts = [answered for answered in evidence.answered if answered.act.kind == "contacted"]
    for claim in evidence.claims:
        asked = evidence.asked.get(evidence.index_of(claim.call_id))
        if asked is None:
            continue
        before = [c for c in contacts if c.act.number == asked.to.e164 and c.tick < claim.tick]
        broken = next((c for c in before if not _may_dial(evidence, c, claim)), None)
        until = "ever" if broken is None or broken.until is None else f"{broken.until:%d %H:%M}"
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.app_at:%d %H:%M:%S}, not to be before {until}"
        tally.expect(broken is None, asked.index, text)


def _may_dial(evidence: Evidence, contact: Answered, claim: Claimed) -> bool:
    if evidence.made_at.get(claim.call_id, contact.tick) >= contact.asked_tick:
        return True  # asked for after the customer had called
    return contact.until is not None and claim.app_at >= contact.until - EARLY


def hung_up(evidence: Evidence, tally: Tally) -> None:
    """A call that is canceled while its phone rings, or while it is being dialled, is hung up."""
    for answered in evidence.answered:
        if answered.act.kind == "cancel":
            legs = [leg for leg in evidence.legs_of(answered.call_id) if _is_to_be_hung_up(evidence, leg, answered.at)]
            ring_on = not all(leg.hang_up_asked for leg in legs)
            text = f"{answered.call_id} is canceled at {answered.at:%d %H:%M:%S} and rings on"
            tally.expect(not ring_on, answered.act.index, text)


def _is_to_be_hung_up(evidence: Evidence, leg: Leg, canceled_at: datetime) -> bool:
    known_at = max(leg.answered_at or leg.at, canceled_at)
    if leg.replied is not Replied.PLACED or leg.was_to_end is None or leg.was_to_end < known_at + HANGS_UP:
        return False
    return not evidence.is_disturbed(min(leg.at, canceled_at) - AROUND, known_at + AROUND, leg.index)


def places(evidence: Evidence, tally: Tally) -> None:
    """Whenever nothing runs, each place in a later minute belongs to a call that waits for it, and none lacks its."""
    for _ in range(evidence.places_seen):
        tally.expect(True, -1, "")
    for seen in evidence.misplaced:
        text = f"at {seen.at:%d %H:%M} {seen.over} places are held by no call and {seen.under} calls have none"
        tally.expect(seen.over <= PLACES_A_FAULT * seen.leaks and seen.under == 0, -1, text)


def patience(evidence: Evidence, tally: Tally) -> None:
    """A provider that knows the call and does not answer is asked until the policy ends."""
    for call_id, rows in evidence.attempts.items():
        ends_at = utc(evidence.calls[call_id]["expires_at"])
        for row in rows:
            leg = evidence.leg_of(row["token"])
            made = leg is not None and leg.made is not None and not leg.in_limbo and leg.shown_at is None
            known = row.get("provider_call_id") and made
            early = row.get("cause") == UNANSWERED and utc(row["ended_at"]) < ends_at - AROUND
            text = f"attempt {row['number']} of {call_id} is given up at {row.get('ended_at')}, before {ends_at}"
            tally.expect(not (known and early), evidence.index_of(call_id), text)


def in_time(evidence: Evidence, tally: Tally) -> None:
    """Where nothing goes wrong, a request is answered before API Gateway ends it."""
    for asking in evidence.requests:
        took = asking.ended - asking.began
        index = next((int(word) for word in asking.label.split(" ") if word.isdecimal()), -1)
        late = took > REQUEST_LIMIT and not evidence.is_disturbed(asking.began - AROUND, asking.ended, index)
        tally.expect(not late, -1, f"{asking.label} is answered after {took.total_seconds():.0f} s")


def kept(evidence: Evidence, tally: Tally) -> None:
    """A minute that a decision names by its policy is one that the policy allows: its dial can be made then."""
    for call_id, made in evidence.decisions.items():
        index = evidence.index_of(call_id)
        asked = evidence.asked.get(index)
        for decision in made if asked is not None else ():
            if asked is None or decision["reason"] not in AS_THE_POLICY_SAYS or not decision.get("due_at"):
                continue
            at, hours = utc(decision["due_at"]), asked.retry.get("window")
            is_over = at > utc(evidence.calls[call_id]["expires_at"])
            allowed = not is_over and (hours is None or is_open(hours, asked.to.zone, at))
            tally.expect(
                allowed, index, f"{call_id} decides {decision['reason']} for {at:%a %d %H:%M}, which is closed"
            )


def waits_named(evidence: Evidence, tally: Tally) -> None:
    """No provider that turns calls away has them wait longer than an hour, and none of them ends for that."""
    contacted = {tried.number for tried in evidence.tried if tried.kind == "contacted"}
    for call_id, made in evidence.decisions.items():
        asked = evidence.asked.get(evidence.index_of(call_id))
        if asked is None or asked.to.e164 in contacted:
            continue
        for decision in (each for each in made if each.get("retry_at")):
            waits = utc(decision["retry_at"]) - utc(decision["at"])
            # Where a window or a full minute has moved it further, the last step says so.
            holds = waits <= MAX_WAIT or ASKED_AGAIN not in (decision.get("steps") or [""])[-1]
            tally.expect(holds, asked.index, f"{call_id} waits {waits} for its provider")
        for decision in (each for each in made if each["reason"] == "policy-expired"):
            left = utc(evidence.calls[call_id]["expires_at"]) - utc(decision["at"])
            ends = left > MAX_WAIT and ASKED_AGAIN in decision["steps"][-1]
            tally.expect(not ends, asked.index, f"{call_id} ends {left} before it expires, for its provider")


def strangers(evidence: Evidence, tally: Tally) -> None:
    """A call that a customer made, another call's leg, and one of which nobody knows are never adopted."""
    for kind, status in evidence.strangers:
        tally.expect(status != 400, -1, f"a callback of {kind} is answered {status}")
    adopted = [call_id for call_id, call in evidence.calls.items() if call.get("is_adopted")]
    tally.expect(not adopted, -1, f"calls that are not to be redialled are adopted: {', '.join(adopted[:3])}")
