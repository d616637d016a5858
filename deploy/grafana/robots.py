"""The page of whoever runs robots: what they earn, what they believe, and whether in time."""

from deploy.grafana.charts import AT, GREEN, RED, YELLOW, Chart, Query, Row, one


def _part(part: str, share: float) -> str:
    bucket = f'adaptd_robot_control_seconds_bucket{{{AT}, part="{part}"}}'
    return f"histogram_quantile({share}, sum by (le) (rate({bucket}[$__rate_interval])))"


FARES = Row("How they fare", (
    Chart(
        "Reward a step", "Mean over the robots and the last 2 seconds of their time. It falls when"
        " the body changes, and comes back as they adapt.",
        one(f"adaptd_robot_reward{{{AT}}}"), "none", least=None, width=12,
    ),
    Chart(
        "Surprise", "How badly the next observation was foreseen. A peak is a change of the body,"
        " or of the world.",
        one(f"adaptd_robot_surprise{{{AT}}}"), "none", least=None, width=12,
    ),
    Chart(
        "Return", "Reward of a robot since the process began. May fall.",
        one(f"adaptd_robot_return{{{AT}}}"), "none", least=None,
    ),
    Chart(
        "Steps", "Of control, a second, of each robot.",
        one(f"rate(adaptd_robot_steps_total{{{AT}}}[$__rate_interval])"), "cps",
    ),
    Chart(
        "Falls in an hour", "Episodes that ended by a fall, of all robots.",
        one(f"increase(adaptd_robot_falls_total{{{AT}}}[1h])"), form="bars",
    ),
))  # fmt: skip

BELIEF = Row("What they believe", (
    Chart(
        "Posterior over bodies",
        "Probability of each body remembered, and of a new one; a mean over robots. Of controllers"
        " that say it.",
        one(f"avg by (body) (adaptd_robot_posterior_ratio{{{AT}}})", "body {{body}}"),
        "percentunit", "stack", width=12, most=1,
    ),
    Chart(
        "Other figures of the belief",
        "Of the first robot: estimated gains, say. Towards 0 a motor is dead, below 0 it is"
        " inverted.",
        one(f"adaptd_robot_belief{{{AT}}}", "{{of}}"), "none", least=None, width=12,
    ),
    Chart(
        "Changes in an hour", "New bodies and returned ones, as noticed; beside them the true"
        " changes, where a simulation tells.",
        (
            Query(
                f"sum by (kind) (increase(adaptd_robot_changes_total{{{AT}}}[1h]))", "{{kind}}",
            ),
            Query(f"sum(increase(adaptd_robot_body_changes_total{{{AT}}}[1h]))", "true"),
        ),
        form="bars", width=12,
    ),
    Chart(
        "Bodies remembered", "Mean over the robots; bounded by the controller.",
        one(f"adaptd_robot_bodies{{{AT}}}"), "none", width=6,
    ),
    Chart(
        "Robots", "Driven by each process.", one(f"adaptd_robots{{{AT}}}"), "none", width=6,
    ),
))  # fmt: skip

CLOCK = Row("In time?", (
    Chart(
        "Planner", "Seconds a step, of all robots of a process together, beside the robot's own"
        " clock.",
        (
            Query(_part("plan", 0.5), "p50"),
            Query(_part("plan", 0.99), "p99"),
            Query(f"max(adaptd_robot_clock_seconds{{{AT}}})", "clock"),
        ),
        "s",
    ),
    Chart(
        "Learner", "Seconds a step, likewise.",
        (Query(_part("learn", 0.5), "p50"), Query(_part("learn", 0.99), "p99")), "s",
    ),
    Chart(
        "World", "Seconds a step of the simulation; of robots elsewhere, the round trip from their"
        " observation to the broker's word for the action.",
        (Query(_part("world", 0.5), "p50"), Query(_part("world", 0.99), "p99")), "s",
    ),
    Chart(
        "Observations not acted upon", "Of robots elsewhere, a second, by reason.",
        one(
            f"sum by (reason) (rate(adaptd_robot_dropped_total{{{AT}}}[$__rate_interval]))",
            "{{reason}}",
        ),
        "cps", "stack", limits=((None, GREEN), (1, YELLOW), (10, RED)), width=24,
    ),
))  # fmt: skip

ROWS = (FARES, BELIEF, CLOCK)
