"""What a SIP response code says of an attempt, for want of a better word from the provider itself."""

from chalicelib.domain.outcome import Outcome

#: SIP response -> outcome, after RFC 3261 section 21 and the way Asterisk pairs SIP with Q.850 causes
#: (docs.asterisk.org/Configuration/Miscellaneous/Hangup-Cause-Mappings). Whatever is not here and is 300 or
#: more is FAILED. A provider's own code or status goes first: some answer 486 or 404 for an account's faults.
SIP_OUTCOMES = {
    404: Outcome.INVALID_NUMBER,
    410: Outcome.INVALID_NUMBER,  # Gone: Q.850 22, the number was changed
    484: Outcome.INVALID_NUMBER,  # Address Incomplete: digits are missing
    485: Outcome.INVALID_NUMBER,  # Ambiguous: Q.850 1, as 404
    604: Outcome.INVALID_NUMBER,
    486: Outcome.BUSY,
    600: Outcome.BUSY,
    408: Outcome.NO_ANSWER,  # the far end never replied; Q.850 18, no user responding
    480: Outcome.NO_ANSWER,  # phone off or out of reach; Q.850 19
    487: Outcome.NO_ANSWER,  # the INVITE was withdrawn: our ring timeout, for a cancel has its own status
    403: Outcome.REJECTED,
    603: Outcome.REJECTED,
    607: Outcome.REJECTED,  # Unwanted (RFC 8197): the person, or their phone, calls it spam
    608: Outcome.REJECTED,  # Rejected by an analytics service on the way (RFC 8688)
}


def outcome_of_sip(code: int | None) -> Outcome | None:
    """The outcome of a final SIP response, such as 486; None where there is none or it is no failure."""
    if code is None or not 300 <= code <= 699:
        return None
    return SIP_OUTCOMES.get(code, Outcome.FAILED)
