"""The presets of the United States.

They are the federal rules, the rules of states, and ``us``, which depends on the number.
"""

from datetime import date

from chalicelib.domain.caps import Cap
from chalicelib.domain.outcome import Outcome
from chalicelib.domain.preset import DAILY, MONDAY_TO_FRIDAY, MONDAY_TO_SATURDAY, SATURDAY, SUNDAY, Preset
from chalicelib.domain.us_states import FEDERAL, states_of

_LOOKED_UP = date(2026, 11, 30)
#: the law says "at most three calls in 24 hours on the same subject"; a cap counts every call to the number
_THREE_A_DAY = (Cap(3, 24),)
_ON_A_SUBJECT = "the law counts only calls on the same subject, and the cap counts all calls to the number"
_LISTS = "consent, and do-not-call lists"
_CONSENT = "the written consent that the state requires for automated calls"

_STATES = (
    Preset(
        name="us-alabama",
        hours=((MONDAY_TO_SATURDAY, "08:00", "20:00"),),
        law=True,
        source="Ala. Admin. Code r. 770-X-5-.17(1)(b): automated solicitation calls, not on Sundays or holidays",
        as_of=_LOOKED_UP,
        lacks="calls that a person dials: the rule is only for automated calls",
        holidays=("US-AL",),
    ),
    Preset(
        name="us-connecticut",
        hours=((DAILY, "09:00", "20:00"),),
        law=True,
        source="Conn. Gen. Stat. 42-288a, as amended by P.A. 23-98: 9 a.m. to 8 p.m. local time",
        as_of=_LOOKED_UP,
        lacks="prior express written consent",
    ),
    Preset(
        name="us-florida",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Fla. Stat. 501.616(6): 8 a.m. to 8 p.m. local time; at most 3 calls in 24 hours on the same subject",
        as_of=_LOOKED_UP,
        lacks=_ON_A_SUBJECT,
        caps=_THREE_A_DAY,
    ),
    Preset(
        name="us-kentucky",
        hours=((DAILY, "10:00", "21:00"),),
        law=True,
        source="KRS 367.46955(16): calls to a residence only between 10 a.m. and 9 p.m., local time of the called "
        "person",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-louisiana",
        hours=((MONDAY_TO_SATURDAY, "08:00", "20:00"),),
        law=True,
        source="LPSC General Order R-29617, V(A): residential solicitation from 8 a.m. to 8 p.m., not on Sundays or "
        "legal holidays",
        as_of=_LOOKED_UP,
        lacks="a state of emergency, which forbids solicitation, and January 8 and 19, which some lists name as "
        "holidays",
        holidays=("US-LA",),
    ),
    Preset(
        name="us-maryland",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Md. Code, Com. Law 14-4501 to 14-4505 (Stop the Spam Calls Act of 2023): at most 3 calls in 24 hours "
        "on the same subject",
        as_of=_LOOKED_UP,
        lacks=f"{_CONSENT}; {_ON_A_SUBJECT}",
        caps=_THREE_A_DAY,
    ),
    Preset(
        name="us-massachusetts",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="201 CMR 12.02(2): no unsolicited telephonic sales call from 8 p.m. to 8 a.m., consumer's local time",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-michigan",
        hours=((DAILY, "09:00", "21:00"),),
        law=False,
        source="vendors' tables say 9 a.m. to 9 p.m. and name MCL 445.111 and later sections; other sources find no "
        "hours there, and we have not seen the text",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-minnesota",
        hours=((DAILY, "09:00", "21:00"),),
        law=True,
        source="Minn. Stat. 325E.30: commercial telephone solicitation, not before 9 a.m. or after 9 p.m.",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-mississippi",
        hours=((MONDAY_TO_SATURDAY, "08:00", "20:00"),),
        law=True,
        source="Miss. Code Ann. 77-3-723(1): 8 a.m. to 8 p.m. Central time, not on a Sunday",
        as_of=_LOOKED_UP,
        lacks="legal holidays: the rule about them was repealed in 2023",
    ),
    Preset(
        name="us-nevada",
        hours=((DAILY, "09:00", "20:00"),),
        law=True,
        source="NRS 598.0918(3): no solicitation by telephone or text message between 8 p.m. and 9 a.m.",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-new-mexico",
        hours=((DAILY, "09:00", "21:00"),),
        law=True,
        source="NMSA 57-12-22(B)(5): no telephone solicitation received before 9 a.m. or after 9 p.m.",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
    Preset(
        name="us-oklahoma",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Okla. Stat. tit. 15, 775C.1 to 775C.6 (HB 3168, 2022): at most 3 calls in 24 hours on the same subject",
        as_of=_LOOKED_UP,
        lacks=f"{_CONSENT}; {_ON_A_SUBJECT}",
        caps=_THREE_A_DAY,
    ),
    Preset(
        name="us-oregon",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Oregon HB 3865 (2025), in force since 1 January 2026: at most 3 solicitations in 24 hours",
        as_of=_LOOKED_UP,
        lacks="the exemptions for an established business relationship and for debt collectors",
        caps=_THREE_A_DAY,
    ),
    Preset(
        name="us-pennsylvania",
        hours=((DAILY, "08:00", "21:00"),),
        law=True,
        source="73 P.S. 2245(a)(10), Act 73 of 2019: no telephone solicitation on a legal holiday",
        as_of=_LOOKED_UP,
        lacks="Good Friday, Flag Day and Election Day, which are not in the calendar: write them into `closed`",
        holidays=("US-PA",),
    ),
    Preset(
        name="us-rhode-island",
        hours=((MONDAY_TO_FRIDAY, "09:00", "18:00"), (SATURDAY, "10:00", "17:00")),
        law=True,
        source="R.I. Gen. Laws 5-61-2, 5-61-3.6: Monday to Friday, except on a state or federal holiday, and Saturday",
        as_of=_LOOKED_UP,
        lacks="the registration that sellers need",
        holidays=("US-RI",),
    ),
    Preset(
        name="us-south-dakota",
        hours=((MONDAY_TO_FRIDAY, "09:00", "21:00"),),
        law=True,
        source="S.D. Codified Laws 37-30-28: automated telephone dialing systems only on weekdays, in the state's time",
        as_of=_LOOKED_UP,
        lacks="calls that a person dials: SDCL 37-30A-3(2) allows them on Saturdays too",
    ),
    Preset(
        name="us-texas",
        hours=((MONDAY_TO_SATURDAY, "09:00", "21:00"), (SUNDAY, "12:00", "21:00")),
        law=True,
        source="Tex. Bus. & Com. Code 301.051(b)(2): 9 a.m. to 9 p.m. on weekdays and Saturday, from noon on Sunday",
        as_of=_LOOKED_UP,
        lacks="the registration that SB 140 (2025) requires",
    ),
    Preset(
        name="us-utah",
        hours=((MONDAY_TO_SATURDAY, "08:00", "21:00"),),
        law=True,
        source="Utah Code 13-25a-103(3): without prior express consent, not from 9 p.m. to 8 a.m., not on a Sunday, "
        "not on a legal holiday",
        as_of=_LOOKED_UP,
        lacks="the other times that prior express consent allows",
        holidays=("US-UT",),
    ),
    Preset(
        name="us-washington",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="RCW 19.158.040(2): no call received before 8 a.m. or after 8 p.m. at the recipient's local time",
        as_of=_LOOKED_UP,
        lacks="people who ask not to be called again: opt out their numbers",
    ),
    Preset(
        name="us-wyoming",
        hours=((DAILY, "08:00", "20:00"),),
        law=True,
        source="Wyo. Stat. 40-12-302(d): not before 8 a.m. or after 8 p.m. local time at the consumer's location",
        as_of=_LOOKED_UP,
        lacks=_LISTS,
    ),
)
_NAMES = frozenset(row.name for row in _STATES)


def of_states(number: str) -> tuple[str, ...]:
    """Return the federal preset and those of the number's states.

    If the area code names no state, return the presets of all states.
    """
    states = states_of(number)
    if states is None:
        return (FEDERAL, *(row.name for row in _STATES))
    return (FEDERAL, *(name for name in (f"us-{state}" for state in states) if name in _NAMES))


US_ROWS = (
    Preset(
        name=FEDERAL,
        hours=((DAILY, "08:00", "21:00"),),
        law=True,
        source="47 CFR 64.1200(c)(1): no telephone solicitation before 8 a.m. or after 9 p.m., local time of the "
        "called party",
        as_of=date(2026, 11, 21),
        lacks="consent, the do-not-call registries, and the rules of states (see `us`)",
    ),
    Preset(
        name="us",
        hours=((DAILY, "08:00", "21:00"),),
        law=True,
        source="the stricter of `us-federal` and the row of the number's state; if the area code shows no state, the "
        "strictest of all rows",
        as_of=_LOOKED_UP,
        lacks="people who live in another state than their area code shows, and rules of states without a row, such as "
        "rules for recorded messages only",
        by_number=of_states,
    ),
    Preset(
        name="us-reg-f",
        hours=((DAILY, "08:00", "21:00"),),
        law=True,
        source="12 CFR 1006.6(b), 1006.14(b)(2): debt collection; the law presumes that more than 7 calls in 7 days, "
        "or a call within 7 days after a conversation, are too many",
        as_of=_LOOKED_UP,
        lacks="times and places that are inconvenient; the law counts the calls about each debt, and the cap counts "
        "all calls to the number",
        caps=(Cap(7, 7 * 24),),
        quiet_after={Outcome.COMPLETED: 7 * 24},
    ),
    *_STATES,
)
