"""The page of whoever runs the machines: load, source, durability, refused records, process."""

from deploy.grafana.charts import AT, GREEN, RED, YELLOW, Chart, Query, Row, one

INTERVAL = "[$__rate_interval]"
LABELS = ', outcome!="expired"'


def _rate(name: str, more: str = "") -> str:
    return f"rate({name}{{{AT}{more}}}{INTERVAL})"


LOAD = Row("Load", (
    Chart(
        "Busy", "Share of its time that the loop works rather than waits for records. Near 1 it is"
        " full: add a daemon, or make it cheaper.",
        one(f"instance:adaptd_busy:ratio_rate5m{{{AT}}}"), "percentunit",
        limits=((None, GREEN), (0.8, YELLOW), (0.95, RED)), most=1,
    ),
    Chart(
        "Where the time goes", "Share of the loop's time, by stage, over the daemons chosen.",
        one(
            f"sum by (stage) ({_rate('adaptd_stage_seconds_sum')})"
            f" / ignoring (stage) group_left sum({_rate('adaptd_stage_seconds_sum')})",
            "{{stage}}",
        ),
        "percentunit", "stack", most=1,
    ),
    Chart(
        "Time of a turn, by stage",
        "Mean over turns of the loop. poll waits for records; learn grows with a block's labels.",
        one(
            f"sum by (stage) ({_rate('adaptd_stage_seconds_sum')})"
            f" / sum by (stage) ({_rate('adaptd_stage_seconds_count')})",
            "{{stage}}",
        ),
        "s",
    ),
    Chart(
        "Events a batch", "Or a transaction. Few at leisure, many while it catches up.",
        (
            Query(
                "histogram_quantile(0.5, sum by (le)"
                f" ({_rate('adaptd_batch_events_bucket')}))", "p50",
            ),
            Query(
                "histogram_quantile(0.99, sum by (le)"
                f" ({_rate('adaptd_batch_events_bucket')}))", "p99",
            ),
        ),
    ),
    Chart(
        "CPU", "Cores in use.", one(_rate("process_cpu_seconds_total")), "none",
    ),
    Chart(
        "Memory", "Resident. It grows with events that wait for labels, up to labels.most.",
        one(f"process_resident_memory_bytes{{{AT}}}"), "bytes",
    ),
))  # fmt: skip

FLOW = Row("Source and sink", (
    Chart(
        "Records in, answers out", "A second, over the daemons chosen.",
        (
            Query(f"sum({_rate('adaptd_events_total')})", "events"),
            Query(f"sum({_rate('adaptd_labels_total', LABELS)})", "labels"),
            Query(f"sum({_rate('adaptd_dead_letters_total')})", "refused"),
            Query(f"sum({_rate('adaptd_predictions_total')})", "answers"),
        ),
        "recps",
    ),
    Chart(
        "Records that wait", "Known to wait in the source.", one(f"adaptd_lag_records{{{AT}}}"),
    ),
    Chart(
        "To catch up", "How long what waits would take at the present pace. +Inf: it stands still.",
        one(f"instance:adaptd_lag_drain:seconds{{{AT}}}"), "s",
        limits=((None, GREEN), (60, YELLOW), (900, RED)),
    ),
    Chart(
        "Behind in event time", "Wall clock less the latest event time. Without meaning for replays"
        " of old files and for generated worlds.",
        one(f"adaptd_lag_seconds{{{AT}}}"), "s", least=None,
    ),
    Chart(
        "Shards held", "States in each process. A shard that nobody holds is not answered.",
        one(f"adaptd_shards{{{AT}}}"), "none", "stack",
    ),
    Chart(
        "Rebalances and backpressure",
        "Partitions that came or went in a quarter of an hour; partitions held back now.",
        (
            Query(f"increase(adaptd_rebalances_total{{{AT}}}[15m])", "{{instance}} rebalances"),
            Query(f"adaptd_paused_partitions{{{AT}}}", "{{instance}} held back"),
        ),
        "none",
    ),
))  # fmt: skip

DURABLE = Row("Durability", (
    Chart(
        "Age of the last checkpoint", "A crash repeats what came since. It grows while no records"
        " come, as none is taken then.",
        one(f"adaptd_checkpoint_age_seconds{{{AT}}}"), "s",
        limits=((None, GREEN), (600, RED)), width=6,
    ),
    Chart(
        "Time to write one", "In a thread of its own: the loop goes on meanwhile.",
        one(f"adaptd_checkpoint_write_seconds{{{AT}}}"), "s", width=6,
    ),
    Chart(
        "Size of a checkpoint", "Grows with experts, tasks and events that wait.",
        one(f"adaptd_checkpoint_bytes{{{AT}}}"), "bytes", width=6,
    ),
    Chart(
        "Checkpoints that failed", "In a quarter of an hour. It tries again by itself.",
        one(f"increase(adaptd_checkpoint_failures_total{{{AT}}}[15m])"), "none", "bars",
        limits=((None, GREEN), (1, RED)), width=6,
    ),
    Chart(
        "Transactions a second", "Committed. Answers are seen by read_committed readers only then."
        " 0 where delivery is at-least-once.",
        one(_rate("adaptd_transactions_total")), "cps", width=12,
    ),
    Chart(
        "Outlived", "In a quarter of an hour: producers made anew, and returns to the last commit.",
        (
            Query(
                f"increase(adaptd_producer_recreations_total{{{AT}}}[15m])",
                "{{instance}} producers made anew",
            ),
            Query(f"increase(adaptd_rewinds_total{{{AT}}}[15m])", "{{instance}} rewinds"),
        ),
        "none", "bars", width=12,
    ),
))  # fmt: skip

REFUSED = Row("Refused records", (
    Chart(
        "Dead letters by reason", "A second. One reason that begins at one moment is a producer's"
        " release.",
        one(f"sum by (reason) ({_rate('adaptd_dead_letters_total')})", "{{reason}}"),
        "recps", "stack", width=12,
    ),
    Chart(
        "Share refused", "Of all records, by daemon.",
        one(f"instance:adaptd_dead_letters:ratio_rate5m{{{AT}}}"), "percentunit",
        limits=((None, GREEN), (0.01, YELLOW), (0.2, RED)), width=12,
    ),
))  # fmt: skip

PROCESS = Row("Process", (
    Chart(
        "Alive and ready", "1 or 0. Not alive: the loop is stuck. Not ready: /readyz says why.",
        (
            Query(f"adaptd_alive{{{AT}}}", "{{instance}} alive"),
            Query(f"adaptd_ready{{{AT}}}", "{{instance}} ready"),
        ),
        "none", most=1, width=6,
    ),
    Chart(
        "Since the loop came round", "Some seconds at most; longer while a broker is away.",
        one(f"adaptd_progress_age_seconds{{{AT}}}"), "s",
        limits=((None, GREEN), (10, YELLOW), (60, RED)), width=6,
    ),
    Chart(
        "Running since", "How long each process has run. Steps to 0 are restarts.",
        one(f"time() - process_start_time_seconds{{{AT}}}"), "s", width=6,
    ),
    Chart(
        "Versions", "How many daemons run each; two for long is a rollout that stopped.",
        one(
            f"count by (version, goal) (adaptd_build_info{{{AT}}})", "{{version}} ({{goal}})",
        ),
        "none", "stack", width=6,
    ),
))  # fmt: skip

ROWS = (LOAD, FLOW, DURABLE, REFUSED, PROCESS)
