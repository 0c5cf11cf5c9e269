"""The ``window`` and ``caps`` of Redial's ``retry``, as Window and Cap."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from chalicelib.dialects.common import MAX_INTERVALS, Strict, Word, doc
from chalicelib.dialects.narrowing import NarrowingIn
from chalicelib.domain.caps import MAX_CAP_ATTEMPTS, MAX_CAP_HOURS, Cap
from chalicelib.domain.rules import Rules
from chalicelib.domain.window import RECIPIENT, Interval, Weekday, Window, interval
from chalicelib.domain.zone_names import user_zone

#: ``["09:00", "21:00"]``: local, without the end itself; an end before the start is on the next day
Hours = Annotated[list[Word], Field(min_length=2, max_length=2)]
Week = dict[Weekday, Annotated[list[Hours], Field(max_length=MAX_INTERVALS)]]


CapAttempts = Annotated[int, Field(ge=1, le=MAX_CAP_ATTEMPTS, strict=True)]
CapHours = Annotated[float, Field(gt=0, le=MAX_CAP_HOURS, strict=True, allow_inf_nan=False)]


def _zone(name: str) -> str:
    return name if name == RECIPIENT else user_zone(name)


WindowZone = Annotated[Word, AfterValidator(_zone)]
# The descriptions of a window's fields, in a request and in a policy that GET shows.
ZONE = "Whose clock counts: 'recipient' (every zone that the number can be in), or one IANA zone."
OPEN = "The local hours of each weekday in which the number may be called; an end before its start is on the next day."
PAUSE = "Local hours of each weekday in which the number is not called although the window is open."


class CapIn(Strict):
    """A cap: at most ``max_attempts`` in any period of ``per_hours`` hours.

    ``per_hours`` is 24 by default. If ``per`` is ``day``, the cap counts attempts in one local day.
    """

    max_attempts: CapAttempts = doc("At most this many attempts to the number, by all calls of the workspace.", 4)
    per_hours: CapHours | None = doc("The period in which attempts count, in hours; 24 if left out.", 24, None)
    per: Literal["hours", "day"] = doc(
        "'day' counts attempts in the local day of the number, not in a period of hours.", "hours", "hours"
    )

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        if self.per == "day" and self.per_hours is not None:
            raise ValueError("a cap per day has no per_hours")
        return self

    def cap(self) -> Cap:
        """Return the cap that the request asks for."""
        return Cap(self.max_attempts, self.per_hours or 24, self.per)


class WindowIn(NarrowingIn):
    """The hours in which a number may be called.

    ``preset``, ``pause``, ``holidays`` and ``closed`` take hours away from ``open``.
    """

    timezone: WindowZone = doc(ZONE, "Asia/Kolkata", RECIPIENT)
    open: Week | None = doc(OPEN + " Left out, any hour is open.", {"monday": [["09:00", "21:00"]]}, None)
    pause: Week = doc(PAUSE, {"monday": [["12:00", "14:00"]]}, {})

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
        """Return the rules of the window, the presets and the days off.

        The rules include the caps of the presets.
        """
        return self.narrowed(Window(self.timezone, _week(self.open) if self.open else None, _week(self.pause)))


def _week(week: Week) -> dict[Weekday, tuple[Interval, ...]]:
    return {day: tuple(interval(start, end) for start, end in hours) for day, hours in week.items()}
