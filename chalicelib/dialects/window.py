"""The ``window`` and ``caps`` of Redial's own ``retry``: to the domain's Window and Cap."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from chalicelib.dialects.common import MAX_INTERVALS, Strict, Word
from chalicelib.dialects.narrowing import NarrowingIn
from chalicelib.domain.caps import MAX_CAP_ATTEMPTS, MAX_CAP_HOURS, Cap
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import RECIPIENT, Interval, Weekday, Window, interval
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


class WindowIn(NarrowingIn):
    """When a number may be called. ``preset``, ``pause``, ``holidays`` and ``closed`` take hours away from ``open``."""

    timezone: Word = RECIPIENT
    open: Week | None = None
    pause: Week = Field(default_factory=dict)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return name if name == RECIPIENT else user_zone(name)

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

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.open is not None and not any(self.open.values()):
            raise ValueError("open has no hours at all; leave it out to be open at any hour")
        self.rules()
        return self

    def rules(self) -> Rules:
        """Return the window with all that narrows it, and the caps that its presets bring."""
        return self.narrowed(Window(self.timezone, _week(self.open) if self.open else None, _week(self.pause)))


def _week(week: Week) -> dict[Weekday, tuple[Interval, ...]]:
    return {day: tuple(interval(start, end) for start, end in hours) for day, hours in week.items()}
