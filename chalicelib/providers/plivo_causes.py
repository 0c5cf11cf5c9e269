"""The meaning of Plivo's hangup causes, by code and by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.q850 import outcome_of_cause
from chalicelib.providers.sip import outcome_of_sip

#: The outcome by HangupCauseCode. The code goes before CallStatus, because Plivo's pages disagree on CallStatus:
#: hangups with CallStatus=completed have 3000, 3010 and 6010 too
#: (docs.plivo.com/docs/voice/troubleshooting/hangup-causes).
HANGUP_CAUSES = {
    "1000": Outcome.CANCELED,
    "2000": Outcome.INVALID_NUMBER,
    "2010": Outcome.FAILED,  # "out of service", but also "unavailable", and the advice is to try later
    "2020": Outcome.NO_ANSWER,  # the SIP endpoint is offline, like a phone that is switched off
    "2030": Outcome.DND,  # barred: the account does not include the country,
    "2040": Outcome.DND,  # premium numbers, or
    "2050": Outcome.DND,  # that prefix. The calls to all other numbers go on
    "2060": Outcome.FAILED,  # loop
    "2070": Outcome.FAILED,  # media anchoring, India
    "3000": Outcome.NO_ANSWER,
    "3010": Outcome.BUSY,
    "3020": Outcome.REJECTED,
    "3030": Outcome.FAILED,  # unknown caller id: some carriers refuse what other carriers accept
    "3040": Outcome.DND,  # forbidden
    "3050": Outcome.INVALID_NUMBER,  # unallocated
    "3070": Outcome.NO_ANSWER,
    "3080": Outcome.FAILED,
    "3090": Outcome.FAILED,
    "3100": Outcome.BUSY,
    "3110": Outcome.REJECTED,
    "3120": Outcome.INVALID_NUMBER,  # exists nowhere
    "3130": Outcome.DND,  # blocked as spam
    "4000": Outcome.COMPLETED,
    "4010": Outcome.COMPLETED,
    "4020": Outcome.COMPLETED,
    "4030": Outcome.COMPLETED,
    "5000": Outcome.FAILED,
    "5010": Outcome.FAILED,
    "5020": Outcome.FAILED,
    "6000": Outcome.COMPLETED,  # our own time limit
    "6010": Outcome.NO_ANSWER,  # our own ring timeout
    # Our answer URL or its XML was at fault. After somebody has picked up, the answer counts and not this cause.
    **dict.fromkeys(map(str, (*range(7011, 7015), *range(7022, 7035), *range(8011, 8015))), Outcome.FAILED),
    "9000": Outcome.CANCELED,  # lost race: another of the numbers answered first
    "9100": Outcome.VOICEMAIL,
}

#: The HangupCauseCodes that blame the account, or its rate and concurrency limits (same page)
ACCOUNT_FAULTS = frozenset(
    {
        "1010",  # out of credits
        "1020",  # too many concurrent dials
        "5030",  # too many concurrent calls, at a vendor in India that has Plivo's API
        "3140",  # our caller id is on the Do Not Originate list, for every number called
    }
)

#: The outcome of a call that nobody answered, by HangupCauseCode, for causes that do not say whether somebody answered
UNANSWERED = {
    "0": Outcome.FAILED,  # unknown; also set by the API that ends all calls
    "6020": Outcome.FAILED,  # no media; after an answer somebody was there
}

#: The HangupCauseCode by the cause's name, for hangups without a code. The names are those of HangupCauseName on
#: Plivo's page, in lower case with hyphens. HangupCause has FreeSWITCH's names: see q850.
CAUSE_NAMES = {
    "unknown": "0",
    "canceled": "1000",
    "canceled-out-of-credits": "1010",
    "out-of-credits": "1010",
    "canceled-simultaneous-dial-limit-reached": "1020",
    "simultaneous-dial-limit-reached": "1020",
    "simultaneous-dial-limit": "1020",
    "invalid-destination-address": "2000",
    "invalid-destination": "2000",
    "destination-out-of-service": "2010",
    "endpoint-not-registered": "2020",
    "destination-country-barred": "2030",
    "country-barred": "2030",
    "destination-number-barred": "2040",
    "number-barred": "2040",
    "destination-prefix-barred": "2050",
    "prefix-barred": "2050",
    "loop-detected": "2060",
    "loop": "2060",
    "violates-media-anchoring": "2070",
    "media-anchoring": "2070",
    "no-answer": "3000",
    "busy-line": "3010",
    "busy": "3010",
    "rejected": "3020",
    "unknown-caller-id": "3030",
    "forbidden": "3040",
    "unallocated-number": "3050",
    "request-timeout": "3070",
    "internal-server-error-from-carrier": "3080",
    "carrier-internal-error": "3080",
    "network-congestion-from-carrier": "3090",
    "carrier-congestion": "3090",
    "busy-everywhere": "3100",
    "declined": "3110",
    "user-does-not-exist-anywhere": "3120",
    "spam-block": "3130",
    "dno-caller-id": "3140",
    "normal-hangup": "4000",
    "end-of-xml-instructions": "4010",
    "multiparty-call-ended": "4020",
    "kicked-out-of-multiparty-call": "4030",
    "network-error": "5000",
    "internal-error": "5010",
    "routing-error": "5020",
    "concurrency-limit-breached": "5030",
    "scheduled-hangup": "6000",
    "ring-timeout-reached": "6010",
    "ring-timeout": "6010",
    "media-timeout": "6020",
    "error-reaching-answer-url": "7011",
    "error-reaching-action-url": "7012",
    "error-reaching-transfer-url": "7013",
    "error-reaching-redirect-url": "7014",
    "invalid-action-url": "7022",
    "invalid-transfer-url": "7023",
    "invalid-redirect-url": "7024",
    "invalid-method-for-action-url": "7032",
    "invalid-method-for-transfer-url": "7033",
    "invalid-method-for-redirect-url": "7034",
    "invalid-answer-xml": "8011",
    "invalid-action-xml": "8012",
    "invalid-transfer-xml": "8013",
    "invalid-redirect-xml": "8014",
    "lost-race": "9000",
    "machine-detected": "9100",
    # Seen in callbacks, and on no page
    "invalid-number": "2000",
    "server-error": "5010",
}

_KNOWN = {*HANGUP_CAUSES, *ACCOUNT_FAULTS, *UNANSWERED}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_CODE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Cause:
    """A hangup's cause and its outcome.

    ``is_named`` is True if the hangup sent no code of Plivo's. ``code`` is then Plivo's code for the cause's name, or
    the cause of Q.850 or SIP as the vendor wrote it.
    """

    code: str | None
    outcome: Outcome | None = None
    is_named: bool = False


def cause_in(fields: Mapping[str, str]) -> Cause:
    """Return the cause of a hangup.

    Plivo's code goes first, then the cause's name in any spelling, then a cause of Q.850 or SIP. Vendors that have
    Plivo's API send Q.850's 16 or SIP's 486 as the code.
    """
    given = fields.get("HangupCauseCode", "").strip()
    code = str(int(given)) if _CODE.fullmatch(given) else None
    if code in _KNOWN:
        return Cause(code, HANGUP_CAUSES.get(code))
    texts = [fields.get(key, "") for key in ("HangupCauseName", "HangupCause")]
    named = next((CAUSE_NAMES[name] for text in texts if (name := _spelled(text)) in CAUSE_NAMES), None)
    if named is not None:
        return Cause(named, HANGUP_CAUSES.get(named), is_named=True)
    for text in (*texts, given):
        outcome = outcome_of_cause(text)
        if outcome is not None:
            return Cause(_spelled(text)[:64], outcome, is_named=True)
    return Cause(code, outcome_of_sip(int(code)) if code else None, is_named=True)


def _spelled(name: str) -> str:
    return _SEPARATORS.sub("-", name.lower()).strip("-").replace("cancelled", "canceled")
