"""The words that vendors share."""

import pytest

from chalicelib.domain.events import Leg
from chalicelib.providers.words import leg_of


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
