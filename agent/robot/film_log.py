"""Films the first robot of a fleet: its damaged parts in red, a caption of what is believed."""

from pathlib import Path
from typing import TYPE_CHECKING

from agent.robot.measured import posterior
from agent.robot.turn import Turn
from agent.robot.world import World, WorldError

if TYPE_CHECKING:  # it stands on MuJoCo
    from envs.robots import Robot

FIGURES = 4  # of the belief in the caption
WIDE = 78  # characters of a line


class FilmLog:
    """A watcher that draws a frame a step.

    Args:
        path: of the video; a resumed life gets a file of its own beside the one that is there.
        robot: what is filmed.
        world: its fleet.
        since: steps of the life that a checkpoint covers.

    Raises:
        WorldError: nothing can draw here, or nothing be written there.
    """

    def __init__(self, path: Path, robot: "Robot | None", world: World, since: int = 0) -> None:
        from agent.robot.fleet_world import FleetWorld  # noqa: PLC0415 - it stands on MuJoCo

        if robot is None or not isinstance(world, FleetWorld):
            raise WorldError(
                f"{path}: only robots of this package are filmed; film your own by"
                " gymnasium.wrappers.RecordVideo"
            )
        try:
            from envs.film import Film  # noqa: PLC0415 - as above
            from envs.screen import NoScreenError  # noqa: PLC0415 - as above
        except ModuleNotFoundError as error:
            raise WorldError(f'a video needs {error.name}: pip install "adaptd[robots]"') from error
        if since and path.exists():
            path = path.with_name(f"{path.stem}-from-{since}{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._world, self._dt = world, robot.dt
        try:
            self._film = Film(path, robot)
        except NoScreenError as error:
            raise WorldError(str(error)) from error

    def __call__(self, turn: Turn) -> None:
        """Film one step."""
        _, data = self._world.fleet.data(0)
        self._film.shoot(self._world.fleet.bodies[0], data, caption(turn, self._dt))

    def close(self) -> None:
        """End the video, and give it its name."""
        self._film.close()


def caption(turn: Turn, dt: float) -> tuple[str, str, str]:
    """Say the true body, what is believed, and how it goes."""
    belief = turn.belief[0] if turn.belief else {}
    shares = posterior(belief)
    share = shares.get(str(turn.body_N[0]))
    sure = "" if share is None else f" ({100 * share:.0f} %)"
    known = [
        f"{name} {value:.2f}"
        for name, value in belief.items()
        if not name.startswith("body ") and name != "new body"
    ]
    told = ", ".join(known[:FIGURES])
    noticed = f"   noticed: {turn.change[0]}" if turn.change[0] else ""
    lines = (
        f"{turn.step * dt:6.2f} s   body: {turn.truth[0]}",
        f"believed: body {turn.body_N[0]}{sure} of {turn.bodies[0]}   {told}",
        f"reward {turn.reward_N[0]:.2f}   surprise {turn.surprise_N[0]:.2f}{noticed}",
    )
    first, second, third = (line[:WIDE] for line in lines)
    return first, second, third
