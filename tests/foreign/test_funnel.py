"""From a client in another language to the funnel: publish, fold, sink, ask the store."""

from __future__ import annotations

from pathlib import Path

from streams.config import ClockMode
from streams.embedded.pipeline import Plan, running
from streams.store.client import connect
from tests.foreign.clients import CLIENTS
from tests.real.fixtures import Cluster
from tests.support.poll import eventually

_HOUR = """
version: hour-1
effective_from: 2020-01-01T00:00:00Z
policies: {first_response: {targets: 1 h}}
"""


def test_events_of_java_and_node_clients_reach_the_funnel(
    real_cluster: Cluster, topic_prefix: str, tmp_path: Path
) -> None:
    agreement = tmp_path / "agreement.yaml"
    agreement.write_text(_HOUR)
    leads = {name: [f"{name}-{number}" for number in range(12)] for name in CLIENTS}
    plan = Plan(
        clock=ClockMode.BROKER,
        agreement=agreement,
        brokers=real_cluster.brokers,
        registry_url=real_cluster.registry_url,
        partitions=4,
        topic_prefix=topic_prefix,
    )
    with running(plan) as pipeline:
        for name, publish in CLIENTS.items():
            publish(real_cluster.brokers, real_cluster.registry_url, topic_prefix, leads[name])
        client = connect(pipeline.settings)
        try:
            funnel = "SELECT leads, reached_inquiry FROM kpi_funnel_by_source WHERE source = 'website'"
            eventually(lambda: client.query(funnel).result_rows == [(24, 24)], 60)
            verdicts = "SELECT verdict, count() FROM sla_instances FINAL GROUP BY verdict"
            eventually(lambda: client.query(verdicts).result_rows == [("met", 24)], 60)
            # Lane and lead belong together: each lead's state stands in exactly one partition.
            lanes = "SELECT lead_id, uniqExact(partition) FROM leads GROUP BY lead_id"
            assert dict(client.query(lanes).result_rows) == {lead: 1 for group in leads.values() for lead in group}
            assert client.query("SELECT count() FROM dead_letters").result_rows == [(0,)]
        finally:
            client.close()
