"""Omniglot: every learner of classes, meta-trained on some alphabets and tested on others.

    python -m benchmarks.omniglot [NAME ...] [--processes 2]

Only two small sets of alphabets are at hand, so the papers' split cannot be had: training is on the
alphabets of the first (one of them validates), the test on those that are in the second alone;
turned characters are further classes. Each learner is trained once for SECONDS of CPU time, then
judged at three settings, accuracy with the 95 % interval over tasks. `nearest` is nearest
neighbours on pixels. ECE is the expected calibration error, 15 bins of equal width.
Runs are kept in out/omniglot/.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from agent.learners.registry import every_learner
from agent.training.assess import assess
from agent.training.episodes import spec_of
from agent.training.settings import TrainSettings
from agent.training.unroll import rehearses
from benchmarks.doubts import doubt
from benchmarks.runs import Plan, Result, changed, gathered, made, run_all, trained
from benchmarks.table import Row, write
from streams.worlds.images import OmniglotSettings, omniglot

DATA = Path(__file__).parents[2] / "shared" / "data" / "omniglot_small_8_alphabets_28x28.npz"
SETTINGS = ((5, 1), (5, 5), (20, 1))
TASKS, QUERIES, SEEDED = 600, 5, 1_000
INNER = 5  # steps of learners by gradient, in the test

CONV: dict[str, Any] = {"body": {"kind": "conv", "width": 64}}
PLANS: dict[str, Plan] = {}
"""What differs from the common way."""
WAYS: dict[str, int] = {}
"""Ways of the training, where they are not five."""

SECONDS = 120.0


def one(name: str, seed: int) -> Result:
    """Train one learner, and judge it at every setting."""
    plan = PLANS.get(name, Plan())
    options = CONV | plan.options
    world = omniglot(OmniglotSettings(DATA, ways=WAYS.get(name, 5)))
    common: dict[str, Any] = {
        "iterations": 1_000_000, "seconds": SECONDS, "tasks_per_step": 4, "shots": (1, 5),
        "queries": 5, "seed": seed, "validate_every": 100, "validation_tasks": 50,
    }  # fmt: skip
    settings = changed(TrainSettings(), common | plan.settings)
    learner, told = trained(name, world, settings, options)
    weights = learner.state_dict() if hasattr(learner, "state_dict") else {}
    steps = INNER if rehearses(learner) else 1
    figures: dict[str, float] = {}
    for ways, shots in SETTINGS:
        tested = omniglot(OmniglotSettings(DATA, ways=ways))
        judged = made(name, spec_of(tested), options | {"seed": seed})
        if hasattr(judged, "load_state_dict"):
            judged.load_state_dict(weights)
        (score,) = assess(
            judged, tested, "test", tasks=TASKS, shots=(shots,), steps=(steps,),
            queries=QUERIES, seed=SEEDED, chunk=20,
        )  # fmt: skip
        figures[f"{ways}-way {shots}"] = score.mean
        figures[f"± {ways}-way {shots}"] = score.half_width
        if (ways, shots) == SETTINGS[0]:
            figures["ECE"] = doubt(
                judged, tested, shots=shots, steps=steps, tasks=TASKS, queries=QUERIES, seed=SEEDED
            )
    return {"figures": figures, **told}


def rows(found: dict[tuple[str, int], Result]) -> list[Row]:
    """One row a learner, best at the first setting first."""
    table: list[Row] = []
    for (name, _), run in found.items():
        row: dict[str, str | float | None] = {
            "learner": name, "family": every_learner()[name].family,
        }  # fmt: skip
        for ways, shots in SETTINGS:
            at = f"{ways}-way {shots}"
            row[f"{at}-shot"] = (
                f"{100 * run['figures'][at]:.1f} ± {100 * run['figures']['± ' + at]:.1f}"
            )
        row["ECE at 5-way 1-shot"] = run["figures"]["ECE"]
        row |= {"CPU s": round(run["cpu_s"]), "iterations": run["iterations"]}
        table.append(row)
    return sorted(table, key=lambda row: str(row["5-way 1-shot"]).rjust(12), reverse=True)


def main(names: Annotated[list[str] | None, typer.Argument()] = None, processes: int = 2) -> None:
    """Run what is missing and write the table."""
    if not DATA.exists():
        typer.echo(f"skipped: {DATA} is not there")
        raise typer.Exit(0)
    every = [
        name
        for name, entry in every_learner().items()
        if "classes" in entry.goals and entry.family != "stream"
    ]
    run_all("omniglot", [(name, 0) for name in names or every], one, processes)
    write("omniglot", rows(gathered("omniglot", [(name, 0) for name in every])),
          "python -m benchmarks.omniglot")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
