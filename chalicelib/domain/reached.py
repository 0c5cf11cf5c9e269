"""The rules for whether an attempt reached somebody.

Evidence of a conversation counts more than the outcome that the end names. Evidence is an ``in-progress`` event, a
result of answering machine detection (AMD), or an end that says ``completed`` or ``voicemail``. It may come before the
end or after it. The provider's ``parse`` judges the fields of a single event, because some vendors name an AMD result
on calls that nobody answered.
"""

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus

#: the outcomes of an attempt that was answered, by a person or by an answering machine
ANSWERED = (Outcome.COMPLETED, Outcome.VOICEMAIL)

#: the endings of calls that reached nobody, as far as Redial knows
UNREACHED = (
    SummaryStatus.ALL_RETRIES_EXHAUSTED,
    SummaryStatus.NOT_RETRYABLE,
    SummaryStatus.VOICEMAIL_FINAL,
    SummaryStatus.EXPIRED,
)
#: reasons of further calls that reached nobody; their summary status alone does not say so
UNREACHED_REASONS = (
    Reason.DO_NOT_DISTURB,
    Reason.CAPPED,
    Reason.QUIET,
    Reason.ZONE_UNKNOWN,
    Reason.WINDOW_NEVER_OPENS,
    Reason.CANCELED,  # by the provider; a cancel by request sets ``canceled_at``
)


def weighed(word: Outcome, *, answered: bool, amd: Amd | None) -> Outcome:
    """Return the outcome of an attempt: the evidence, else ``word`` from its end.

    If AMD found an answering machine or a fax, the outcome is ``voicemail``. If the call was answered or has any other
    AMD result, the outcome is ``completed``: AMD runs only on answered calls, and its ``unknown`` counts as a person.
    Without evidence, the outcome is ``word``.
    """
    if word is Outcome.VOICEMAIL or (amd is not None and amd.is_machine):
        return Outcome.VOICEMAIL
    return Outcome.COMPLETED if answered or amd is not None else word


def was_answered(attempt: Attempt, event: CallEvent) -> bool:
    """Return whether this event or an earlier one proves that the call was answered."""
    return attempt.answered_at is not None or attempt.amd is not None or _proves_an_answer(event)


def outcome_of_end(attempt: Attempt, event: CallEvent) -> Outcome:
    """Return the outcome of an attempt that this event ends.

    A fault of the account counts as ``failed``.
    """
    amd = attempt.amd or (event.amd if event.outcome in ANSWERED else None)
    return weighed(event.outcome or Outcome.FAILED, answered=was_answered(attempt, event), amd=amd)


def corrected_by(attempt: Attempt, event: CallEvent) -> bool:
    """Return whether a later event proves an answer to an attempt that ended without."""
    unanswered = attempt.outcome is not None and attempt.outcome not in ANSWERED
    return unanswered and _proves_an_answer(event)


def ended_unreached(call: Call) -> bool:
    """Return whether the call ended without reaching anybody.

    A late callback may change such an ending.
    """
    by_reason = call.reason in UNREACHED_REASONS and call.canceled_at is None and call.erased_at is None
    return call.summary_status in UNREACHED or by_reason


def with_progress(attempt: Attempt, event: CallEvent, at: datetime) -> Attempt:
    """Return the attempt with the progress and the AMD result of an event.

    The event happened at ``at``. The first AMD result counts. Progress goes only forward, because events may come out
    of order.
    """
    changed = replace(attempt, amd=attempt.amd or event.amd)
    if event.progress is None or event.progress.rank <= attempt.progress_rank:
        return changed
    answered_at = at if event.progress is Progress.IN_PROGRESS else attempt.answered_at
    return replace(changed, progress=event.progress, progress_rank=event.progress.rank, answered_at=answered_at)


def _proves_an_answer(event: CallEvent) -> bool:
    if event.outcome is not None or event.fault is not None:
        return event.outcome in ANSWERED
    return event.progress is Progress.IN_PROGRESS or event.amd is not None
