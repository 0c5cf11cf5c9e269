"""The words for the end of an attempt, and for the end of a call."""

from enum import StrEnum


class Outcome(StrEnum):
    """The outcome of an attempt, in the words that providers and standards use."""

    COMPLETED = "completed"
    VOICEMAIL = "voicemail"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    FAILED = "failed"  # the network could not connect the call
    ERROR = "error"  # a technical fault before the network was asked
    INVALID_NUMBER = "invalid-number"
    DND = "dnd"
    CANCELED = "canceled"

    @classmethod
    def parse(cls, word: str) -> "Outcome":
        """Read an outcome in any spelling: ``no-answer``, ``no_answer``, ``cancelled``.

        ``canceled`` and ``cancelled`` are the same, and ``machine`` means ``voicemail``. Raises ValueError for an
        unknown word; the message lists the right words.
        """
        spelled = word.strip().lower().replace("_", "-")
        spelled = {"cancelled": "canceled", "machine": "voicemail"}.get(spelled, spelled)
        try:
            return cls(spelled)
        except ValueError:
            raise ValueError(f"{word!r} is not an outcome; use one of {', '.join(cls)}") from None


class SummaryStatus(StrEnum):
    """The final status of a call; null until the call ends.

    - ``completed``: a person was reached.
    - ``all_retries_exhausted``: the policy allows no further attempt.
    - ``voicemail_final``: an answering machine answered, and the policy does not retry that.
    - ``not_retryable``: the policy does not retry the outcome of the last attempt.
    - ``canceled``: you canceled the call, or the customer called back.
    - ``blocked``: a rule does not allow the call, for example an opt-out, a cap or an unknown time zone.
    - ``expired``: the policy ended before the next attempt.
    """

    COMPLETED = "completed"
    ALL_RETRIES_EXHAUSTED = "all_retries_exhausted"
    VOICEMAIL_FINAL = "voicemail_final"
    NOT_RETRYABLE = "not_retryable"
    CANCELED = "canceled"
    BLOCKED = "blocked"
    EXPIRED = "expired"


class Amd(StrEnum):
    """The result of answering-machine detection, in one word for all providers."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    UNKNOWN = "unknown"

    @property
    def is_machine(self) -> bool:
        """A call without a person on the line. ``unknown`` counts as a person.

        Telnyx advises to treat ``unknown`` so.
        """
        return self in (Amd.MACHINE, Amd.FAX)
