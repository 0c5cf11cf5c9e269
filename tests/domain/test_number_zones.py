"""The possible zones of a number: difficult rows, and all area codes."""

from datetime import UTC, datetime

import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType, example_number_for_type, format_number
from phonenumbers.phonenumberutil import SUPPORTED_REGIONS
from phonenumbers.tzdata import TIMEZONE_DATA

from chalicelib.domain.number_zone_tables import ALSO, CORRECTED, MISPLACED, OVERLAYS, RENAMED
from chalicelib.domain.number_zones import contact_zones, zones_of
from chalicelib.domain.zones import zone, zones_by_country

CHILE = ("America/Coyhaique", "America/Punta_Arenas", "America/Santiago")
_ALL_OF_250 = (
    "America/Creston",
    "America/Dawson_Creek",
    "America/Edmonton",
    "America/Fort_Nelson",
    "America/Vancouver",
)
CENTRAL_AND_MOUNTAIN = ("America/Chicago", "America/Denver")
CENTRAL_AND_EASTERN = ("America/Chicago", "America/New_York")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+919876543210", ("Asia/Kolkata",)),
        ("+14155552671", ("America/Los_Angeles",)),
        ("+12085551234", ("America/Boise", "America/Los_Angeles")),
        ("+34612345678", ("Atlantic/Canary", "Europe/Madrid")),
        # the five countries that the library's map has wrong
        ("+212612345678", ("Africa/Casablanca", "Africa/El_Aaiun")),
        ("+213551234567", ("Africa/Algiers",)),
        ("+218912345678", ("Africa/Tripoli",)),
        ("+50581234567", ("America/Managua",)),
        ("+211977123456", ("Africa/Juba",)),
        ("+74012123456", ("Europe/Kaliningrad",)),
        # countries for which the map has too few zones
        ("+6281234567890", ("Asia/Jakarta", "Asia/Jayapura", "Asia/Makassar")),
        ("+62411123456", ("Asia/Makassar",)),
        ("+18502345678", ("America/Chicago", "America/New_York")),
        ("+14232345678", ("America/Chicago", "America/New_York")),
        ("+67570123456", ("Pacific/Bougainville", "Pacific/Port_Moresby")),
        # Queensland, and the rest of Australia's fixed numbers
        ("+61731234567", ("Australia/Brisbane",)),
        ("+61740123456", ("Australia/Brisbane",)),
        ("+61755123456", ("Australia/Brisbane",)),
        ("+61889991234", ("Australia/Darwin",)),
        ("+61880871234", ("Australia/Broken_Hill",)),
        ("+61882345678", ("Australia/Adelaide",)),
        ("+61893456789", ("Australia/Perth",)),
        ("+61265632001", ("Australia/Lord_Howe",)),
        # overlays have the zones of the codes that they cover
        ("+16892345678", ("America/New_York",)),
        ("+19302345678", CENTRAL_AND_EASTERN),
        ("+13642345678", CENTRAL_AND_EASTERN),
        ("+14742345678", ("America/Regina",)),
        ("+14582345678", ("America/Boise", "America/Los_Angeles")),
        ("+18792345678", ("America/Halifax", "America/St_Johns")),
        ("+15812345678", ("America/Blanc-Sablon", "America/Halifax", "America/Toronto")),
        # area codes that the library does not know yet
        ("+14832345678", ("America/Chicago",)),
        ("+17292345678", CENTRAL_AND_EASTERN),
        # Mexico
        ("+526141234567", ("America/Chihuahua",)),
        ("+526251234567", ("America/Chihuahua",)),
        ("+526271234567", ("America/Chihuahua",)),
        ("+526361234567", ("America/Chihuahua",)),
        ("+526391234567", ("America/Chihuahua",)),
        ("+526561234567", ("America/Ciudad_Juarez",)),
        ("+528681234567", ("America/Matamoros",)),
        ("+528671234567", ("America/Matamoros",)),
        ("+526621234567", ("America/Hermosillo",)),
        ("+529981234567", ("America/Cancun",)),
        ("+525512345678", ("America/Mexico_City",)),
        # Russia, Kazakhstan, Mongolia, Congo
        ("+78452123456", ("Europe/Saratov",)),
        ("+78412123456", ("Europe/Moscow",)),
        ("+74112123456", ("Asia/Srednekolymsk", "Asia/Ust-Nera", "Asia/Yakutsk")),
        ("+77011234567", ("Asia/Almaty", "Asia/Aqtobe")),
        ("+97699112233", ("Asia/Hovd", "Asia/Ulaanbaatar")),
        ("+243812345678", ("Africa/Kinshasa", "Africa/Lubumbashi")),
        # Chile and its islands, Ecuador's, Portugal's, Spain's
        ("+56612123456", CHILE),
        ("+56672123456", CHILE),
        ("+56961234567", (*CHILE, "Pacific/Easter")),
        ("+56322100123", ("Pacific/Easter",)),
        ("+56322123456", ("America/Santiago",)),
        ("+593991234567", ("America/Guayaquil", "Pacific/Galapagos")),
        ("+59352520123", ("America/Guayaquil", "Pacific/Galapagos")),
        ("+351295123456", ("Atlantic/Azores",)),
        ("+351912345678", ("Atlantic/Azores", "Europe/Lisbon")),
        ("+34928123456", ("Atlantic/Canary",)),
        # Canada's exchanges
        ("+12507821234", ("America/Dawson_Creek",)),
        ("+12507851234", ("America/Dawson_Creek",)),
        ("+12507741234", ("America/Fort_Nelson",)),
        ("+12504281234", ("America/Creston",)),
        # exchanges without a row, in codes that are split
        ("+12503811234", _ALL_OF_250),
        ("+15413451234", ("America/Boise", "America/Los_Angeles")),
        ("+15742341234", CENTRAL_AND_EASTERN),
        ("+16202311234", CENTRAL_AND_MOUNTAIN),
        ("+17852321234", CENTRAL_AND_MOUNTAIN),
        ("+18073451234", ("America/Atikokan", "America/Toronto", "America/Winnipeg")),
        ("+19062251234", CENTRAL_AND_EASTERN),
        ("+19282131234", ("America/Denver", "America/Phoenix")),
        ("+18679251234", ("America/Atikokan",)),
        ("+18672521234", ("America/Resolute",)),
        ("+18679831234", ("America/Cambridge_Bay",)),
        ("+18679791234", ("America/Iqaluit",)),
        ("+18676451234", ("America/Rankin_Inlet",)),
        ("+18676681234", ("America/Whitehorse",)),
        ("+18676691234", ("America/Edmonton",)),
        ("+18075971234", ("America/Atikokan",)),
        # islands
        ("+6759731234", ("Pacific/Bougainville",)),
        ("+68940978200", ("Pacific/Gambier", "Pacific/Tahiti")),
        ("+68940920123", ("Pacific/Marquesas",)),
        ("+68940410123", ("Pacific/Tahiti",)),
        ("+6433050123", ("Pacific/Chatham",)),
        ("+6433071234", ("Pacific/Auckland",)),
        ("+672322345", ("Pacific/Norfolk",)),
        ("+16713001234", ("Pacific/Guam",)),
        ("+16702345678", ("Pacific/Saipan",)),
        ("+16846221234", ("Pacific/Pago_Pago",)),
        ("+18082345678", ("Pacific/Honolulu",)),
        ("+19075921234", ("America/Adak",)),
        ("+19075811234", ("America/Anchorage",)),
        # Brazil
        ("+559734121234", ("America/Eirunepe",)),
        ("+5597991234567", ("America/Eirunepe", "America/Manaus")),
        ("+5591988887777", ("America/Sao_Paulo",)),
        ("+5592988887777", ("America/Manaus",)),
        ("+5581988887777", ("America/Noronha", "America/Sao_Paulo")),
        ("+558136191234", ("America/Noronha",)),
        # countries of one zone within a shared code, mobiles too
        ("+18763211234", ("America/Jamaica",)),
        ("+18682911234", ("America/Port_of_Spain",)),
        ("+12462301234", ("America/Barbados",)),
        ("+12423221234", ("America/Nassau",)),
        ("+14412921234", ("Atlantic/Bermuda",)),
        ("+447911123456", ("Europe/Guernsey",)),
        ("+447781123456", ("Europe/Guernsey",)),
        ("+390612345678", ("Europe/Rome",)),
        ("+970599123456", ("Asia/Gaza", "Asia/Hebron")),
        # no zone is known
        ("+870773111632", ()),
        ("+15550001111", ()),
        ("+21261", ()),
        ("not a number", ()),
    ],
)
def test_a_number_has_every_zone_that_it_can_be_in(number: str, expected: tuple[str, ...]) -> None:
    assert zones_of(number) == expected


def test_a_mobile_of_a_wide_country_is_in_all_of_its_zones() -> None:
    assert {"Australia/Darwin", "Australia/Perth", "Australia/Sydney"} < set(zones_of("+61412345678"))
    russian = zones_of("+79161234567")
    assert {"Europe/Kaliningrad", "Asia/Kamchatka"} < set(russian)
    assert "Europe/Bucharest" not in russian


def test_the_contacts_own_zone_wins_over_its_number() -> None:
    assert contact_zones("Europe/Paris", "+919876543210") == ("Europe/Paris",)
    assert contact_zones(None, "+919876543210") == ("Asia/Kolkata",)
    assert contact_zones("", "+919876543210") == ("Asia/Kolkata",)


def test_every_zone_of_the_map_and_of_the_tables_is_one_that_tzdata_has() -> None:
    mapped = {name for names in TIMEZONE_DATA.values() for name in names}
    tables = {name for names in (*CORRECTED.values(), *ALSO.values()) for name in names}
    for name in {RENAMED.get(one, one) for one in mapped | tables | set(MISPLACED.values())}:
        assert zone(name).key == name
    assert set(RENAMED) <= mapped


def test_a_renamed_zone_shows_the_same_time() -> None:
    for old, new in RENAMED.items():
        for year in range(2016, 2037):
            for month in (1, 4, 7, 10):
                instant = datetime(year, month, 1, tzinfo=UTC)
                assert instant.astimezone(zone(old)).utcoffset() == instant.astimezone(zone(new)).utcoffset()


def _area_rows(area: str) -> set[str]:
    rows = {name for key, names in TIMEZONE_DATA.items() if key.startswith("1" + area) for name in names}
    return {RENAMED.get(name, name) for name in rows}


@pytest.mark.parametrize("area", sorted(OVERLAYS))
def test_an_overlay_keeps_the_clocks_of_every_row_of_what_it_covers(area: str) -> None:
    days = [datetime(2026, month, 1, 12, tzinfo=UTC) for month in range(1, 13)]

    def clocks(names: set[str]) -> set[tuple[object, ...]]:
        return {tuple(day.astimezone(zone(name)).utcoffset() for day in days) for name in names}

    covered = set().union(*(_area_rows(parent) for parent in OVERLAYS[area]))
    assert covered, "the older area codes are ones that the library knows"
    assert clocks(covered) <= clocks(set(zones_of(f"+1{area}2345678")))


def test_no_overlay_covers_another() -> None:
    assert {parent for parents in OVERLAYS.values() for parent in parents}.isdisjoint(OVERLAYS)


@pytest.mark.parametrize("area", sorted(key[1:] for key in TIMEZONE_DATA if len(key) == 4 and key[0] == "1"))
def test_every_area_code_of_north_america_has_a_zone(area: str) -> None:
    # Small countries use only a few exchanges. The first valid one is enough.
    found = next(found for exchange in range(200, 1000) if (found := zones_of(f"+1{area}{exchange}2345")))
    assert len(found) <= 7
    assert all(name.startswith(("America/", "Atlantic/", "Pacific/")) for name in found)


@pytest.mark.parametrize("region", sorted(SUPPORTED_REGIONS))
@pytest.mark.parametrize("kind", [PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE])
def test_a_number_is_in_zones_of_its_own_country(region: str, kind: int) -> None:
    example = example_number_for_type(region, kind)
    own = zones_by_country().get(region, ())
    shared = {"AX", "BL", "CC", "CX", "EH", "IM", "MA", "MF", "NF", "SJ", "VA"}
    if example is None or not own or region in shared:
        return
    found = zones_of(format_number(example, PhoneNumberFormat.E164))
    assert found
    assert set(found) <= set(own)
    if len(own) == 1:
        assert found == own
