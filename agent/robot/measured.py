"""What Prometheus sees of robots, under the rules of the streams' metrics."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agent.robot.tally import Figures, Tally
from agent.robot.turn import Turn
from agent.service.health import Health
from agent.service.measured import standing
from agent.service.measured.family import Family, Values
from agent.service.measured.histogram import Histogram
from agent.service.metrics import Exposition
from agent.service.report import Step
from agent.service.status import About

REASONS: Final = ("stale", "duplicate", "overtaken", "broken", "too many")
SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
PARTS: Final = ("plan", "learn", "world")
SHOWN: Final = 8  # bodies with a series of their own, the most probable ones
BELIEFS: Final = 32  # figures of a belief that are shown
SHARED: Final = {
    "adaptd_build_info", "adaptd_ready", "adaptd_alive", "adaptd_phase",
    "adaptd_progress_age_seconds", "adaptd_checkpoint_age_seconds",
    "adaptd_checkpoint_write_seconds", "adaptd_checkpoint_bytes",
    "adaptd_checkpoint_failures_total",
}  # fmt: skip
"""Of the streams' metrics, those that are the same for robots."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands at a scrape; the first five fields as of a stream."""

    about: About
    goal: str
    health: Health
    wall: float
    step: Step | Turn
    figures: Figures | None
    robots: int
    dt: float
    parts: Mapping[str, Histogram]
    dropped: Mapping[str, int]


def _counted(read: Callable[[Figures], float]) -> Callable[[Seen], Values]:
    return lambda at: 0.0 if at.figures is None else read(at.figures)


def _known(read: Callable[[Figures], float]) -> Callable[[Seen], Values]:
    return lambda at: math.nan if at.figures is None else read(at.figures)


def posterior(belief: Mapping[str, float]) -> dict[str, float]:
    """Give the probabilities of bodies in a belief: the likeliest, the others, a new one."""
    known = {
        name.removeprefix("body "): share
        for name, share in belief.items()
        if name.startswith("body ")
    }
    every = sorted(known.items(), key=lambda one: -one[1])
    found = dict(every[:SHOWN])
    if len(every) > SHOWN:
        found["others"] = sum(share for _, share in every[SHOWN:])
    return found | ({"new": belief["new body"]} if "new body" in belief else {})


def _posterior(at: Seen) -> Mapping[str, float]:
    """Mean over the robots."""
    if at.figures is None or not at.figures.turn.belief:
        return {}
    every = [posterior(belief) for belief in at.figures.turn.belief]
    names = dict.fromkeys(name for one in every for name in one)
    return {name: sum(one.get(name, 0.0) for one in every) / len(every) for name in names}


def _belief(at: Seen) -> Mapping[str, float]:
    """Of the first robot, what is no probability of a body."""
    if at.figures is None or not at.figures.turn.belief:
        return {}
    every = at.figures.turn.belief[0].items()
    plain = {name: value for name, value in every if not name.startswith(("body ", "new body"))}
    return dict(list(plain.items())[:BELIEFS])


FAMILIES: Final[tuple[Family[Seen], ...]] = (
    Family(
        "adaptd_robots", "gauge", "robots", "Robots driven by this process.",
        lambda at: at.robots,
    ),
    Family(
        "adaptd_robot_steps_total", "counter", "steps",
        "Steps of control, of each robot.", _counted(lambda one: one.steps),
    ),
    Family(
        "adaptd_robot_return", "gauge", "the environment's",
        "Reward of a robot since the process began, the mean over robots. May fall, so it is no"
        " counter.",
        _known(lambda one: one.total),
    ),
    Family(
        "adaptd_robot_reward", "gauge", "the environment's",
        "Reward of a step, the mean over robots and the last 2 seconds of their time.",
        _known(lambda one: one.reward),
    ),
    Family(
        "adaptd_robot_surprise", "gauge", "the controller's",
        "How badly the next observation was foreseen, the mean over robots and the last 2 seconds"
        " of their time. In nats or standard deviations, as the controller says.",
        _known(lambda one: one.surprise),
    ),
    Family(
        "adaptd_robot_posterior_ratio", "gauge", "ratio",
        "Probability of each body remembered, and of a new one, the mean over robots. The most"
        " probable ones; the rest as others. Of controllers that say it.",
        _posterior, "body",
    ),
    Family(
        "adaptd_robot_belief", "gauge", "the controller's",
        "What else the controller believes of the first robot's body, by name. Estimated gains,"
        " say.",
        _belief, "of",
    ),
    Family(
        "adaptd_robot_bodies", "gauge", "bodies", "Bodies remembered, the mean over robots.",
        _known(lambda one: float(np.mean(one.turn.bodies))),
    ),
    Family(
        "adaptd_robot_changes_total", "counter", "changes",
        "Changes of the body that were noticed, of all robots, by kind.",
        lambda at: {"new": 0, "returned": 0} if at.figures is None else at.figures.noticed, "kind",
    ),
    Family(
        "adaptd_robot_body_changes_total", "counter", "changes",
        "Changes of the body that there were, where the simulation tells.",
        _counted(lambda one: one.altered),
    ),
    Family(
        "adaptd_robot_falls_total", "counter", "falls",
        "Episodes that ended by a fall, of all robots.", _counted(lambda one: one.falls),
    ),
    Family(
        "adaptd_robot_control_seconds", "histogram", "seconds",
        "Time that a part of a step of control took, of all robots together. plan chooses actions,"
        " learn takes in what they did, world is the simulation; of a robot elsewhere, all from its"
        " observation's time to the broker's word for the action.",
        lambda at: at.parts, "part",
    ),
    Family(
        "adaptd_robot_dropped_total", "counter", "observations",
        "Observations of robots elsewhere that were not acted upon, by reason. stale, duplicate,"
        " overtaken by a newer one, broken, or of a robot too many.",
        lambda at: at.dropped, "reason",
    ),
    Family(
        "adaptd_robot_clock_seconds", "gauge", "seconds",
        "The robot's own clock: what a step of control may take.", lambda at: at.dt,
    ),
)  # fmt: skip


class Metrics:
    """A watcher; `text` gives the exposition.

    Args:
        about: what does not change.
        tally: told before this watcher is.
        health: whether the loop lives.
        wall: a clock, Unix seconds.
        robots: how many are driven.
        dropped: counts observations that were not acted upon, by reason; by default 0 of each.
    """

    def __init__(
        self,
        about: About,
        tally: Tally,
        health: Health,
        wall: Callable[[], float],
        robots: int,
        dropped: Mapping[str, int] | None = None,
    ) -> None:
        self._about, self._tally, self._health, self._wall = about, tally, health, wall
        self._robots = robots
        self._dropped = dict.fromkeys(REASONS, 0) if dropped is None else dropped
        self._parts = {part: Histogram(SECONDS) for part in PARTS}
        self.text = Exposition(self._values).text

    def __call__(self, turn: Turn) -> None:
        """Take one step."""
        for part in PARTS:
            self._parts[part].one(getattr(turn.spent, part))

    def _values(self) -> Iterator[tuple[Family[Any], Values]]:
        figures = self._tally.figures()
        seen = Seen(
            about=self._about,
            goal="robot",
            health=self._health,
            wall=self._wall(),
            step=Step(0.0, 0.0) if figures is None else figures.turn,
            figures=figures,
            robots=self._robots,
            dt=self._tally.dt,
            parts=self._parts,
            dropped=dict(self._dropped),
        )
        shared: tuple[Family[Any], ...] = tuple(
            one for one in standing.FAMILIES if one.name in SHARED
        )
        for family in (*shared, *FAMILIES):
            yield family, family.read(seen)
