"""The public holidays of a country or of one of its subdivisions, from the ``holidays`` package."""

import re
from datetime import date
from functools import lru_cache

SHAPE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def check(code: str) -> None:
    """Raise ValueError unless holidays are known for ``code``: ISO 3166-1 (``IN``) or ISO 3166-2 (``US-FL``)."""
    _supported(code)


def is_holiday(code: str, day: date) -> bool:
    """Whether a local day is a public holiday there, days off in lieu included. Raises as ``check`` does."""
    return day in _holidays(code, day.year)


# Separate from the years: telling whether a code is known need not work out a year's holidays.
@lru_cache(maxsize=256)
def _supported(code: str) -> tuple[str, str | None]:
    country, _, subdivision = code.partition("-")
    if SHAPE.fullmatch(code):
        # Loaded here: the package takes some 60 ms, and most windows have no holidays.
        from holidays import country_holidays

        try:
            country_holidays(country, subdiv=subdivision or None)
        except NotImplementedError:
            pass
        else:
            return country, subdivision or None
    raise ValueError(f"no public holidays are known for {code!r}; use an ISO code such as 'IN', 'US' or 'US-FL'")


@lru_cache(maxsize=256)
def _holidays(code: str, year: int) -> frozenset[date]:
    country, subdivision = _supported(code)
    from holidays import country_holidays

    return frozenset(country_holidays(country, subdiv=subdivision, years=year))
