"""The fields that narrow calling hours: presets, public holidays and closed dates.

Every request format that has calling hours has these fields.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from chalicelib.dialects.common import FIRST_YEAR, LAST_YEAR, MAX_INTERVALS, MAX_WORD, Strict, Word, doc
from chalicelib.domain import public_holidays
from chalicelib.domain.presets import PRESETS
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import Window, never_opens
from chalicelib.errors import did_you_mean

MAX_NAMES = 10
MAX_CLOSED = 366
#: the most intervals of one weekday, or of its pauses, after windows are combined
MAX_COMBINED = 2 * MAX_INTERVALS
#: the key in the validation context of a function: policy name -> the policy's rules, or None for an unknown name
NAMED_RULES = "named_rules"
NamedRules = Callable[[str], Rules | None]

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None or not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"must be a date between {FIRST_YEAR} and {LAST_YEAR}, like 2026-12-24")
    return day


_WORD = {"type": "string", "maxLength": MAX_WORD}
#: one name, or a list of names
Names = Annotated[
    list[Word],
    BeforeValidator(_as_list),
    Field(max_length=MAX_NAMES),
    WithJsonSchema({"anyOf": [_WORD, {"type": "array", "items": _WORD, "maxItems": MAX_NAMES}]}),
]
Day = Annotated[date, BeforeValidator(_day)]


# The descriptions of fields of a request and of a policy that GET shows.
HOLIDAYS = "No call on the public holidays of a country, or of a part of it (ISO 3166)."
CLOSED = "Dates on which there is no call."


class NarrowingIn(Strict):
    """Presets and days off. Each of them only takes hours away.

    ``preset`` has names of presets, or names of policies of the workspace whose hours and caps also count.
    ``holidays`` has calendars whose public holidays are closed. ``closed`` has further closed dates.
    """

    preset: Names | None = doc(
        "Legal hours (docs/policies.md lists them), or policies of yours whose hours count.", "us", None
    )
    holidays: Names | None = doc(f"{HOLIDAYS} One calendar, or several.", "IN", None)
    closed: Annotated[list[Day], Field(max_length=MAX_CLOSED)] | None = doc(CLOSED, ["2026-12-24"], None)
    _named: Mapping[str, Rules] = PrivateAttr(default_factory=dict)

    @field_validator("holidays")
    @classmethod
    def _known_holidays(cls, codes: list[str] | None) -> list[str] | None:
        for code in codes or ():
            public_holidays.check(code)
        return codes

    @field_validator("preset")
    @classmethod
    def _known_presets(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        for name in names or ():
            if name not in PRESETS and _policy_rules(name, info) is None:
                known = ", ".join(sorted(PRESETS))
                meant = did_you_mean(name, [*PRESETS])
                raise ValueError(f"{name!r} is neither a preset nor a policy of yours; use one of {known}{meant}")
        return names

    @model_validator(mode="after")
    def _with_named(self, info: ValidationInfo) -> Self:
        policies = [name for name in self.preset or () if name not in PRESETS]
        self._named = {name: rules for name in policies if (rules := _policy_rules(name, info))}
        return self

    @property
    def narrows(self) -> bool:
        """The presence of a preset, holidays or closed dates."""
        return bool(self.preset or self.holidays or self.closed)

    def narrowed(self, window: Window) -> Rules:
        """Return the rules of a window without the days off, narrowed by each preset.

        Raises ValueError if no hour of the week is left open, if the time zones of the windows differ, or if the
        combined window is too large.
        """
        days_off = Window(window.timezone, holidays=tuple(self.holidays or ()), closed=tuple(self.closed or ()))
        rules = Rules(window).narrowed_by(Rules(days_off))
        for name in self.preset or ():
            rules = rules.narrowed_by(PRESETS[name].rules(window.timezone) if name in PRESETS else self._named[name])
        if rules.window is not None:
            _check(rules.window)
        return rules


def _check(window: Window) -> None:
    """Raise ValueError if a window never opens, or is too large.

    Each decision searches the window, so its size must have a limit.
    """
    if never_opens(window):
        raise ValueError("the hours, pauses and presets leave no hour of the week open")
    for week in (window.open or {}, window.pause):
        for day, intervals in week.items():
            if len(intervals) > MAX_COMBINED:
                raise ValueError(
                    f"{day} has {len(intervals)} intervals after all rules are combined; at most {MAX_COMBINED}"
                )
    if len(window.closed) > MAX_CLOSED or len(window.holidays) > 2 * MAX_NAMES:
        limits = f"at most {MAX_CLOSED} closed days and {2 * MAX_NAMES} calendars"
        raise ValueError(f"too many days off after all rules are combined; {limits}")


def _policy_rules(name: str, info: ValidationInfo) -> Rules | None:
    """Return the rules of the workspace's policy of this name, or None if it has none."""
    find: NamedRules | None = (info.context or {}).get(NAMED_RULES)
    return find(name) if find is not None else None
