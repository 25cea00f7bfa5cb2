"""Dead letters are published again exactly once: in a second run, after a crash, by two runs at once, mended or not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.erasure import Erased
from streams.deadletters import mending
from streams.deadletters import replay as replaying
from streams.deadletters.reading import Place, Wanted
from streams.deadletters.replay import Outbox, replay
from streams.errors import BatonError, ConfigurationError, InputError
from streams.partitioner import lane_of
from streams.registry import Registry
from streams.topics import RECEIVED_AT_HEADER
from tests.deadletters.support import Pipeline
from tests.processors.support import START
from tests.real.fixtures import Cluster
from tests.worker.processes import settings_for
from tests.worker.support import HOUR

ALL = Wanted()


@pytest.fixture
def pipeline(cluster: Cluster, topic_prefix: str) -> Iterator[Pipeline]:
    settings = settings_for(cluster, topic_prefix)
    with Registry(settings.registry_url) as registry:
        yield Pipeline(settings, registry)


@pytest.fixture
def real(real_cluster: Cluster, topic_prefix: str) -> Iterator[Pipeline]:
    settings = settings_for(real_cluster, topic_prefix)
    with Registry(settings.registry_url) as registry:
        yield Pipeline(settings, registry)


def run(pipeline: Pipeline, wanted: Wanted = ALL, mend: Any = None, **more: Any) -> replaying.Summary:
    chosen = mend or mending.unchanged(pipeline.letters)
    return replay(pipeline.settings, pipeline.letters, pipeline.encoder, wanted, chosen, **more)


def test_unchanged_ones_come_back_as_they_were_and_a_second_run_does_nothing(pipeline: Pipeline) -> None:
    broken = b"\x07 no Avro at all"
    headers = [{"key": "trace", "value": b"t"}, {"key": RECEIVED_AT_HEADER, "value": str(START - HOUR).encode()}]
    pipeline.put(
        {"lead_id": "lead-1"},
        {"lead_id": "lead-2", "topic": pipeline.topics.name("touches"), "value": broken, "headers": headers},
    )
    done = run(pipeline)
    assert (done.replayed, done.mended, done.before) == (2, 0, 0)
    found = {message.key(): message for message in pipeline.inputs(2)}
    assert {message.topic() for message in found.values()} == {
        pipeline.topics.name("leads"), pipeline.topics.name("touches")
    }  # fmt: skip
    assert found[b"lead-1"].headers() == [(RECEIVED_AT_HEADER, str(START).encode())]
    second = found[b"lead-2"]
    assert second.value() == broken
    assert dict(second.headers()) == {"trace": b"t", RECEIVED_AT_HEADER: str(START - HOUR).encode()}
    assert {key: message.partition() for key, message in found.items()} == {
        key: lane_of(key, pipeline.settings.partitions) for key in found
    }
    again = run(pipeline)
    assert (again.replayed, again.before) == (0, 2)
    assert len(pipeline.inputs(2)) == 2


@pytest.mark.parametrize("crash_in", [1, 2, 4])
def test_a_run_that_dies_before_a_commit_doubles_and_loses_nothing(
    real: Pipeline, monkeypatch: pytest.MonkeyPatch, crash_in: int
) -> None:
    monkeypatch.setattr(replaying, "_RECORDS", 10)
    real.put(*({"lead_id": f"lead-{number}"} for number in range(45)))
    commits = 0
    stock = Outbox.commit

    def dies(outbox: Outbox) -> None:
        nonlocal commits
        commits += 1
        if commits == crash_in:
            outbox._producer.flush(10)  # everything of the batch has reached the brokers
            raise KeyboardInterrupt
        stock(outbox)

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "commit", dies)
        with pytest.raises(KeyboardInterrupt):
            run(real)
    assert len(real.inputs(10 * (crash_in - 1))) == 10 * (crash_in - 1)
    rest = run(real)
    assert (rest.before, rest.replayed) == (10 * (crash_in - 1), 45 - 10 * (crash_in - 1))
    assert Counter(message.key() for message in real.inputs(45)) == {
        f"lead-{number}".encode(): 1 for number in range(45)
    }


def test_of_two_runs_at_once_the_second_takes_over_and_the_first_makes_nothing_visible(real: Pipeline) -> None:
    real.put(*({"lead_id": f"lead-{number}"} for number in range(20)))
    first = Outbox(real.settings, real.letters, real.encoder)
    first.open()
    unchanged = mending.unchanged(real.letters)
    for letter in real.letters.read(ALL):
        first.add(letter, unchanged(letter))
    assert run(real).replayed == 20
    with pytest.raises(Exception, match=r"(?i)fenced|epoch|_FATAL|erroneous"):
        first.commit()
    assert Counter(message.key() for message in real.inputs(20)) == {
        f"lead-{number}".encode(): 1 for number in range(20)
    }


def test_only_what_is_wanted(pipeline: Pipeline) -> None:
    touches = pipeline.topics.name("touches")
    pipeline.put({"lead_id": "a", "reason": "null_key"}, {"lead_id": "b", "topic": touches}, {"lead_id": "c"})
    written = {letter.record["lead_id"]: letter for letter in pipeline.letters.read(ALL)}

    def chosen(**fields: Any) -> set[str | None]:
        return {letter.record["lead_id"] for letter in pipeline.letters.read(Wanted(**fields))}

    assert chosen(reasons=frozenset({"null_key"})) == {"a"}
    assert chosen(reasons=frozenset({"null_key", "unknown_record"})) == {"a", "b", "c"}
    assert chosen(topic="touches") == {"b"}
    assert chosen(places=frozenset({written["c"].place})) == {"c"}
    newest = max(letter.written_at for letter in written.values())
    assert chosen(since=newest + 1) == set()
    assert chosen(until=newest + 1) == {"a", "b", "c"}
    assert chosen(until=min(letter.written_at for letter in written.values())) == set()
    done = run(pipeline, Wanted(topic="touches"))
    assert (done.replayed, len(pipeline.inputs(1))) == (1, 1)
    assert run(pipeline).replayed == 2


def test_fields_are_set_and_the_event_is_keyed_by_its_lead(pipeline: Pipeline) -> None:
    value = pipeline.event("LeadCaptured", lead_id="lead-9", source="")
    pipeline.put({"reason": "key_mismatch", "key": b"wrong", "value": value}, {"lead_id": "l", "value": b"\0broken"})
    told: list[str] = []
    mend = mending.with_fields(pipeline.letters, pipeline.encoder, mending.settings_of(["source=website"]))
    done = run(pipeline, mend=mend, passed_over=lambda letter, why: told.append(why))
    assert (done.replayed, done.mended, dict(done.passed_over)) == (1, 1, {"unknown_record": 1})
    assert "cannot be mended by --set" in told[0]
    [message] = pipeline.inputs(1)
    name, event = pipeline.letters.decoded(message.value())
    assert (message.key(), name, event["lead_id"], event["source"]) == (b"lead-9", "LeadCaptured", "lead-9", "website")
    assert dict(message.headers())[RECEIVED_AT_HEADER] == str(START).encode()
    # What was passed over is not done with: a file mends it.
    assert run(pipeline).before == 1


def test_a_file_mends_by_coordinates(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.put({"lead_id": "lead-1", "value": None, "detail": "the bytes stand elsewhere"}, {"lead_id": "lead-2"})
    shown = {letter.record["lead_id"]: letter for letter in pipeline.letters.read(ALL)}
    stated = mending.line(shown["lead-2"], *pipeline.letters.decoded(shown["lead-2"].record["value"]))
    event = json.loads(stated) | {"letter": str(shown["lead-1"].place), "source": "referral", "lead_id": "lead-1"}
    path = tmp_path / "mended.jsonl"
    path.write_text(json.dumps(event) + "\n")
    events = mending.read_file(path)
    done = run(
        pipeline,
        Wanted(places=frozenset(events)),
        mending.from_file(pipeline.letters, pipeline.encoder, events),
    )
    assert (done.replayed, done.mended) == (1, 1)
    [message] = pipeline.inputs(1)
    assert message.key() == b"lead-1"
    assert pipeline.letters.decoded(message.value())[1]["source"] == "referral"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "line 1: no JSON"),
        ('{"type": "LeadCaptured"}', "line 1: a letter is named PARTITION/OFFSET"),
        ('{"letter": "0/1", "type": "LeadCaptured"}', r"line 1: LeadCaptured\.\w+ is missing"),
        ('{"letter": "0/1", "type": "LeadCapured"}', "did you mean LeadCaptured"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_published(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mended.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        mending.read_file(path)


def test_letters_of_erased_leads_are_left_alone(pipeline: Pipeline) -> None:
    name = Erased(pipeline.settings.erasure_key.get_secret_value().encode()).add("gone")
    pipeline.erase(name, "gone")
    pipeline.put({"lead_id": "gone"}, {"lead_id": "kept"})
    done = run(pipeline)
    assert (done.replayed, done.erased) == (1, 1)
    assert [message.key() for message in pipeline.inputs(1)] == [b"kept"]


def test_without_the_key_nothing_is_published(pipeline: Pipeline) -> None:
    from pydantic import SecretStr

    pipeline.put({})
    pipeline.settings = pipeline.settings.model_copy(update={"erasure_key": SecretStr("")})
    with pytest.raises(ConfigurationError, match="BATON_ERASURE_KEY"):
        run(pipeline)
    assert pipeline.inputs(0) == []


def test_a_dry_run_publishes_and_marks_nothing(pipeline: Pipeline) -> None:
    pipeline.put({}, {"value": None})
    done = run(pipeline, dry_run=True)
    assert (done.replayed, done.passed_over.total()) == (1, 1)
    assert (pipeline.inputs(0), pipeline.letters.replayed()) == ([], set())


def test_a_letter_is_named_by_its_place() -> None:
    assert mending.place("3/17") == Place(3, 17)
    for wrong in ("", "3", "3/", "/17", "a/b", "-1/2"):
        with pytest.raises(InputError):
            mending.place(wrong)
    assert issubclass(InputError, BatonError)
