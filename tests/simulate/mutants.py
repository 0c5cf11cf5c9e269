"""Redial broken on purpose, in one way at a time, for the simulator to find."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from chalicelib.domain import decide, deciding, late_callbacks, lifecycle, reached, silence, strategies
from chalicelib.domain.events import Leg
from chalicelib.domain.transition import Transition
from chalicelib.providers import cxml, placing
from chalicelib.providers.cxml_calls import CxmlProvider
from chalicelib.storage import calls, slots
from chalicelib.storage.calls import CallStore
from chalicelib.storage.gates import GateStore
from chalicelib.storage.numbers import Number, NumberStore
from chalicelib.storage.slots import Slots, SlotStore
from chalicelib.storage.wakes import WakeStore
from chalicelib.usecases import sweep
from chalicelib.usecases.calls import claim, dial, place_call, schedule, silent, take_callback
from chalicelib.usecases.gates import admission, breaker, rate_limits
from chalicelib.wheel import RuleTriggers
from ops.simulate.faults import Level
from tests.simulate import broken


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way of being broken.

    ``found_by`` are the invariants that may detect it within ``seeds`` small runs. A mutant that shows only if requests
    meet needs a ``rush``. One that shows seldom needs more ``calls``, one that a fault may explain needs a lower
    ``level``, and one that few runs reach needs a ``focus``. ``first`` is the first seed, if earlier seeds are known to
    show nothing.
    """

    what: str
    found_by: tuple[str, ...]
    patches: Callable[[], list[Any]]
    seeds: int = 3
    rush: bool = False
    calls: int = 12
    level: Level = Level.HEAVY
    first: int = 1
    focus: str | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Break Redial while the block runs."""
        with ExitStack() as stack:
            for each in self.patches():
                stack.enter_context(each)
            yield


def few_slots_read() -> list[Any]:
    """Return the patches that make claims read small limits as they read large ones.

    They read one slot first, and then one or two.
    """
    return [patch.object(slots, "SMALL", 0), patch.object(slots, "FIRST", 1), patch.object(slots, "RUNS", (1, 2))]


MUTANTS = {
    "claim-unconditional": Mutant(
        "a claim is committed even if the call has changed meanwhile",
        ("one-dial", "one-at-a-time", "retries", "history", "numbers", "opt-out", "canceled", "endings"),
        lambda: [
            patch.object(CallStore, "_put", broken.unconditional(CallStore._put)),
            patch.object(NumberStore, "_put", broken.number_unconditional(NumberStore._put)),
        ],
        seeds=8,
    ),
    "number-unconditional": Mutant(
        "the number's version is not checked by a claim",
        ("numbers", "caps", "opt-out"),
        lambda: [patch.object(NumberStore, "_put", broken.number_unconditional(NumberStore._put))],
        seeds=8,
        rush=True,
    ),
    "opt-out-ignored": Mutant(
        "a claim does not ask whether the number has opted out",
        ("opt-out",),
        lambda: [
            patch.object(claim, "opted_out", lambda number: None),
            patch.object(place_call, "opted_out", lambda number: None),
        ],
        focus="opt-outs",
        seeds=4,
    ),
    "window-ignored-at-dial": Mutant(
        "the window is not checked at the moment of dialling",
        ("window",),
        lambda: [patch.object(claim, "may_dial", broken.without_window(claim.may_dial))],
        seeds=4,
        calls=12,
        focus="closing",
    ),
    "caps-not-counted": Mutant(
        "other calls' attempts to the number do not count",
        ("caps",),
        lambda: [patch.object(Number, "dialed_by_others", lambda self, call_id, since: ())],
        seeds=4,
    ),
    "cancel-ignored": Mutant(
        "a cancel is answered and changes nothing",
        ("canceled", "endings"),
        lambda: [patch.object(lifecycle, "cancel", broken.nothing)],
        seeds=4,
    ),
    "contacted-ignored": Mutant(
        "a contact is answered and changes nothing",
        ("acted",),
        lambda: [patch.object(lifecycle, "contacted", broken.nothing)],
        seeds=6,
    ),
    "decides-again": Mutant(
        "a repeated terminal callback leads to another decision",
        ("retries", "one-at-a-time", "endings", "decisions", "reached", "outcomes", "canceled"),
        lambda: [patch.object(lifecycle, "after_the_end", broken.decides_again)],
        seeds=8,
    ),
    "posts-again": Mutant(
        "a create-call whose answer was lost is sent again",
        ("one-dial",),
        lambda: [patch.object(CxmlProvider, "dial", broken.again_on_doubt(CxmlProvider.dial))],
    ),
    "doubt-is-refusal": Mutant(
        "an unknown placement is taken for a failed one",
        ("one-dial", "one-at-a-time"),
        lambda: [patch.object(CxmlProvider, "dial", broken.doubt_is_refusal(CxmlProvider.dial))],
        seeds=4,
        calls=12,
        focus="lost-answers",
    ),
    "failover-in-doubt": Mutant(
        "the second provider takes over although the first may have rung",
        ("failover",),
        lambda: [patch.object(lifecycle, "_ended", broken.failing_over_in_doubt(lifecycle._ended))],
        seeds=4,
        focus="records-late",
        calls=12,
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
        "the sweep does not look into attempts without callbacks",
        ("ends",),
        lambda: [patch.object(sweep, "look_into", lambda ports, call_id, now: "skipped")],
    ),
    "one-retry-more": Mutant(
        "one retry more than the policy allows",
        ("retries",),
        lambda: [patch.object(decide, "_used_up", broken.one_more(decide._used_up))],
    ),
    "one-retry-less": Mutant(
        "one retry less than the policy allows",
        ("endings",),
        lambda: [patch.object(decide, "_used_up", broken.one_less(decide._used_up))],
    ),
    "minutes-never-full": Mutant(
        "a minute has room for any number of dials",
        ("pace",),
        lambda: [patch.object(WakeStore, "_add", broken.roomy(WakeStore._add))],
        level=Level.NONE,
        seeds=6,
    ),
    "voicemail-is-completed": Mutant(
        "an answering machine counts as a person",
        ("outcomes",),
        lambda: [patch.object(reached, "weighed", lambda word, answered, amd: word)],
    ),
    "redials-the-reached": Mutant(
        "a person who answered is called again",
        ("reached", "endings"),
        lambda: [
            patch.object(lifecycle, "_ended", broken.reached_counts_as_busy(lifecycle._ended)),
        ],
    ),
    "never-taken-back": Mutant(
        "an attempt that the provider rejected stays counted for the number",
        ("numbers",),
        lambda: [patch.object(NumberStore, "taking_back", broken.counting(NumberStore.taking_back))],
        seeds=8,
    ),
    "half-the-wait": Mutant(
        "a retry waits half as long as its policy says",
        ("waits",),
        lambda: [
            patch.object(strategies, "after_wait", broken.hasty(strategies.after_wait)),
            patch.object(decide, "after_wait", broken.hasty(decide.after_wait)),
        ],
    ),
    "wakes-left": Mutant(
        "a rule that has fired is never removed",
        ("aws",),
        lambda: [patch.object(RuleTriggers, "disarm", lambda self, wake: None)],
    ),
    "callbacks-swallowed": Mutant(
        "a callback is answered 200 although it could not be recorded",
        ("outcomes",),
        lambda: [patch("chalicelib.api.callbacks.take_callback", broken.forgiving(take_callback.take_callback))],
        seeds=4,
        focus="refusals",
    ),
    "key-ignored": Mutant(
        "an Idempotency-Key is ignored",
        ("once-made",),
        lambda: [patch("chalicelib.api.calls.idempotency_key", lambda headers: None)],
        seeds=6,
    ),
    "slots-kept": Mutant(
        "the end of an attempt does not release its slots",
        ("slots",),
        lambda: [patch.object(SlotStore, "releasing", broken.releasing_others(SlotStore.releasing))],
        seeds=6,
        calls=12,
    ),
    "slots-unconditional": Mutant(
        "a slot is taken even if another attempt has it by then",
        ("slots",),
        lambda: [patch.object(SlotStore, "taking", broken.unguarded(SlotStore.taking))],
        seeds=8,
        rush=True,
        calls=24,
    ),
    "gates-not-checked": Mutant(
        "a claim does not check its gates in its own transaction",
        ("paused", "breaker"),
        lambda: [patch.object(GateStore, "checks", broken.ungated(GateStore.checks))],
        seeds=8,
        rush=True,
        calls=24,
        level=Level.LIGHT,
        focus="slow-claims",
    ),
    "pause-ignored": Mutant(
        "a pause is answered and no claim checks the gates",
        ("paused", "breaker"),
        lambda: [
            patch.object(GateStore, "closed_and", broken.blind(GateStore.closed_and)),
            patch.object(GateStore, "checks", lambda self, call, probed, attempt_id, now: []),
        ],
        seeds=4,
        calls=24,
    ),
    "breaker-never-opens": Mutant(
        "a successful probe does not open the gate",
        ("breaker",),
        lambda: [patch.object(breaker, "_end_probe", broken.never_opens(breaker._end_probe))],
        rush=True,
        focus="locked",
        calls=20,
        seeds=6,
    ),
    "deferred-counts": Mutant(
        "an attempt that the provider deferred uses up one of the call's attempts",
        ("deferred",),
        lambda: [patch("chalicelib.usecases.calls.dial.lifecycle.defer", broken.counts_all_the_same(lifecycle.defer))],
    ),
    "pace-ignored": Mutant(
        "no call waits for the account's rate limit",
        ("in-pace",),
        lambda: [
            patch.object(rate_limits, "wait_for_rate_limits", lambda ports, call, may_wait: 0.0),
        ],
        seeds=4,
    ),
    "asked-again-on-a-guess": Mutant(
        "an attempt that the provider does not know yet is dialled again under its own number",
        ("one-dial",),
        lambda: [patch.object(silent, "after_silence", broken.asks_again(silent.after_silence))],
        seeds=6,
    ),
    "correction-ignored": Mutant(
        "the true end of an attempt that ended without a callback is not recorded",
        ("outcomes", "reached"),
        lambda: [patch.object(late_callbacks, "TABLE", late_callbacks.TABLE[1:])],
        seeds=4,
        focus="records-late",
        calls=8,
    ),
    "made-after-all": Mutant(
        "an attempt that the provider denied, and that rang, does not count for its number",
        ("numbers", "caps"),
        lambda: [patch.object(Transition, "made_after_all", property(lambda transition: None))],
        seeds=4,
        focus="records-late",
    ),
    "found-by-two": Mutant(
        "a call that is found at the provider is assigned to each attempt that might be it",
        ("one-owner",),
        lambda: [
            patch.object(silent, "_is_only_recent_attempt", lambda ports, call, attempt: True),
            patch.object(silent, "own", lambda *given, **said: True),
        ],
        seeds=6,
        focus="lost-answers",
    ),
    "anybodys-call": Mutant(
        "a call that is found at the provider is assigned to an attempt although it may be another's",
        ("history", "outcomes"),
        lambda: [patch.object(silent, "_is_only_recent_attempt", lambda ports, call, attempt: True)],
        seeds=6,
        focus="lost-answers",
    ),
    "fresh-before-retries": Mutant(
        "Redial forgets that a retry waits for a slot",
        ("retries-first",),
        lambda: [patch.object(SlotStore, "let_retry_wait", lambda self, *given: None)],
        seeds=6,
        rush=True,
        calls=30,
        level=Level.NONE,
        focus="line",
    ),
    "set-back-in-any-case": Mutant(
        "an error moves a call in the due index, even if the call was rescheduled before the error",
        ("indexed",),
        lambda: [patch.object(calls, "update", broken.setting_back_in_any_case(calls.update))],
    ),
    "armed-too-late": Mutant(
        "a trigger is set after the commit that needs it, and the sweep does not look for what is overdue",
        ("ends", "on-time"),
        lambda: [
            patch.object(schedule, "settle", broken.arming_late(schedule.settle)),
            patch.object(claim, "settle", broken.arming_late(schedule.settle)),
            patch.object(sweep, "dial_due", lambda ports, before, time_left: Counter()),
        ],
    ),
    "erased-by-half": Mutant(
        "an erasure is answered, and the number can still be found",
        ("erased",),
        lambda: [patch.object(NumberStore, "forget_call", lambda self, workspace, number, call_id: None)],
        seeds=4,
        calls=12,
        focus="erasure",
    ),
    "opened-when-over": Mutant(
        "a claim that finds a pause over opens its gate, even if a user has extended the pause meanwhile",
        ("paused",),
        lambda: [patch.object(admission, "_check_gates", broken.opening_gates(admission._check_gates))],
        rush=True,
        level=Level.NONE,
        seeds=4,
        focus="extensions",
        calls=48,
    ),
    "word-over-evidence": Mutant(
        "the reported end counts more than the evidence of a person",
        ("reached", "outcomes"),
        lambda: [patch.object(reached, "weighed", broken.by_its_word(reached.weighed))],
        focus="contradictions",
        seeds=4,
    ),
    "late-answer-ignored": Mutant(
        "a late callback about an answer changes nothing",
        ("outcomes", "reached"),
        lambda: [patch.object(late_callbacks, "TABLE", (late_callbacks.TABLE[0], *late_callbacks.TABLE[2:]))],
        seeds=14,
        level=Level.NONE,
        calls=48,
    ),
    "child-believed": Mutant(
        "the end of a leg that the call made counts as the call's own",
        ("history", "outcomes", "reached"),
        lambda: [patch.object(lifecycle, "_is_other_leg", lambda attempt, event: False)],
    ),
    "every-leg-adopted": Mutant(
        "every leg in a callback at the adoption address is taken for an outgoing one",
        ("strangers",),
        lambda: [patch.object(cxml, "leg_of", lambda direction, parent=None: Leg.OUTGOING)],
    ),
    "fault-goes-on": Mutant(
        "an account's fault that a look-up shows is taken for a call in progress",
        ("deferred", "ends"),
        lambda: [patch.object(silent, "_as_lookup", broken.deaf_to_faults(silent._as_lookup))],
        seeds=4,
        focus="credits",
        calls=5,
    ),
    "never-given-up": Mutant(
        "Redial waits without end for a call that its provider reports as in progress",
        ("ends",),
        lambda: [patch.object(silence, "OVERRUN", timedelta(days=365))],
        focus="endless",
        calls=2,
        seeds=6,
    ),
    "asks-for-minutes": Mutant(
        "Redial stops its look-ups of a silent provider a quarter of an hour after the longest call",
        ("patience",),
        lambda: [patch.object(silence, "_patience", broken.impatient(silence._patience))],
        seeds=4,
        calls=12,
        focus="unanswered",
    ),
    "places-kept": Mutant(
        "the place in the wheel of a removed due time is not given back",
        ("places",),
        lambda: [patch.object(schedule, "_release_writes", lambda ports, transition, *, schedules: {})],
        level=Level.NONE,
    ),
    "key-takes-a-place": Mutant(
        "a request that repeats its Idempotency-Key takes a place in the wheel",
        ("places",),
        lambda: [
            patch.object(CallStore, "check_unused", lambda self, workspace, key: None),
            patch.object(place_call, "unbook", lambda ports, call: None),
        ],
        seeds=6,
        level=Level.NONE,
    ),
    "waits-without-end": Mutant(
        "a request waits for the rate limit without a bound",
        ("in-time",),
        lambda: [patch.object(place_call, "MAX_WAIT", timedelta(hours=1))],
        seeds=6,
        level=Level.NONE,
    ),
    "contact-forgotten": Mutant(
        "a contact while the attempt is in flight has no effect",
        ("contacted",),
        lambda: [patch.object(lifecycle, "_remembering", broken.forgetful(lifecycle._remembering))],
        focus="contacts",
        calls=16,
        seeds=6,
    ),
    "lowered-limit-not-kept": Mutant(
        "attempts that hold slots above a lowered limit do not count",
        ("slots",),
        lambda: [patch.object(Slots, "free", property(broken.all_below))],
        rush=True,
        level=Level.NONE,
        seeds=4,
        focus="limits",
        calls=30,
    ),
    "lowered-limit-not-seen": Mutant(
        "a claim that reads a few slots only does not notice that the limit was lowered",
        ("slots",),
        lambda: [*few_slots_read(), patch.object(slots, "_was_lowered", lambda limit, highest: False)],
        rush=True,
        level=Level.NONE,
        seeds=4,
        focus="limits",
        calls=30,
    ),
    "rings-on": Mutant(
        "a call that is canceled while it is being dialled is not hung up",
        ("hung-up",),
        lambda: [patch.object(dial, "hang_up_canceled", lambda ports, call_id, number: None)],
        focus="cancels",
        level=Level.LIGHT,
        seeds=4,
        rush=True,
        calls=24,
    ),
    "closed-minute": Mutant(
        "a retry is decided for any minute in which the wheel has room",
        ("kept",),
        lambda: [patch.object(lifecycle, "in_minute", lambda transition, minute: transition)],
        level=Level.NONE,
        focus="closing",
        calls=30,
        seeds=6,
    ),
    "told-again": Mutant(
        "a call behind a pause records a decision at each check",
        ("decisions",),
        lambda: [patch.object(lifecycle, "decided", broken.telling_again(lifecycle.decided))],
        seeds=6,
        rush=True,
    ),
    "wait-of-a-day": Mutant(
        "Redial believes a provider that asks for a wait of a day",
        ("waits-named", "endings"),
        lambda: [
            patch.object(placing, "MAX_RETRY_AFTER_SEC", 10**6),
            patch.object(deciding, "MAX_NAMED_WAIT", timedelta(days=2)),
        ],
        level=Level.NONE,
        seeds=4,
        calls=12,
        focus="turned-away",
    ),
}
