"""The public holidays of a country or a subdivision, from ``holidays``."""

import re
from datetime import date
from functools import lru_cache

SHAPE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def check(code: str) -> None:
    """Raise ValueError unless the holidays of ``code`` are known.

    ``code`` is ISO 3166-1 (``IN``) or ISO 3166-2 (``US-FL``).
    """
    _supported(code)


def is_holiday(code: str, day: date) -> bool:
    """Return whether a local day is a public holiday, including days off in lieu.

    Raises ValueError for an unknown code, like ``check``.
    """
    return day in _holidays(code, day.year)


# Separate from _holidays(), because a check of a code need not compute the holidays of a year.
@lru_cache(maxsize=256)
def _supported(code: str) -> tuple[str, str | None]:
    country, _, subdivision = code.partition("-")
    if SHAPE.fullmatch(code):
        # Imported here, because the import takes about 60 ms and most windows have no holidays.
        from holidays import country_holidays

        try:
            country_holidays(country, subdiv=subdivision or None)
        except NotImplementedError:  # the error of ``holidays`` for a country or subdivision that it does not know
            pass
        else:
            return country, subdivision or None
    raise ValueError(f"no public holidays are known for {code!r}; use an ISO code such as 'IN', 'US' or 'US-FL'")


@lru_cache(maxsize=256)
def _holidays(code: str, year: int) -> frozenset[date]:
    country, subdivision = _supported(code)
    from holidays import country_holidays

    return frozenset(country_holidays(country, subdiv=subdivision, years=year))
