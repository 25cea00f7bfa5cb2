"""Event logs: cases to events by a mapping, hostile and broken files, wrong mappings."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import yaml

from streams.errors import BatonError, ConfigurationError, InputError
from streams.importers import Imported, open_source

DAY = "2011-10-01T"
XMLNS = ' xmlns="http://www.xes-standard.org/"'


def entry(activity: str, at: str, *, by: str | None = None, lifecycle: str = "COMPLETE") -> str:
    resource = "" if by is None else f'<string key="org:resource" value="{by}"/>'
    return (
        f'<event>{resource}<string key="concept:name" value="{activity}"><string key="concept:name" value="inner"/></string>'
        f'<string key="lifecycle:transition" value="{lifecycle}"/><date key="time:timestamp" value="{at}"/></event>'
    )


def log(*cases: tuple[str, list[str]], xmlns: str = XMLNS) -> str:
    traces = "".join(
        f'<trace><!-- c --><string key="concept:name" value="{name}"/>{"".join(entries)}</trace>'
        for name, entries in cases
    )
    return f'<?xml version="1.0" encoding="UTF-8"?><log{xmlns}><classifier name="a" keys="b"/>{traces}</log>'


def written(tmp_path: Path, text: str | bytes, name: str = "a.xes") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def events(path: Path, mapping: Path | None = None) -> list[Imported]:
    return list(open_source(path, mapping=mapping).events())


def at(clock: str) -> str:
    return f"{DAY}{clock}.000+02:00"


@pytest.mark.parametrize("xmlns", [XMLNS, ""])
def test_cases_become_events_in_one_global_order(tmp_path: Path, xmlns: str) -> None:
    path = written(
        tmp_path,
        log(
            (
                "c1",
                [
                    entry("A_SUBMITTED", at("08:00:00"), by="112"),
                    entry("A_PARTLYSUBMITTED", at("08:00:00"), by="112"),
                    entry("O_SELECTED", at("08:30:00"), by="7"),
                    entry("O_CREATED", at("08:30:01"), by="7"),
                    entry("O_SENT", at("08:31:00"), by="7"),
                    entry("O_CREATED", at("08:40:00"), by="7"),
                    entry("O_DECLINED", at("08:41:00"), by="7"),
                    entry("A_DECLINED", at("09:00:00"), by="7"),
                ],
            ),
            ("c2", [entry("A_SUBMITTED", at("08:10:00")), entry("A_DECLINED", at("08:20:00"))]),
            xmlns=xmlns,
        ),
    )
    source = open_source(path)
    got = list(source.events())
    assert [(item.event["event_id"], item.name) for item in got] == [
        ("c1:1", "LeadCaptured"),
        ("c2:1", "LeadCaptured"),
        ("c2:2", "LeadDisqualified"),  # no opportunity was opened before in this case
        ("c1:4", "OpportunityOpened"),
        ("c1:5", "OpportunityStageChanged"),
        ("c1:6", "OpportunityStageChanged"),
        ("c1:8", "OpportunityLost"),
    ]
    assert source.skipped == {"A_PARTLYSUBMITTED": 1, "O_SELECTED": 1, "O_DECLINED": 1}
    assert got[0].received_at == got[0].event["occurred_at"] == 1_317_448_800_000
    assert {item.event["opportunity_id"] for item in got[3:]} == {"c1"}
    assert (got[4].event["stage"], got[4].event["stage_status"]) == ("O_SENT", "open")
    assert (got[2].event["reason"], got[6].event["reason"]) == ("no_fit", "no_fit")
    assert got[0].event["source"] == got[3].event["source"] == "website"


@pytest.mark.parametrize(
    ("by", "actor", "performed_by"),
    [("11180", "human", "11180"), ("112", "automated", "112"), (None, "automated", None), ("", "automated", None)],
)
def test_a_touch_is_human_unless_by_112_or_nobody(
    tmp_path: Path, by: str | None, actor: str, performed_by: str | None
) -> None:
    rows = [entry("W_Nabellen offertes", at("08:00:00"), by=by, lifecycle=step) for step in ("SCHEDULE", "START")]
    source = open_source(written(tmp_path, log(("c", rows))))
    (touch,) = source.events()
    assert touch.event | {"actor": actor, "performed_by": performed_by} == touch.event
    assert (touch.event["channel"], touch.event["direction"]) == ("call", "outbound")
    assert (touch.event["origin"], touch.event["outcome"]) == ("sales", "connected")
    assert source.skipped == {"W_Nabellen offertes": 1}


def test_before_and_after_mean_time_not_place_in_the_file(tmp_path: Path) -> None:
    rows = [entry("A_CANCELLED", at("09:00:00")), entry("O_CREATED", at("08:00:00"))]
    got = events(written(tmp_path, log(("c", rows))))
    assert [(item.event["event_id"], item.name) for item in got] == [
        ("c:2", "OpportunityOpened"),
        ("c:1", "OpportunityLost"),
    ]


def test_the_end_of_the_data_counts_skipped_entries(tmp_path: Path) -> None:
    source = open_source(written(tmp_path, log(("c", [entry("O_NOTHING", "2012-03-14T16:04:54.681+01:00")]))))
    assert list(source.events()) == []
    assert source.end_of_data == 1_331_737_494_681


def test_gzip_is_told_by_content_and_a_second_reading_is_the_same(tmp_path: Path) -> None:
    text = log(("c", [entry("A_SUBMITTED", at("08:00:00"))]))
    plain = events(written(tmp_path, text))
    assert len(plain) == 1
    assert events(written(tmp_path, gzip.compress(text.encode()), "b.xes")) == plain
    assert events(written(tmp_path, gzip.compress(text.encode()), "b.xes.gz")) == plain


GOOD = log(*((f"c{number}", [entry("A_SUBMITTED", at("08:00:00"))]) for number in range(400)))
CASE = GOOD.index("<trace>", GOOD.index("c200"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(GOOD.encode())[:-300], r": expected a whole gzip file, but the data breaks off after case \d+"),
        (gzip.compress(GOOD.encode())[:-8], r": expected a whole gzip file, but the data breaks off after case \d+"),
        (b"\x1f\x8bgarbage", ": expected a whole gzip file, but the data breaks off after case 0"),
        (GOOD[:CASE], r", line 1, column \d+: expected well-formed XES, but after case 201: Premature end of data"),
        (GOOD.replace("</trace>", "</track>", 1), ", line 1, column .*after case 0: Opening and ending tag mismatch"),
        (b"hello", ", line 1, column 1: expected well-formed XES, but after case 0: Start tag expected"),
        (b"", ": empty; expected an XES log"),
        (b"<html><body/></html>", ": no trace in it; expected an XES log"),
        (b'<?xml version="1.0" encoding="klingon"?><log/>', ", line 1"),
        (
            log(("c", ['<event><string key="concept:name" value="A_SUBMITTED"/></event>'])),
            r", case 1 \(c\), event 1: no time:timestamp; expected a date attribute with an offset",
        ),
        (
            log(("a", []), ("c", [entry("A_SUBMITTED", at("08:00:00")), entry("X", f"{DAY}08:00:00")])),
            r", case 2 \(c\), event 2: time:timestamp: expected an offset or Z after the time",
        ),
        (
            log(("c", [entry("A_SUBMITTED", "1.10.2011")])),
            r", case 1 \(c\), event 1: time:timestamp: expected an ISO-8601 time",
        ),
        ("<log><trace><event/></trace></log>", ", case 1: no concept:name; expected the attribute that names the case"),
        (
            log(("c" * 600, [entry("A_SUBMITTED", at("08:00:00"))])),
            r", case 1 \(c+\), event 1: LeadCaptured\.event_id has 602 characters: at most 512 are kept",
        ),
        (
            log(("c", [entry("A_SUBMITTED", "1980-01-01T00:00:00Z")])),
            r", case 1 \(c\), event 1: LeadCaptured\.occurred_at is before 1990-01-01",
        ),
    ],
)
def test_a_file_that_is_no_log_is_told_with_its_place(tmp_path: Path, content: str | bytes, told: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        next(open_source(path).events())  # nothing comes before the whole file was read
    assert re.match(re.escape(str(path)) + told, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.xes: no such file or folder"):
        open_source(tmp_path / "gone.xes")
    with pytest.raises(InputError, match="Is a directory"):
        list(open_source(tmp_path, "xes").events())


def test_entities_read_no_files_and_do_not_explode(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    outside = f'<!DOCTYPE log [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    case = log(("c", [entry("A_SUBMITTED", at("08:00:00"))])).partition("?>")[2]
    got = events(written(tmp_path, outside + case.replace("<trace>", "<trace>&x;")))
    assert "hunter2" not in repr(got)
    bomb = '<!DOCTYPE log [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {new} "{"&" + old + ";"}{("&" + old + ";") * 9}">' for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )  # fmt: skip
    with pytest.raises(InputError, match="expected well-formed XES"):
        events(written(tmp_path, bomb + "]>" + case.replace('value="c"', 'value="&j;"')))


def mapping(tmp_path: Path, only: object, **more: object) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"source_system": "s", "rules": [only], **more}))
    return path


def rule(kind: str, **fields: object) -> dict[str, object]:
    return {"activity": ["A_SUBMITTED", "Enquiry *"], "event": kind, "fields": fields}


def test_a_mapping_of_another_log(tmp_path: Path) -> None:
    fits = rule("LeadCaptured", source="{activity}", hand_raise=True, account="{resource}")
    other = mapping(tmp_path, fits, attributes={"timestamp": "when", "case": "id"})
    text = (
        '<log><trace><string key="id" value="x"/><event><string key="concept:name" value="Enquiry web"/>'
        '<date key="when" value="2020-01-01T00:00:00Z"/></event></trace></log>'
    )
    (item,) = events(written(tmp_path, text), other)
    assert item.event["source"] == "Enquiry web"
    assert item.event["account"] is None
    assert (item.event["lead_id"], item.event["source_system"], item.event["hand_raise"]) == ("x", "s", True)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"event": "LeadCaptured"}, "rules.0.activity: Field required"),
        (
            rule("LeadCapture"),
            "rules.0.event: type 'LeadCapture' is no event of ours: did you mean LeadCaptured?; or skip",
        ),
        (rule("LeadState"), "rules.0.event: type 'LeadState' is no event of ours"),
        (rule("LeadCaptured"), "rules.0: LeadCaptured.source is missing: it is mandatory"),
        (
            rule("LeadCaptured", source="w", hand_rais=True),
            "rules.0: LeadCaptured has no field 'hand_rais': did you mean hand_raise?",
        ),
        (
            rule("LeadCaptured", source="{who}"),
            "rules.0: source: {who} is none of {case}, {activity}, {resource}",
        ),
        (rule("LeadCaptured", source="{case.x}"), "rules.0: source: {case.x} is none of"),
        (rule("LeadCaptured", source="{"), "rules.0: "),
        (
            rule("OpportunityStageChanged", opportunity_id="o", stage="s", stage_status="opne"),
            "rules.0: OpportunityStageChanged.stage_status is text of 4 characters: expected one of open, won, lost",
        ),
        (rule("CampaignAnnounced", campaign="c", name="n"), "rules.0: CampaignAnnounced has no field 'lead_id'"),
        (
            rule("skip") | {"resource_not": [112]},
            "rules.0.resource_not.0: Input should be a valid string",
        ),
    ],
)
def test_a_wrong_mapping_is_told_before_the_log_is_read(tmp_path: Path, wrong: object, told: str) -> None:
    path = mapping(tmp_path, wrong)
    with pytest.raises(ConfigurationError) as caught:
        open_source(written(tmp_path, GOOD), mapping=path)
    assert str(caught.value).startswith(f"mapping {path}: {told}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"rules: [", "no valid YAML"),
        (b"", "top level: Input should be"),
        (b"\xff", "no UTF-8 text"),
        (None, "No such file"),
    ],
)
def test_a_mapping_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "m.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"mapping .*m\.yaml: {told}"):
        open_source(written(tmp_path, GOOD), mapping=path)


def test_a_field_that_comes_out_empty_is_told_where_it_is_mandatory(tmp_path: Path) -> None:
    path = written(tmp_path, log(("c", [entry("A_SUBMITTED", at("08:00:00"))])))
    with pytest.raises(BatonError, match=r"case 1 \(c\), event 1: LeadCaptured\.source is null: expected text"):
        events(path, mapping(tmp_path, rule("LeadCaptured", source="{resource}")))
