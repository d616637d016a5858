"""Says which robots there are, what can drive them, and what was trained for them."""

from rich.console import Console
from rich.table import Table

from agent.robot import trained
from agent.robot.controllers import default_for, drivers, every_controller
from agent.robot.opened import REMEDY, known, robot_of


def listed(console: Console) -> None:
    """Print robots, controllers and trained parts."""
    ids = known()
    if not ids:
        console.print(f"robots whose bodies change need MuJoCo: {REMEDY}")
    robots = _table("environment", "observations", "actions", "step", "actuators", "driven by")
    for name in ids:
        one = robot_of(name)
        if one is not None:
            others = [driver for driver in drivers(one.name) if driver != default_for(one.name)]
            able = ", ".join([f"{default_for(one.name)} (default)", *others])
            robots.add_row(
                one.id, str(one.observations), str(one.actions), f"{1000 * one.dt:.0f} ms",
                ", ".join(one.actuators), able,
            )  # fmt: skip
    console.print(robots)
    console.print()
    every = _table("controller", "what it is")
    for entry in every_controller().values():
        every.add_row(entry.name, entry.text)
    console.print(every)
    console.print()
    parts = _table("trained part", "of", "CPU-seconds", "shipped")
    for part in trained.every_part().values():
        there = "yes" if trained.there(part.name) else "no"
        parts.add_row(part.name, part.of, f"{part.seconds:.0f}", there)
    console.print(parts)


def _table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
