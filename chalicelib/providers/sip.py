"""SIP response codes, each with the outcome of an attempt.

They count only if the provider itself gives no clearer word.
"""

from chalicelib.domain.outcome import Outcome

#: The outcomes by SIP response, after RFC 3261 section 21 and the way in which Asterisk pairs SIP with Q.850 causes
#: (docs.asterisk.org/Configuration/Miscellaneous/Hangup-Cause-Mappings). Every other code from 300 is FAILED. A
#: provider's own code or status goes first, because some providers answer 486 or 404 for a fault of the account.
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
    487: Outcome.NO_ANSWER,  # the INVITE was withdrawn by our ring timeout; a cancel has its own status
    403: Outcome.REJECTED,
    603: Outcome.REJECTED,
    607: Outcome.REJECTED,  # Unwanted (RFC 8197): the person, or their phone, calls it spam
    608: Outcome.REJECTED,  # Rejected by an analytics service on the way (RFC 8688)
}


def outcome_of_sip(code: int | None) -> Outcome | None:
    """Return the outcome of a final SIP response, such as 486.

    None if there is none, or if it is not a failure.
    """
    if code is None or not 300 <= code <= 699:
        return None
    return SIP_OUTCOMES.get(code, Outcome.FAILED)
