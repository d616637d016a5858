"""Everything that a person can set of a run of robots: TOML, environment, flags.

The environment goes over the file, flags over both: `ADAPTD__ROBOT__WEB__PORT=0` sets `web.port`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.build import build
from agent.faults import SettingsError
from agent.service.settings import Level
from agent.service.store import Options
from agent.service.store_open import check_folder
from agent.service.web import WebSettings
from agent.toml import Table, Text, from_environment, overlay, read
from streams.kafka.settings import KafkaSettings

ROBOT: Final = "robot."
INTACT: Final = "intact@0"
PICTURES: Final = (".png", ".svg", ".pdf")
FILMS: Final = (".mp4", ".gif", ".webm")


@dataclass(frozen=True, slots=True)
class RobotCheckpointSettings:
    """Where snapshots of a life go, and how often; a run begins at the newest one there.

    Args:
        folder: a folder, or the URL of a store of objects; empty takes none.
        every_steps: steps of control between two snapshots.
        every_seconds: seconds after which one is taken in any case.
        keep: how many are kept.
        options: for a URL, what its fsspec client takes, as endpoint_url; never a secret.
    """

    folder: str = ""
    every_steps: int = 1000
    every_seconds: float = 30.0
    keep: int = 3
    options: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder:
            check_folder(self.folder, self.options)
        if self.every_steps < 1:
            raise ValueError(f"every_steps is {self.every_steps}; give 1 or more")
        if not self.every_seconds > 0:
            raise ValueError(f"every_seconds is {self.every_seconds}; give more than 0 seconds")
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; give 1 or more (2 outlive a damaged disk)")


@dataclass(frozen=True, slots=True)
class OutSettings:
    """What a life leaves behind.

    Args:
        csv: a file with a line a robot and step.
        tensorboard: a folder that TensorBoard reads.
        plot: a picture of return and surprise, changes marked: PNG, SVG or PDF.
        video: a film of the first robot: MP4, WebM or GIF.
    """

    csv: Path | None = None
    tensorboard: Path | None = None
    plot: Path | None = None
    video: Path | None = None

    def __post_init__(self) -> None:
        for name, known in (("plot", PICTURES), ("video", FILMS)):
            path = getattr(self, name)
            if path is not None and path.suffix.lower() not in known:
                raise ValueError(
                    f"{name} is {str(path)!r}; end it in {', '.join(known[:-1])} or {known[-1]}"
                )


@dataclass(frozen=True, slots=True)
class FarSettings:
    """A robot elsewhere, over Kafka: `adaptd robot serve`.

    Args:
        kafka: the cluster; `events` is the topic of observations, `predictions` that of actions.
        observations: numbers in an observation; 0 takes them from `env`.
        actions: numbers in an action; 0 takes them from `env`.
        stale_steps: an observation older than that many steps of control is not acted upon.
    """

    kafka: KafkaSettings = field(
        default_factory=lambda: KafkaSettings(events="observations", predictions="actions")
    )
    observations: int = 0
    actions: int = 0
    stale_steps: float = 1.0

    def __post_init__(self) -> None:
        for name in ("observations", "actions"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; give how many numbers there are"
                )
        if not self.stale_steps > 0:
            raise ValueError(f"stale_steps is {self.stale_steps}; give more than 0")


@dataclass(frozen=True, slots=True)
class RobotSettings:
    """A run of robots.

    Args:
        env: an environment's id, as adaptd/PlanarArm-v0, or any Gymnasium one with vectors.
        life: body@step, divided by spaces, as "intact@0 invert:elbow@100"; or a TOML file.
        controller: its name; empty takes the robot's default.
        options: of the controller.
        robots: how many, each with a mind of its own, all with the same life.
        steps: of control in the whole life; None ends a while after the last change, or never
            where the body does not change.
        seed: of everything that is drawn.
        dt: seconds of a step, for an environment that does not say; None asks it.
        real_time: whether to wait for the robot's own clock.
        stay: whether to serve the page on when the life is over, until asked to stop.
        threads: of tensors; what is learned depends on it, by rounding.
        log_level: the least important message that is logged.
        checkpoint: where snapshots go.
        web: where the page and /metrics are served.
        out: what is written.
        far: a robot elsewhere.
    """

    env: str = "adaptd/PlanarArm-v0"
    life: str = INTACT
    controller: str = ""
    options: Options = field(default_factory=dict)
    robots: int = 1
    steps: int | None = None
    seed: int = 0
    dt: float | None = None
    real_time: bool = False
    stay: bool = False
    threads: int = 1
    log_level: Level = "info"
    checkpoint: RobotCheckpointSettings = field(default_factory=RobotCheckpointSettings)
    web: WebSettings = field(default_factory=lambda: WebSettings(port=8643))
    out: OutSettings = field(default_factory=OutSettings)
    far: FarSettings = field(default_factory=FarSettings)

    def __post_init__(self) -> None:
        if not self.env:
            raise ValueError("env is empty; name an environment, as adaptd/PlanarArm-v0")
        if not 1 <= self.robots <= 100_000:  # noqa: PLR2004 (more is a slip of the hand)
            raise ValueError(f"robots is {self.robots}; give 1 to 100000")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps is {self.steps}; give 1 or more, or leave it out")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; give a whole number from 0 on")
        if self.dt is not None and not self.dt > 0:
            raise ValueError(f"dt is {self.dt}; give seconds above 0")
        if not 1 <= self.threads <= 1024:  # noqa: PLR2004 (more is a slip of the hand)
            raise ValueError(f"threads is {self.threads}; give 1 to 1024")


def load(
    path: Path | None, environment: Mapping[str, str], flags: Mapping[str, Text] | None = None
) -> RobotSettings:
    """Read the settings; flags are by path, as {"web.port": Text("0", "--port")}.

    Raises:
        SettingsError: with every fault that was found.
    """
    table: Table = {} if path is None else read(path)
    found, faults = from_environment(environment)
    given = {
        name.lower().removeprefix(ROBOT): text
        for name, text in found.items()
        if name.lower().startswith(ROBOT)
    }
    table, more = overlay(table, given | dict(flags or {}))
    try:
        settings = build(RobotSettings, table)
    except SettingsError as error:
        raise SettingsError([*faults, *more, *error.faults]) from None
    if faults or more:
        raise SettingsError([*faults, *more])
    return settings
