"""The numbers that a workspace may dial."""

import pytest

from chalicelib.domain.destinations import calling_code, entries, entry, refusal

FROM = "+14155550100"
ORDINARY = ["+16505550199", "+919876543210", "+447911123456", "+4915112345678", "+18005550199", "+33612345678"]
#: numbers of ranges that cost far more than a usual call -> the words of the refusal
COSTLY = {
    "+19005550199": "premium-rate",
    "+449098790000": "premium-rate",
    "+33899123456": "premium-rate",
    "+611900123456": "premium-rate",
    "+979123456789": "international premium-rate",
    "+870776123456": "satellite",
    "+881612345678": "satellite",
    "+882163123456": "satellite",
    "+883510012345": "satellite",
    "+491803123456": "shared-cost",
    "+611300123456": "shared-cost",
    "+80812345678": "shared-cost",
    "+447012345678": "personal",
    "+15005550006": "personal",
    "+878101234567890": "personal",
    "+80012345678": "freephone",
    "+448001111111": "foreign toll-free",
    "+2471234567": "UAN",
    # calling codes that are assigned to no country, those of the old satellite network among them
    "+871123456789": "no country's calling code",
    "+874123456789": "no country's calling code",
    "+210123456789": "no country's calling code",
    "+999123456789": "no country's calling code",
    # one digit too many, and the first one is the country's trunk prefix
    "+780912345671": "premium-rate",
    "+370808123451": "shared-cost",
    # one digit or two more than the network needs
    "+1900555019912": "premium-rate",
    "+4490987900001": "premium-rate",
}


@pytest.mark.parametrize("number", ORDINARY)
def test_an_ordinary_number_may_be_dialled_unless_a_list_leaves_it_out(number: str) -> None:
    assert refusal(number, FROM, None) is None
    assert refusal(number, FROM, ("any",)) is None
    assert refusal(number, FROM, ("+1", "+91", "+4", "FR")) is None
    said = refusal(number, FROM, ("+81", "JP"))
    assert said == "is not in the workspace's allowed destinations (+81, JP)"


@pytest.mark.parametrize(("number", "kind"), COSTLY.items())
def test_a_costly_range_is_refused_unless_a_prefix_inside_it_is_allowed(number: str, kind: str) -> None:
    code = calling_code(number)
    for allowed in (None, ("any",), ("US", "GB", "DE", "AU", "FR", "any")):
        assert kind in (refusal(number, FROM, allowed) or "")
    assert refusal(number, FROM, ("any", number[: len(code) + 2])) is None
    if kind != "no country's calling code" and not code.startswith(("+8", "+97")):
        assert kind in (refusal(number, FROM, ("any", code)) or "")


def test_a_country_is_no_other_country_of_its_calling_code() -> None:
    jamaica = "+18765550123"
    assert refusal(jamaica, FROM, ("+1",)) is None
    assert refusal(jamaica, FROM, ("JM",)) is None
    assert refusal(jamaica, FROM, ("US", "CA")) is not None


def test_a_satellite_network_is_allowed_by_its_code() -> None:
    assert refusal("+870776123456", FROM, ("+870",)) is None
    assert refusal("+871123456789", FROM, ("+871",)) is None
    assert refusal("+871123456789", FROM, ("+87",)) is not None
    assert refusal("+881612345678", FROM, ("+870",)) is not None


@pytest.mark.parametrize("text", ["1", "+", "+0", "USA", "XX", "", "+1 650", "everything", "+" + "1" * 16])
def test_what_is_no_destination_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="neither a prefix such as"):
        entry(text)


def test_a_list_is_read_once_each_in_its_own_spelling() -> None:
    assert entries(" +1 ,us,US,ANY,+1") == ("+1", "US", "any")
    with pytest.raises(ValueError, match="0 destinations; give 1 to 100"):
        entries(" , ")
    with pytest.raises(ValueError, match="101 destinations"):
        entries(",".join(f"+1{number}" for number in range(101)))
