"""Presets: the calling hours and caps of a jurisdiction, for use in a policy.

Presets are data, not legal advice. Check which rules bind you.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from chalicelib.domain.caps import Cap
from chalicelib.domain.preset import DAILY, MONDAY_TO_FRIDAY, SATURDAY, WEEKEND, Preset
from chalicelib.domain.presets_us import US_ROWS
from chalicelib.domain.rules import Rules
from chalicelib.domain.uk_nations import ENGLAND_WALES, NORTHERN_IRELAND, SCOTLAND, nations_of
from chalicelib.domain.window import RECIPIENT

_LOOKED_UP = date(2026, 11, 30)
_DMA = "guide of the Direct Marketing Association: not on Sundays or public holidays; no statute sets hours"
_UK_HOURS = ((MONDAY_TO_FRIDAY, "08:00", "21:00"), (SATURDAY, "09:00", "21:00"))
_UK_LACKS = "the Telephone Preference Service"

_ROWS = (
    Preset(
        name="in-trai",
        hours=((DAILY, "09:00", "21:00"),),
        # The regulations of 2018 replaced the fixed hours of 2010 with the time bands that each subscriber registers.
        law=False,
        source="TRAI, TCCCPR 2010: no commercial communication from 21:00 to 09:00; since TCCCPR 2018, each subscriber "
        "chooses",
        as_of=date(2026, 11, 21),
        lacks="the hours that the subscriber registered, and the 140 and 1600 series of numbers to call from",
    ),
    Preset(
        name="in-rbi-recovery",
        hours=((DAILY, "08:00", "19:00"),),
        law=True,
        source="RBI circular of 12 August 2022 on recovery agents: no call before 8 a.m. and after 7 p.m.",
        as_of=_LOOKED_UP,
        lacks="the ban on persistent calls, which names no number, and microfinance loans",
    ),
    Preset(
        name="fr",
        hours=((MONDAY_TO_FRIDAY, "10:00", "13:00"), (MONDAY_TO_FRIDAY, "14:00", "20:00")),
        law=True,
        source="Code de la consommation, art. D. 223-9 (décret 2022-1313): Monday to Friday, not on public holidays, "
        "consumer's time zone; at most 4 solicitations or attempts in 30 days",
        as_of=date(2026, 11, 21),
        lacks="the prior consent required since 11 August 2026 (loi 2025-594, art. 13), and holidays of Alsace-Moselle",
        holidays=("FR",),
        caps=(Cap(4, 30 * 24),),
    ),
    Preset(
        name="es",
        hours=((MONDAY_TO_FRIDAY, "09:00", "21:00"),),
        law=True,
        source="Real Decreto Legislativo 1/2007, art. 96.2: not before 9:00 or after 21:00, not on holidays or "
        "weekends",
        as_of=_LOOKED_UP,
        lacks="holidays of one region or town, and the consent of Ley 11/2022, art. 66",
        holidays=("ES",),
    ),
    Preset(
        name="it",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:00"), (SATURDAY, "10:00", "19:00")),
        # A code of conduct binds only those who signed it.
        law=False,
        source="Code of conduct for telemarketing and teleselling (Garante, in force since 28 September 2024): 10:00 "
        "to 19:00 on Saturdays and on the day before a holiday, not on Sundays or public holidays",
        as_of=_LOOKED_UP,
        lacks="the Registro pubblico delle opposizioni, and patron saints' days",
        holidays=("IT",),
        eves=("10:00", "19:00"),
    ),
    Preset(
        name="uk-guidance",
        hours=_UK_HOURS,
        law=False,
        source=f"{_DMA}. The holidays are those of the number's nation; for a mobile number, of all nations",
        as_of=date(2026, 11, 21),
        lacks=_UK_LACKS,
        by_number=nations_of,
    ),
    *(
        # The calendar "GB" has only the bank holidays of all four nations, so it lacks Easter Monday, for example.
        Preset(name, _UK_HOURS, law=False, source=_DMA, as_of=date(2026, 11, 21), lacks=_UK_LACKS, holidays=(calendar,))
        for name, calendar in ((ENGLAND_WALES, "GB-ENG"), (SCOTLAND, "GB-SCT"), (NORTHERN_IRELAND, "GB-NIR"))
    ),
    Preset(
        name="ca",
        hours=((MONDAY_TO_FRIDAY, "09:00", "21:30"), (WEEKEND, "10:00", "18:00")),
        law=True,
        source="CRTC Unsolicited Telecommunications Rules, Part III (Telemarketing Rules): the consumer's local time",
        as_of=date(2026, 11, 21),
        lacks="stricter hours of a province",
    ),
    Preset(
        name="au",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:00"), (SATURDAY, "09:00", "17:00")),
        law=True,
        source="Telecommunications (Telemarketing and Research Calls) Industry Standard 2017: not on Sundays or "
        "national public holidays; local time of the person called",
        as_of=_LOOKED_UP,
        lacks="holidays of one state, and the Do Not Call Register",
        holidays=("AU",),
    ),
    Preset(
        name="au-research",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:30"), (WEEKEND, "09:00", "17:00")),
        law=True,
        source="Telecommunications (Telemarketing and Research Calls) Industry Standard 2017: research calls; not on "
        "national public holidays",
        as_of=_LOOKED_UP,
        lacks="holidays of one state",
        holidays=("AU",),
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in (*US_ROWS, *_ROWS)}


def preset(name: str) -> Preset:
    """Return the preset of that name. Raise ValueError if there is none.

    The message lists all names.
    """
    if name not in PRESETS:
        raise ValueError(f"{name!r} is not a preset; use one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def goes_by_number(names: Iterable[str]) -> bool:
    """Return whether one of the presets depends on the number."""
    return any(PRESETS[name].by_number is not None for name in names if name in PRESETS)


def rules_for(names: Iterable[str], number: str, timezone: str = RECIPIENT) -> Rules:
    """Return the rules of presets for an E.164 number.

    A preset that depends on the number is replaced by the presets for that number. A name that is not a preset any more
    stays as a name: the policy has contained its rules since the policy was made.
    """
    rules = Rules()
    for name in names:
        row = PRESETS.get(name)
        if row is None or row.by_number is None:
            rules = rules.narrowed_by(Rules(presets=(name,)))
            continue
        for chosen in row.by_number(number):
            rules = rules.narrowed_by(PRESETS[chosen].rules(timezone))
    return rules
