"""The outer step: gradients averaged over processes, clipped, refused if not finite, applied."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from agent.training.ranks import Ranks
from agent.training.settings import TrainingError, TrainSettings

RATE, AVERAGE_RATE = 1e-3, 1.0


class Descent:
    """Adam on most parameters; Reptile's own step on those that it averages.

    Args:
        weights: all that is trained.
        averaged: those among them that Reptile averages.
        settings: of the run.
        ranks: the processes.
    """

    def __init__(
        self,
        weights: Sequence[nn.Parameter],
        averaged: Sequence[nn.Parameter],
        settings: TrainSettings,
        ranks: Ranks,
    ) -> None:
        self._settings, self._ranks = settings, ranks
        self.weights = list(weights)
        plain = settings.optimizer in ("auto", "sgd")
        apart = {id(one) for one in averaged} if plain else set()
        rate = settings.rate
        self._groups: list[tuple[torch.optim.Optimizer, float, str]] = []
        if held := [one for one in self.weights if id(one) in apart]:
            falls = "linear" if settings.schedule == "auto" else settings.schedule
            first = AVERAGE_RATE if rate is None else rate
            self._groups.append((torch.optim.SGD(held, lr=first), first, falls))
        if others := [one for one in self.weights if id(one) not in apart]:
            falls = "constant" if settings.schedule == "auto" else settings.schedule
            first = RATE if rate is None or held else rate
            self._groups.append((_optimizer(others, settings, first), first, falls))
        self.skipped = self.in_a_row = 0

    def step(self, at: int, *numbers: float) -> list[float]:
        """Apply what stands in `.grad`, and clear it; give the numbers, summed over processes.

        Raises:
            TrainingError: too many steps in a row were not finite.
        """
        sums = self._ranks.summed(self._grads(), *numbers)
        grads = [one.grad for one in self.weights if one.grad is not None]
        norm = float(nn.utils.get_total_norm(grads))
        if math.isfinite(norm):
            self.in_a_row = 0
            if norm > self._settings.clip:
                nn.utils.clip_grads_with_norm_(
                    self.weights, self._settings.clip, torch.tensor(norm)
                )
            for optimizer, first, schedule in self._groups:
                rate = self._settings.rate_at(at, start=first, schedule=schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
        else:
            self._skip(at)
        for one in self.weights:
            one.grad = None
        return sums

    def _grads(self) -> list[Tensor]:
        if self._ranks.world == 1:
            return []
        for one in self.weights:
            if one.grad is None:
                one.grad = torch.zeros_like(one)
        return [one.grad for one in self.weights if one.grad is not None]

    def _skip(self, at: int) -> None:
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row > self._settings.most_skipped:
            raise TrainingError(
                f"the outer gradient was not finite {self.in_a_row} times in a row, up to iteration"
                f" {at}: lower rate, clip, steps or the learner's inner rate"
            )

    def kept(self) -> dict[str, Tensor]:
        """Give the optimisers' own tensors, flat."""
        return {
            f"{number}.{weight}.{name}": leaf
            for number, (optimizer, _, _) in enumerate(self._groups)
            for weight, leaves in optimizer.state_dict()["state"].items()
            for name, leaf in leaves.items()
            if isinstance(leaf, Tensor)
        }

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Take them up again."""
        for number, (optimizer, _, _) in enumerate(self._groups):
            state: dict[int, dict[str, Tensor]] = {}
            for key, leaf in kept.items():
                group, weight, name = key.split(".", 2)
                if int(group) == number:
                    state.setdefault(int(weight), {})[name] = leaf
            whole = optimizer.state_dict()
            optimizer.load_state_dict({**whole, "state": state})


def _optimizer(
    weights: Sequence[nn.Parameter], settings: TrainSettings, rate: float
) -> torch.optim.Optimizer:
    if settings.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=rate)
    if settings.optimizer == "adamw":
        decay = settings.weight_decay
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.Adam(weights, lr=rate, fused=True)
