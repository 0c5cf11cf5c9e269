"""Whether somebody was reached: what was heard during an attempt counts more than the word of its end.

Evidence of a conversation is an ``in-progress`` event, a result of answering machine detection, or an end that says
``completed`` or ``voicemail``. It may come before the end or after it. What one event's own fields prove about its end
is for the provider's ``parse`` to weigh: some vendors name a detection result on calls that nobody answered.
"""

from dataclasses import replace
from datetime import datetime

from chalicelib.domain.call import Attempt, Call
from chalicelib.domain.decide import Reason
from chalicelib.domain.events import CallEvent, Progress
from chalicelib.domain.outcome import Amd, Outcome, SummaryStatus

#: The outcomes of an attempt that was answered, by a person or by a machine
ANSWERED = (Outcome.COMPLETED, Outcome.VOICEMAIL)

#: How calls end that reached nobody, as far as Redial knew
UNREACHED = (
    SummaryStatus.ALL_RETRIES_EXHAUSTED,
    SummaryStatus.NOT_RETRYABLE,
    SummaryStatus.VOICEMAIL_FINAL,
    SummaryStatus.EXPIRED,
)
#: The same by their reasons, where the summary is shared with calls that a user or the person called ended
UNREACHED_REASONS = (
    Reason.DO_NOT_DISTURB,
    Reason.CAPPED,
    Reason.QUIET,
    Reason.ZONE_UNKNOWN,
    Reason.WINDOW_NEVER_OPENS,
    Reason.CANCELED,  # by the provider: a cancel by request has its time in ``canceled_at``
)


def weighed(word: Outcome, *, answered: bool, amd: Amd | None) -> Outcome:
    """Return the outcome of an attempt whose end says ``word``, given what was heard during it.

    A machine is a voicemail, whatever the end says. Anybody else who answered was reached: detection runs on an
    answered call only, and its ``unknown`` counts as a person. Without such evidence the word stands.
    """
    if word is Outcome.VOICEMAIL or (amd is not None and amd.is_machine):
        return Outcome.VOICEMAIL
    return Outcome.COMPLETED if answered or amd is not None else word


def was_answered(attempt: Attempt, event: CallEvent) -> bool:
    """Return True where the attempt's earlier events or this one prove that the call was answered."""
    return attempt.answered_at is not None or attempt.amd is not None or _proves_an_answer(event)


def outcome_of_end(attempt: Attempt, event: CallEvent) -> Outcome:
    """Return the outcome of an attempt that this event ends. A fault of the account has no word but ``failed``."""
    amd = attempt.amd or (event.amd if event.outcome in ANSWERED else None)
    return weighed(event.outcome or Outcome.FAILED, answered=was_answered(attempt, event), amd=amd)


def corrected_by(attempt: Attempt, event: CallEvent) -> bool:
    """Return True where the attempt has ended as not answered, and this later event proves that it was."""
    unanswered = attempt.outcome is not None and attempt.outcome not in ANSWERED
    return unanswered and _proves_an_answer(event)


def ended_unreached(call: Call) -> bool:
    """Return True for a call that its attempts ended without reaching anybody: a late answer may change that."""
    by_reason = call.reason in UNREACHED_REASONS and call.canceled_at is None and call.erased_at is None
    return call.summary_status in UNREACHED or by_reason


def having_heard(attempt: Attempt, event: CallEvent, at: datetime) -> Attempt:
    """Return the attempt with the progress and the detection of an event that happened then; the first AMD counts."""
    changed = replace(attempt, amd=attempt.amd or event.amd)
    if event.progress is None or event.progress.rank <= attempt.progress_rank:
        return changed
    answered_at = at if event.progress is Progress.IN_PROGRESS else attempt.answered_at
    return replace(changed, progress=event.progress, progress_rank=event.progress.rank, answered_at=answered_at)


def _proves_an_answer(event: CallEvent) -> bool:
    if event.outcome is not None or event.fault is not None:
        return event.outcome in ANSWERED
    return event.progress is Progress.IN_PROGRESS or event.amd is not None
