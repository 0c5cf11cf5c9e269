"""The ``window`` and ``caps`` of Redial's own ``retry``: to the domain's Window and Cap."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from chalicelib.dialects.common import MAX_INTERVALS, Strict, Word
from chalicelib.domain import public_holidays
from chalicelib.domain.caps import MAX_CAP_ATTEMPTS, MAX_CAP_HOURS, Cap
from chalicelib.domain.presets import PRESETS
from chalicelib.domain.window import RECIPIENT, Interval, Weekday, Window, interval, never_opens
from chalicelib.domain.zone_names import user_zone

#: ``["09:00", "21:00"]``: local, half-open, an end at or before the start is on the day after
Hours = Annotated[list[Word], Field(min_length=2, max_length=2)]
Week = dict[Weekday, Annotated[list[Hours], Field(max_length=MAX_INTERVALS)]]


class CapIn(Strict):
    """At most ``max_attempts`` in any ``per_hours`` hours (24 unless said), or in one local day (``per``: ``day``)."""

    max_attempts: Annotated[int, Field(ge=1, le=MAX_CAP_ATTEMPTS, strict=True)]
    per_hours: Annotated[float, Field(gt=0, le=MAX_CAP_HOURS, strict=True, allow_inf_nan=False)] | None = None
    per: Literal["hours", "day"] = "hours"

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        if self.per == "day" and self.per_hours is not None:
            raise ValueError("a cap per day has no per_hours")
        return self

    def cap(self) -> Cap:
        """The cap that this asks for."""
        return Cap(self.max_attempts, self.per_hours or 24, self.per)


class WindowIn(Strict):
    """When a number may be called. ``preset`` stands for ``open``, holidays and caps; ``pause`` adds to either."""

    timezone: Word = RECIPIENT
    open: Week | None = None
    pause: Week = Field(default_factory=dict)
    holidays: Word | None = None
    preset: Word | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return name if name == RECIPIENT else user_zone(name)

    @field_validator("holidays")
    @classmethod
    def _known_holidays(cls, code: str | None) -> str | None:
        if code is not None:
            public_holidays.check(code)
        return code

    @field_validator("open", "pause")
    @classmethod
    def _read_hours(cls, week: Week | None) -> Week | None:
        for day, hours in (week or {}).items():
            for start, end in hours:
                try:
                    interval(start, end)
                except ValueError as error:
                    raise ValueError(f"{day}: {error}") from None
        return week

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, name: str | None) -> str | None:
        if name is not None and name not in PRESETS:
            raise ValueError(f"{name!r} is no preset; use one of {', '.join(sorted(PRESETS))}")
        return name

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.preset is not None and self.open is not None:
            raise ValueError("give open or preset, not both")
        if self.open is not None and not any(self.open.values()):
            raise ValueError("open has no hours at all; leave it out to be open at any hour")
        if never_opens(self.window_and_caps()[0]):
            raise ValueError("the pauses leave no hour of the week open")
        return self

    def window_and_caps(self) -> tuple[Window, tuple[Cap, ...]]:
        """The window, and the caps that its preset brings."""
        opening: Mapping[Weekday, tuple[Interval, ...]] | None = _week(self.open) if self.open else None
        holidays = self.holidays
        caps: tuple[Cap, ...] = ()
        if self.preset is not None:
            preset = PRESETS[self.preset]
            opening, holidays = preset.window.open, holidays or preset.holidays
            caps = tuple(Cap(cap.max_attempts, cap.per_hours) for cap in preset.caps)
        return Window(self.timezone, opening, _week(self.pause), holidays), caps


def _week(week: Week) -> dict[Weekday, tuple[Interval, ...]]:
    return {day: tuple(interval(start, end) for start, end in hours) for day, hours in week.items()}
