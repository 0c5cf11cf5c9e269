"""Invariants about promises to users: contacts, cancels, places, response times."""

from datetime import datetime, timedelta

from ops.simulate.carrier import Leg, Replied
from ops.simulate.evidence import AnsweredAct, Claimed, Evidence
from ops.simulate.hours import is_open, utc
from ops.simulate.tally import Tally

#: A stepped clock may dial a call this much too early.
EARLY = timedelta(seconds=20)
#: Redial hangs a call up within this time of its cancel, or of its placement.
HANGS_UP = timedelta(seconds=5)
#: A promise to a user counts only if no fault happened within this time of the request.
AROUND = timedelta(minutes=2)
#: API Gateway ends a request after this time.
REQUEST_LIMIT = timedelta(seconds=29)
#: One fault may leak a place of the account and a place of the workspace.
PLACES_A_FAULT = 2
#: Redial does not wait longer than this for a provider, even if the provider asks for more.
MAX_WAIT = timedelta(minutes=62)
#: The step of a decision that waits for the provider
PROVIDER_WAIT_STEP = "until the next try at the provider"
#: The reasons of a decision that books the minute that the policy asks for
POLICY_REASONS = ("started", "retry")
#: The cause of an attempt that ended while its provider did not answer
NO_CALLBACK = "no-callback"


def contacted(evidence: Evidence, tally: Tally) -> None:
    """Expect no claim between an answered contact and the agreed time.

    Only calls that existed before the contact count.
    """
    contacts = [answered for answered in evidence.answered_acts if answered.act.kind == "contacted"]
    for claim in evidence.claims:
        request = evidence.call_requests.get(evidence.index_of(claim.call_id))
        if request is None:
            continue
        before = [c for c in contacts if c.act.number == request.to.e164 and c.tick < claim.tick]
        broken = next((c for c in before if not _may_dial(evidence, c, claim)), None)
        until = "ever" if broken is None or broken.until is None else f"{broken.until:%d %H:%M}"
        text = f"{claim.call_id}-{claim.attempt} is claimed at {claim.app_at:%d %H:%M:%S}, not to be before {until}"
        tally.expect(broken is None, request.index, text)


def _may_dial(evidence: Evidence, contact: AnsweredAct, claim: Claimed) -> bool:
    if evidence.made_at.get(claim.call_id, contact.tick) >= contact.asked_tick:
        return True  # requested after the customer's contact
    return contact.until is not None and claim.app_at >= contact.until - EARLY


def hung_up(evidence: Evidence, tally: Tally) -> None:
    """Expect a hang-up of each call that is canceled while it rings or is dialled."""
    for answered in evidence.answered_acts:
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
    """Expect each place in a later minute to belong to a waiting call.

    Each call that needs a place has one.
    """
    for _ in range(evidence.places_seen):
        tally.expect(True, -1, "")
    for seen in evidence.misplaced:
        text = f"at {seen.at:%d %H:%M} {seen.over} places are held by no call and {seen.under} calls have none"
        tally.expect(seen.over <= PLACES_A_FAULT * seen.leaks and seen.under == 0, -1, text)


def patience(evidence: Evidence, tally: Tally) -> None:
    """Expect look-ups until the policy ends while the provider does not answer.

    Only calls that the provider has count.
    """
    for call_id, rows in evidence.attempts.items():
        ends_at = utc(evidence.calls[call_id]["expires_at"])
        for row in rows:
            leg = evidence.leg_of(row["token"])
            made = leg is not None and leg.made is not None and not leg.in_limbo and leg.shown_at is None
            known = row.get("provider_call_id") and made
            early = row.get("cause") == NO_CALLBACK and utc(row["ended_at"]) < ends_at - AROUND
            text = f"attempt {row['number']} of {call_id} timed out at {row.get('ended_at')}, before {ends_at}"
            tally.expect(not (known and early), evidence.index_of(call_id), text)


def in_time(evidence: Evidence, tally: Tally) -> None:
    """Expect an answer before API Gateway ends the request, if no fault happens."""
    for request in evidence.app_requests:
        took = request.ended - request.began
        index = next((int(word) for word in request.label.split(" ") if word.isdecimal()), -1)
        late = took > REQUEST_LIMIT and not evidence.is_disturbed(request.began - AROUND, request.ended, index)
        tally.expect(not late, -1, f"{request.label} is answered after {took.total_seconds():.0f} s")


def kept(evidence: Evidence, tally: Tally) -> None:
    """Expect that the policy allows each minute that a decision chose by the policy."""
    for call_id, made in evidence.decisions.items():
        index = evidence.index_of(call_id)
        request = evidence.call_requests.get(index)
        for decision in made if request is not None else ():
            if request is None or decision["reason"] not in POLICY_REASONS or not decision.get("due_at"):
                continue
            at, hours = utc(decision["due_at"]), request.retry.get("window")
            is_over = at > utc(evidence.calls[call_id]["expires_at"])
            allowed = not is_over and (hours is None or is_open(hours, request.to.zone, at))
            tally.expect(
                allowed, index, f"{call_id} decides {decision['reason']} for {at:%a %d %H:%M}, which is closed"
            )


def waits_named(evidence: Evidence, tally: Tally) -> None:
    """Expect no wait of more than an hour for a provider.

    No call ends because its provider asks for a longer wait.
    """
    contacted = {request.number for request in evidence.act_requests if request.kind == "contacted"}
    for call_id, made in evidence.decisions.items():
        request = evidence.call_requests.get(evidence.index_of(call_id))
        if request is None or request.to.e164 in contacted:
            continue
        for decision in (each for each in made if each.get("retry_at")):
            waits = utc(decision["retry_at"]) - utc(decision["at"])
            # If a window or a full minute deferred the call further, the last step says so.
            holds = waits <= MAX_WAIT or PROVIDER_WAIT_STEP not in (decision.get("steps") or [""])[-1]
            tally.expect(holds, request.index, f"{call_id} waits {waits} for its provider")
        for decision in (each for each in made if each["reason"] == "policy-expired"):
            left = utc(evidence.calls[call_id]["expires_at"]) - utc(decision["at"])
            ends = left > MAX_WAIT and PROVIDER_WAIT_STEP in decision["steps"][-1]
            tally.expect(not ends, request.index, f"{call_id} ends {left} before it expires, for its provider")


def strangers(evidence: Evidence, tally: Tally) -> None:
    """Expect no adoption of a customer's call, another call's leg or an unknown call."""
    for kind, status in evidence.strangers:
        tally.expect(status != 400, -1, f"a callback of {kind} is answered {status}")
    adopted = [call_id for call_id, call in evidence.calls.items() if call.get("is_adopted")]
    tally.expect(not adopted, -1, f"calls that are not to be redialled are adopted: {', '.join(adopted[:3])}")
