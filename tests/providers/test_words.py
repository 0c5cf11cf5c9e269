"""The words that vendors share."""

import pytest

from chalicelib.domain.events import Leg
from chalicelib.providers.words import leg_of, whole_seconds


@pytest.mark.parametrize(
    ("direction", "parent", "leg"),
    [
        ("outbound-api", None, Leg.OUTGOING),
        ("Outbound_API", "", Leg.OUTGOING),
        ("outgoing", None, Leg.OUTGOING),
        ("outbound-dial", None, Leg.OTHER),
        ("outbound-api", "CA7", Leg.OTHER),
        ("bridging", None, Leg.OTHER),
        ("inbound", None, Leg.INBOUND),
        ("incoming", None, Leg.INBOUND),
        (None, None, Leg.UNKNOWN),
        ("sideways", None, Leg.UNKNOWN),
        (None, "CA7", Leg.OTHER),
    ],
)
def test_a_direction_names_a_leg(direction: str | None, parent: str | None, leg: Leg) -> None:
    assert leg_of(direction, parent) is leg


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("24", 24),
        (" 24 ", 24),
        ("24.2", 25),
        ("24.0", 24),
        ("0.0", 0),
        ("00:00:00", 0),
        ("00:01:24", 84),
        ("1:00:00", 3600),
        ("", None),
        (None, None),
        ("0:61:00", None),
        ("01:24", None),
        ("-5", None),
        ("1e3", None),
        ("NaN", None),
        ("\u0661\u0662", None),
    ],
)
def test_a_duration_is_read_in_each_spelling(text: str | None, seconds: int | None) -> None:
    assert whole_seconds(text) == seconds
