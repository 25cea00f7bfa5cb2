"""Public holidays by country, from the `holidays` library. Asked when a version is read from a file; a published version
carries the dates it was published with, so that another version of the library cannot change a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

import holidays

from processors.agreement_model import HolidayError
from processors.agreement_text import meant

YEARS: Final = range(2000, 2051)


def public_holidays(calendar: str, country: str, subdivision: str | None) -> Iterable[date]:
    """Dates of the public holidays, substitute days included, of the YEARS that the library knows. Raises HolidayError."""
    known = holidays.list_supported_countries(include_aliases=True)
    if country not in known:
        near = country.upper()
        hint = f" (did you mean {near}?)" if near in known else ""
        raise HolidayError(
            "country", f"{country} is no country with known holidays{hint}: give its ISO 3166 code, such as NL"
        )
    try:
        return list(holidays.country_holidays(country, subdiv=subdivision, years=YEARS))
    except NotImplementedError:
        parts = known[country]
        right = meant(str(subdivision), parts) if parts else ": it has none"
        raise HolidayError("subdivision", f"{subdivision} is no known part of {country}{right}") from None
