"""How well it predicts, and by which of its experts."""

import math
from collections.abc import Mapping

from agent.service.measured.family import Family, Seen, counted, scored
from agent.service.nochange import over_no_change
from agent.service.scorecard import Card


def _accuracy(card: Card) -> float:
    """Of the baseline, where classes are predicted."""
    return math.nan if math.isnan(card.accuracy) else card.no_change


def _mae(card: Card) -> float:
    return math.nan if math.isnan(card.mae) else card.no_change


def _voices(at: Seen) -> Mapping[str, float]:
    return at.figures.experts if at.figures else {}


def _resets(at: Seen) -> Mapping[str, float]:
    """All experts, those with 0 too: a counter that begins at 1 raises no alarm."""
    return {**dict.fromkeys(at.step.voices, 0), **(at.figures.faults if at.figures else {})}


def _rare(at: Seen) -> float:
    return at.figures.rare_share if at.figures else math.nan


FAMILIES = (
    Family(
        "adaptd_prequential_loss_nats", "gauge", "nats",
        "Mean log loss of what was said before the label was known.",
        scored(lambda card: card.loss), "over",
    ),
    Family(
        "adaptd_prequential_accuracy_ratio", "gauge", "ratio",
        "Share of labels that were said right beforehand. Classes only.",
        scored(lambda card: card.accuracy), "over",
    ),
    Family(
        "adaptd_prequential_kappa_ratio", "gauge", "ratio",
        "Agreement with the labels beyond chance, Cohen's kappa. Classes only.",
        scored(lambda card: card.kappa), "over",
    ),
    Family(
        "adaptd_prequential_average_precision_ratio", "gauge", "ratio",
        "Average precision of the rarer of two classes. The window's is over status.rare_window"
        " labels.",
        scored(lambda card: card.average_precision), "over",
    ),
    Family(
        "adaptd_prequential_mae", "gauge", "the target's",
        "Mean absolute error. Numbers only.",
        scored(lambda card: card.mae), "over",
    ),
    Family(
        "adaptd_prequential_rmse", "gauge", "the target's",
        "Root of the mean squared error. Numbers only.",
        scored(lambda card: card.rmse), "over",
    ),
    Family(
        "adaptd_prequential_r2_ratio", "gauge", "ratio",
        "Share of the target's variance that was explained beforehand. Numbers only.",
        scored(lambda card: card.r2), "over",
    ),
    Family(
        "adaptd_no_change_accuracy_ratio", "gauge", "ratio",
        "Accuracy of a baseline that says the last label known. Classes only.",
        scored(_accuracy), "over",
    ),
    Family(
        "adaptd_no_change_mae", "gauge", "the target's",
        "Mean absolute error of a baseline that says the last label known. Numbers only.",
        scored(_mae), "over",
    ),
    Family(
        "adaptd_error_over_no_change_ratio", "gauge", "ratio",
        "Errors made over those of the baseline that says the last label known. Above 1 the model"
        " is worth less than no model.",
        scored(over_no_change), "over",
    ),
    Family(
        "adaptd_scored_labels", "gauge", "labels", "Labels that the figures of merit are over.",
        scored(lambda card: card.labels), "over",
    ),
    Family(
        "adaptd_rare_class_ratio", "gauge", "ratio",
        "Share of the rarer of two classes among all labels.", _rare,
    ),
    Family(
        "adaptd_classes", "gauge", "classes", "Classes met so far; 0 for numbers.",
        lambda at: len(at.step.classes),
    ),
    Family(
        "adaptd_drifts_total", "counter", "drifts", "Rises of the loss that were noticed.",
        counted(lambda one: one.drifts),
    ),
    Family(
        "adaptd_expert_weight_ratio", "gauge", "ratio",
        "Share of the vote, by expert; a running mean over some seconds.",
        _voices, "expert",
    ),
    Family(
        "adaptd_expert_resets_total", "counter", "resets",
        "Times that an expert gave what is not a number and was set back, by expert.",
        _resets, "expert",
    ),
)  # fmt: skip
