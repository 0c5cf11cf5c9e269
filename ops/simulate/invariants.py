"""The invariants of every run: they compare the carrier's truth with the table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ops.simulate import invariants_dials as dials
from ops.simulate import invariants_history as history
from ops.simulate import invariants_life as life
from ops.simulate import invariants_promises as promises
from ops.simulate import invariants_shared as shared
from ops.simulate.evidence import Evidence
from ops.simulate.tally import Tally, Violation

Check = Callable[[Evidence, Tally], None]

#: name -> what must be true, and the function that checks it
INVARIANTS: dict[str, tuple[str, Check]] = {
    "one-dial": ("no attempt is requested twice", dials.one_dial),
    "one-at-a-time": ("a call never has two attempts in flight", dials.one_at_a_time),
    "window": ("nothing is dialled outside the hours", dials.window),
    "caps": ("nothing is dialled over a cap", dials.caps),
    "opt-out": ("nothing is claimed after an opt-out was answered", dials.opt_out),
    "reached": ("nobody who answered is dialled again, even if the end says otherwise", dials.reached),
    "canceled": ("nothing is claimed after a cancel was answered", dials.canceled),
    "hung-up": ("a call that is canceled while it is dialled, or rings, is hung up", promises.hung_up),
    "contacted": ("a contact is respected by every later decision", promises.contacted),
    "acted": ("an opt-out, an erasure or a contact leaves no call waiting as before", dials.acted),
    "kept": ("a retry is decided for a minute in which it can be made", promises.kept),
    "places": ("the places in later minutes are those of the calls that wait", promises.places),
    "pace": ("no minute is planned over the account's rate limit", dials.pace),
    "in-pace": ("no more is claimed in a stretch of time than the rate limit allows", shared.in_pace),
    "slots": ("no more attempts are in flight than a limit allows, and none keeps its slot", shared.slots),
    "retries-first": ("no fresh call takes a slot that a retry waits for", shared.retries_first),
    "paused": ("nothing is claimed while the workspace is paused", shared.paused),
    "breaker": ("behind a tripped breaker one probe at a time is claimed, and it opens again", shared.breaker),
    "deferred": ("what the provider rejected for a while uses up no attempt", shared.deferred),
    "waits-named": ("a provider that names a wait of a day is not believed", promises.waits_named),
    "patience": ("a provider that does not answer is asked until the policy expires", promises.patience),
    "in-time": ("a request is answered before API Gateway ends it", promises.in_time),
    "strangers": ("no inbound call, other leg or unknown call is adopted", promises.strangers),
    "erased": ("an erased number is in no item any more", shared.erased),
    "failover": ("nobody is dialled through a second provider if the first may have rung", dials.failover),
    "waits": ("a retry waits as long as its policy says", dials.waits),
    "ends": ("every call ends, within its time", life.ends),
    "on-time": ("a due call is dialled, rescheduled or ended in its minute", life.on_time),
    "indexed": ("the due index has each waiting call, and never before its time", life.indexed),
    "once-made": ("one request makes one call, and none is lost", life.once_made),
    "requests": ("each request to a provider is as its vendor publishes it", life.requests),
    "aws": ("AWS refuses nothing, and no rule is left behind", life.aws),
    "numbers": ("the attempts that a number counts are those of the history", history.numbers),
    "history": ("the attempts are those that the carrier received", history.attempts),
    "one-owner": ("no call at a provider belongs to two attempts", history.one_owner),
    "outcomes": ("each outcome is what really happened, if a callback reported it", history.outcomes),
    "retries": ("no more attempts than the policy allows", history.retries),
    "endings": ("each call ends as its attempts and its policy require", history.endings),
    "decisions": ("the decisions lead to the state of the call", history.decisions),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one invariant: how much it checked, and its violations."""

    name: str
    checked: int
    violations: tuple[Violation, ...] = field(default=())


def judge(evidence: Evidence, names: Iterable[str] = INVARIANTS) -> list[Verdict]:
    """Check the evidence against the invariants."""
    verdicts = []
    for name in names:
        _, check = INVARIANTS[name]
        tally = Tally(name)
        check(evidence, tally)
        verdicts.append(Verdict(name, tally.checked, tuple(tally.violations)))
    return verdicts


def violations_of(verdicts: Iterable[Verdict]) -> list[Violation]:
    """Collect the violations of all verdicts."""
    return [violation for verdict in verdicts for violation in verdict.violations]
