"""The words for how an attempt ends, and how a call ends."""

from enum import StrEnum


class Outcome(StrEnum):
    """How one attempt ended, in the field's own words."""

    COMPLETED = "completed"
    VOICEMAIL = "voicemail"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"
    FAILED = "failed"  # the network could not connect it
    ERROR = "error"  # a technical fault before the network was asked
    INVALID_NUMBER = "invalid-number"
    DND = "dnd"
    CANCELED = "canceled"

    @classmethod
    def parse(cls, word: str) -> "Outcome":
        """Read an outcome in either spelling: ``no-answer`` or ``no_answer``, ``canceled`` or ``cancelled``.

        Raises ValueError naming the word and the ones that would be right.
        """
        spelled = word.strip().lower().replace("_", "-")
        spelled = {"cancelled": "canceled", "machine": "voicemail"}.get(spelled, spelled)
        try:
            return cls(spelled)
        except ValueError:
            raise ValueError(f"{word!r} is not an outcome; use one of {', '.join(cls)}") from None


class SummaryStatus(StrEnum):
    """How a whole call ended; None while it lives."""

    COMPLETED = "completed"
    ALL_RETRIES_EXHAUSTED = "all_retries_exhausted"
    VOICEMAIL_FINAL = "voicemail_final"
    NOT_RETRYABLE = "not_retryable"
    CANCELED = "canceled"
    BLOCKED = "blocked"
    EXPIRED = "expired"


class Amd(StrEnum):
    """What answering-machine detection reports, merged over the vendors' vocabularies."""

    HUMAN = "human"
    MACHINE = "machine"
    FAX = "fax"
    UNKNOWN = "unknown"

    @property
    def is_machine(self) -> bool:
        """True where no person was on the line; ``unknown`` counts as a person, as Telnyx advises."""
        return self in (Amd.MACHINE, Amd.FAX)
