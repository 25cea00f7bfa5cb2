"""The marketing funnel that Olist published: leads that marketing qualified, and the deals closed of them.

Two CSV files in one folder. Event ids are functions of the row, so that a second import brings copies only. The sources
of the leads are held in memory until the deals are read; everything else is a stream.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from streams.errors import InputError
from streams.importers.external_sort import in_order
from streams.importers.shape import RefusedEvent, complete, meaningful
from streams.importers.source import Imported
from streams.importers.times import date_millis

_LEADS: Final = "olist_marketing_qualified_leads_dataset.csv"
_DEALS: Final = "olist_closed_deals_dataset.csv"
_LEAD_COLUMNS: Final = ("mql_id", "first_contact_date", "landing_page_id", "origin")
_DEAL_COLUMNS: Final = ("mql_id", "sdr_id", "sr_id", "won_date", "declared_monthly_revenue")
_CURRENCY: Final = "BRL"
_UNKNOWN: Final = "unknown"


class OlistFunnel:
    """`folder` holds the two files. received_at = occurred_at: the files know no arrival times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.skipped: Counter[str] = Counter()
        self.end_of_data = 0

    def events(self) -> Iterator[Imported]:
        return in_order(self._unordered())

    def _unordered(self) -> Iterator[Imported]:
        sources: dict[str, str] = {}
        for row, place in self._rows(_LEADS, _LEAD_COLUMNS):
            lead_id = row["mql_id"]
            source = sources[lead_id] = row["origin"] or _UNKNOWN
            at = self._time(row, "first_contact_date", place)
            page = row["landing_page_id"] or None
            yield _imported(
                "LeadCaptured", lead_id, at, place, source=source, campaign=page, landing_page=page, hand_raise=True
            )
            yield _imported("LeadQualified", lead_id, at, place)
        for row, place in self._rows(_DEALS, _DEAL_COLUMNS):
            lead_id = row["mql_id"]
            at = self._time(row, "won_date", place)
            deal = {
                "opportunity_id": f"deal-{lead_id}",
                "amount_minor": _minor(row["declared_monthly_revenue"], place),
                "currency": _CURRENCY,
            }
            yield _imported("LeadSalesQualified", lead_id, at, place, performed_by=row["sdr_id"] or None)
            source = sources.get(lead_id, _UNKNOWN)
            owner = row["sr_id"] or None
            yield _imported("OpportunityOpened", lead_id, at, place, **deal, source=source, owner=owner)
            yield _imported("OpportunityWon", lead_id, at, place, **deal)

    def _time(self, row: Mapping[str, str], column: str, place: str) -> int:
        try:
            at = date_millis(row[column])
        except ValueError as error:
            raise InputError(f"{place}: {column}: {error}") from None
        self.end_of_data = max(self.end_of_data, at)
        return at

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[tuple[Mapping[str, str], str]]:
        path = self._folder / name
        line = 1
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                header = next(reader, [])
                missing = [column for column in columns if column not in header]
                if missing:
                    raise InputError(
                        f"{path}, line 1: column {', '.join(missing)} is missing; expected {', '.join(columns)}"
                    )
                for values in reader:
                    line = reader.line_num
                    place = f"{path}, line {line}"
                    if not values:
                        continue
                    if len(values) != len(header):
                        raise InputError(f"{place}: {len(values)} columns; expected {len(header)} as in line 1")
                    row = {column: value.strip() for column, value in zip(header, values, strict=True)}
                    if not row["mql_id"]:
                        raise InputError(f"{place}: mql_id is empty; expected the lead's id")
                    yield row, place
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; expected Olist's file of that name") from None
        except UnicodeDecodeError:
            raise InputError(
                f"{path}, after line {line}: no UTF-8; expected Olist's file as it was published"
            ) from None
        except csv.Error as error:
            raise InputError(f"{path}, after line {line}: no readable CSV: {error}") from None


def _minor(text: str, place: str) -> int:
    try:
        return int((Decimal(text or "0") * 100).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise InputError(f"{place}: declared_monthly_revenue is no number; expected an amount such as 1500.0") from None


def _imported(name: str, lead_id: str, at: int, place: str, **fields: Any) -> Imported:
    given = {
        "event_id": f"{name}:{lead_id}",
        "lead_id": lead_id,
        "occurred_at": at,
        "source_system": "olist",
        "entered_by": "system",
        **fields,
    }
    try:
        event = complete(name, given)
        meaningful(name, event)
    except RefusedEvent as error:
        raise InputError(f"{place}: {error}") from None
    return Imported(name, event, at)
