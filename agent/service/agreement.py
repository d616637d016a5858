"""Whether a shard's state keeps its bits when its blocks are learned beside those of others.

It does where the products of one task round alike, alone and in a batch. MKL's do, asked for
reproducible products (see `agent`) and kept from the routine for a single column
(`agent.nets.exact`); another library's may not. So it is tried, on a few drawn blocks.
"""

from typing import Final

import torch
from torch import Tensor

from agent.continual.abreast import joined, of_task
from agent.learners.base import Learner, Spec
from agent.service.calls import Call, alone

BESIDE: Final = 3  # tasks beside one another
TRIED: Final = 4  # blocks of each


def bits_agree(learner: Learner, lanes: int, device: torch.device) -> bool:
    """Try whether blocks learned beside others leave the bits that they leave alone."""
    draw = torch.Generator().manual_seed(0)
    single = [{name: leaf.to(device) for name, leaf in learner.begin(1).items()}] * BESIDE
    whole = joined(single)
    for _ in range(TRIED):
        x, y, seen = _drawn(learner.spec, lanes, draw)
        x, y, seen = x.to(device), y.to(device), seen.to(device)
        whole = dict(alone(Call(learner, True, whole, (x, y, seen)))[1])  # noqa: FBT003 - teach
        for task in range(BESIDE):
            one = slice(task, task + 1)
            call = Call(learner, True, single[task], (x[one], y[one], seen[one]))  # noqa: FBT003
            single[task] = dict(alone(call)[1])
            same = of_task(whole, task, BESIDE)
            if not all(torch.equal(leaf, same[name]) for name, leaf in single[task].items()):
                return False
    return True


def _drawn(spec: Spec, lanes: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw rows, labels that they tell of, and which of them are told."""
    x = torch.zeros(BESIDE, lanes, spec.features)
    some = torch.randn(BESIDE, lanes, spec.quantities, generator=draw)
    x[..., : spec.quantities] = some
    codes = (BESIDE, lanes, spec.codes)
    x[..., spec.quantities : spec.quantities + spec.codes] = torch.randint(9, codes, generator=draw)
    y = some.sum(2)
    seen = torch.rand(BESIDE, lanes, generator=draw) < 0.9  # noqa: PLR2004 - most
    return x, y if spec.regression else y.long().abs() % spec.classes, seen
