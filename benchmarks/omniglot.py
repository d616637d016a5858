"""Omniglot: every learner of classes, meta-trained on some alphabets and tested on others.

    python -m benchmarks.omniglot [NAME ...] [--processes 2]

Only two small sets of alphabets are at hand, so the papers' split cannot be had: training is on the
alphabets of the first (one of them validates), the test on those that are in the second alone;
turned characters are further classes. Each learner is trained once for 40 CPU-seconds, on four
convolutions of 32 channels where PLANS say nothing else (one row has more of both), then judged at
three settings, accuracy with the 95 % interval over tasks. Fast weights under convolutions are
normalised over the batch, as in the papers, so that queries of a task see each other. `nearest` is
nearest neighbours on pixels. ECE is the expected calibration error, 15 bins of equal width.
Runs are kept in out/omniglot/.
"""

from pathlib import Path
from typing import Annotated, Any

import torch
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
LONGER = "prototypical, 60 ways, 64 channels"
SETTINGS = ((5, 1, 240), (5, 5, 240), (20, 1, 60))  # ways, shots, tasks
QUERIES, SEEDED = 5, 1_000
INNER = 5  # steps of learners by gradient, in the test
SECONDS = 40.0

CONV: dict[str, Any] = {"body": {"kind": "conv", "width": 32}}
MLP: dict[str, Any] = {"body": {"kind": "mlp", "hidden": (256, 128, 64, 64)}}
STEPS: dict[str, Any] = {"shots": (1, 3), "steps": (1, 3), "rate": 2e-3}
SETS: dict[str, Any] = {"tasks_per_step": 1, "queries": 3}
PLANS: dict[str, Plan] = {
    name: Plan({"rate": 0.4}, STEPS) for name in ("maml", "fomaml", "anil", "metasgd")
} | {
    "reptile": Plan({"rate": 0.1}, {"steps": (5, 5)}),
    "learned-rule": Plan({"rate": 0.1}, STEPS),
    "finetune": Plan({"rate": 0.1}),
    "bayesian-maml": Plan(MLP | {"rate": 0.1}, STEPS),
    "imaml": Plan(MLP, STEPS),
    "meta-lstm": Plan(MLP, STEPS),
    "hypernetwork": Plan(MLP),
    LONGER: Plan(
        {"body": {"kind": "conv", "width": 64}},
        {"tasks_per_step": 1, "shots": (1, 1), "queries": 4, "rate": 2e-3, "iterations": 800,
         "schedule": "cosine", "seconds": 290.0},
    ),
}  # fmt: skip
"""What differs from the common way: MLP is a plain network where convolutions would be too slow."""
WAYS: dict[str, int] = {LONGER: 60}
"""Ways of the training, where they are not five; `TWENTY` take their support in at once."""
TWENTY = ("prototypical", "prototypical-cosine", "matching", "relation", "bayes-classifier",
          "gemcl", "versa", "cnaps", "cnp")  # fmt: skip


def one(name: str, seed: int) -> Result:
    """Train one learner, and judge it at every setting."""
    plan, common = PLANS.get(name, Plan()), dict[str, Any](SETS if name in TWENTY else {})
    who, options = registered(name), CONV | plan.options
    ways = WAYS.get(name, 20 if name in TWENTY else 5)
    world = omniglot(OmniglotSettings(DATA, ways=ways))
    common = {
        "iterations": 1_000_000, "seconds": SECONDS, "tasks_per_step": 4, "shots": (1, 5),
        "queries": 5, "seed": seed, "validate_every": 50, "validation_tasks": 20,
    } | common  # fmt: skip
    settings = changed(TrainSettings(), common | plan.settings)
    learner, told = trained(who, world, settings, options)
    weights = learner.state_dict() if hasattr(learner, "state_dict") else {}
    steps = INNER if rehearses(learner) else 1
    figures: dict[str, float] = {}
    for ways, shots, tasks in SETTINGS:
        tested = omniglot(OmniglotSettings(DATA, ways=ways))
        judged = made(who, spec_of(tested), options | {"seed": seed})
        if isinstance(judged, torch.nn.Module):
            judged.load_state_dict(weights)
            judged.eval()
        (score,) = assess(
            judged, tested, "test", tasks=tasks, shots=(shots,), steps=(steps,),
            queries=QUERIES, seed=SEEDED, chunk=20,
        )  # fmt: skip
        figures[f"{ways}-way {shots}"] = score.mean
        figures[f"± {ways}-way {shots}"] = score.half_width
        if "ECE" not in figures:
            figures["ECE"] = doubt(
                judged, tested, shots=shots, steps=steps, tasks=tasks, queries=QUERIES, seed=SEEDED
            )
    return {"figures": figures, **told}


def registered(name: str) -> str:
    """Name in the registry; what follows a comma says how it was trained."""
    return name.partition(",")[0]


def rows(found: dict[tuple[str, int], Result]) -> list[Row]:
    """One row a learner, best at the first setting first."""
    table: list[Row] = []
    for (name, _), run in found.items():
        row: dict[str, str | float | None] = {
            "learner": name, "family": every_learner()[registered(name)].family,
        }  # fmt: skip
        for ways, shots, _ in SETTINGS:
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
    every.append(LONGER)
    run_all("omniglot", [(name, 0) for name in names or every], one, processes)
    write("omniglot", rows(gathered("omniglot", [(name, 0) for name in every])),
          "python -m benchmarks.omniglot")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
