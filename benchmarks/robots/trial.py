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

from agent.control.gaits import Library, Rhythms
from agent.control.outlook import OutlookSettings
from agent.control.search import TrialSettings
from agent.control.trials import TrialController
from agent.robot.evolve import Counts, Variation, children, seeds
from agent.robot.make_trials import (
    CHEETAH,
    CONTEXTS,
    GAITS,
    WAYS,
    imagination,
    library,
    rising,
)
from agent.robot.trained import there
from benchmarks.robots.trial_lives import (
    BODIES,
    Floats,
    Ran,
    bodies_of,
    run,
    sought,
    worth,
    worth_of_all,
)

BAR = 0.8  # share of the library's best that is asked for
COUNTS = (1, 3, 5, 10, 20)  # trials
OFTEN = 4  # robots of each body and seed
OUT = Path("out/robots-trial.json")


@dataclass(frozen=True, slots=True)
class Row:
    """What a way to choose gaits came to.

    Args:
        worth_SB: what the gait is worth that was chosen on each body; seeds first.
        best_B: what the best of the same library is worth.
        ran: what its robots did, by seed; none where there was no life.
    """

    worth_SB: Floats
    best_B: Floats
    ran: Sequence[Ran] = ()

    def told(self) -> dict[str, object]:
        """Give its figures."""
        mean_B = self.worth_SB.mean(0)
        figures: dict[str, object] = {
            "reward a step": round(float(mean_B.mean()), 3),
            "deviation over seeds": round(float(self.worth_SB.mean(1).std()), 3),
            "share of the library's best": round(float(mean_B.mean() / self.best_B.mean()), 3),
            "bodies at 80 %": int((mean_B >= BAR * self.best_B).sum()),
            "by body": dict(zip(BODIES, mean_B.round(3).tolist(), strict=True)),
        }
        if self.ran:
            noticed = np.concatenate([one.noticed_N for one in self.ran])
            figures |= {
                "lived, reward a step after": round(_mean(self.ran, "earned_N"), 3),
                "trials": round(_mean(self.ran, "tries_N"), 2),
                "noticed after, s, median": float(np.median(noticed)),
            }
        return figures


def _mean(ran: Sequence[Ran], name: str) -> float:
    return float(np.mean([getattr(one, name).mean() for one in ran]))


@dataclass(frozen=True, slots=True)
class Shelf:
    """A library, with what each of its gaits is worth on each body (G, B)."""

    name: str
    some: Library
    worth_GB: Floats

    @classmethod
    def read(cls, name: str, seeds_told: Sequence[int]) -> "Shelf":
        """Take a shipped one, and let all its gaits be lived with."""
        some = library(name)
        return cls(name, some, worth_of_all(some, seeds_told[:2]))

    def fixed(self, gait_B: Counts | int) -> Row:
        """Give the row of gaits that are the same for every seed."""
        worth_B = self.worth_GB[gait_B, np.arange(len(BODIES))]
        return Row(worth_B[None], self.worth_GB.max(0))

    def tried(
        self, seeds_told: Sequence[int], way: "Way", trials: TrialSettings | None = None
    ) -> Row:
        """Let robots live, and give the row of the gaits that they settled on."""
        sees = imagination(self.some) if way.foresight else None
        settings = trials or TrialSettings()
        controller = TrialController(self.some, CHEETAH, settings, way.outlook, rising(), sees)
        ran = [run(controller, bodies_of(OFTEN), seed) for seed in seeds_told]
        at_N = np.arange(len(BODIES) * OFTEN) % len(BODIES)
        each = [self.worth_GB[one.gait_N, at_N].reshape(OFTEN, -1).mean(0) for one in ran]
        return Row(np.stack(each), self.worth_GB.max(0), ran)


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

        found = sought(propose, bodies_of(1), trials, seed)
        each.append(worth(found, Rhythms(CHEETAH), bodies_of(1), 900 + seed))
    return Row(np.stack(each), shelf.worth_GB.max(0))


def rows(seeds_told: Sequence[int]) -> Mapping[str, Row]:
    """Give every row by its name."""
    over, ways = (Shelf.read(name, seeds_told) for name in (GAITS, WAYS))
    best_B, count = over.worth_GB.argmax(0), len(BODIES)
    told = {
        "best gait of the intact body (no trials)": over.fixed(
            int(over.some.mean_GB[:, 0].argmax())
        )
    }
    wrong = [over.fixed(np.roll(best_B, turn)).worth_SB for turn in range(1, count)]
    told["wrong context: best gait of another body"] = Row(np.mean(wrong, 0), over.worth_GB.max(0))
    for kind in ("random", "from scratch", "online fine-tuning"):
        told[f"{kind}, 10 trials"] = without_forecasts(kind, over, seeds_told)
    told["gaits of the intact body, forecasts by likeness (2015), 10"] = ways.tried(
        seeds_told, PLAIN
    )
    told["gaits over bodies, forecasts by likeness, 10"] = over.tried(seeds_told, PLAIN)
    for most in COUNTS:
        some = TrialSettings(most=most, kept=most + 14)
        told[f"gaits over bodies, ours, {most}"] = over.tried(seeds_told, Way(), some)
    told["gaits over bodies, ours, gains foreseen, 10"] = over.tried(
        seeds_told, Way(foresight=True)
    )
    told["gaits over bodies: told the best"] = over.fixed(best_B)
    if there(CONTEXTS):
        told |= _contexts(Shelf.read(CONTEXTS, seeds_told), seeds_told)
    return told


def _contexts(shelf: Shelf, seeds_told: Sequence[int]) -> Mapping[str, Row]:
    first = int(shelf.some.mean_GB[:, 0].argmax())
    return {
        "assumptions: policy as if intact": shelf.fixed(first),
        "assumptions: robust policy": shelf.fixed(len(shelf.some.gait_GP) - 1),
        "assumptions, likeness, 10": shelf.tried(seeds_told, PLAIN),
        "assumptions, ours, 5": shelf.tried(seeds_told, Way(), TrialSettings(most=5)),
        "assumptions, ours, 10": shelf.tried(seeds_told, Way()),
        "assumptions, ours, gains foreseen, 10": shelf.tried(seeds_told, Way(foresight=True)),
        "assumptions: told the best": shelf.fixed(shelf.worth_GB.argmax(0)),
    }


def main(seeds: Sequence[int] = range(5)) -> None:
    """Print the table, and write it."""
    told = {name: row.told() for name, row in rows(seeds).items()}
    print("| | reward a step | of the library's best | bodies at 80 % | lived | trials |")
    print("|---|---|---|---|---|---|")
    for name, one in told.items():
        share = float(str(one["share of the library's best"]))
        lived = one.get("lived, reward a step after", "")
        print(
            f"| {name} | {one['reward a step']:.2f} ± {one['deviation over seeds']:.2f}"
            f" | {100 * share:.0f} %"
            f" | {one['bodies at 80 %']} of {len(BODIES)} | {lived} | {one.get('trials', '')} |"
        )
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
