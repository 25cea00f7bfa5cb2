"""Every metric of every process: name, unit, meaning, and what to do when it moves. No other module creates one.

Names end in their unit. Labels carry lanes, topics and closed words, never ids of leads.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

EVENTS: Final = Counter(
    "baton_events_total",
    "Events folded, copies included. Falls to zero while lag grows: the worker is stuck; see its log.",
    ["lane"],
)
COPIES: Final = Counter(
    "baton_copies_total",
    "Events dropped as copies of one already seen. A jump means a producer repeats itself or an import runs again.",
    ["lane"],
)
TRANSITIONS: Final = Counter(
    "baton_transitions_total",
    "Statements about stage entries, by change (stated, corrected, retracted). Many corrections mean late evidence.",
    ["lane", "change"],
)
SLA_EVENTS: Final = Counter(
    "baton_sla_events_total",
    "Statements about SLA clocks, by kind (started, breached, met, ...). Breaches rising: leads lie unworked.",
    ["lane", "kind"],
)
BREACHES: Final = Counter(
    "baton_sla_breaches_total",
    "Breaches announced that call for notice (not those of imported history). Each is a lead nobody answered in time.",
    ["policy"],
)
DEAD_LETTERS: Final = Counter(
    "baton_dead_letters_total",
    "Records set aside, by reason. Look at the topic dead-letters; mend and replay.",
    ["reason"],
)
MISPARTITIONED: Final = Counter(
    "baton_mispartitioned_total",
    "Records that a producer put on another lane's partition; passed on to their lanes. Give it partitioner murmur2.",
    ["topic"],
)
OPEN_CLOCKS: Final = Gauge(
    "baton_open_deadlines",
    "Leads with a deadline still to come, by lane. What the sales team has before it.",
    ["lane"],
)
UNWORKED: Final = Gauge(
    "baton_unworked_leads",
    "Promises to leads that are broken, announced and still open, by lane. Above zero for long: nobody works them.",
    ["lane"],
)
LAG: Final = Gauge(
    "baton_lag_records",
    "Records in the log that the lane has not folded. Growing: add workers, or find what blocks the lane.",
    ["lane", "topic"],
)
LANE_CLOCK: Final = Gauge(
    "baton_lane_clock_seconds",
    "The lane's clock as a Unix time: what was received up to it is folded, what was due up to it told.",
    ["lane"],
)
LANE_CLOCK_AGE: Final = Gauge(
    "baton_lane_clock_age_seconds",
    "How far the lane's clock is behind the broker's time. Large: no breach can be announced in time; page.",
    ["lane"],
)
LANES_OWNED: Final = Gauge(
    "baton_lanes_owned",
    "Lanes this worker owns and has restored. The sum over workers must be the number of partitions.",
)
LANES_LOST: Final = Counter(
    "baton_lanes_lost_total",
    "Lanes given up after a Kafka error, by error. Single ones come with fail-over; a series needs a look at the broker.",
    ["error"],
)
LANES_HALTED: Final = Gauge(
    "baton_lanes_halted",
    "Lanes of this worker that stand still because a record of their states cannot be read; /status and log name it.",
)
BATCH_SECONDS: Final = Histogram(
    "baton_batch_seconds",
    "Time to decode and fold one batch of a lane. Rising: the machine is short of CPU.",
    buckets=(0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
COMMIT_SECONDS: Final = Histogram(
    "baton_commit_seconds",
    "Time of one lane's transaction, from flush to commit. Rising: the broker is slow.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
RESTORE_SECONDS: Final = Histogram(
    "baton_restore_seconds",
    "Time to fence and restore one lane. Long: the state topic is large or not compacted.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
RESTORE_PROGRESS: Final = Gauge(
    "baton_restore_progress_ratio",
    "Share of a lane's states that is read back, 0 to 1. Stands still below 1: the broker is slow or away; see the log.",
    ["lane"],
)
SINK_ROWS: Final = Counter(
    "baton_sink_rows_total",
    "Rows inserted into the store, by table.",
    ["table"],
)
SINK_LAG: Final = Gauge(
    "baton_sink_lag_records",
    "Records the sink has read less than there are, by topic. Growing: the store is slow or away.",
    ["topic"],
)
SINK_LOST: Final = Counter(
    "baton_sink_lost_records_total",
    "Offsets that the log no longer had when the sink came to read them, by topic: it was away for too long.",
    ["topic"],
)
SINK_INSERT_SECONDS: Final = Histogram(
    "baton_sink_insert_seconds",
    "Time of one insert into the store.",
    buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
SINK_ERRORS: Final = Counter(
    "baton_sink_errors_total",
    "Inserts that failed and are tried again. Rising: the store is away or refuses; see the sink's log.",
)
ROLLED_LEADS: Final = Counter(
    "baton_rolled_leads_total",
    "Leads whose KPI rows were rolled up anew.",
)
ROLLUP_SECONDS: Final = Histogram(
    "baton_rollup_seconds",
    "Time of one rollup.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600),
)
ROLLUP_AGE: Final = Gauge(
    "baton_rollup_age_seconds",
    "Age of the oldest change that is not rolled up. Growing: quantiles and KPIs of the archive grow old.",
)
ROLLUP_ERRORS: Final = Counter(
    "baton_rollup_errors_total",
    "Rollups that the store refused; they are tried again. Rising: see the sink's log.",
)
ROLLUP_DRIFT: Final = Gauge(
    "baton_rollup_drift_rows",
    "Rows in which a rollup and the tables it is made of differ, of a sample of leads, by table. Anything but 0 is a defect.",
    ["table"],
)
