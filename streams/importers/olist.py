"""The marketing funnel that Olist published: leads that marketing qualified, and the deals closed of them.

Two CSV files in one folder. Event ids are functions of the row, so that a second import brings copies only.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streams.errors import InputError
from streams.importers.external_sort import in_order
from streams.importers.source import Imported
from streams.importers.times import date_millis

_LEADS: Final = "olist_marketing_qualified_leads_dataset.csv"
_DEALS: Final = "olist_closed_deals_dataset.csv"
_LEAD_COLUMNS: Final = ("mql_id", "first_contact_date", "landing_page_id", "origin")
_DEAL_COLUMNS: Final = ("mql_id", "sdr_id", "sr_id", "won_date", "declared_monthly_revenue")


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
            source = row["origin"] if row["origin"] not in ("", "unknown") else "unknown"
            sources[lead_id] = source
            at = self._time(row["first_contact_date"], "first_contact_date", place)
            yield _imported(
                "LeadCaptured", lead_id, at, source=source, campaign=row["landing_page_id"] or None, channel=None,
                landing_page=row["landing_page_id"] or None, person=None, account=None, region=None, hand_raise=True,
            )  # fmt: skip
            yield _imported("LeadQualified", lead_id, at, definition=None)
        for row, place in self._rows(_DEALS, _DEAL_COLUMNS):
            lead_id = row["mql_id"]
            at = self._time(row["won_date"], "won_date", place)
            try:
                amount = round(float(row["declared_monthly_revenue"] or 0) * 100)
            except ValueError:
                raise InputError(f"{place}: declared_monthly_revenue is no number") from None
            deal: dict[str, Any] = {"opportunity_id": f"deal-{lead_id}"}
            money = {"amount_minor": amount, "currency": "BRL"}
            yield _imported("LeadSalesQualified", lead_id, at, performed_by=row["sdr_id"] or None)
            yield _imported(
                "OpportunityOpened", lead_id, at, **deal, **money, source=sources.get(lead_id, "unknown"),
                expected_close=None, contact_roles=[], owner=row["sr_id"] or None,
            )  # fmt: skip
            yield _imported("OpportunityWon", lead_id, at, **deal, **money)

    def _time(self, text: str, column: str, place: str) -> int:
        try:
            at = date_millis(text)
        except ValueError as error:
            raise InputError(f"{place}: {column}: {error}") from None
        self.end_of_data = max(self.end_of_data, at)
        return at

    def _rows(self, name: str, columns: tuple[str, ...]) -> Iterator[tuple[Mapping[str, str], str]]:
        path = self._folder / name
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                missing = [column for column in columns if column not in (reader.fieldnames or ())]
                if missing:
                    raise InputError(f"{path}, line 1: column {missing[0]} is missing; expected {', '.join(columns)}")
                for row in reader:
                    place = f"{path}, line {reader.line_num}"
                    if None in row.values() or not row["mql_id"]:
                        raise InputError(f"{place}: fewer than {len(reader.fieldnames or ())} columns, or no mql_id")
                    yield row, place
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; expected Olist's file of that name") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: no readable CSV in UTF-8: {type(error).__name__}") from None


def _imported(name: str, lead_id: str, at: int, **fields: Any) -> Imported:
    event = {
        "event_id": f"{name}:{lead_id}",
        "lead_id": lead_id,
        "occurred_at": at,
        "source_system": "olist",
        "entered_by": "system",
        "is_test": False,
        **fields,
    }
    return Imported(name, event, at)
