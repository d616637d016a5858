"""Learning by trial on HalfCheetah: how much of the library's best is found by trials of 4 s.

The bodies are those of the prototype. A robot runs under what is best on the intact body, its body
changes in mid-run, and nothing tells it: it must notice, try, and settle, in one episode without a
reset. What a gait is worth on a body is what a step earns over 10 s of living with it, falls and
getting up included.

Shapes: N robots, G gaits, B bodies.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from agent.control.gaits import Library
from agent.control.outlook import OutlookSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.robot.evolve import Counts, Variation, children, seeds
from agent.robot.make_trials import (
    ALL,
    CHEETAH,
    imagination,
    library,
    rising,
)
from benchmarks.robots.trial_lives import (
    BODIES,
    Floats,
    Ran,
    best_of,
    bodies_of,
    run,
    sought,
    valued,
    worth,
)
from benchmarks.table import header

BAR = 0.8  # share of the library's best that is asked for
COUNTS = (1, 5, 10)  # trials
BEST, FORESEEN = "told the best", "ours, gains foreseen, 10 trials"
BY_BODY = "by body"
OUT = Path("out/robots-trial.json")


@dataclass(frozen=True, slots=True)
class Row:
    """What a way to choose gaits came to.

    Args:
        worth_SB: what the gait is worth that was chosen on each body; seeds first.
        best_B: what the best of the same library is worth.
        ran: what its robots did; None where there was no life.
    """

    worth_SB: Floats
    best_B: Floats
    ran: Ran | None = None

    def told(self) -> dict[str, object]:
        """Give its figures."""
        mean_B = self.worth_SB.mean(0)
        figures: dict[str, object] = {
            "reward a step": round(float(mean_B.mean()), 3),
            "deviation over seeds": round(float(self.worth_SB.mean(1).std()), 3),
            "share of the library's best": round(float(mean_B.mean() / self.best_B.mean()), 3),
            "bodies at 80 %": int((mean_B >= BAR * self.best_B).sum()),
            BY_BODY: dict(zip(BODIES, mean_B.round(3).tolist(), strict=True)),
        }
        if self.ran:
            figures |= {
                "lived, reward a step after": round(float(self.ran.earned_N.mean()), 3),
                "trials": round(float(self.ran.tries_N.mean()), 2),
                "noticed after, s, median": float(np.median(self.ran.noticed_N)),
                "noticed": round(float(np.isfinite(self.ran.noticed_N).mean()), 3),
            }
        return figures


@dataclass(frozen=True, slots=True)
class Shelf:
    """A library, the best gait of it for each body, and what that is worth."""

    some: Library
    gait_B: Counts
    best_B: Floats

    @classmethod
    def read(cls, name: str) -> "Shelf":
        """Take a shipped one, and let all its gaits be lived with."""
        some = library(name)
        gait_B = best_of(some)
        return cls(some, gait_B, _fresh(some, gait_B))

    def fixed(self, gait_B: Counts | int) -> Row:
        """Give the row of gaits that are the same for every seed."""
        return Row(_fresh(self.some, np.broadcast_to(gait_B, len(BODIES)))[None], self.best_B)

    def tried(
        self, seeds_told: Sequence[int], way: "Way", trials: TrialSettings | None = None
    ) -> Row:
        """Let robots live, and give the row of the gaits that they settled on."""
        sees = imagination(self.some) if way.foresight else None
        settings = trials or TrialSettings()
        controller = TrialController(self.some, CHEETAH, settings, way.outlook, rising(), sees)
        bodies = bodies_of(len(seeds_told))
        ran = run(controller, bodies, seeds_told[0])
        worth_N = valued(self.some, ran.gait_N, bodies)
        return Row(worth_N.reshape(len(seeds_told), -1), self.best_B, ran)


def _fresh(some: Library, gait_B: Counts) -> Floats:
    return valued(some, gait_B, bodies_of(1), often=8)


@dataclass(frozen=True, slots=True)
class Way:
    """How gaits are forecast."""

    outlook: OutlookSettings = field(default_factory=OutlookSettings)
    foresight: bool = False


PLAIN = Way(OutlookSettings(own=1.0, noise=0.15, shared=0.0))


def without_forecasts(kind: str, shelf: Shelf, seeds_told: Sequence[int], trials: int = 10) -> Row:
    """Give the row of the best gait of ten trials, each from a start."""
    count, known_GP = len(BODIES), shelf.some.gait_GP.double().numpy()
    first_NP = known_GP[[int(shelf.some.mean_GB[:, 0].argmax())] * count]
    each = []
    for seed in seeds_told:
        draw = np.random.default_rng(seed)

        def propose(trial: int, best_NP: Floats, draw: np.random.Generator = draw) -> Floats:
            if kind == "random":
                return known_GP[draw.integers(len(known_GP), size=count)]
            if kind == "from scratch":
                return seeds(count, CHEETAH.motors, draw)
            return children(best_NP, best_NP, Variation(), draw) if trial else first_NP

        found = sought(propose, shelf.some.moves, bodies_of(1), trials, seed)
        each.append(worth(found, shelf.some.moves, bodies_of(1), 900 + seed))
    return Row(np.stack(each), shelf.best_B)


def rows(seeds_told: Sequence[int]) -> Mapping[str, Row]:
    """Give every row by its name."""
    told = dict(_of(ALL, "all", seeds_told))
    told |= _of("gaits", "gaits over bodies", seeds_told)
    told["robust policy, no context"] = _robust(told[f"all: {BEST}"].best_B)
    return told


def _of(name: str, words: str, seeds_told: Sequence[int]) -> Mapping[str, Row]:
    """Give the rows of a library."""
    shelf, count = Shelf.read(name), len(BODIES)
    first = int(shelf.some.mean_GB[:, 0].argmax())
    wrong = [shelf.fixed(np.roll(shelf.gait_B, turn)).worth_SB for turn in range(1, count)]
    told = {
        f"{words}: the intact body's best (no trials)": shelf.fixed(first),
        f"{words}: told a wrong body": Row(np.mean(wrong, 0), shelf.best_B),
        f"{words}: {BEST}": shelf.fixed(shelf.gait_B),
        f"{words}: at random, 10 trials": without_forecasts("random", shelf, seeds_told),
        f"{words}: by likeness, 10 trials": shelf.tried(seeds_told, PLAIN),
    }
    if name == "gaits":
        for kind in ("from scratch", "online fine-tuning"):
            told[f"{words}: {kind}, 10 trials"] = without_forecasts(kind, shelf, seeds_told)
    for most in COUNTS:
        some = TrialSettings(most=most, kept=most + 14)
        told[f"{words}: ours, {most} trials"] = shelf.tried(seeds_told, Way(), some)
    told[f"{words}: {FORESEEN}"] = shelf.tried(seeds_told, Way(foresight=True))
    return told


def _robust(best_B: Floats) -> Row:
    """Give the row of the policy that is told nothing: the last of the assumptions."""
    shelf = library("assumptions")
    worth_B = _fresh(shelf, np.full(len(BODIES), len(shelf.gait_GP) - 1))
    return Row(worth_B[None], best_B)


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table, and write it."""
    told = {name: row.told() for name, row in rows(seeds).items()}
    print("| | reward a step | of the library's best | bodies at 80 % | lived | trials |")
    print("|---|---|---|---|---|---|")
    for name, one in told.items():
        share = float(str(one["share of the library's best"]))
        print(
            f"| {name} | {one['reward a step']:.2f} ± {one['deviation over seeds']:.2f}"
            f" | {100 * share:.0f} % | {one['bodies at 80 %']} of {len(BODIES)}"
            f" | {one.get('lived, reward a step after', '')} | {one.get('trials', '')} |"
        )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(page(told), indent=1) + "\n", encoding="utf-8")


def page(told: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Give what is written: the figures of each way, and what three of them earn by body."""
    ways = {
        name: {key: value for key, value in one.items() if key != BY_BODY}
        for name, one in told.items()
    }
    by_body: dict[str, dict[str, object]] = {body: {} for body in BODIES}
    for name in ("robust policy, no context", f"all: {FORESEEN}", f"all: {BEST}"):
        earned = told[name][BY_BODY]
        assert isinstance(earned, dict)  # noqa: S101 - narrows the type: `Row.told` makes it
        for body, worth_of in earned.items():
            by_body[body][name] = worth_of
    head = header("python -m benchmarks.robots trial")
    return {"header": head, "way": ways, "body": by_body}


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
