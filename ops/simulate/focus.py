"""The foci of runs. A focus raises the odds of one situation that is else rare.

A focus leaves nothing out and changes no limit: what happens in a focused run can happen in any run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Focus:
    """Odds by name.

    ``faults`` are shares of kinds of faults (``faults.KINDS``), and ``odds`` are those of the traffic
    (``Chance.odds``).
    """

    what: str
    faults: Mapping[str, float] = field(default_factory=dict)
    odds: Mapping[str, float] = field(default_factory=dict)


#: No user acts on calls or on their numbers.
CALM = {"cancel": 0.0, "cancel-at-dial": 0.0, "opt-out": 0.0, "erase": 0.0, "contacted": 0.0}

FOCI = {
    "records-late": Focus(
        "calls ring that their provider reports and shows only hours later",
        {"records-late": 0.6},
        {"in-a-burst": 0.0, "failover": 0.8, "long-policy": 0.9},
    ),
    "closing": Focus(
        "calls are due in the last minute of their windows, and dialled late",
        {"rule-late": 0.5, "rule-never": 0.3},
        {"in-a-burst": 0.0, "window": 1.0, "closes-soon": 1.0, "last-minute": 1.0},
    ),
    "erasure": Focus("numbers are erased", {}, {"erase": 0.5, "opt-out": 0.0, "back-in": 0.2}),
    "lost-answers": Focus(
        "create-calls are carried out and their answers are lost",
        {"http-answer-lost-placed": 0.4, "http-5xx-placed": 0.2},
        {"in-a-burst": 0.9, "same-number": 0.8, "by-plivo": 0.0},
    ),
    "cancels": Focus(
        "calls are canceled while they are being placed",
        {"http-slow": 0.8},
        {"in-a-burst": 0.9, "cancel": 0.0, "cancel-at-dial": 0.7},
    ),
    "extensions": Focus(
        "a pause is extended again and again, each time as it ends",
        {},
        CALM | {"extensions": 24, "own-limit": 0.0},
    ),
    "slow-claims": Focus(
        "claims are on their way for seconds while a pause is extended as it ends",
        {"commit-slow": 0.6},
        CALM | {"extensions": 24, "own-limit": 0.0},
    ),
    "limits": Focus("a limit is lowered while long calls are in flight", {}, CALM | {"own-limit": 1.0, "talks": 0.8}),
    "credits": Focus(
        "calls fail because of the account, and only a look-up shows that",
        {"fault-by-lookup": 0.7},
        {"by-plivo": 0.9},
    ),
    "contradictions": Focus("the ends of calls contradict their answers", {}, {"contradicted": 0.6}),
    "opt-outs": Focus("numbers opt out", {}, {"opt-out": 0.5}),
    "contacts": Focus("customers call back", {}, {"contacted": 0.6, "in-a-burst": 0.9}),
    "refusals": Focus("AWS fails while callbacks are recorded", {"callback-refused-by-aws": 0.06}),
    "locked": Focus("the providers' accounts are locked", {"account-fault": 0.6}, CALM | {"pauses": 0}),
    "line": Focus(
        "calls wait for slots, retries among them",
        {},
        CALM | {"own-limit": 0.0, "rush-slots": 1.0, "talks": 0.3, "pauses": 0, "burst-sec": 1500},
    ),
    "endless": Focus("a provider says for ever that calls go on", {"never-ends": 0.5}),
    "unanswered": Focus(
        "callbacks are lost while the provider answers no look-up",
        {"callback-dropped": 0.6, "lookups-down": 0.9},
        {"long-policy": 0.9},
    ),
    "turned-away": Focus("a provider rejects calls and asks for a wait of a day", {}, {"throttled": 0.5}),
}
