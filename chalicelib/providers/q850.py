"""Q.850 causes by code and by name, for vendors that pass them on.

Each cause maps to the outcome of an attempt.
"""

import re

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.words import spelled

#: The causes: code, outcome, names. Names are spelled with hyphens. FreeSWITCH's name is first; Exotel's and ITU-T's
#: follow if they differ (ITU-T Q.850; developer.signalwire.com/freeswitch/reference/hangup-causes;
#: support.exotel.com/support/solutions/articles/3000087475). FreeSWITCH's own causes have no code here, because its
#: numbers above 127 are SIP's. 31 and 127 (unspecified) and ALLOTTED_TIMEOUT (of the ringing, or of the call) are not
#: here, because the vendor's word says more.
_CAUSES: tuple[tuple[int | None, Outcome, tuple[str, ...]], ...] = (
    (1, Outcome.INVALID_NUMBER, ("unallocated-number", "unassigned-number")),
    (2, Outcome.FAILED, ("no-route-transit-net", "no-route-to-network")),
    (3, Outcome.FAILED, ("no-route-destination", "no-route-to-destination")),
    (4, Outcome.FAILED, ("send-special-tone", "special-information-tone")),
    (5, Outcome.INVALID_NUMBER, ("misdialed-trunk-prefix",)),
    (6, Outcome.FAILED, ("channel-unacceptable",)),
    (16, Outcome.COMPLETED, ("normal-clearing", "normal-call-clearing")),  # it ends a call that was answered
    (17, Outcome.BUSY, ("user-busy",)),
    (18, Outcome.NO_ANSWER, ("no-user-response", "no-user-responding")),
    (19, Outcome.NO_ANSWER, ("no-answer", "no-answer-from-user", "user-alerting-no-answer")),
    (20, Outcome.NO_ANSWER, ("subscriber-absent",)),
    (21, Outcome.REJECTED, ("call-rejected",)),
    (22, Outcome.INVALID_NUMBER, ("number-changed",)),
    (25, Outcome.FAILED, ("exchange-routing-error",)),
    (27, Outcome.FAILED, ("destination-out-of-order",)),
    (28, Outcome.INVALID_NUMBER, ("invalid-number-format", "address-incomplete")),
    (29, Outcome.FAILED, ("facility-rejected",)),
    (34, Outcome.FAILED, ("normal-circuit-congestion", "no-circuit-available")),
    (38, Outcome.FAILED, ("network-out-of-order",)),
    (41, Outcome.FAILED, ("normal-temporary-failure", "temporary-failure")),
    (42, Outcome.FAILED, ("switch-congestion", "switching-equipment-congestion")),
    (44, Outcome.FAILED, ("requested-chan-unavail", "requested-channel-not-available")),
    (47, Outcome.FAILED, ("resource-unavailable",)),
    (50, Outcome.FAILED, ("facility-not-subscribed",)),
    (52, Outcome.DND, ("outgoing-call-barred",)),
    (53, Outcome.DND, ("outgoing-calls-barred-within-cug",)),
    (54, Outcome.DND, ("incoming-call-barred",)),
    (55, Outcome.DND, ("incoming-calls-barred-within-cug",)),
    (57, Outcome.FAILED, ("bearercapability-notauth", "bearer-capability-not-authorized")),
    (58, Outcome.FAILED, ("bearercapability-notavail", "bearer-capability-not-available")),
    (63, Outcome.FAILED, ("service-unavailable",)),
    (88, Outcome.FAILED, ("incompatible-destination",)),
    (102, Outcome.NO_ANSWER, ("recovery-on-timer-expire", "recovery-on-timer-expiry")),  # as SIP 408 is
    (111, Outcome.FAILED, ("protocol-error",)),
    (None, Outcome.CANCELED, ("originator-cancel", "lose-race")),
    (None, Outcome.NO_ANSWER, ("progress-timeout", "user-not-registered")),
    (None, Outcome.REJECTED, ("unwanted",)),  # as SIP 607 is
)

#: The outcomes by name
CAUSES = {name: outcome for _, outcome, names in _CAUSES for name in names}
#: The outcomes by code
CODES = {code: outcome for code, outcome, _ in _CAUSES if code is not None}

#: The code alone (``17``), or SIP's Reason header: ``Q.850;cause=17;text="User busy"`` (RFC 3326)
_CODE = re.compile(r"([0-9]{1,3})|q\.?850\s*;.*\bcause\s*=\s*([0-9]{1,3})\b.*", re.IGNORECASE)


def outcome_of_cause(text: str | None) -> Outcome | None:
    """Return the outcome of a cause; None if the text is not a known cause.

    The text is the cause's name in any spelling, or its code.
    """
    text = (text or "").strip()[:200]
    code = _CODE.fullmatch(text)
    return CODES.get(int(code[1] or code[2])) if code else CAUSES.get(spelled(text) or "")
