"""Fill docs/robots.md: tables of what was measured, and pictures of a life.

    .venv/bin/python docs/make_robots.py              tables, from out/robots-*.json
    .venv/bin/python docs/make_robots.py --pictures   a life is run, plotted and filmed, too

A table stands between <!-- robots:NAME --> and <!-- /robots:NAME -->; a name whose file is not
there keeps what it has, and is told.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # so that `agent` is found from a fresh clone

PAGE = ROOT / "docs" / "robots.md"
OUT = ROOT / "out"
LIFE = "intact@0 invert:elbow@150 intact@350 dead:wrist@500 invert:elbow@650"
RUN = "intact@0 invert:bthigh@200 intact@400 dead:fshin@600 invert:bthigh@800"
STEPS, SHOWN = 800, (95, 158, 195, 352, 545)


def filled(text: str, folder: Path) -> str:
    """Give the page with the tables of that folder between its markers."""
    from benchmarks import table  # noqa: PLC0415 - found once the root is on the path

    return table.filled(text, "robots", lambda name: folder / f"robots-{name}.json", shown)


def shown(told: Mapping[str, Any]) -> str:
    """Give what a benchmark wrote as markdown: how it was measured, then its tables."""
    head = told.get("header", {})
    said = [str(head[name]) for name in ("date", "machine", "versions") if name in head]
    lines = [", ".join(said) + (f". `{head['command']}`" if "command" in head else "")]
    plain: list[str] = []
    for name, value in told.items():
        if name in {"header", "columns"}:
            continue
        table = "\n".join(_table(name, value, told.get("columns", ())))
        if table:
            lines.append(table)
        elif not isinstance(value, Mapping | list):
            plain.append(f"{name}: {_cell(value)}")
    if plain:
        lines.append("; ".join(plain) + ".")
    return "\n\n".join(lines) + "\n"


def _table(name: str, value: Any, columns: Sequence[str]) -> Iterator[str]:
    """Lay out a table: of rows, or of cells by row and column; nothing where it is none."""
    rows = [dict(row) for row in _rows(name, value, columns)]
    if not rows:
        return
    every = list(dict.fromkeys(key for row in rows for key in row))
    right = [any(_number(row.get(key)) for row in rows) for key in every]
    yield "| " + " | ".join(every) + " |"
    yield "|" + "|".join("---:" if one else "---" for one in right) + "|"
    for row in rows:
        yield "| " + " | ".join(_cell(row.get(key)) for key in every) + " |"


def _rows(name: str, value: Any, columns: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (row for row in value if isinstance(row, Mapping))
        return
    if not isinstance(value, Mapping):
        return
    for key, of in value.items():
        if isinstance(of, Mapping):
            yield {name: key, **of}
        elif _by_seed(of, columns):
            yield {name: key, **dict(zip(columns, map(list, zip(*of, strict=True)), strict=True))}
        elif isinstance(of, list) and len(of) == len(columns):
            yield {name: key, **dict(zip(columns, of, strict=True))}
        elif _number(of):
            yield {name: key, "": of}


def _by_seed(value: Any, columns: Sequence[str]) -> bool:
    """Whether it is a list of rows, one a seed, of a figure for each column."""
    rows = value if isinstance(value, list) else []
    return bool(rows) and all(isinstance(row, list) and len(row) == len(columns) for row in rows)


def _number(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, int | float) for one in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list) and _number(value):
        mean = sum(value) / len(value)
        spread = (sum((one - mean) ** 2 for one in value) / max(len(value) - 1, 1)) ** 0.5
        return f"{mean:,.3g} ± {spread:.2g}" if len(value) > 1 else f"{mean:,.3g}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if _number(value) else str(value).replace("|", "\\|")


def pictures() -> None:
    """Plot a life of the arm and one of the cheetah; put frames of a film side by side."""
    import numpy as np  # noqa: PLC0415 - the tables need none of these

    from agent.robot.diary import Diary  # noqa: PLC0415 - as above
    from agent.robot.film_log import caption  # noqa: PLC0415 - as above
    from agent.robot.plot import draw  # noqa: PLC0415 - as above
    from envs.film import Studio, save  # noqa: PLC0415 - as above
    from envs.robots import ROBOTS  # noqa: PLC0415 - as above

    robot, diary, frames = ROBOTS["PlanarArm"], Diary(), []
    name, world, loop = begun(robot, LIFE)
    with Studio(robot, 320, 220) as studio:
        for _ in range(STEPS):
            turn = loop.turn()
            diary(turn)
            if turn.step in SHOWN:
                _, data = world.fleet.data(0)
                lines = [line[:46] for line in caption(turn, robot.dt)]
                frames.append(studio.frame(world.fleet.bodies[0], data, lines))
    draw(diary, ROOT / "docs" / "robots_life.png", robot.dt, f"{robot.id} · {name} · {LIFE}")
    save(np.concatenate(frames, 1), ROOT / "docs" / "robots_film.png")
    robot, diary = ROBOTS["HalfCheetah"], Diary()
    name, _, loop = begun(robot, RUN)
    for _ in range(1000):
        diary(loop.turn())
    draw(diary, ROOT / "docs" / "robots_run.png", robot.dt, f"{robot.id} · {name} · {RUN}")


def begun(robot: Any, life: str) -> tuple[str, Any, Any]:
    """Give what drives, the world and the loop; without trained weights, of random actions."""
    import torch  # noqa: PLC0415 - as above

    from agent.robot.controllers import default_for, find  # noqa: PLC0415 - as above
    from agent.robot.fleet_world import FleetWorld  # noqa: PLC0415 - as above
    from agent.robot.loop import Loop  # noqa: PLC0415 - as above
    from agent.robot.trained import UntrainedError  # noqa: PLC0415 - as above
    from agent.service.clocks import Clocks  # noqa: PLC0415 - as above
    from envs.life import Life  # noqa: PLC0415 - as above

    torch.set_num_threads(1)
    name = default_for(robot.name)
    world = FleetWorld(robot, Life.parse(life), 1, 0)
    try:
        controller = find(name)(world.spec)
    except UntrainedError as error:
        print(f"{error}; until then the pictures are of random actions")
        name = "random"
        controller = find(name)(world.spec)
    return name, world, Loop(world, controller, 0, Clocks())


if __name__ == "__main__":
    if "--pictures" in sys.argv[1:]:
        pictures()
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), OUT), encoding="utf-8")
