"""What Plivo's hangup causes mean, by their codes and by their names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.outcome import Outcome

#: HangupCauseCode -> how the call ended. It goes before CallStatus, on which Plivo's pages disagree: hangups with
#: CallStatus=completed carry 3000, 3010 and 6010 too (docs.plivo.com/docs/voice/troubleshooting/hangup-causes)
HANGUP_CAUSES = {
    "1000": Outcome.CANCELED,
    "2000": Outcome.INVALID_NUMBER,
    "2010": Outcome.FAILED,  # "out of service", but also "unavailable", and the advice is to try later
    "2020": Outcome.NO_ANSWER,  # the SIP endpoint is offline, as a phone that is switched off
    "2030": Outcome.DND,  # barred: the country is not among the account's, nor are
    "2040": Outcome.DND,  # premium numbers or
    "2050": Outcome.DND,  # that prefix. The calls to all others go on
    "2060": Outcome.FAILED,  # loop
    "2070": Outcome.FAILED,  # media anchoring, India
    "3000": Outcome.NO_ANSWER,
    "3010": Outcome.BUSY,
    "3020": Outcome.REJECTED,
    "3030": Outcome.FAILED,  # unknown caller id: some carriers refuse what others put through
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
    # Our answer URL or its XML was at fault; after somebody had picked up, the answer counts and not this cause
    **dict.fromkeys(map(str, (*range(7011, 7015), *range(7022, 7035), *range(8011, 8015))), Outcome.FAILED),
    "9000": Outcome.CANCELED,  # lost race: another of the numbers answered first
    "9100": Outcome.VOICEMAIL,
}

#: HangupCauseCode for which the account is to blame, or its pace; same page
ACCOUNT_FAULTS = frozenset(
    {
        "1010",  # out of credits
        "1020",  # too many dials at once
        "5030",  # too many calls at once, of a vendor in India that has Plivo's API
        "3140",  # our caller id is on the Do Not Originate list, whomever we call
    }
)

#: HangupCauseCode -> the outcome of a call that nobody had answered, for causes that leave that open
UNTOLD = {
    "0": Outcome.FAILED,  # unknown; also set by the API that ends all calls
    "6020": Outcome.FAILED,  # no media; after an answer somebody was there
}

#: What a hangup calls its cause, in lower case with hyphens -> HangupCauseCode, for hangups that name no code. First
#: the names of Plivo's page (HangupCauseName), then FreeSWITCH's, which HangupCause has (Q.850).
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
    "originator-cancel": "1000",
    "invalid-number": "2000",
    "invalid-number-format": "2000",
    "number-changed": "2000",
    "no-route-destination": "2000",
    "destination-out-of-order": "2010",
    "user-not-registered": "2020",
    "subscriber-absent": "2020",
    "outgoing-call-barred": "2040",
    "incoming-call-barred": "2040",
    "no-user-response": "3000",
    "user-busy": "3010",
    "call-rejected": "3020",
    "recovery-on-timer-expire": "3070",
    "progress-timeout": "3070",
    "normal-temporary-failure": "3080",
    "service-unavailable": "3080",
    "normal-circuit-congestion": "3090",
    "switch-congestion": "3090",
    "unwanted": "3130",
    "normal-clearing": "4000",
    "network-out-of-order": "5000",
    "protocol-error": "5000",
    "server-error": "5010",
    "exchange-routing-error": "5020",
    "allotted-timeout": "6000",
    "lose-race": "9000",
}

_KNOWN = {*HANGUP_CAUSES, *ACCOUNT_FAULTS, *UNTOLD}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_CODE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Cause:
    """A hangup's cause. ``is_named`` where the code follows from a name and was not sent."""

    code: str | None
    is_named: bool = False


def cause_in(fields: Mapping[str, str]) -> Cause:
    """Return the cause that a hangup gives: its code, else its name in any spelling.

    A code that is none of Plivo's (vendors that have Plivo's API send Q.850's 16 or SIP's 486) leaves it to the name.
    """
    given = fields.get("HangupCauseCode", "").strip()
    code = str(int(given)) if _CODE.fullmatch(given) else None
    if code in _KNOWN:
        return Cause(code)
    names = (_spelled(fields.get(key, "")) for key in ("HangupCauseName", "HangupCause"))
    named = next((CAUSE_NAMES[name] for name in names if name in CAUSE_NAMES), None)
    return Cause(named, is_named=True) if named is not None else Cause(code)


def _spelled(name: str) -> str:
    return _SEPARATORS.sub("-", name.lower()).strip("-").replace("cancelled", "canceled")
