"""Invariants about the history: it matches the requests that the carrier received."""

from itertools import pairwise
from typing import Any

from ops.simulate.carrier import Leg, Replied
from ops.simulate.evidence import Evidence
from ops.simulate.retry_rules import caps_of, rule
from ops.simulate.tally import Tally

#: The reasons of a decision after the end of an attempt. Each end has one decision.
AFTER_AN_ATTEMPT = (
    "retry",
    "reached",
    "voicemail-is-final",
    "outcome-not-retryable",
    "retries-exhausted",
    "outcome-retries-exhausted",
)
#: The outcomes of an attempt whose real end nobody can know
UNKNOWN_ENDS = ("failed", "error", "canceled")


def numbers(evidence: Evidence, tally: Tally) -> None:
    """Expect in a number's item the attempts in the history of its calls.

    An erasure removes the item before the calls, and its user may have stopped before the erasure was complete.
    """
    erasing = {request.number for request in evidence.act_requests if request.kind == "erase"}
    held: dict[str, set[str]] = {}
    for call_id, call in evidence.calls.items():
        if call.get("erased_at"):
            continue
        ids = {f"{call_id}-{row['number']}" for row in evidence.attempts.get(call_id, ()) if _was_made(row)}
        held.setdefault(call["to_number"], set()).update(ids)
    for number in held.keys() | evidence.numbers.keys():
        counted = set(evidence.numbers.get(number, {}).get("made", {}))
        made = held.get(number, set())
        wrong = counted - made if number in erasing else counted ^ made
        index = evidence.index_of(min(wrong).rpartition("-")[0]) if wrong else -1
        tally.expect(not wrong, index, f"{number} and the history differ by {sorted(wrong)}")


def _was_made(row: dict[str, Any]) -> bool:
    is_guess = row.get("cause") == "never-placed"
    return not is_guess or row.get("counts", True) or row.get("provider_call_id") is not None


def attempts(evidence: Evidence, tally: Tally) -> None:
    """Expect each request in the history under its own id.

    An attempt without a request has a cause that explains it.
    """
    rows = {row["token"]: row for found in evidence.attempts.values() for row in found}
    legs = {leg.token: leg for leg in evidence.legs}
    for leg in evidence.legs:
        text = f"{leg.call_id}-{leg.attempt} was requested and is not in the history"
        tally.expect(leg.token in rows or leg.replied is Replied.DEFERRED, leg.index, text)
    for token, row in rows.items():
        name, index = f"{row['call_id']}-{row['number']}", evidence.index_of(row["call_id"])
        given = row.get("provider_call_id")
        found = legs.get(token)
        if found is None:
            explained = given is None and bool(row.get("cause")) and row.get("outcome") in UNKNOWN_ENDS
            tally.expect(
                explained, index, f"{name} was never requested, and says {row.get('outcome')} ({row.get('cause')})"
            )
            continue
        has_callback = any(each.status == 200 and each.moment != "child" for each in found.callbacks)
        right = given == found.sid if given is not None else not has_callback
        tally.expect(right, index, f"{name} has the provider's id {given}, which is {found.sid}")
    for call_id, found_rows in evidence.attempts.items():
        in_order = [row["number"] for row in found_rows] == list(range(1, len(found_rows) + 1))
        tally.expect(in_order, evidence.index_of(call_id), f"the attempts of {call_id} are not numbered from 1 on")


def one_owner(evidence: Evidence, tally: Tally) -> None:
    """Expect no call at a provider in two attempts."""
    owners: dict[tuple[str, str], str] = {}
    for call_id, found in evidence.attempts.items():
        for row in (each for each in found if each.get("provider_call_id")):
            name = f"{call_id}-{row['number']}"
            other = owners.setdefault((row["provider"], row["provider_call_id"]), name)
            text = f"{row['provider_call_id']} is taken for {name} and for {other}"
            tally.expect(other == name, evidence.index_of(call_id), text)


def outcomes(evidence: Evidence, tally: Tally) -> None:
    """Expect the reported end of each attempt in the history.

    If the app answered 200 to the callback, the history has its end. If not, the history claims nothing false.
    """
    rows = {row["token"]: row for found in evidence.attempts.values() for row in found}
    for leg in evidence.legs:
        row = rows.get(leg.token)
        if row is None:
            continue
        name, said = f"{leg.call_id}-{leg.attempt}", row.get("outcome")
        reported = {t.moment for t in leg.callbacks if t.status == 200}
        lost = any(t.status == 200 and not t.kept for t in leg.callbacks)
        tally.expect(not lost, leg.index, f"the end of {name} was answered 200 and not recorded")
        # The app may have recorded a callback although it answered 5xx.
        in_doubt = leg.looked_up or any(t.moment == "amd" and t.status != 200 for t in leg.callbacks)
        # The result of answering machine detection is personal data. An erased call does not record it.
        in_doubt = in_doubt or bool(evidence.calls[leg.call_id].get("erased_at"))
        if "ended" in reported and not in_doubt:
            truth = leg.outcome("amd" in reported)
            tally.expect(
                said == truth, leg.index, f"{name} says {said} ({row.get('cause')}) and a callback reported {truth}"
            )
            tally.expect(_lasted(leg, row), leg.index, f"{name} says that it lasted {row.get('duration_sec')} s")
        elif "ended" in reported:
            possible = _possible(leg)
            tally.expect(said in possible, leg.index, f"{name} says {said} ({row.get('cause')}) and was {possible}")
        else:
            possible = _possible(leg) | _unknown(row)
            tally.expect(
                said in possible, leg.index, f"{name} says {said} ({row.get('cause')}), which no callback reported"
            )


def _possible(leg: Leg) -> set[str | None]:
    """Return the outcomes that are true of an attempt.

    A look-up does not show the SIP code, which is what marks a rejection.
    """
    known = {leg.outcome(True), leg.outcome(False)}
    if leg.contradiction is not None and leg.made is not None and leg.made.end == "completed":
        # A look-up shows the truth.
        known |= {leg.contradiction.end, "voicemail" if leg.made.line.behaviour.machine else "completed"}
    return known | {"failed"} if leg.looked_up and "rejected" in known else known


def _lasted(leg: Leg, row: dict[str, Any]) -> bool:
    if leg.made is None or leg.made.end != "completed" or leg.contradiction is not None:
        return True
    return bool(row.get("duration_sec") == leg.made.talk_sec(leg.made.moments[-1].at))


def _unknown(row: dict[str, Any]) -> set[str | None]:
    return set(UNKNOWN_ENDS) if row.get("cause") else set()


def retries(evidence: Evidence, tally: Tally) -> None:
    """Expect at most one more counted attempt than the policy has retries."""
    for call_id, found in evidence.attempts.items():
        index = evidence.index_of(call_id)
        request = evidence.call_requests.get(index)
        if request is None:
            continue
        most = request.retry["max_retries"] + 1
        counted = sum(1 for row in found if row.get("counts", True))
        for_nothing = {row["token"] for row in found if not row.get("counts", True)}
        legs = [leg for leg in evidence.legs_of(call_id) if leg.token not in for_nothing]
        requested = sum(1 for leg in legs if leg.replied is not Replied.DEFERRED)
        # An attempt does not count if its provider says that it never had the call. It counts again once the provider
        # reports it.
        most += evidence.late_records(call_id)
        tally.expect(counted <= most, index, f"{call_id} has {counted} attempts, its policy allows {most}")
        tally.expect(requested <= most, index, f"{call_id} was requested {requested} times, its policy allows {most}")


def endings(evidence: Evidence, tally: Tally) -> None:
    """Expect a reason for each ending in the request and in the attempts."""
    for call_id, call in evidence.calls.items():
        index = evidence.index_of(call_id)
        request = evidence.call_requests.get(index)
        if request is None or call["state"] != "final":
            continue
        rows = evidence.attempts.get(call_id, [])
        last = rows[-1].get("outcome") if rows else None
        summary, reason = call.get("summary_status"), call.get("reason")
        right = _is_justified(evidence, index, request.retry, rows, summary, reason)
        tally.expect(right, index, f"{call_id} ends {summary} ({reason}) after {len(rows)} attempts, the last {last}")


def _is_justified(
    evidence: Evidence,
    index: int,
    retry: dict[str, Any],
    rows: list[dict[str, Any]],
    summary: str | None,
    reason: str | None,
) -> bool:
    counted = [row for row in rows if row.get("counts", True)]
    last = counted[-1].get("outcome") if counted else None
    said = rule(retry, last) if last else None
    number = evidence.call_requests[index].to.e164
    by_number = {act.kind for act in evidence.acts if act.number == number}
    by_call = {act.kind for act in evidence.acts if act.index == index}
    if last == "completed" and summary not in ("canceled", "blocked", "expired"):
        return summary == "completed"
    match summary:
        case "completed":
            # The callback of an earlier attempt may have arrived after later attempts.
            return any(row.get("outcome") == "completed" for row in counted)
        case "voicemail_final":
            return last == "voicemail" and said is None
        case "not_retryable":
            return last is not None and last != "voicemail" and said is None
        case "all_retries_exhausted":
            late = evidence.late_records(counted[-1]["call_id"]) if counted else 0
            return said is not None and _has_used_up(retry, said, counted, str(reason), late)
        case "canceled":
            return "cancel" in by_call or bool(by_number & {"contacted", "erase"}) or last == "canceled"
        case "blocked":
            capped = reason == "capped" and bool(caps_of(evidence.env, retry))
            return capped or (reason == "opted-out" and bool(by_number & {"opt-out", "erase"})) or last == "dnd"
        case "expired":
            return reason == "policy-expired" and (said is not None or not counted)
        case _:
            return False


def _has_used_up(retry: dict[str, Any], said: Any, counted: list[dict[str, Any]], reason: str, late: int) -> bool:
    if 0 <= len(counted) - (retry["max_retries"] + 1) <= late:
        return True
    last = counted[-1]["outcome"]
    if reason == "outcome-retries-exhausted":
        before = sum(1 for row in counted[:-1] if row["outcome"] == last)
        return "max_retries" in said and before >= said["max_retries"]
    return reason == "no-dates-left" and retry["strategy"]["type"] == "scheduled"


def decisions(evidence: Evidence, tally: Tally) -> None:
    """Expect that each decision continues the call or, as the last one, ends it.

    The last decision has the summary and the reason of the call.
    """
    for call_id, call in evidence.calls.items():
        index = evidence.index_of(call_id)
        made = evidence.decisions.get(call_id, [])
        for decision in made:
            one = (decision.get("retry_at") is None) != (decision.get("summary_status") is None)
            tally.expect(one, index, f"decision {decision['sk']} of {call_id} says both or neither of when and how")
        paused = [d["steps"][0] if d["reason"] == "paused" else "" for d in made]
        is_repeated = any(step and step == after for step, after in pairwise(paused))
        tally.expect(not is_repeated, index, f"{call_id} records one pause in several decisions")
        ends = [(d["attempt"], d["reason"], tuple(d["steps"])) for d in made if d["reason"] in AFTER_AN_ATTEMPT]
        tally.expect(len(ends) == len(set(ends)), index, f"{call_id} decides twice about one end: {ends}")
        if call["state"] == "final":
            last = made[-1] if made else {}
            same = (last.get("summary_status"), last.get("reason")) == (call.get("summary_status"), call.get("reason"))
            tally.expect(same, index, f"{call_id} ended {call.get('summary_status')}, its last decision says {last}")
