"""Invariants about a call's life: it is made once, is dialled on time, and ends."""

from datetime import timedelta
from typing import Any

from ops.simulate.evidence import Evidence, Waited
from ops.simulate.hours import utc
from ops.simulate.invariants_dials import stretch
from ops.simulate.tally import Tally

#: The last attempt may be claimed when the call expires. Redial checks its end after the attempt's deadline.
ENDS_WITHIN = timedelta(hours=2)
#: The longest time until an attempt times out, by its cause: the longest call; four hours more if the provider says
#: that the call is in progress or if the provider is not set up any more; an hour until the next look-up; and an hour
#: and a half without any Lambda.
TIMED_OUT_WITHIN = {
    "no-callback": timedelta(hours=4),
    "never-ended": timedelta(hours=7),
    "provider-not-set-up": timedelta(hours=8),
}
#: The same for an attempt whose provider reported the end after an outage
LATE_END_WITHIN = timedelta(hours=8)
#: A due call is dialled in its minute by a rule, or one minute later by the sweep.
IN_QUIET = timedelta(minutes=3)
#: If rules and sweeps fail, one of the next sweeps dials the call.
UNDER_FAULTS = timedelta(minutes=10)
#: A stepped clock may dial a call this much too early.
EARLY = timedelta(seconds=20)


def ends(evidence: Evidence, tally: Tally) -> None:
    """Expect that every call and attempt ended in time, and that nothing waits.

    The run goes on for up to ten days after the last fault.
    """
    for call_id, call in evidence.calls.items():
        index = evidence.index_of(call_id)
        tally.expect(call["state"] == "final", index, f"{call_id} is {call['state']} in the end")
        left = [name for name in ("due_at", "deadline_at") if call.get(name)]
        tally.expect(not left, index, f"{call_id} has a {' and a '.join(left)} in the end")
        if call.get("ended_at"):
            late = utc(call["ended_at"]) - utc(call["expires_at"])
            tally.expect(late <= _max_lateness(evidence, call), index, f"{call_id} ends {late} after it expired")
    for call_id, attempts in evidence.attempts.items():
        for row in attempts:
            ended = row["phase"] == "ended" and row.get("outcome") is not None
            text = f"attempt {row['number']} of {call_id} is {row['phase']} in the end"
            tally.expect(ended, evidence.index_of(call_id), text)


def _max_lateness(evidence: Evidence, call: dict[str, Any]) -> timedelta:
    rows = evidence.attempts.get(call["id"], ())
    ends_at = utc(call["expires_at"])
    late_records = any(begins <= ends_at + ENDS_WITHIN and ends >= ends_at for begins, ends in evidence.spans)
    by_attempt = [_attempt_ends_within(evidence, row) for row in rows]
    return max([LATE_END_WITHIN if late_records else ENDS_WITHIN, *by_attempt])


def _attempt_ends_within(evidence: Evidence, row: dict[str, Any]) -> timedelta:
    leg = evidence.leg_of(row["token"])
    # While the provider says that the call goes on, Redial asks again. A late callback, or a look-up without an answer,
    # may end the attempt at any time until it would end as never-ended.
    cause = "never-ended" if leg is not None and leg.never_ends else row.get("cause")
    return TIMED_OUT_WITHIN.get(str(cause), ENDS_WITHIN)


def on_time(evidence: Evidence, tally: Tally) -> None:
    """Expect no dial before it is due, and each due call done in its minute.

    Under faults a due call may be some minutes late.
    """
    for waited in evidence.waited:
        index = evidence.index_of(waited.call_id)
        late = waited.at - waited.due_at
        if waited.became == "dialing":
            text = f"{waited.call_id} is due at {waited.due_at:%d %H:%M} and claimed at {waited.at:%d %H:%M:%S}"
            tally.expect(late >= -EARLY, index, text)
        quiet = evidence.faults_until is not None and waited.due_at > evidence.faults_until + IN_QUIET
        most = IN_QUIET if quiet else UNDER_FAULTS + _outage_time(evidence, waited) + _rate_limit_wait(evidence, waited)
        text = f"{waited.call_id} is due at {waited.due_at:%d %H:%M} and {waited.became} only {late} later"
        tally.expect(late <= most, index, text)


def indexed(evidence: Evidence, tally: Tally) -> None:
    """Expect each waiting call in the due index, and never before its own time.

    The sweep reads and skips a call that the index has too early, every minute until the call's own time.
    """
    for _ in range(evidence.indexed):
        tally.expect(True, -1, "")
    for seen in evidence.misindexed:
        due_at, indexed_at = (f"{at:%d %H:%M:%S}" if at else "never" for at in (seen.due_at, seen.indexed_at))
        text = f"{seen.call_id} is due at {due_at}, and at {indexed_at} in the index (written at {seen.at:%d %H:%M:%S})"
        tally.expect(False, evidence.index_of(seen.call_id), text)


def _outage_time(evidence: Evidence, waited: Waited) -> timedelta:
    """Return for how long no Lambda ran while a call waited past its due time."""
    spans = [(max(begins, waited.due_at), min(ends, waited.at)) for begins, ends in evidence.outages]
    return sum((ends - begins for begins, ends in spans if ends > begins), timedelta())


def _rate_limit_wait(evidence: Evidence, waited: Waited) -> timedelta:
    """Return for how long the rate limits deferred a due call."""
    request = evidence.call_requests.get(evidence.index_of(waited.call_id))
    if request is None:
        return timedelta()
    providers = {request.body.get("provider", "twilio"), request.retry.get("failover", {}).get("provider")}
    longest = timedelta()
    for scope in (*sorted(filter(None, providers)), "workspace"):
        if rate := evidence.env.get(f"{scope.upper()}_CALLS_PER_SECOND"):
            most, seconds = stretch(float(rate))
            others = sum(1 for p in evidence.paced if p.scope == scope and waited.due_at <= p.at <= waited.at)
            longest = max(longest, timedelta(seconds=others * seconds / most))
    return longest


def once_made(evidence: Evidence, tally: Tally) -> None:
    """Expect one call from each request, which its user repeats until it is answered."""
    for index in evidence.call_requests:
        made = evidence.call_ids.get(index, [])
        tally.expect(len(made) <= 1, index, f"one POST /calls made {len(made)} calls: {', '.join(made)}")
    for index, words in evidence.refused:
        tally.expect(False, index, words)


def requests(evidence: Evidence, tally: Tally) -> None:
    """Expect only the fields of the vendor's schema in every request to a provider."""
    for _ in range(evidence.received):
        tally.expect(True, -1, "")
    for index, words in evidence.malformed:
        tally.expect(False, index, words)


def aws(evidence: Evidence, tally: Tally) -> None:
    """Expect only requests that AWS accepts, and no rule after all calls have ended."""
    tally.expect(not evidence.aws_refused, -1, f"AWS would refuse: {evidence.aws_refused[:3]}")
    tally.expect(not evidence.rules_left, -1, f"{len(evidence.rules_left)} rules are left: {evidence.rules_left[:3]}")
