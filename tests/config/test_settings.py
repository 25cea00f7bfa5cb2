"""The one configuration object: where values come from, what each error names."""

from pathlib import Path

import pytest

from streams.config import Latency, load
from streams.errors import ConfigurationError


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BATON_LATENCY", "BATON_COMMIT_INTERVAL", "BATON_SINK_INTERVAL", "BATON_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)


def intervals(**given: object) -> tuple[float, float]:
    settings = load(**given)
    return settings.commit_interval, settings.sink_interval


def test_low_latency_shortens_what_is_not_given() -> None:
    assert intervals() == intervals(latency=Latency.DEFAULT) == (0.5, 0.5)
    assert intervals(latency=Latency.LOW) == (0.1, 0.05)
    assert intervals(latency="low", sink_interval=0.2) == (0.1, 0.2)


def test_low_latency_comes_from_the_environment_and_yields_to_what_is_said_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATON_LATENCY", "low")
    assert intervals() == (0.1, 0.05)
    monkeypatch.setenv("BATON_COMMIT_INTERVAL", "0.3")
    assert intervals() == (0.3, 0.05)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("latency", "lowest", r"latency \(BATON_LATENCY\): .*'default' or 'low'"),
        ("brokers", "kafka", r"brokers \(BATON_BROKERS\): .*host:port"),
        ("store_url", "clickhouse:8123", r"store_url \(BATON_STORE_URL\): .*http://"),
        ("commit_interval", "0", r"commit_interval \(BATON_COMMIT_INTERVAL\): .*greater than 0"),
        ("acks", "1", r"acks \(BATON_ACKS\): .*'all'"),
        ("partition", "4", r"partition \(BATON_PARTITION\): .*not permitted"),
    ],
)
def test_a_wrong_value_names_its_key_and_what_is_expected(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        load(**{name: value})


def test_a_secret_comes_from_its_file_and_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "BATON_ERASURE_KEY").write_text("a key of the file\n")
    monkeypatch.setenv("BATON_SECRETS_DIR", str(tmp_path))
    settings = load()
    assert settings.erasure_key.get_secret_value() == "a key of the file"
    assert "a key of the file" not in repr(settings) + str(settings.model_dump())
