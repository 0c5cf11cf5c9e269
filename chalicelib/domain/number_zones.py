"""The time zones that a phone number can be in."""

from functools import lru_cache
from typing import TYPE_CHECKING

from chalicelib.domain.number_zone_tables import ALSO, CORRECTED, MISPLACED, OVERLAYS, RENAMED
from chalicelib.domain.zones import zone, zones_by_country

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

UNKNOWN = "Etc/Unknown"
#: the number of digits in North America: country code and area code, and a whole number
_AREA_DIGITS, _NANP_DIGITS = 4, 11
_MAX_LENGTH = max(map(len, (*CORRECTED, *ALSO)))


def contact_zones(explicit_timezone: str | None, number: str) -> tuple[str, ...]:
    """Return the zones of a contact: its own zone, else those of its number.

    Return no zones if nothing is known: then do not dial. Raises ValueError if the explicit zone is not an IANA name.
    """
    if explicit_timezone:
        return (zone(explicit_timezone).key,)
    return zones_of(number)


def zones_of(number: str) -> tuple[str, ...]:
    """Return every IANA zone that an E.164 number can be in, sorted.

    Return no zones if they are unknown, or if the number is not valid. The map is that of phonenumbers, corrected by
    the tables. The map says where a number was issued. If the number was ported, or if the owner of a mobile moved, the
    phone rings elsewhere, so a contact's own zone is always better.
    """
    # Imported here, because a contact with a zone of its own does not need it.
    from phonenumbers import NumberParseException, is_valid_number, parse

    try:
        parsed = parse(number)
    except NumberParseException:
        return ()
    digits = number.removeprefix("+")
    area = digits[1:_AREA_DIGITS]
    if digits.startswith("1") and area in OVERLAYS and len(digits) == _NANP_DIGITS:
        # This comes before the check of validity, because an overlay may be younger than the library.
        return _zones_of_overlay(area) if digits[_AREA_DIGITS] in "23456789" else ()
    if not is_valid_number(parsed):
        return ()
    return tuple(sorted(_zones_of_valid(parsed, digits)))


def _zones_of_valid(parsed: "PhoneNumber", digits: str) -> set[str]:
    """Return the zones of a valid number that no overlay names."""
    own, corrected = _longest(CORRECTED, digits)
    mapped, from_map = _longest(_map(), digits)
    if corrected and len(own) >= (len(mapped) if len(mapped) > _AREA_DIGITS and digits.startswith("1") else 0):
        return set(corrected)
    if digits.startswith("1") and len(mapped) == _AREA_DIGITS:
        # No row names the exchange. If the area code covers several zones, the exchange may be in any of them.
        return set(_zones_of_code(mapped))
    if not _is_mapped_by_prefix(parsed, digits):
        from_map = _map().get(str(parsed.country_code), ())
    if UNKNOWN in from_map:
        return set()
    placed = {_right_name(digits, name) for name in from_map}
    if not digits.startswith("1"):
        placed = _within_country(parsed, placed)
    return placed | set(_longest(ALSO, digits)[1])


def _is_mapped_by_prefix(parsed: "PhoneNumber", digits: str) -> bool:
    """Return whether the map's prefixes say where the number is.

    In North America, the area code says so for mobiles, too. A toll-free number there has no row for its area code, so
    it gets the zones of all of North America.
    """
    from phonenumbers import is_number_geographical

    return digits.startswith("1") or is_number_geographical(parsed)


def _within_country(parsed: "PhoneNumber", zones: set[str]) -> set[str]:
    """Return the zones that lie in the number's own country.

    Several countries may share a calling code. If the country has one zone, return that zone. If none of ``zones`` lies
    in the country, return all of them.
    """
    from phonenumbers import region_code_for_number

    own = zones_by_country().get(region_code_for_number(parsed) or "", ())
    return set(own) if len(own) == 1 else (zones & set(own)) or zones


def _zones_of_overlay(area: str) -> tuple[str, ...]:
    """Return the zones of all area codes that an overlay covers."""
    return tuple(sorted({name for parent in OVERLAYS[area] for name in _zones_of_code(f"1{parent}")}))


@lru_cache(maxsize=512)
def _zones_of_code(prefix: str) -> tuple[str, ...]:
    """Return the zones of every row of a North American area code.

    ``prefix`` is the area code with its country code.
    """
    found = {
        name for table in (CORRECTED, ALSO) for key, zones in table.items() if key.startswith(prefix) for name in zones
    }
    rows = {key: zones for key, zones in _map().items() if key.startswith(prefix) and key not in CORRECTED}
    found.update(_right_name(prefix, name) for zones in rows.values() for name in zones)
    return tuple(sorted(found))


def _right_name(digits: str, name: str) -> str:
    """Return the right zone for a zone in the map: see MISPLACED and RENAMED."""
    for size in (_AREA_DIGITS, 1):
        name = MISPLACED.get((digits[:size], name), name)
    return RENAMED.get(name, name)


def _longest(table: dict[str, tuple[str, ...]], digits: str) -> tuple[str, tuple[str, ...]]:
    """Return the longest key that the digits begin with, and its zones.

    Return ``("", ())`` if the digits begin with no key of the table.
    """
    for size in range(min(len(digits), _MAX_LENGTH), 0, -1):
        if digits[:size] in table:
            return digits[:size], table[digits[:size]]
    return "", ()


def _map() -> dict[str, tuple[str, ...]]:
    from phonenumbers.tzdata import TIMEZONE_DATA

    found: dict[str, tuple[str, ...]] = TIMEZONE_DATA
    return found
