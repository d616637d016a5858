"""What one shard learned may help another begin: parameters lent, and a start made of several.

Nothing is shared unless these are called; see `agent.continual.meeting` for what is, and its test
for what it is worth.
"""

from collections.abc import Mapping, Sequence

import torch

from agent.continual.meeting import COMMON, ORDERED, meet
from agent.service.prequential import Prequential
from agent.service.teacher import Leaf, under, within


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
