"""`baton publish` and `baton import` as a user meets them: exit codes, reports, resume, what stands on the topics."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from streams.topics import RECEIVED_AT_HEADER
from tests.publishing.support import NOON, baton, line, read
from tests.real.fixtures import Cluster
from tests.support.poll import eventually
from tests.support.processes import free_port, start
from tests.support.tools import ROOT


class Site:
    """The options that lead a command to the embedded parts, and what stands on their topics."""

    def __init__(self, brokers: str, registry_url: str, prefix: str) -> None:
        self.brokers = brokers
        self.prefix = prefix
        self.options = ("--brokers", brokers, "--registry", registry_url, "--topic-prefix", prefix)

    def keys(self, topic: str = "leads") -> list[str]:
        return sorted(str(record.key, "utf-8") for record in read(self.brokers, self.prefix + topic) if record.key)


@pytest.fixture
def site(mock_brokers: str, embedded_registry_url: str, topic_prefix: str) -> Site:
    return Site(mock_brokers, embedded_registry_url, topic_prefix)


@pytest.fixture
def nowhere() -> tuple[str, ...]:
    """Options that lead to no broker: a command that needs one would wait for it."""
    return ("--brokers", f"127.0.0.1:{free_port()}")


def jsonl(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return path


def leads(count: int) -> list[str]:
    return [line(lead_id=f"l{number:06}", event_id=f"e{number}") for number in range(count)]


def resume_file(path: Path) -> Path:
    return path.with_name(path.name + ".baton-resume")


def test_good_lines_are_published_and_bad_ones_reported(site: Site, tmp_path: Path) -> None:
    path = jsonl(tmp_path, line(lead_id="a", received_at=NOON), "", line(hand_raise=1), line(lead_id="b"), "{")
    done = baton("publish", path, *site.options)
    assert done.returncode == 1
    assert done.stdout == "2 published, 2 refused\n"
    assert done.stderr.splitlines() == [
        "line 3: LeadCaptured.hand_raise is a whole number: expected true or false",
        "line 5: no JSON at column 2: Expecting property name enclosed in double quotes",
    ]
    assert site.keys() == ["a", "b"]
    headers = {record.key: record.headers for record in read(site.brokers, f"{site.prefix}leads")}
    assert headers == {b"a": {RECEIVED_AT_HEADER: str(NOON).encode()}, b"b": {}}
    assert not resume_file(path).exists()


def test_standard_input_is_published_too(site: Site) -> None:
    done = baton("publish", "-", *site.options, stdin=line(lead_id="a").encode())
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 published, 0 refused\n", "")
    assert site.keys() == ["a"]


def test_a_dry_run_needs_no_broker(tmp_path: Path, nowhere: tuple[str, ...]) -> None:
    path = jsonl(tmp_path, line(), line(source=...))
    done = baton("publish", path, "--dry-run", *nowhere)
    assert done.returncode == 1
    assert done.stdout == "1 valid, 1 refused\n"
    assert done.stderr == "line 2: LeadCaptured.source is missing: it is mandatory\n"
    assert baton("publish", jsonl(tmp_path, line()), "--dry-run", *nowhere).returncode == 0
    assert sorted(tmp_path.iterdir()) == [path]


def test_lines_out_of_their_order_of_arrival_are_told(tmp_path: Path, nowhere: tuple[str, ...]) -> None:
    path = jsonl(tmp_path, *(line(received_at=NOON + moment) for moment in (5, 3, 5, 4)))
    done = baton("publish", path, "--dry-run", *nowhere)
    assert done.returncode == 0
    assert done.stderr.startswith(
        "2 lines have an earlier received_at than one before them: sort the file by received_at"
    )


@pytest.mark.parametrize(
    ("argv", "code", "told"),
    [
        (("gone.jsonl",), 1, "baton: gone.jsonl: no such file"),
        (("-", "--resume"), 1, "baton: --resume needs a file: standard input cannot be read again"),
        (("gone.jsonl", "--brokers", "here"), 2, "baton: brokers (BATON_BROKERS): "),
    ],
)
def test_what_cannot_begin_ends_before_a_broker_is_asked(argv: tuple[str, ...], code: int, told: str) -> None:
    done = baton("publish", *argv)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_a_cut_file_tells_what_was_published_and_goes_on_when_whole(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    rows = leads(300)
    whole = gzip.compress("\n".join(rows).encode())
    path.write_bytes(whole[:-400])
    done = baton("publish", path, *site.options)
    assert done.returncode == 1
    found = re.fullmatch(
        rf"baton: {path}: expected a whole gzip file, but the data breaks off after line (\d+) "
        r"\((\d+) events were published before; go on with --resume\)\n",
        done.stderr,
    )
    assert found, done.stderr
    first = int(found[1])
    assert 0 < first == int(found[2]) < 300
    assert len(site.keys()) == first
    assert json.loads(resume_file(path).read_text())["lines"] == first
    path.write_bytes(whole)
    done = baton("publish", path, "--resume", *site.options)
    assert done.returncode == 0
    assert done.stdout == f"{300 - first} published, 0 refused, {first} lines published before\n"
    assert site.keys() == [f"l{number:06}" for number in range(300)]
    assert not resume_file(path).exists()


def test_resume_refuses_a_file_whose_published_lines_changed(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl.gz"
    rows = leads(300)
    path.write_bytes(gzip.compress("\n".join(rows).encode())[:-400])
    baton("publish", path, *site.options)
    before = site.keys()
    for other in ([*rows[:2], line(lead_id="other"), *rows[3:]], rows[:1]):
        path.write_bytes(gzip.compress("\n".join(other).encode()))
        done = baton("publish", path, "--resume", *site.options)
        assert done.returncode == 1
        assert "lines are not those that were published; delete events.jsonl.gz.baton-resume" in done.stderr
        assert site.keys() == before
    resume_file(path).write_text("{}")
    done = baton("publish", path, "--resume", *site.options)
    assert done.stderr == f"baton: {resume_file(path)}: no resume record; delete it to start from the first line\n"


def test_an_interrupted_run_goes_on_where_it_was(site: Site, tmp_path: Path) -> None:
    total = 120_000
    path = jsonl(tmp_path, *leads(total))
    child = start([sys.executable, "-m", "streams", "publish", path, *site.options], tmp_path / "log", cwd=ROOT)
    eventually(lambda: resume_file(path).exists() or not child.running, 60, interval=0.005)
    child.signal(signal.SIGINT)
    assert child.wait(60) == 130, child.output()
    found = re.search(
        r"interrupted after line (\d+): (\d+) events were published before; go on with --resume", child.output()
    )
    assert found, child.output()
    done = baton("publish", path, "--resume", *site.options)
    counted = re.fullmatch(r"(\d+) published, 0 refused, (\d+) lines published before\n", done.stdout)
    assert counted, done.stderr
    assert int(counted[2]) == int(found[1])
    assert int(counted[1]) + int(counted[2]) == total
    assert set(site.keys()) == {f"l{number:06}" for number in range(total)}


def test_the_progress_bar_is_for_terminals_only(tmp_path: Path, nowhere: tuple[str, ...]) -> None:
    path = jsonl(tmp_path, *leads(1_000))
    assert baton("publish", path, "--dry-run", *nowhere).stderr == ""
    ours, theirs = os.openpty()
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "streams", "publish", str(path), "--dry-run", *nowhere],
            {**os.environ, "TERM": "xterm", "COLUMNS": "100"},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_DUP2, theirs, 2)],
        )
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65_536):
                shown += piece
        except OSError:  # the terminal's other end closed
            pass
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(ours)
    assert b"checking 1,000" in shown
    assert b"100%" in shown


XES = (
    '<log><trace><string key="concept:name" value="c1"/>{}</trace>'
    '<trace><string key="concept:name" value="c2"/>{}</trace></log>'
)


def xes_event(activity: str, moment: str) -> str:
    return (
        f'<event><string key="concept:name" value="{activity}"/><date key="time:timestamp" value="{moment}"/></event>'
    )


def test_a_log_is_imported_with_its_times_and_again_as_copies(cluster_site: Site, tmp_path: Path) -> None:
    path = tmp_path / "a.xes.gz"
    first = xes_event("A_SUBMITTED", "2011-10-01T08:00:00+02:00") + xes_event("A_SENT", "2011-10-01T09:00:00+02:00")
    path.write_bytes(gzip.compress(XES.format(first, xes_event("A_SUBMITTED", "2011-09-01T08:00:00Z")).encode()))
    for _ in range(2):
        done = baton("import", "xes", path, *cluster_site.options)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "2 published, 1 skipped\n  skipped A_SENT: 1\n"
    records = read(cluster_site.brokers, f"{cluster_site.prefix}leads")
    values = {(record.key, record.value, record.headers[RECEIVED_AT_HEADER]) for record in records}
    assert len(records) == 4
    assert {(key, header) for key, _, header in values} == {(b"c1", b"1317448800000"), (b"c2", b"1314864000000")}
    assert len(values) == 2  # the second import is the first to the letter


@pytest.fixture
def cluster_site(cluster: Cluster, topic_prefix: str) -> Site:
    site = Site(cluster.brokers, cluster.registry_url, topic_prefix)
    made = baton(
        "topics", "--brokers", cluster.brokers, "--topic-prefix", topic_prefix,
        env={"BATON_TRANSACTIONS": str(cluster.real).lower()},
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return site


def test_an_import_that_cannot_be_read_publishes_nothing(tmp_path: Path, nowhere: tuple[str, ...]) -> None:
    path = tmp_path / "a.xes"
    path.write_text(XES.format(xes_event("A_SUBMITTED", "2011-10-01T08:00:00+02:00"), xes_event("A_SUBMITTED", "soon")))
    done = baton("import", "xes", path, *nowhere)
    assert done.returncode == 1
    assert done.stderr == (
        f"baton: {path}, case 2 (c2), event 1: time:timestamp: "
        "expected an ISO-8601 time such as 2026-01-31T09:30:00+01:00 (nothing was published)\n"
    )
    (tmp_path / "m.yaml").write_text("source_system: s\nrules: [{activity: [a], event: LeadCaptured}]\n")
    done = baton("import", "xes", path, "--mapping", tmp_path / "m.yaml", *nowhere)
    assert done.returncode == 2
    assert done.stderr.startswith(f"baton: mapping {tmp_path / 'm.yaml'}: rules.0: LeadCaptured.source is missing")
    done = baton("import", "olist", tmp_path, *nowhere)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "olist_marketing_qualified_leads_dataset.csv: No such file or directory" in done.stderr
