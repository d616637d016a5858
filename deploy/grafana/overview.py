"""The first page: is anything wrong, where, and since when."""

from deploy.grafana.charts import AT, BLUE, GREEN, GREY, RED, YELLOW, Chart, Query, Row, one

BAD = ((None, GREEN), (1, RED))
READY = (
    f'(adaptd_ready{{{AT}}} == 0 unless ignoring (phase) adaptd_phase{{{AT}, phase="ended"}} == 1)'
)
FIRING = f'ALERTS{{alertname=~"Adaptd.+", alertstate="firing", {AT}}}'
LAG = ((None, GREEN), (60, YELLOW), (900, RED))
WORTH = ((None, GREEN), (0.9, YELLOW), (1.0, RED))
AGE = ((None, GREEN), (120, YELLOW), (600, RED))
LETTERS = ((None, GREEN), (0.001, YELLOW), (0.01, RED))
SLOW = ((None, GREEN), (0.3, YELLOW), (1, RED))

NOW = Row("Now", (
    Chart(
        "Alerts firing", "How many fire for these daemons. Below stands which, and since when.",
        one(f"count({FIRING}) or vector(0)"), "none", "stat", BAD, 3, 4,
    ),
    Chart(
        "Down or not ready",
        "Daemons that Prometheus cannot reach, and those that are not ready though they have not"
        " ended. GET /readyz on the daemon gives every reason.",
        one(f"(count(up{{{AT}}} == 0) or vector(0)) + (count({READY}) or vector(0))"),
        "none", "stat", BAD, 3, 4,
    ),
    Chart(
        "Events", "Events answered a second, by all of them.",
        one(f"sum(rate(adaptd_events_total{{{AT}}}[$__rate_interval]))"),
        "eps", "stat", ((None, BLUE),), 3, 4,
    ),
    Chart(
        "To catch up", "How long the daemon furthest behind would need for what waits.",
        one(f"max(instance:adaptd_lag_drain:seconds{{{AT}}})"), "s", "stat", LAG, 3, 4,
    ),
    Chart(
        "Answers, p99",
        "99 of 100 batches are answered, and committed where delivery is exactly once, within this"
        " time of their arrival; the slowest daemon.",
        one(f"max(instance:adaptd_answer_seconds:p99_5m{{{AT}}})"), "s", "stat", SLOW, 3, 4,
    ),
    Chart(
        "Errors, against no change",
        "Errors of the worst daemon over those of saying the last label known. From 1 on, no model"
        " would be better.",
        one(f'max(adaptd_error_over_no_change_ratio{{{AT}, over="window"}})'),
        "none", "stat", WORTH, 3, 4, decimals=2,
    ),
    Chart(
        "Oldest checkpoint",
        "A crash repeats what came since. None is taken while no records come.",
        one(f"max(adaptd_checkpoint_age_seconds{{{AT}}})"), "s", "stat", AGE, 3, 4,
    ),
    Chart(
        "Refused", "Share of records that are dead letters, where it is worst.",
        one(f"max(instance:adaptd_dead_letters:ratio_rate5m{{{AT}}})"),
        "percentunit", "stat", LETTERS, 3, 4, decimals=2,
    ),
))  # fmt: skip

WHERE = Row("Where", (
    Chart(
        "Alerts",
        "Which alerts fire, for which daemon, over time. Each has a section in RUNBOOK.md; where"
        " none fires, there is a line at 0.",
        one(
            f"sum by (alertname, instance) ({FIRING})"
            f' or label_replace(0 * count(up{{{AT}}}), "alertname", "none", "", "")',
            "{{alertname}} {{instance}}",
        ),
        "none", "bars", width=24, height=6, most=1,
    ),
    Chart(
        "Daemons", "One line a daemon. Click a heading to sort; narrow down with the variables.",
        (
            Query(
                f"max by (instance) (adaptd_ready{{{AT}}})", "ready", "bool_yes_no",
                ((None, RED), (1, GREEN)),
            ),
            Query(f"sum by (instance) (instance:adaptd_events:rate5m{{{AT}}})", "events", "eps"),
            Query(f"max by (instance) (adaptd_lag_records{{{AT}}})", "records waiting", "short"),
            Query(
                f"max by (instance) (instance:adaptd_lag_drain:seconds{{{AT}}})", "to catch up",
                "s", LAG,
            ),
            Query(
                f"max by (instance) (instance:adaptd_answer_seconds:p99_5m{{{AT}}})",
                "answers, p99", "s", SLOW,
            ),
            Query(
                "max by (instance)"
                f' (adaptd_error_over_no_change_ratio{{{AT}, over="window"}})',
                "errors / no change", "none", WORTH,
            ),
            Query(
                f"max by (instance) (adaptd_checkpoint_age_seconds{{{AT}}})", "checkpoint",
                "s", AGE,
            ),
            Query(
                f"max by (instance) (instance:adaptd_dead_letters:ratio_rate5m{{{AT}}})", "refused",
                "percentunit", LETTERS,
            ),
            Query(
                f"max by (instance) (instance:adaptd_busy:ratio_rate5m{{{AT}}})", "busy",
                "percentunit", ((None, GREEN), (0.8, YELLOW), (0.95, RED)),
            ),
        ),
        form="table", width=24, height=9,
    ),
))  # fmt: skip

SINCE = Row("Since when", (
    Chart(
        "Events a second", "Events answered.",
        one(f"rate(adaptd_events_total{{{AT}}}[$__rate_interval])"), "eps",
    ),
    Chart(
        "Records that wait", "Known to wait in the source, over the partitions of each daemon.",
        one(f"adaptd_lag_records{{{AT}}}"),
    ),
    Chart(
        "Time to an answer", "From a batch's arrival to its answers: half of them, and 99 of 100.",
        (
            Query(f"instance:adaptd_answer_seconds:p50_5m{{{AT}}}", "{{instance}} p50"),
            Query(f"instance:adaptd_answer_seconds:p99_5m{{{AT}}}", "{{instance}} p99"),
        ),
        "s", limits=SLOW,
    ),
    Chart(
        "Errors against no change",
        "Errors over the last labels, over those of saying the last label known. The line at 1 is"
        " where the model is worth nothing.",
        one(f'adaptd_error_over_no_change_ratio{{{AT}, over="window"}}'), "none",
        limits=((None, GREEN), (1, RED)),
    ),
    Chart(
        "Labels a second", "What became of labels. Only joined ones are learned.",
        one(
            f"sum by (outcome) (rate(adaptd_labels_total{{{AT}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        "cps", "stack",
    ),
    Chart(
        "Signs of change", "Rises of the loss and changes of the task, in the hour before.",
        one(f"instance:adaptd_changes:increase1h{{{AT}}}"), limits=((None, GREY), (20, RED)),
    ),
))  # fmt: skip

ROWS = (NOW, WHERE, SINCE)
