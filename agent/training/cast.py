"""The precision that a forward pass runs in."""

from contextlib import AbstractContextManager, nullcontext

import torch

from agent.training.settings import TrainSettings


def cast(settings: TrainSettings) -> AbstractContextManager[object]:
    """Give the context of a forward pass: autocast to bf16 where that is asked for."""
    if settings.precision == "float32":
        return nullcontext()
    return torch.autocast(torch.device(settings.device).type, torch.bfloat16)
