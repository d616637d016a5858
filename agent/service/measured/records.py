"""Records in and answers out: how many, how late, how long they took."""

import math
from collections.abc import Mapping

from agent.service.measured.family import Family, Seen, counted, timed
from streams.codec import REASONS

OUTCOMES = ("joined", "orphan", "duplicate", "expired")
STAGES = ("poll", "encode", "predict", "learn", "publish", "commit")
SHOWN = 32  # reasons, at most
SECONDS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DELAYS = (0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400, 259_200, 604_800, 2_592_000)
SIZES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
HISTOGRAMS = {
    "adaptd_answer_seconds": SECONDS,
    "adaptd_batch_events": SIZES,
    "adaptd_label_delay_seconds": DELAYS,
}


def _labels(at: Seen) -> Mapping[str, float]:
    return {**dict.fromkeys(OUTCOMES, 0), **(at.figures.labels if at.figures else {})}


def _refused(at: Seen) -> Mapping[str, float]:
    """By reason; those that are too many count as one."""
    found: dict[str, float] = dict.fromkeys(sorted(REASONS), 0)
    for reason, count in (at.figures.refused if at.figures else {}).items():
        name = reason if reason in found or len(found) < SHOWN else "other"
        found[name] = found.get(name, 0) + count
    return found


def _lag(at: Seen) -> float:
    return at.wall - at.step.event_time if at.step.event_time else math.nan


FAMILIES = (
    Family(
        "adaptd_events_total", "counter", "events", "Events read and answered.",
        counted(lambda one: one.events),
    ),
    Family(
        "adaptd_predictions_total", "counter", "predictions", "Answers handed to the sink.",
        counted(lambda one: one.predictions),
    ),
    Family(
        "adaptd_labels_total", "counter", "labels",
        "Labels, and events whose wait for one ended, by outcome. Joined ones are learned; orphans"
        " found no event; duplicates came again; expired events"
        " waited longer than labels.ttl, or were too many.",
        _labels, "outcome",
    ),
    Family(
        "adaptd_dead_letters_total", "counter", "records",
        "Records refused and handed to the dead-letter sink, by reason.",
        _refused, "reason",
    ),
    Family(
        "adaptd_pending_events", "gauge", "events", "Events that wait for their label.",
        lambda at: at.step.pending,
    ),
    Family(
        "adaptd_lag_records", "gauge", "records",
        "Records that wait in the source, over all partitions that this process reads. Not told"
        " while that is unknown: after a start or a rebalance until each partition answered, and"
        " of a file.",
        lambda at: math.nan if at.step.lag is None else at.step.lag,
    ),
    Family(
        "adaptd_lag_seconds", "gauge", "seconds",
        "Wall clock now less the latest event time seen. Grows while no events come, too; large and"
        " without meaning for a replay of old files or a generated world.",
        _lag,
    ),
    Family(
        "adaptd_event_timestamp_seconds", "gauge", "seconds",
        "The latest event time seen, Unix seconds.",
        lambda at: at.step.event_time or math.nan,
    ),
    Family(
        "adaptd_label_delay_seconds", "histogram", "seconds",
        "Event time from an event to its label, by label joined.",
        timed("adaptd_label_delay_seconds"),
    ),
    Family(
        "adaptd_answer_seconds", "histogram", "seconds",
        "Time from a batch's arrival to its answers with the sink. Delivered exactly once: from the"
        " arrival of a transaction's first batch to its commit. By batch, or transaction, with"
        " events.",
        timed("adaptd_answer_seconds"),
    ),
    Family(
        "adaptd_batch_events", "histogram", "events",
        "Events in a batch, or in a transaction. By those with events.",
        timed("adaptd_batch_events"),
    ),
    Family(
        "adaptd_stage_seconds", "histogram", "seconds",
        "Time that a stage of one turn of the loop took. poll waits for records, encode makes rows"
        " of them, predict answers, learn takes labels, publish hands answers over, commit makes"
        " them and the position durable.",
        lambda at: at.stages, "stage",
    ),
)  # fmt: skip
