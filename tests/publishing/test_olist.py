"""The Olist funnel: rows to events, and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.errors import InputError
from streams.importers import Imported, open_source

LEADS = "olist_marketing_qualified_leads_dataset.csv"
DEALS = "olist_closed_deals_dataset.csv"
LEAD_HEADER = "mql_id,first_contact_date,landing_page_id,origin"
DEAL_HEADER = "mql_id,seller_id,sdr_id,sr_id,won_date,declared_monthly_revenue"
FEBRUARY = 1_517_443_200_000
"""2018-02-01T00:00:00Z."""


def folder(tmp_path: Path, leads: list[str], deals: list[str]) -> Path:
    (tmp_path / LEADS).write_text("\n".join(leads) + "\n")
    (tmp_path / DEALS).write_text("\n".join(deals) + "\n")
    return tmp_path


def events(path: Path) -> list[Imported]:
    return list(open_source(path).events())


def test_rows_become_events_in_order_of_time_and_rank(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        [LEAD_HEADER, "b,2018-02-01,p1,", "a,2018-02-01,p1,social", ""],
        [DEAL_HEADER, "a,s,sdr1,sr1,2018-01-31 12:00:00,1234.565", "b,s,,,2018-02-02 00:00:01,"],
    )
    got = events(path)
    assert [(item.name, item.event["lead_id"]) for item in got] == [
        ("LeadSalesQualified", "a"),
        ("OpportunityOpened", "a"),
        ("OpportunityWon", "a"),
        ("LeadCaptured", "a"),
        ("LeadCaptured", "b"),
        ("LeadQualified", "a"),
        ("LeadQualified", "b"),
        ("LeadSalesQualified", "b"),
        ("OpportunityOpened", "b"),
        ("OpportunityWon", "b"),
    ]
    captured, opened, bare = got[3], got[1], got[8]
    assert captured.received_at == captured.event["occurred_at"] == FEBRUARY
    assert captured.event["hand_raise"] is True
    assert (captured.event["source"], captured.event["campaign"]) == ("social", "p1")
    assert got[4].event["source"] == "unknown"
    assert opened.received_at == FEBRUARY - 12 * 3_600_000
    assert (opened.event["source"], opened.event["owner"], opened.event["currency"]) == ("social", "sr1", "BRL")
    assert opened.event["amount_minor"] == 123_456  # half to even
    assert got[0].event["performed_by"] == "sdr1"
    assert (bare.event["owner"], bare.event["amount_minor"], bare.event["source"]) == (None, 0, "unknown")


def test_a_second_import_is_the_same_to_the_letter(tmp_path: Path) -> None:
    path = folder(tmp_path, [LEAD_HEADER, "a,2018-02-01,p,email"], [DEAL_HEADER, "a,s,d,r,2018-03-01,1"])
    first = events(path)
    assert events(path) == first
    assert len({item.event["event_id"] for item in first}) == len(first) == 5


GOOD_LEADS = [LEAD_HEADER, "a,2018-02-01,p,email"]
GOOD_DEALS = [DEAL_HEADER, "a,s,d,r,2018-03-01,1"]


@pytest.mark.parametrize(
    ("leads", "deals", "told"),
    [
        (
            ["mql_id,first_contact_date,landing_page_id", "a,2018-02-01,p"], GOOD_DEALS,
            f"{LEADS}, line 1: column origin is missing; expected mql_id, first_contact_date, landing_page_id, origin",
        ),
        (
            GOOD_LEADS, ["mql_id,sdr_id,declared_monthly_revenue"],
            f"{DEALS}, line 1: column sr_id, won_date is missing; "
            "expected mql_id, sdr_id, sr_id, won_date, declared_monthly_revenue",
        ),
        ([""], GOOD_DEALS, f"{LEADS}, line 1: column mql_id, first_contact_date, landing_page_id, origin is missing"),
        ([*GOOD_LEADS, "b,2018-02-01,p"], GOOD_DEALS, f"{LEADS}, line 3: 3 columns; expected 4 as in line 1"),
        ([*GOOD_LEADS, "b,2018-02-01,p,x,y"], GOOD_DEALS, f"{LEADS}, line 3: 5 columns; expected 4 as in line 1"),
        ([*GOOD_LEADS, ",2018-02-01,p,x"], GOOD_DEALS, f"{LEADS}, line 3: mql_id is empty; expected the lead's id"),
        (
            [*GOOD_LEADS, "b,01/02/2018,p,x"], GOOD_DEALS,
            f"{LEADS}, line 3: first_contact_date: expected a date such as 2018-01-31 or 2018-01-31 09:30:00",
        ),
        (GOOD_LEADS, [*GOOD_DEALS, "a,s,d,r,,1"], f"{DEALS}, line 3: won_date: expected a date such as"),
        ([*GOOD_LEADS, 'b,2018-02-01,"p,x'], GOOD_DEALS, f"{LEADS}, after line 2: no readable CSV: unexpected end of data"),
        *(
            (
                GOOD_LEADS, [*GOOD_DEALS, f"a,s,d,r,2018-03-01,{revenue}"],
                f"{DEALS}, line 3: declared_monthly_revenue is no number; expected an amount such as 1500.0",
            )
            for revenue in ("much", "nan", "inf")
        ),
        (
            GOOD_LEADS, [*GOOD_DEALS, "a,s,d,r,2018-03-01,-5"],
            f"{DEALS}, line 3: OpportunityOpened.amount_minor is negative or absurd: give minor units (cents)",
        ),
        (
            [*GOOD_LEADS, f"{'b' * 600},2018-02-01,p,x"], GOOD_DEALS,
            f"{LEADS}, line 3: LeadCaptured.event_id has 613 characters: at most 512 are kept",
        ),
    ],
)  # fmt: skip
def test_a_wrong_row_ends_the_import_with_its_place(
    tmp_path: Path, leads: list[str], deals: list[str], told: str
) -> None:
    path = folder(tmp_path, leads, deals)
    with pytest.raises(InputError) as caught:
        next(open_source(path).events())  # sorting reads both files before the first event
    assert str(caught.value).startswith(f"{path}/{told}")


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{LEADS}: No such file or directory; expected Olist's file of that name$"):
        events(tmp_path)
    folder(tmp_path, GOOD_LEADS, GOOD_DEALS)
    (tmp_path / DEALS).unlink()
    (tmp_path / DEALS).mkdir()
    with pytest.raises(InputError, match=rf"{DEALS}: Is a directory; expected Olist's file"):
        events(tmp_path)
    (tmp_path / LEADS).write_bytes((LEAD_HEADER + "\nb,2018-02-01,p,\xff\n").encode("latin-1"))
    with pytest.raises(InputError, match=rf"{LEADS}, after line 1: no UTF-8"):
        events(tmp_path)


def test_a_date_with_an_offset_keeps_its_instant(tmp_path: Path) -> None:
    path = folder(tmp_path, [LEAD_HEADER, "a,2018-02-01T03:00:00+03:00,p,x"], [DEAL_HEADER])
    assert events(path)[0].received_at == FEBRUARY
