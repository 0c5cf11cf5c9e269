"""The time zones that users may write: ``Region/City`` and ``UTC``.

For any other name, the error suggests the zone that the user probably means.
"""

from difflib import get_close_matches

from chalicelib.domain.zones import names

UTC_NAME = "UTC"
#: the name by which tzdata and most servers call UTC
ETC_UTC = "Etc/UTC"
#: the regions of ``zone.tab``; names such as ``US/Pacific`` are old links, not named after a city
REGIONS = frozenset(
    {"Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"}
)

_LIKELY_TABLE = """
    America/New_York EST EDT ET EST5EDT US/Eastern US/East-Indiana US/Michigan Etc/GMT+5
    America/Chicago CST CDT CT CST6CDT US/Central US/Indiana-Starke Etc/GMT+6
    America/Denver MST MDT MT MST7MDT US/Mountain Navajo Etc/GMT+7
    America/Los_Angeles PST PDT PT PST8PDT US/Pacific US/Pacific-New Etc/GMT+8
    America/Phoenix US/Arizona
    America/Anchorage AKST AKDT US/Alaska Etc/GMT+9
    America/Adak US/Aleutian
    Pacific/Honolulu HST US/Hawaii Etc/GMT+10
    Pacific/Pago_Pago SST US/Samoa Etc/GMT+11
    America/Toronto Canada/Eastern
    America/Winnipeg Canada/Central
    America/Edmonton Canada/Mountain
    America/Vancouver Canada/Pacific
    America/Halifax AST ADT Canada/Atlantic Etc/GMT+4
    America/St_Johns NST NDT Canada/Newfoundland
    America/Regina Canada/Saskatchewan
    America/Whitehorse Canada/Yukon
    America/Mexico_City Mexico/General
    America/Tijuana Mexico/BajaNorte
    America/Mazatlan Mexico/BajaSur
    America/Sao_Paulo BRT Brazil/East Etc/GMT+3
    America/Manaus Brazil/West
    America/Rio_Branco Brazil/Acre
    America/Noronha Brazil/DeNoronha Etc/GMT+2
    America/Santiago CLT Chile/Continental
    Pacific/Easter Chile/EasterIsland
    America/Havana Cuba
    America/Jamaica Jamaica
    Atlantic/Azores Etc/GMT+1
    UTC GMT GMT0 GMT+0 GMT-0 Greenwich UCT Universal Zulu Z Etc/UCT Etc/GMT Etc/GMT0 Etc/GMT+0 Etc/GMT-0
    UTC Etc/Greenwich Etc/Universal Etc/Zulu UTC+0 UTC-0
    Europe/London GB GB-Eire BST
    Europe/Dublin Eire
    Atlantic/Reykjavik Iceland
    Europe/Lisbon WET WEST Portugal
    Europe/Paris CET CEST MET MEST Etc/GMT-1
    Europe/Athens EET EEST Etc/GMT-2
    Europe/Warsaw Poland
    Europe/Istanbul Turkey TRT
    Europe/Moscow W-SU MSK Etc/GMT-3
    Africa/Cairo Egypt
    Africa/Tripoli Libya
    Africa/Johannesburg SAST
    Africa/Nairobi EAT
    Africa/Lagos WAT
    Asia/Jerusalem Israel IDT
    Asia/Tehran Iran IRST
    Asia/Dubai GST Etc/GMT-4
    Asia/Karachi PKT Etc/GMT-5
    Asia/Kolkata IST India
    Asia/Dhaka Etc/GMT-6
    Asia/Bangkok ICT Etc/GMT-7
    Asia/Jakarta WIB
    Asia/Shanghai PRC Etc/GMT-8
    Asia/Hong_Kong Hongkong HKT
    Asia/Taipei ROC
    Asia/Singapore Singapore SGT
    Asia/Manila PHT
    Asia/Tokyo Japan JST Etc/GMT-9
    Asia/Seoul ROK KST
    Australia/Sydney AEST AEDT Etc/GMT-10
    Australia/Adelaide ACST ACDT
    Australia/Perth AWST
    Pacific/Noumea Etc/GMT-11
    Pacific/Auckland NZ NZST NZDT Etc/GMT-12
    Pacific/Chatham NZ-CHAT
    Pacific/Tongatapu Etc/GMT-13
    Pacific/Kiritimati Etc/GMT-14
    Pacific/Kwajalein Kwajalein
"""
#: names that users write, in lower case -> the zone that they probably mean
LIKELY: dict[str, str] = {
    word.lower(): line.split()[0] for line in _LIKELY_TABLE.strip().split("\n") for word in line.split()[1:]
}


def user_zone(name: str) -> str:
    """Return the zone's name if it is ``Region/City`` or ``UTC``.

    ``Etc/UTC`` counts as ``UTC``. Raises ValueError for any other name, with the probable zone. An abbreviation
    (``EST``) has the same offset all year, and the zone's clocks show another time for half of the year.
    """
    if name in (UTC_NAME, ETC_UTC):
        return UTC_NAME
    if name in names() and name.partition("/")[0] in REGIONS and "/" in name:
        return name
    likely = _likely(name)
    hint = f"did you mean {likely!r}?" if likely else "use a name such as 'Asia/Kolkata'"
    raise ValueError(f"{name!r} is not an IANA time zone of the form Region/City, nor UTC; {hint}")


def _likely(name: str) -> str | None:
    word = name.strip().lower().replace(" ", "_")
    if word in LIKELY:
        return LIKELY[word]
    taken = {known.lower(): known for known in names() if known.partition("/")[0] in REGIONS} | {"utc": UTC_NAME}
    cities = {known.rpartition("/")[2]: known for known in sorted(taken, reverse=True)}
    if word in taken:
        return taken[word]
    if word in cities:
        return taken[cities[word]]
    near = get_close_matches(word, list(taken), n=1, cutoff=0.8)
    return taken[near[0]] if near else None
