"""The names of Q.850 causes, as FreeSWITCH writes them and vendors pass them on, and what each says of an attempt."""

from chalicelib.domain.outcome import Outcome

#: cause, spelled with hyphens -> outcome (ITU-T Q.850; developer.signalwire.com/freeswitch, Hangup Cause Code Table)
CAUSES = {
    "normal-clearing": Outcome.COMPLETED,  # 16, which ends a call that was answered
    "user-busy": Outcome.BUSY,
    "no-user-response": Outcome.NO_ANSWER,
    "no-answer": Outcome.NO_ANSWER,
    "subscriber-absent": Outcome.NO_ANSWER,
    "progress-timeout": Outcome.NO_ANSWER,
    "allotted-timeout": Outcome.NO_ANSWER,
    "recovery-on-timer-expire": Outcome.NO_ANSWER,  # 102, as SIP 408 is
    "call-rejected": Outcome.REJECTED,
    "unallocated-number": Outcome.INVALID_NUMBER,
    "number-changed": Outcome.INVALID_NUMBER,
    "invalid-number-format": Outcome.INVALID_NUMBER,
    "originator-cancel": Outcome.CANCELED,
    "no-route-destination": Outcome.FAILED,
    "destination-out-of-order": Outcome.FAILED,
    "network-out-of-order": Outcome.FAILED,
    "normal-temporary-failure": Outcome.FAILED,
    "normal-circuit-congestion": Outcome.FAILED,
    "switch-congestion": Outcome.FAILED,
}
