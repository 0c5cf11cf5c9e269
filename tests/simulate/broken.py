"""Broken pieces of Redial: each changes a function of the code in one wrong way."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from chalicelib.domain import lifecycle
from chalicelib.domain.attempt_ends import with_end
from chalicelib.domain.call import AttemptPhase, CallState
from chalicelib.domain.deciding import decided_after
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.silence import MIN_ASKING, LookupResult
from chalicelib.domain.transition import Effect, Transition, failed_over
from chalicelib.providers.base import DeferredByProvider, PlacementUnknown
from chalicelib.storage.health import Answered
from chalicelib.usecases.calls import schedule


def nothing(record: Any, *_: Any, **__: Any) -> Transition:
    return Transition(record, record.call, None, Effect.NOTHING, at=record.call.created_at)


def unconditional(put: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``CallStore._put`` without its condition."""
    return lambda self, item, condition=None, values=None: put(self, item)


def setting_back_in_any_case(update: Callable[..., Any]) -> Callable[..., Any]:
    """Return the ``update`` of ``set_back`` without its condition on the due time."""

    def updating(dynamodb: Any, **request: Any) -> Any:
        values = {name: value for name, value in request["ExpressionAttributeValues"].items() if name != ":now"}
        changed = {"ConditionExpression": "attribute_exists(due_shard)", "ExpressionAttributeValues": values}
        return update(dynamodb, **request | changed)

    return updating


def number_unconditional(put: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``NumberStore._put`` without its condition."""

    def unconditional(self: Any, *args: Any) -> dict[str, Any]:
        kept = ("TableName", "Item")
        return {name: value for name, value in put(self, *args).items() if name in kept}

    return unconditional


def again_on_doubt(dial_once: Callable[..., Any]) -> Callable[..., Any]:
    def dial_again(self: Any, request: Any) -> Any:
        result = dial_once(self, request)
        return dial_once(self, request) if isinstance(result, PlacementUnknown) else result

    return dial_again


def doubt_is_refusal(dial_once: Callable[..., Any]) -> Callable[..., Any]:
    def dial_sure(self: Any, request: Any) -> Any:
        result = dial_once(self, request)
        return DeferredByProvider("network", fault=False) if isinstance(result, PlacementUnknown) else result

    return dial_sure


def decides_again(record: Any, attempt: Any, event: Any, now: Any) -> Any:
    if event.outcome is None:
        return nothing(record)
    return decided_after(record, with_end(attempt, event, now), event, now)


def one_more(used_up: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, rule, situation: used_up(replace(policy, max_retries=policy.max_retries + 1), rule, situation)


def one_less(used_up: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, rule, situation: used_up(
        replace(policy, max_retries=max(0, policy.max_retries - 1)), rule, situation
    )


def without_window(may_dial: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, situation, now: may_dial(replace(policy, window=None), situation, now)


def forgiving(take: Callable[..., Any]) -> Callable[..., Any]:
    def take_or_not(*args: Any) -> list[Any]:
        try:
            taken: list[Any] = take(*args)
        except Exception:
            return []
        return taken

    return take_or_not


def roomy(add: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, account, minute, capacity: add(self, account, minute, 10_000)


def hasty(after_wait: Callable[..., Any]) -> Callable[..., Any]:
    return lambda wait_minutes, last: after_wait(wait_minutes / 2, last)


def failing_over_in_doubt(decided: Callable[..., Any]) -> Callable[..., Any]:
    def failing_over(record: Any, ended: Any, event: Any, now: Any) -> Any:
        transition = decided(record, ended, event, now)
        if transition.call.due_at is not None and ended.outcome is Outcome.FAILED:
            return replace(transition, call=failed_over(transition.call))
        return transition

    return failing_over


def reached_counts_as_busy(decided: Callable[..., Any]) -> Callable[..., Any]:
    def busy_instead(record: Any, ended: Any, event: Any, now: Any) -> Any:
        if ended.outcome is not Outcome.COMPLETED:
            return decided(record, ended, event, now)
        taken = decided(record, replace(ended, outcome=Outcome.BUSY), event, now)
        return replace(taken, attempt=ended)

    return busy_instead


def unguarded(taking: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``SlotStore.taking`` without its condition."""

    def unguarded(self: Any, *args: Any) -> list[dict[str, Any]]:
        kept = ("TableName", "Item")
        return [{"Put": {name: write["Put"][name] for name in kept}} for write in taking(self, *args)]

    return unguarded


def releasing_others(releasing: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``SlotStore.releasing`` that releases slots nobody has."""

    def elsewhere(self: Any, attempt: Any) -> list[dict[str, Any]]:
        nobody = {"pk": {"S": "SLOTS#nobody"}}
        writes = [write["Delete"] for write in releasing(self, attempt)]
        return [{"Delete": write | {"Key": write["Key"] | nobody}} for write in writes]

    return elsewhere


def ungated(checks: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``GateStore.checks`` that checks gates for probes only."""
    return lambda self, call, probed, *given: checks(self, call, probed, *given)[-1:] if probed else []


def counts_all_the_same(defer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``lifecycle.defer`` that counts the deferred attempt as a failed one."""

    def spent(record: Any, *, cause: str, now: Any, **given: Any) -> Transition:
        taken = defer(record, cause=cause, now=now, **given)
        attempt = replace(taken.attempt, outcome=Outcome.ERROR, phase=AttemptPhase.ENDED, ended_at=now)
        attempt = replace(attempt, version=attempt.version + 1)
        return replace(taken, attempt=attempt, dropped=False, call=replace(taken.call, attempt=attempt.number))

    return spent


def never_opens(probed: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``breaker._end_probe`` that takes every probe for a failed one."""
    return lambda ports, gate, said, cause, now: probed(ports, gate, Answered.FAULT, cause, now)


def asks_again(after_silence: Callable[..., Any]) -> Callable[..., Any]:
    """Return an ``after_silence`` that takes back attempts unknown to the provider."""

    def again(record: Any, lookup: Any, now: Any, limit: Any) -> Transition:
        if record.call.state is CallState.DIALING and lookup.result in (LookupResult.NONE, LookupResult.UNSURE):
            return lifecycle.defer(record, cause="never-placed", wait=None, evidence={}, now=now)
        taken: Transition = after_silence(record, lookup, now, limit)
        return taken

    return again


def arming_late(settle: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``schedule.settle`` that arms the triggers after its commit."""

    def settle_first(ports: Any, transition: Any, also: Any = ()) -> Any:
        wakes: list[Any] = []
        settled = settle(replace(ports, triggers=SimpleNamespace(arm=wakes.append)), transition, also)
        for wake in wakes:
            schedule.set_trigger(ports, wake)
        return settled

    return settle_first


def counting(taking_back: Callable[..., Any]) -> Callable[..., Any]:
    def counting(self: Any, call: Any, attempt_id: str) -> dict[str, Any]:
        write: dict[str, Any] = taking_back(self, call, attempt_id)
        update = dict(write["Update"])
        update["UpdateExpression"] = "SET #data.version = #data.version + :one"
        update["ExpressionAttributeNames"] = {"#data": "data"}
        return {"Update": update}

    return counting


def opening_gates(through_gates: Callable[..., Any]) -> Callable[..., Any]:
    """Return an ``admission._check_gates`` that opens gates without a condition.

    It opens a gate if its pause is over.
    """

    def opening(ports: Any, call: Any, gates: Any, now: Any) -> Any:
        for gate in gates:
            if gate.is_over(now):
                ports.gates.open(gate.scope)
        return through_gates(ports, call, gates, now)

    return opening


def blind(closed_and: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``GateStore.closed_and`` that finds each gate open."""
    return lambda self, scopes, keys: ([], closed_and(self, scopes, keys)[1])


def by_its_word(weighed: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``reached.weighed`` that counts answering machines only."""
    return lambda word, *, answered, amd: weighed(word, answered=False, amd=amd if amd and amd.is_machine else None)


def deaf_to_faults(as_lookup: Callable[..., Any]) -> Callable[..., Any]:
    def deaf(event: Any, without: LookupResult, number: int) -> Any:
        lookup = as_lookup(event, without, number)
        return replace(lookup, result=LookupResult.GOES_ON) if event is not None and event.outcome is None else lookup

    return deaf


def impatient(patience: Callable[..., Any]) -> Callable[..., Any]:
    def soon_over(record: Any, attempt: Any, result: LookupResult, now: Any, limit: Any) -> Any:
        found = patience(record, attempt, result, now, limit)
        until = attempt.claimed_at + limit + MIN_ASKING
        return replace(found, until=until) if result is LookupResult.UNANSWERED else found

    return soon_over


def forgetful(remembering: Callable[..., Any]) -> Callable[..., Any]:
    """Return a ``lifecycle._remembering`` that records contacts of waiting calls only."""
    return lambda call, until, now: remembering(call, until, now) if call.state is CallState.SCHEDULED else call


def all_below(slots: Any) -> list[int]:
    """Return the free slots of ``Slots.free`` without counting slots above the limit."""
    return [number for number in range(slots.limit.most) if number not in slots.taken]


def telling_again(decided: Callable[..., Any]) -> Callable[..., Any]:
    return lambda record, decision, now, waits_for=None: decided(record, decision, now)
