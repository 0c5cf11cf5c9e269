"""Invariants about a call's life: it is made once, it is not forgotten, it ends, and nothing of it is left behind."""

from datetime import timedelta
from typing import Any

from ops.simulate.evidence import Evidence, Waited
from ops.simulate.hours import utc
from ops.simulate.invariants_dials import stretch
from ops.simulate.tally import Tally

#: A call's last attempt may be claimed when the call expires, and its end looked into when its deadline is over.
ENDS_WITHIN = timedelta(hours=2)
#: An attempt that timed out, by its cause: the longest call, four hours more where its provider says that it goes on
#: or is not set up any more, an hour until it is asked again, and an hour and a half without any Lambda
GIVEN_UP_WITHIN = {
    "no-callback": timedelta(hours=4),
    "never-ended": timedelta(hours=7),
    "provider-not-set-up": timedelta(hours=8),
}
#: ... and one whose provider told of its end once it could be asked again
TOLD_WITHIN = timedelta(hours=8)
#: What is due is done with in its minute, by a rule or, a minute after it, by the sweep.
IN_QUIET = timedelta(minutes=3)
#: Where rules and sweeps fail, the next sweep but a few does it.
UNDER_FAULTS = timedelta(minutes=10)
#: How early a clock that is stepped may have a call dialled
EARLY = timedelta(seconds=20)


def ends(evidence: Evidence, tally: Tally) -> None:
    """Ten days later every call is final, and was so in time, every attempt has ended, and nothing waits any more."""
    for call_id, call in evidence.calls.items():
        index = evidence.index_of(call_id)
        tally.expect(call["state"] == "final", index, f"{call_id} is {call['state']} in the end")
        left = [name for name in ("due_at", "deadline_at") if call.get(name)]
        tally.expect(not left, index, f"{call_id} has a {' and a '.join(left)} in the end")
        if call.get("ended_at"):
            late = utc(call["ended_at"]) - utc(call["expires_at"])
            tally.expect(late <= _most_late(evidence, call), index, f"{call_id} ends {late} after it expired")
    for call_id, attempts in evidence.attempts.items():
        for row in attempts:
            ended = row["phase"] == "ended" and row.get("outcome") is not None
            text = f"attempt {row['number']} of {call_id} is {row['phase']} in the end"
            tally.expect(ended, evidence.index_of(call_id), text)


def _most_late(evidence: Evidence, call: dict[str, Any]) -> timedelta:
    rows = evidence.attempts.get(call["id"], ())
    ends_at = utc(call["expires_at"])
    told_late = any(begins <= ends_at + ENDS_WITHIN and ends >= ends_at for begins, ends in evidence.spans)
    by_cause = [GIVEN_UP_WITHIN.get(str(row.get("cause")), ENDS_WITHIN) for row in rows]
    return max([TOLD_WITHIN if told_late else ENDS_WITHIN, *by_cause])


def on_time(evidence: Evidence, tally: Tally) -> None:
    """No dial comes before it is due; what is due is done with in its minute or, under faults, a few later."""
    for waited in evidence.waited:
        index = evidence.index_of(waited.call_id)
        late = waited.at - waited.due_at
        if waited.became == "dialing":
            text = f"{waited.call_id} is due at {waited.due_at:%d %H:%M} and claimed at {waited.at:%d %H:%M:%S}"
            tally.expect(late >= -EARLY, index, text)
        quiet = evidence.faults_until is not None and waited.due_at > evidence.faults_until + IN_QUIET
        most = IN_QUIET if quiet else UNDER_FAULTS + _out_of_order(evidence, waited) + _in_line(evidence, waited)
        text = f"{waited.call_id} is due at {waited.due_at:%d %H:%M} and {waited.became} only {late} later"
        tally.expect(late <= most, index, text)


def _out_of_order(evidence: Evidence, waited: Waited) -> timedelta:
    """For how long no Lambda ran while a call waited past its time."""
    spans = [(max(begins, waited.due_at), min(ends, waited.at)) for begins, ends in evidence.outages]
    return sum((ends - begins for begins, ends in spans if ends > begins), timedelta())


def _in_line(evidence: Evidence, waited: Waited) -> timedelta:
    """For how long a call that was due had to let others start, at the pace of its account or of the workspace."""
    asked = evidence.asked.get(evidence.index_of(waited.call_id))
    if asked is None:
        return timedelta()
    providers = {asked.body.get("provider", "twilio"), asked.retry.get("failover", {}).get("provider")}
    longest = timedelta()
    for scope in (*sorted(filter(None, providers)), "workspace"):
        if rate := evidence.env.get(f"{scope.upper()}_CALLS_PER_SECOND"):
            most, seconds = stretch(float(rate))
            others = sum(1 for p in evidence.paced if p.scope == scope and waited.due_at <= p.at <= waited.at)
            longest = max(longest, timedelta(seconds=others * seconds / most))
    return longest


def once_made(evidence: Evidence, tally: Tally) -> None:
    """Each request, sent until it is answered, makes one call."""
    for index in evidence.asked:
        made = evidence.call_ids.get(index, [])
        tally.expect(len(made) <= 1, index, f"one POST /calls made {len(made)} calls: {', '.join(made)}")
    for index, words in evidence.refused:
        tally.expect(False, index, words)


def requests(evidence: Evidence, tally: Tally) -> None:
    """Every request to a provider has the fields that the vendor publishes, and no others."""
    for _ in range(evidence.received):
        tally.expect(True, -1, "")
    for index, words in evidence.malformed:
        tally.expect(False, index, words)


def aws(evidence: Evidence, tally: Tally) -> None:
    """Every request is one that AWS takes, and when all calls have ended no rule is left."""
    tally.expect(not evidence.aws_refused, -1, f"AWS would refuse: {evidence.aws_refused[:3]}")
    tally.expect(not evidence.rules_left, -1, f"{len(evidence.rules_left)} rules are left: {evidence.rules_left[:3]}")
