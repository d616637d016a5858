"""What one shard learned may help another begin: parameters lent, and a start made of several.

Nothing is shared unless these are called; see `agent.continual.meeting` for what is, and its test
for what it is worth.
"""

from collections.abc import Mapping, Sequence

import safetensors.torch
import structlog
import torch

from agent.continual.meeting import COMMON, ORDERED, meet
from agent.service.prequential import Prequential
from agent.service.teacher import Leaf, under, within
from streams.source import Commons, SourceError

log = structlog.get_logger(__name__)


def lent(learner: Prequential) -> dict[str, torch.Tensor]:
    """Give the parameters of a shard that others may begin from: some thousand numbers."""
    leaves = within("learner", learner.snapshot()[0])
    kept = [name for name in (*COMMON, *ORDERED) if name in leaves]
    return {name: torch.as_tensor(leaves[name]).cpu().clone() for name in kept}


def begin_from(
    learner: Prequential,
    others: Sequence[Mapping[str, Leaf]],
    rate: float = 1.0,
    *,
    ordered: bool = False,
) -> None:
    """Let a learner that has taken no record yet begin where others, that `lent`, meet.

    Args:
        learner: made as they were.
        others: what each of them lent; none leaves the start as it is.
        rate: how far to go there, 0 to 1.
        ordered: whether the schema names the classes, or the goal is a number.

    Raises:
        ValueError: it has taken records, or the rate is not from 0 to 1.
    """
    if learner.records:
        raise ValueError(f"this shard has taken {learner.records} records: it began long ago")
    arrays, rest = learner.snapshot()
    start = {name: torch.as_tensor(leaf) for name, leaf in within("learner", arrays).items()}
    told = [{name: torch.as_tensor(leaf) for name, leaf in one.items()} for one in others]
    learner.restore({**arrays, **under("learner", meet(told, start, rate, ordered=ordered))}, rest)


class Sharing:
    """Lends what shards learned, and lets new ones begin where those of others meet.

    What is lent is no more than a start: a shard that has a checkpoint goes on from there, so that
    what is learned depends on its own records alone from its first checkpoint on.

    Args:
        commons: where it lies; one value a shard, the newest.
        rate: how far a new shard goes from the shipped start to the others' mean, 0 to 1.
        ordered: whether a class has the same place in all shards, or the goal is a number.
    """

    def __init__(self, commons: Commons, rate: float = 1.0, *, ordered: bool = False) -> None:
        self._commons, self._rate, self._ordered = commons, rate, ordered

    def lend(self, shard: str, learner: Prequential) -> None:
        """Leave what a shard has learned for others; a failure is logged and costs nothing."""
        try:
            self._commons.give(shard, safetensors.torch.save(lent(learner)))
        except SourceError as error:
            log.warning("a start was not lent", shard=shard, why=str(error))

    def begin(self, shard: str, learner: Prequential) -> None:
        """Let a new shard begin where the others meet; without others, as it was made."""
        try:
            found = self._commons.take()
        except SourceError as error:
            log.warning("no starts to be had; beginning as shipped", shard=shard, why=str(error))
            return
        others = [safetensors.torch.load(value) for name, value in found.items() if name != shard]
        begin_from(learner, others, self._rate, ordered=self._ordered)
        log.info("beginning where others meet", shard=shard, others=len(others))
