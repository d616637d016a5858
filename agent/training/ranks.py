"""The processes of one run: each draws its own tasks, and their gradients are averaged.

Not torch's DistributedDataParallel: it watches the `forward` of one module, and a learner is begun,
taught and asked, with gradients of its own inside; Reptile has no backward pass at all.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among so many."""

    rank: int = 0
    world: int = 1

    def summed(self, parts: Sequence[Tensor], *numbers: float) -> list[float]:
        """Sum tensors over the processes, in place, and numbers with them, in one message."""
        if self.world == 1:
            return list(numbers)
        like = parts[0] if parts else torch.zeros(1)
        flat = torch.cat([*(one.flatten() for one in parts), like.new_tensor(numbers)])
        distributed.all_reduce(flat)
        *sums, last = flat.split([one.numel() for one in parts] + [len(numbers)])
        for one, total in zip(parts, sums, strict=True):
            one.copy_(total.view_as(one))
        return [float(number) for number in last.tolist()]

    def average_buffers(self, module: nn.Module) -> None:
        """Give all processes the mean of what each has counted, as running statistics."""
        if self.world > 1:
            floats = [one for one in module.buffers() if one.is_floating_point()]
            self.summed(floats)
            for one in floats:
                one.div_(self.world)


@contextmanager
def ranks(environment: Mapping[str, str], device: str) -> Iterator[Ranks]:
    """Join the processes that `torchrun` started; alone where it started none."""
    world = int(environment.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Ranks()
        return
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.set_device(int(environment.get("LOCAL_RANK", "0")))
    if environment.get("LOCAL_WORLD_SIZE") == environment["WORLD_SIZE"]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: no name is to be resolved
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield Ranks(int(environment["RANK"]), world)
    finally:
        distributed.destroy_process_group()
