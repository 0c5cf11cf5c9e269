"""Calling hours and caps of a jurisdiction, ready to use in a policy. Data, not legal advice: check what binds you."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from chalicelib.domain.window import WEEK, Interval, Weekday, Window, interval

Days = tuple[Weekday, ...]

DAILY = WEEK
MONDAY_TO_FRIDAY = WEEK[:5]
SATURDAY = WEEK[5:6]
WEEKEND = WEEK[5:]


@dataclass(frozen=True, slots=True)
class PresetCap:
    """At most ``max_attempts`` dials to one number in any ``per_hours`` hours, answered or not."""

    max_attempts: int
    per_hours: int


@dataclass(frozen=True, slots=True)
class Preset:
    """One row: ``hours`` are (days, opening, end) in the recipient's own time, on the wall clock.

    ``law`` is False for what is custom or guidance only, or was not found in a text in force. ``as_of`` is the day on
    which it was last looked up, for most rows in articles that quote the ``source``; for rows
    marked as not looked up, the day on which they were written.
    """

    name: str
    hours: tuple[tuple[Days, str, str], ...]
    law: bool
    source: str
    as_of: date
    holidays: str | None = None
    caps: tuple[PresetCap, ...] = ()

    @property
    def window(self) -> Window:
        """The row as a window in the recipient's zone."""
        opening: dict[Weekday, tuple[Interval, ...]] = {}
        for days, start, end in self.hours:
            for day in days:
                opening[day] = (*opening.get(day, ()), interval(start, end))
        return Window(open=opening, holidays=self.holidays)


_ROWS = (
    Preset(
        name="us-federal",
        hours=((DAILY, "08:00", "21:00"),),
        law=True,
        source="47 CFR 64.1200(c)(1): no telephone solicitation before 8 a.m. or after 9 p.m. at the called party's",
        as_of=date(2026, 11, 21),
    ),
    Preset(
        name="us-florida",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Fla. Stat. 501.616(6): 8 a.m. to 8 p.m. local time; at most 3 calls in 24 hours on the same subject",
        as_of=date(2026, 11, 21),
        caps=(PresetCap(max_attempts=3, per_hours=24),),
    ),
    Preset(
        name="in-trai",
        hours=((DAILY, "09:00", "21:00"),),
        # The regulations of 2018 put each subscriber's registered time bands in place of the fixed hours of 2010.
        law=False,
        source="TRAI, TCCCPR 2010: no commercial communication from 21:00 to 09:00; since TCCCPR 2018 by preference",
        as_of=date(2026, 11, 21),
    ),
    Preset(
        name="fr",
        hours=((MONDAY_TO_FRIDAY, "10:00", "13:00"), (MONDAY_TO_FRIDAY, "14:00", "20:00")),
        law=True,
        source="Code de la consommation, art. D. 223-9 (décret 2022-1313): Monday to Friday, not on public holidays, "
        "consumer's time zone; at most 4 solicitations or attempts in 30 days. Since 11 August 2026 prior consent is "
        "required as well (loi 2025-594, art. 13)",
        as_of=date(2026, 11, 21),
        holidays="FR",
        caps=(PresetCap(max_attempts=4, per_hours=30 * 24),),
    ),
    Preset(
        name="uk-guidance",
        hours=((MONDAY_TO_FRIDAY, "08:00", "21:00"), (SATURDAY, "09:00", "21:00")),
        law=False,
        source="Direct Marketing Association's guide: not on Sundays or public holidays; no statute sets hours",
        as_of=date(2026, 11, 21),
        # "GB" alone leaves out the bank holidays that not all four nations keep, such as Easter Monday.
        holidays="GB-ENG",
    ),
    Preset(
        name="ca",
        hours=((MONDAY_TO_FRIDAY, "09:00", "21:30"), (WEEKEND, "10:00", "18:00")),
        law=True,
        source="CRTC Unsolicited Telecommunications Rules, Part III (Telemarketing Rules): hours where the consumer is",
        as_of=date(2026, 11, 21),
    ),
    Preset(
        name="au",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:00"), (SATURDAY, "09:00", "17:00")),
        law=True,
        source="Telecommunications (Telemarketing and Research Calls) Industry Standard 2017: not on Sundays or "
        "national public holidays; local time of the person called",
        as_of=date(2026, 11, 21),
        holidays="AU",
    ),
    # The rows from here on were written without looking up their sources, so none says that it is law yet.
    Preset(
        name="us-oklahoma",
        hours=((DAILY, "08:00", "20:00"),),
        law=False,
        source="Okla. Stat. tit. 15, 775C.4: 8 a.m. to 8 p.m. local time; at most 3 calls in 24 hours on a subject",
        as_of=date(2026, 11, 26),
        caps=(PresetCap(max_attempts=3, per_hours=24),),
    ),
    Preset(
        name="us-washington",
        hours=((DAILY, "08:00", "20:00"),),
        law=False,
        source="RCW 80.36.390: no commercial solicitation before 8 a.m. or after 8 p.m.",
        as_of=date(2026, 11, 26),
    ),
    Preset(
        name="us-maryland",
        hours=((DAILY, "08:00", "20:00"),),
        law=False,
        source="Md. Code, Com. Law 14-4501 to 14-4505: 8 a.m. to 8 p.m.; at most 3 calls in 24 hours on a subject",
        as_of=date(2026, 11, 26),
        caps=(PresetCap(max_attempts=3, per_hours=24),),
    ),
    Preset(
        name="us-connecticut",
        hours=((DAILY, "09:00", "20:00"),),
        law=False,
        source="Conn. Gen. Stat. 42-288a: 9 a.m. to 8 p.m. local time",
        as_of=date(2026, 11, 26),
    ),
    Preset(
        name="us-reg-f",
        hours=((DAILY, "08:00", "21:00"),),
        law=False,
        # The rule counts per debt; a cap counts per number. It does not say the wait of 7 days after a conversation.
        source="12 CFR 1006.6(b), 1006.14(b): debt collection; at most 7 calls in 7 days. Not covered: no call "
        "within 7 days after a conversation",
        as_of=date(2026, 11, 26),
        caps=(PresetCap(max_attempts=7, per_hours=7 * 24),),
    ),
    Preset(
        name="in-rbi-recovery",
        hours=((DAILY, "08:00", "19:00"),),
        law=False,
        source="RBI circular of 12 August 2022 on recovery agents: no call before 8:00 and after 19:00",
        as_of=date(2026, 11, 26),
    ),
    Preset(
        name="es",
        hours=((MONDAY_TO_FRIDAY, "09:00", "21:00"),),
        law=False,
        source="Real Decreto Legislativo 1/2007, art. 96.2: 9 to 21, not at weekends or on public holidays. Not "
        "covered: holidays of one region, and the consent of Ley 11/2022, art. 66",
        as_of=date(2026, 11, 26),
        holidays="ES",
    ),
    Preset(
        name="it",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:00"), (SATURDAY, "10:00", "19:00")),
        law=False,
        source="Code of conduct for telemarketing (Garante, 2023): Saturday's hours on the eves of holidays as well, "
        "which is not covered, not on Sundays or public holidays",
        as_of=date(2026, 11, 26),
        holidays="IT",
    ),
    Preset(
        name="au-research",
        hours=((MONDAY_TO_FRIDAY, "09:00", "20:30"), (WEEKEND, "09:00", "17:00")),
        law=False,
        source="Telecommunications (Telemarketing and Research Calls) Industry Standard 2017: research calls; not on "
        "national public holidays",
        as_of=date(2026, 11, 26),
        holidays="AU",
    ),
)

PRESETS: Mapping[str, Preset] = {row.name: row for row in _ROWS}


def preset(name: str) -> Preset:
    """The preset of that name. Raises ValueError naming those that there are."""
    if name not in PRESETS:
        raise ValueError(f"{name!r} is no preset; use one of {', '.join(PRESETS)}")
    return PRESETS[name]
