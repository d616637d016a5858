"""One run of meta-training, from its start or a checkpoint to its end."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from agent.learners.meta import Meta
from agent.training import keep
from agent.training.average import averaged
from agent.training.descent import Descent
from agent.training.episodic import Slope
from agent.training.ranks import Ranks
from agent.training.settings import TrainingError, TrainSettings
from agent.training.watch import Row, Silent, Watcher

MAY_CHANGE = ("iterations", "seconds", "patience", "threads", "checkpoint_every", "device")
"""Settings that may be others when a run is taken up again."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run: the learner with its best weights, in eval mode.

    Args:
        learner: the one that went in.
        history: a row a validation.
        seconds: of training.
        stopped: why it ended.
        finished: whether it is over; a stop that was asked for can be taken up again.
    """

    learner: Meta
    history: tuple[Row, ...]
    seconds: float
    stopped: str
    finished: bool = True


class Place(NamedTuple):
    """What surrounds a run: see `train`."""

    folder: Path | None = None
    watch: Watcher = Silent()
    ranks: Ranks = Ranks()
    clock: Callable[[], float] = time.monotonic
    about: str = ""


@dataclass
class Progress:
    """All that a run counts."""

    iteration: int = 0
    best: float = math.inf
    stale: int = 0
    loss: float = 0.0
    since: int = 0
    seconds: float = 0.0
    history: list[Row] = field(default_factory=list)


class Run:
    """One run, from its start or a checkpoint to its end."""

    def __init__(
        self, learner: Meta, way: Slope, settings: TrainSettings, place: Place, *, averages: bool
    ) -> None:
        self.learner, self.way, self.settings = learner, way, settings
        self.folder, self.watch, self.ranks, self.clock, self.about = place
        ranks = place.ranks
        shards = settings.shards or ranks.world
        if shards % ranks.world:
            raise TrainingError(f"{shards} shards cannot be dealt out to {ranks.world} processes")
        self.share, self.mine = 1 / shards, range(ranks.rank, shards, ranks.world)
        held = averaged(learner).values() if averages else ()
        self.descent = Descent([*learner.parameters(), *way.extra()], [*held], settings, ranks)
        self.at = Progress()
        self.best = _copy(learner.state_dict())

    def go(self, stop: Callable[[], bool]) -> Trained:
        """Train until there is a reason to end."""
        before, start = self.at.seconds, self.clock()
        self.watch.began(self.at.iteration, self.settings.iterations, self.at.history)
        self.learner.train()
        if self.at.iteration == 0:
            self._validate()
        stopped, why = False, self._over()
        while not (stopped or why):
            stopped, late = self._step(stop)
            self.at.seconds = before + self.clock() - start
            why = f"{self.settings.seconds:g} seconds are over" if late else ""
            self._look(last=late or self.at.iteration == self.settings.iterations)
            why = why or self._over()
        self._checkpoint()
        self.learner.load_state_dict(self.best)
        why = why or "stopped as asked"
        self.watch.ended(why)
        rows = tuple(self.at.history)
        return Trained(self.learner.eval(), rows, self.at.seconds, why, finished=not stopped)

    def _step(self, stop: Callable[[], bool]) -> tuple[bool, bool]:
        """One outer step; say whether any process was asked to stop, or is out of time."""
        at, limit = self.at, self.settings.seconds
        losses = [self.way.add(at.iteration, shard, self.share) for shard in self.mine]
        late = limit is not None and at.seconds >= limit
        mean = float(torch.stack(losses).sum()) * self.share
        loss, stops, lates = self.descent.step(at.iteration, mean, float(stop()), float(late))
        at.iteration += 1
        if math.isfinite(loss):
            at.loss, at.since = at.loss + loss, at.since + 1
        self.watch.stepped(at.iteration)
        return stops > 0, lates > 0

    def _over(self) -> str:
        """Give the reason to end, if there is one."""
        patience = self.settings.patience
        if self.at.iteration >= self.settings.iterations:
            return f"all {self.settings.iterations} iterations are done"
        if patience is not None and self.at.stale >= patience:
            return f"{patience} validations without a new best"
        return ""

    def _look(self, *, last: bool) -> None:
        """Validate and checkpoint when it is time."""
        iteration = self.at.iteration
        if last or iteration % self.settings.validate_every == 0:
            self._validate()
        if iteration % self.settings.checkpoint_every == 0:
            self._checkpoint()

    def _validate(self) -> None:
        """Score held-out tasks; keep the weights if they are the best so far."""
        self.ranks.average_buffers(self.learner)
        self.learner.eval()
        batches = self.way.batches()
        mine = range(self.ranks.rank, batches, self.ranks.world)
        total = sum(float(self.way.held_out(batch)) for batch in mine)
        (total,) = self.ranks.summed([], total)
        self.learner.train()
        at, loss = self.at, total / batches
        if loss < at.best:
            at.best, at.stale, self.best = loss, 0, _copy(self.learner.state_dict())
        else:
            at.stale += 1
        mean = at.loss / at.since if at.since else math.nan
        at.history.append(Row(at.iteration, mean, loss, at.best, self.descent.skipped, at.seconds))
        at.loss, at.since = 0.0, 0
        self.watch.noted(at.history[-1])

    def _checkpoint(self) -> None:
        """Write all that the rest of the run depends on."""
        if self.folder is None or self.ranks.rank:
            return
        parts = {
            "learner": self.learner.state_dict(),
            "best": self.best,
            "descent": self.descent.kept(),
            "slope": self.way.kept(),
            "chance": {"state": torch.get_rng_state()},
        }
        counts = {"skipped": self.descent.skipped, "in_a_row": self.descent.in_a_row}
        meta = {"at": asdict(self.at), "fingerprint": self._fingerprint(), "counts": counts}
        keep.write(self.folder, parts, meta)

    def resume(self) -> None:
        """Take up the checkpoint in the folder, if there is one."""
        if self.folder is None:
            return
        found = keep.read(self.folder, self._fingerprint())
        if found is None:
            return
        parts, meta = found
        rows = [Row(**row) for row in meta["at"].pop("history")]
        self.at = Progress(**meta["at"], history=rows)
        self.descent.skipped, self.descent.in_a_row = meta["counts"].values()
        self.learner.load_state_dict(parts["learner"])
        self.best = parts["best"]
        self.descent.restore(parts.get("descent", {}))
        self.way.restore(parts.get("slope", {}))
        torch.set_rng_state(parts["chance"]["state"])

    def _fingerprint(self) -> dict[str, Any]:
        """Give what must be the same when the run is taken up again."""
        settings = asdict(self.settings)
        fixed = {name: it for name, it in settings.items() if name not in MAY_CHANGE}
        shapes = {name: list(it.shape) for name, it in self.learner.state_dict().items()}
        return fixed | {"about": self.about, "learner": type(self.learner).__name__} | shapes


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: leaf.detach().clone() for name, leaf in tensors.items()}
