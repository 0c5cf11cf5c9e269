"""Redial broken on purpose, one way at a time: what the simulator must be able to find."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from chalicelib.domain import decide, lifecycle, strategies
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.transition import Effect, Transition
from chalicelib.providers.base import PlacementUnknown, PutOff
from chalicelib.providers.cxml_calls import CxmlProvider
from chalicelib.storage.calls import CallStore
from chalicelib.storage.numbers import Number, NumberStore
from chalicelib.storage.wakes import WakeStore
from chalicelib.usecases import claim, contacted, place_call, sweep, take_callback
from chalicelib.wheel import RuleAlarms


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way of being broken. ``found_by`` are the invariants that may tell, within ``seeds`` small runs."""

    what: str
    found_by: tuple[str, ...]
    patches: Callable[[], list[Any]]
    seeds: int = 3

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Redial is broken meanwhile."""
        with ExitStack() as stack:
            for each in self.patches():
                stack.enter_context(each)
            yield


def _nothing(record: Any, *_: Any, **__: Any) -> Transition:
    return Transition(record, record.call, None, Effect.NOTHING, at=record.call.created_at)


def _unconditional(put: Callable[..., Any]) -> Callable[..., Any]:
    """``CallStore._put`` without its condition."""
    return lambda self, item, condition=None, values=None: put(self, item)


def _number_unconditional(put: Callable[..., Any]) -> Callable[..., Any]:
    """``NumberStore._put`` without its condition."""

    def unconditional(self: Any, *args: Any) -> dict[str, Any]:
        kept = ("TableName", "Item")
        return {name: value for name, value in put(self, *args).items() if name in kept}

    return unconditional


def _again_on_doubt(dial_once: Callable[..., Any]) -> Callable[..., Any]:
    def dial_again(self: Any, request: Any) -> Any:
        result = dial_once(self, request)
        return dial_once(self, request) if isinstance(result, PlacementUnknown) else result

    return dial_again


def _doubt_is_refusal(dial_once: Callable[..., Any]) -> Callable[..., Any]:
    def dial_sure(self: Any, request: Any) -> Any:
        result = dial_once(self, request)
        return PutOff("network", fault=False) if isinstance(result, PlacementUnknown) else result

    return dial_sure


def _decides_again(record: Any, attempt: Any, event: Any, now: Any) -> Any:
    if event.outcome is None:
        return _nothing(record)
    return lifecycle._ended(record, attempt, event, now)


def _one_more(used_up: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, rule, situation: used_up(replace(policy, max_retries=policy.max_retries + 1), rule, situation)


def _one_less(used_up: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, rule, situation: used_up(
        replace(policy, max_retries=max(0, policy.max_retries - 1)), rule, situation
    )


def _without_window(may_dial: Callable[..., Any]) -> Callable[..., Any]:
    return lambda policy, situation, now: may_dial(replace(policy, window=None), situation, now)


def _forgiving(take: Callable[..., Any]) -> Callable[..., Any]:
    def take_or_not(*args: Any) -> list[Any]:
        try:
            taken: list[Any] = take(*args)
        except Exception:
            return []
        return taken

    return take_or_not


def _roomy(add: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, account, minute, capacity: add(self, account, minute, 10_000)


def _hasty(after_wait: Callable[..., Any]) -> Callable[..., Any]:
    return lambda wait_minutes, last: after_wait(wait_minutes / 2, last)


def _failing_over_in_doubt(decided: Callable[..., Any]) -> Callable[..., Any]:
    def failing_over(record: Any, ended: Any, event: Any, now: Any) -> Any:
        transition = decided(record, ended, event, now)
        if transition.call.due_at is not None and ended.outcome is Outcome.FAILED:
            return replace(transition, call=lifecycle.failed_over(transition.call))
        return transition

    return failing_over


def _reached_counts_as_busy(decided: Callable[..., Any]) -> Callable[..., Any]:
    def busy_instead(record: Any, ended: Any, event: Any, now: Any) -> Any:
        if ended.outcome is not Outcome.COMPLETED:
            return decided(record, ended, event, now)
        taken = decided(record, replace(ended, outcome=Outcome.BUSY), event, now)
        return replace(taken, attempt=ended)

    return busy_instead


def _counting(taking_back: Callable[..., Any]) -> Callable[..., Any]:
    def counting(self: Any, call: Any, attempt_id: str) -> dict[str, Any]:
        write: dict[str, Any] = taking_back(self, call, attempt_id)
        update = dict(write["Update"])
        update["UpdateExpression"] = "SET #data.version = #data.version + :one"
        update["ExpressionAttributeNames"] = {"#data": "data"}
        return {"Update": update}

    return counting


MUTANTS = {
    "claim-unconditional": Mutant(
        "a claim is committed whatever has changed meanwhile",
        ("one-dial", "one-at-a-time", "retries", "history", "numbers", "opt-out", "canceled", "endings"),
        lambda: [
            patch.object(CallStore, "_put", _unconditional(CallStore._put)),
            patch.object(NumberStore, "_put", _number_unconditional(NumberStore._put)),
        ],
        seeds=8,
    ),
    "number-unconditional": Mutant(
        "the number's version is not checked by a claim",
        ("numbers", "caps", "opt-out"),
        lambda: [patch.object(NumberStore, "_put", _number_unconditional(NumberStore._put))],
        seeds=8,
    ),
    "opt-out-ignored": Mutant(
        "a claim does not ask whether the number has opted out",
        ("opt-out",),
        lambda: [
            patch.object(claim, "opted_out", lambda number: None),
            patch.object(place_call, "opted_out", lambda number: None),
        ],
        seeds=6,
    ),
    "window-ignored-at-dial": Mutant(
        "the window is not asked again at the moment of dialling",
        ("window",),
        lambda: [patch.object(claim, "may_dial", _without_window(claim.may_dial))],
        seeds=8,
    ),
    "caps-not-counted": Mutant(
        "other calls' attempts to the number do not count",
        ("caps",),
        lambda: [patch.object(Number, "made_by_others", lambda self, call_id, since: ())],
        seeds=4,
    ),
    "cancel-ignored": Mutant(
        "a cancel is answered and changes nothing",
        ("canceled", "endings"),
        lambda: [patch("chalicelib.usecases.cancel_call._cancel", lambda ports, record: _nothing(record))],
        seeds=4,
    ),
    "contacted-ignored": Mutant(
        "a contact is answered and changes nothing",
        ("acted",),
        lambda: [patch.object(contacted, "_contacted", _nothing)],
        seeds=6,
    ),
    "decides-again": Mutant(
        "a repeated terminal callback is decided about again",
        ("retries", "one-at-a-time", "endings", "decisions", "reached", "outcomes", "canceled"),
        lambda: [patch.object(lifecycle, "_after_the_end", _decides_again)],
        seeds=8,
    ),
    "posts-again": Mutant(
        "a create-call whose answer was lost is sent again",
        ("one-dial",),
        lambda: [patch.object(CxmlProvider, "dial", _again_on_doubt(CxmlProvider.dial))],
    ),
    "doubt-is-refusal": Mutant(
        "a placement that nobody knows about is taken for one that failed",
        ("one-dial", "one-at-a-time"),
        lambda: [patch.object(CxmlProvider, "dial", _doubt_is_refusal(CxmlProvider.dial))],
    ),
    "failover-in-doubt": Mutant(
        "the second provider takes over though the first may have rung",
        ("failover",),
        lambda: [patch.object(lifecycle, "_decided", _failing_over_in_doubt(lifecycle._decided))],
        seeds=6,
    ),
    "no-sweep": Mutant(
        "the sweep does nothing",
        ("ends", "aws"),
        lambda: [patch("app.sweep_up", lambda ports, time_left: {})],
    ),
    "no-overdue-pass": Mutant(
        "the sweep does not look for what is overdue",
        ("ends", "on-time"),
        lambda: [patch.object(sweep, "dial_due", lambda ports, before, time_left: Counter())],
    ),
    "no-silent-pass": Mutant(
        "the sweep does not look into attempts that were never heard of again",
        ("ends",),
        lambda: [patch.object(sweep, "_look_into", lambda ports, call_id, now: "skipped")],
    ),
    "one-retry-more": Mutant(
        "one retry more than the policy allows",
        ("retries",),
        lambda: [patch.object(decide, "_used_up", _one_more(decide._used_up))],
    ),
    "one-retry-less": Mutant(
        "one retry less than the policy allows",
        ("endings",),
        lambda: [patch.object(decide, "_used_up", _one_less(decide._used_up))],
    ),
    "minutes-never-full": Mutant(
        "a minute takes any number of dials",
        ("pace",),
        lambda: [patch.object(WakeStore, "_add", _roomy(WakeStore._add))],
        seeds=6,
    ),
    "voicemail-is-completed": Mutant(
        "a machine counts as a person",
        ("outcomes",),
        lambda: [patch.object(lifecycle, "_merged", lambda outcome, amd: outcome)],
    ),
    "redials-the-reached": Mutant(
        "a person who was reached is called again",
        ("reached", "endings"),
        lambda: [
            patch.object(lifecycle, "_decided", _reached_counts_as_busy(lifecycle._decided)),
        ],
    ),
    "never-taken-back": Mutant(
        "an attempt that the provider turned away stays counted for the number",
        ("numbers",),
        lambda: [patch.object(NumberStore, "taking_back", _counting(NumberStore.taking_back))],
        seeds=8,
    ),
    "half-the-wait": Mutant(
        "a retry waits half as long as its policy says",
        ("waits",),
        lambda: [
            patch.object(strategies, "after_wait", _hasty(strategies.after_wait)),
            patch.object(decide, "after_wait", _hasty(decide.after_wait)),
        ],
    ),
    "alarms-left": Mutant(
        "a rule that has fired is never removed",
        ("aws",),
        lambda: [patch.object(RuleAlarms, "disarm", lambda self, wake: None)],
    ),
    "callbacks-swallowed": Mutant(
        "a callback is answered 200 though it could not be taken",
        ("outcomes",),
        lambda: [patch("chalicelib.api.callbacks.take_callback", _forgiving(take_callback.take_callback))],
        seeds=4,
    ),
    "key-ignored": Mutant(
        "an Idempotency-Key is not looked at",
        ("once-made",),
        lambda: [patch("chalicelib.api.calls.idempotency_key", lambda headers: None)],
        seeds=6,
    ),
}
