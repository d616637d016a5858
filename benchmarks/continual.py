"""Two hundred new classes, one after another, each seen once: how much is still known at the end.

    python -m benchmarks.continual [NAME ...] [--processes 2]

Omniglot's characters, turned ones counting as classes of their own. Meta-training is on alphabets
of the first small set; the sequences are of alphabets that are in the second alone: 15 rows of each
class, in order and once; then 5 others of every class so far are to be told apart among all so far.
Accuracy in per cent, the mean of SEQUENCES sequences, the same for all; a step size is the one of
those tried that does best on a sequence of meta-training classes. Images are 14 x 14; bodies are
those of few-shot learning, with 32 channels.

Those that learn by gradient begin from plain training on all meta-training classes at once (`pre`
CPU-seconds), for want of the papers' 20,000 iterations; `pretrained` stops there and is a linear
head by plain descent on features that stand still. Meta-training (`meta` CPU-seconds) goes down the
gradient through a plan's `step` classes at a time, in a sequence of `length` that one state is
carried through: the loss is on other rows of the new classes and of some before them. Runs are kept
in out/continual/.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from agent.learners.base import Spec
from agent.learners.meta import Meta
from agent.nets.body import BodySettings
from benchmarks.forgetting import Plain, Way
from benchmarks.runs import Result, gathered, made, run_all
from benchmarks.sequences import SHOTS, Plan, Streamed, accuracies, drawn, meta_train, pre_train
from benchmarks.table import Row, write
from streams.worlds.images import OmniglotSettings, omniglot
from streams.worlds.labelled import ClassSet

DATA = Path(__file__).parents[2] / "shared" / "data" / "omniglot_small_8_alphabets_28x28.npz"
AT = (10, 25, 50, 100, 200)
SEQUENCES, FRESH = 3, 1_000  # of them, and the seed of the first: settings were chosen on others
SIDE = 14
BODY = {"kind": "conv", "width": 32, "norm": "group"}

ONLINE: dict[str, Any] = {"body": BODY, "embedding": 256, "unmet": 100, "rate": 0.02}
TWO = ONLINE | {"predictor": (64,)}
RATES = (0.001, 0.005, 0.02, 0.08, 0.3)
PLANS = {
    "gemcl": Plan("gemcl", {"body": BODY}, meta=30, step=20, length=20),
    "anml": Plan("anml", ONLINE, pre=25, meta=35, step=12, length=12, rates=RATES),
    "oml": Plan("oml", TWO, pre=25, meta=35, step=12, length=12, rates=RATES),
    "la-maml": Plan(
        "la-maml",
        TWO | {"batch": 15, "room": 200},
        pre=25,
        meta=35,
        step=12,
        length=12,
        rates=RATES,
    ),
    "learned-rule": Plan("learned-rule", {"body": BODY}, pre=25, meta=35, step=12, length=12),
    "pretrained": Plan("oml", ONLINE | {"predictor": ()}, pre=25, rates=RATES),
    "nearest": Plan("nearest", {"neighbours": 3, "room": 3000}),
}
WAYS = {
    "scratch": (Way(0.001), Way(0.003), Way(0.01), Way(0.03), Way(0.1)),
    "replay": (Way(0.003, room=500), Way(0.01, room=500), Way(0.03, room=500)),
    "ewc": (
        Way(0.003, hold=10.0),
        Way(0.01, hold=10.0),
        Way(0.01, hold=100.0),
        Way(0.03, hold=1.0),
    ),
}
"""Plain networks from a random start: each with what is tried."""


def world(ways: int) -> ClassSet:
    """Give Omniglot with tasks of so many classes; all splits must have as many."""
    kept = ("Balinese",) if ways <= max(plan.length for plan in PLANS.values()) else (
        "Balinese", "Greek", "Latin",
    )  # fmt: skip
    return omniglot(OmniglotSettings(DATA, ways=ways, side=SIDE, validation=kept))


def one(name: str, seed: int) -> Result:
    """Train one, choose its step size, and take it through the sequences."""
    long = world(AT[-1])
    begin, tried, told = plain(name, seed) if name in WAYS else learned(name, seed)
    trial, half = drawn(long, "train", seed), (AT[-2],)
    scores = [accuracies(begin(at), trial, half)[0] if len(tried) > 1 else 0.0 for at in tried]
    best = tried[scores.index(max(scores))]
    runs = [accuracies(begin(best), drawn(long, "test", FRESH + at), AT) for at in range(SEQUENCES)]
    means = [sum(run[at] for run in runs) / len(runs) for at in range(len(AT))]
    figures = {str(classes): mean for classes, mean in zip(AT, means, strict=True)}
    return {"figures": figures, "chosen": str(best), "tried": scores, "runs": runs, **told}


def learned(name: str, seed: int) -> tuple[Any, tuple[Any, ...], Result]:
    """Train a learner of ours; give how one begins a sequence, the step sizes, and what it took."""
    plan = PLANS[name]
    options = plan.options | {"seed": seed}
    spec = Spec(SIDE * SIDE, plan.length)
    learner, short = _made(plan.name, spec, options), world(plan.length)
    steps = (
        pre_train(learner, world(64), plan.pre, seed) if plan.pre else 0,
        meta_train(learner, plan, short, seed) if plan.meta else 0,
    )

    def begin(rate: float | None) -> Streamed:
        other = _made(plan.name, spec, options | ({} if rate is None else {"rate": rate}))
        other.load_state_dict(learner.state_dict())
        return Streamed(other, AT[-1])

    return begin, plan.rates or (None,), {"steps": steps, "pre": plan.pre, "meta": plan.meta}


def plain(name: str, seed: int) -> tuple[Any, tuple[Any, ...], Result]:
    """The same for a plain network."""
    settings = BodySettings(kind="conv", width=32, norm="group")

    def begin(way: Way) -> Plain:
        return Plain(SIDE * SIDE, AT[-1], way, settings, seed, SHOTS)

    return begin, WAYS[name], {"steps": (0, 0), "pre": 0, "meta": 0}


def _made(name: str, spec: Spec, options: dict[str, Any]) -> Meta:
    learner = made(name, spec, options)
    if not isinstance(learner, Meta):
        raise TypeError(f"{name} cannot be meta-trained")
    return learner


def rows(found: dict[tuple[str, int], Result]) -> list[Row]:
    """One row a learner, the best at the end first."""
    table: list[Row] = [
        {
            "learner": name,
            **{f"{classes} classes": round(run["figures"][str(classes)], 1) for classes in AT},
            "CPU s, pre + meta": f"{run['pre']:g} + {run['meta']:g}",
            "steps": " + ".join(map(str, run["steps"])),
            "chosen": run["chosen"],
        }
        for (name, _), run in found.items()
    ]
    return sorted(table, key=lambda row: -float(row[f"{AT[-1]} classes"] or 0))


def main(names: Annotated[list[str] | None, typer.Argument()] = None, processes: int = 2) -> None:
    """Run what is missing and write the table."""
    if not DATA.exists():
        typer.echo(f"skipped: {DATA} is not there")
        raise typer.Exit(0)
    every = [*PLANS, *WAYS]
    run_all("continual", [(name, 0) for name in names or every], one, processes)
    write("continual", rows(gathered("continual", [(name, 0) for name in every])),
          "python -m benchmarks.continual")  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
