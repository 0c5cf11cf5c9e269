"""Q.850 causes in every spelling that vendors pass on."""

import pytest

from chalicelib.domain.outcome import Outcome
from chalicelib.providers.plivo_causes import CAUSE_NAMES, HANGUP_CAUSES
from chalicelib.providers.q850 import CAUSES, CODES, outcome_of_cause

#: Names that Plivo has for causes of its own. Where it says more than Q.850 its word counts.
BOTH = {"no-answer", "unallocated-number"}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("17", Outcome.BUSY),
        (" 017 ", Outcome.BUSY),
        ("USER_BUSY", Outcome.BUSY),
        ("User Busy", Outcome.BUSY),
        ('Q.850;cause=17;text="User busy"', Outcome.BUSY),
        ("q850; cause = 1", Outcome.INVALID_NUMBER),
        ("NORMAL_CALL_CLEARING", Outcome.COMPLETED),
        ("16", Outcome.COMPLETED),
        ("NO_ROUTE_TO_DESTINATION", Outcome.FAILED),
        ("127", None),
        ("486", None),  # SIP's
        ("4000", None),  # Plivo's
        ("SIP;cause=486", None),
        ("ALLOTTED_TIMEOUT", None),
        ("as yet unknown", None),
        ("", None),
        (None, None),
    ],
)
def test_a_cause_is_read_by_its_name_or_its_code(text: str | None, outcome: Outcome | None):
    assert outcome_of_cause(text) is outcome


def test_each_code_says_what_its_names_say():
    assert len(CODES) == 34
    assert {outcome_of_cause(str(code)) for code in CODES} <= set(CAUSES.values())


def test_a_name_stands_in_one_table():
    assert CAUSE_NAMES.keys() & CAUSES.keys() == BOTH
    assert all(HANGUP_CAUSES[CAUSE_NAMES[name]] is CAUSES[name] for name in BOTH)
