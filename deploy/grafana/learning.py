"""The page of whoever owns the model: is it good, what does it stand on, what has it forgotten."""

from deploy.grafana.charts import AT, GREEN, RED, YELLOW, Chart, Query, Row, one

WINDOW = f'{AT}, over="window"'
RUN = f'{AT}, over="run"'


def _delay(share: float) -> str:
    rate = f"rate(adaptd_label_delay_seconds_bucket{{{AT}}}[$__rate_interval])"
    return f"histogram_quantile({share}, sum by (le) ({rate}))"


WORTH = Row("Is it worth having?", (
    Chart(
        "Errors against no change",
        "Errors over those of saying the last label known. Above 1, no model would be better.",
        one(f"adaptd_error_over_no_change_ratio{{{WINDOW}}}"), "none",
        limits=((None, GREEN), (0.9, YELLOW), (1, RED)),
    ),
    Chart(
        "Loss", "Mean log loss, in nats, of what was said before the label was known. The only"
        " figure that also sees how sure it was.",
        (
            Query(f"adaptd_prequential_loss_nats{{{WINDOW}}}", "{{instance}} of late"),
            Query(f"adaptd_prequential_loss_nats{{{RUN}}}", "{{instance}} whole run"),
        ),
        "none", least=None,
    ),
    Chart(
        "Labels that the figures are over",
        "Of the window. With few of them the figures jump.",
        one(f"adaptd_scored_labels{{{WINDOW}}}"),
    ),
    Chart(
        "Accuracy (classes)",
        "Share of labels said right beforehand, beside that of saying the last label known.",
        (
            Query(f"adaptd_prequential_accuracy_ratio{{{WINDOW}}}", "{{instance}}"),
            Query(f"adaptd_no_change_accuracy_ratio{{{WINDOW}}}", "{{instance}} no change"),
        ),
        "percentunit", least=None, most=1,
    ),
    Chart(
        "Kappa and average precision (classes)",
        "Agreement beyond chance, and how well the rarer of two classes is ranked first; both tell"
        " more than accuracy where one class is rare.",
        (
            Query(f"adaptd_prequential_kappa_ratio{{{WINDOW}}}", "{{instance}} kappa"),
            Query(
                f"adaptd_prequential_average_precision_ratio{{{WINDOW}}}",
                "{{instance}} average precision",
            ),
        ),
        "percentunit", least=None, most=1,
    ),
    Chart(
        "Share of the rarer class",
        "Of all labels. A sudden step is a change of what is labelled, not of the world.",
        one(f"adaptd_rare_class_ratio{{{AT}}}"), "percentunit",
    ),
    Chart(
        "Mean absolute error (numbers)",
        "In the target's unit, beside that of saying the last label known.",
        (
            Query(f"adaptd_prequential_mae{{{WINDOW}}}", "{{instance}}"),
            Query(f"adaptd_no_change_mae{{{WINDOW}}}", "{{instance}} no change"),
        ),
        "none",
    ),
    Chart(
        "Root mean squared error (numbers)", "In the target's unit; large errors weigh more.",
        one(f"adaptd_prequential_rmse{{{WINDOW}}}"), "none",
    ),
    Chart(
        "Variance explained (numbers)", "R²: 1 is perfect, 0 is as good as the mean.",
        one(f"adaptd_prequential_r2_ratio{{{WINDOW}}}"), "percentunit", least=None, most=1,
    ),
))  # fmt: skip

LABELS = Row("Labels", (
    Chart(
        "Labels by outcome", "Orphans found no event, duplicates came again, expired events waited"
        " too long. Only joined ones are learned.",
        one(
            f"sum by (outcome) (rate(adaptd_labels_total{{{AT}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        "cps", "stack", width=6,
    ),
    Chart(
        "Joined", "Of all labels and expired events of the last hour, those that were learned.",
        one(f"instance:adaptd_labels_joined:ratio_rate1h{{{AT}}}"), "percentunit", most=1, width=6,
    ),
    Chart(
        "Delay of labels", "Event time from an event to its label. The bounds of its buckets are"
        " coarse: from minutes to hours to days.",
        (Query(_delay(0.5), "p50"), Query(_delay(0.9), "p90"), Query(_delay(0.99), "p99")),
        "s", width=6,
    ),
    Chart(
        "Events that wait for their label", "A flat line at labels.most: there is no more room.",
        one(f"adaptd_pending_events{{{AT}}}"), width=6,
    ),
))  # fmt: skip

EXPERTS = Row("Experts", (
    Chart(
        "Weights of the experts", "Share of the vote, a mean over the daemons chosen.",
        one(f"avg by (expert) (adaptd_expert_weight_ratio{{{AT}}})", "{{expert}}"),
        "percentunit", "share", width=16,
    ),
    Chart(
        "Experts set back", "Times in an hour that an expert gave what is not a number; all but"
        " none is worth a look into the log.",
        one(
            f"sum by (expert) (increase(adaptd_expert_resets_total{{{AT}}}[1h]))", "{{expert}}",
        ),
        form="bars", limits=((None, GREEN), (1, RED)),
    ),
))  # fmt: skip

TASKS = Row("Tasks and changes", (
    Chart(
        "Posterior over tasks",
        "Probability of each remembered task, and of a new one; a mean over the daemons chosen."
        " Needs agent.tasks.",
        one(f"avg by (task) (adaptd_task_posterior_ratio{{{AT}}})", "task {{task}}"),
        "percentunit", "stack", width=12, most=1,
    ),
    Chart(
        "Current task", "Its number; where lines step, the task changed.",
        one(f"adaptd_current_task{{{AT}}}"), "none", width=6,
    ),
    Chart(
        "How sure", "Probability of the current task.",
        one(f"adaptd_task_probability_ratio{{{AT}}}"), "percentunit", most=1, width=6,
    ),
    Chart(
        "Changes of the task in an hour",
        "New ones and returned ones. If only the returned grow, the world goes round.",
        one(
            f"sum by (kind) (increase(adaptd_task_changes_total{{{AT}}}[1h]))", "{{kind}}",
        ),
        form="bars", width=6,
    ),
    Chart(
        "Rises of the loss in an hour", "Drifts noticed from the loss alone.",
        one(f"increase(adaptd_drifts_total{{{AT}}}[1h])"), form="bars", width=6,
    ),
    Chart(
        "Tasks remembered", "The current one included.", one(f"adaptd_tasks{{{AT}}}"), "none",
        width=6,
    ),
    Chart(
        "Hazard", "How probable a change is thought to be, per label.",
        one(f"adaptd_task_hazard_ratio{{{AT}}}"), "none", width=6,
    ),
))  # fmt: skip

MEMORY = Row("Memory and plasticity", (
    Chart(
        "Forgetting", "Mean rise of the loss on rows of old tasks since each was left, in nats."
        " Below 0: it has got better at them.",
        one(f"adaptd_forgetting_nats{{{AT}}}"), "none", limits=((None, GREEN), (0.25, RED)),
        least=None,
    ),
    Chart(
        "Loss on old tasks", "Today, on rows kept of them, in nats.",
        one(f"adaptd_probe_loss_nats{{{AT}}}"), "none", least=None,
    ),
    Chart(
        "Old tasks probed", "Of which rows are kept.", one(f"adaptd_probed_tasks{{{AT}}}"), "none",
    ),
    Chart(
        "Effective step size", "Geometric mean of the network's step sizes. Towards 0 it no longer"
        " learns; a leap is a change of the world.",
        one(f"adaptd_effective_step_size{{{AT}}}"), "sci", width=6,
    ),
    Chart(
        "Dormant units", "Share of hidden units that hardly ever fire.",
        one(f"adaptd_dormant_units_ratio{{{AT}}}"), "percentunit",
        limits=((None, GREEN), (0.5, RED)), width=6,
    ),
    Chart(
        "Effective rank", "Dimensions that the hidden layer makes use of.",
        one(f"adaptd_effective_rank{{{AT}}}"), "none", width=6,
    ),
    Chart(
        "Units renewed", "Hidden units begun anew so far.",
        one(f"adaptd_renewed_units{{{AT}}}"), "none", width=6,
    ),
))  # fmt: skip

ROWS = (WORTH, LABELS, EXPERTS, TASKS, MEMORY)
