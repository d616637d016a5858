"""Plain networks on a sequence of classes: what continual meta-learning is compared with.

One convolutional network and a head with a column a class, one row a step by stochastic gradient
descent: as it is (`sgd`), with old rows mixed in (`replay`), held by the weights that mattered
before (`ewc`: Kirkpatrick et al. 2017).

Shapes: B rows, F features, C classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent.nets.body import BodySettings, make_body, seeded
from agent.training.episodes import Batch

REPLAYED = 9  # old rows in a step of replay


@dataclass(frozen=True, slots=True)
class Way:
    """How a plain network learns.

    Args:
        rate: step size.
        room: old rows that are kept for replay.
        hold: lambda, the weight of EWC's penalty.
    """

    rate: float
    room: int = 0
    hold: float = 0.0


class Plain:
    """A body and a head, learned row by row.

    Args:
        features: F.
        classes: C.
        way: how.
        settings: of the body.
        seed: of the first weights and of replay's draws.
        shots: rows of a class in a sequence.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        way: Way,
        settings: BodySettings,
        seed: int,
        shots: int,
    ) -> None:
        with seeded(seed):
            self.body = make_body(features, settings)
            self.head = nn.Linear(self.body.size, classes)
        nn.init.zeros_(self.head.weight)
        self.moves, self.way = [*self.head.parameters(), *self.body.parameters()], way
        self.draw = torch.Generator().manual_seed(seed)
        self.old: list[tuple[Tensor, Tensor]] = []
        self.came, self.shots = 0, shots
        self.fisher = [torch.zeros_like(weight) for weight in self.moves]
        self.anchor = [torch.zeros_like(weight) for weight in self.moves]

    def logits(self, x_BF: Tensor) -> Tensor:
        """Of all classes, BC."""
        out: Tensor = self.head(self.body(x_BF.unsqueeze(0))[0])
        return out

    def __call__(self, whole: Batch, first: int, last: int) -> Callable[[Tensor, int], Tensor]:
        """Learn some classes of a sequence, as `sequences.Streamed` does."""
        for label in range(first, last):
            at = slice(label * self.shots, (label + 1) * self.shots)
            self.learn(whole.support_x[0, at], whole.support_y[0, at])
        return self.predict

    def learn(self, x_BF: Tensor, y_B: Tensor) -> None:
        """A class's rows, one by one; then what EWC measures of them."""
        for row in range(len(y_B)):
            x, y = x_BF[row : row + 1], y_B[row : row + 1]
            old = self._drawn()
            many = [torch.cat(leaf) for leaf in zip((x, y), *old, strict=True)]
            self._step(self._gradient(many[0], many[1]))
            self._keep(x, y)
        if self.way.hold:
            for row in range(len(y_B)):
                self._measure(self._gradient(x_BF[row : row + 1], y_B[row : row + 1]), len(y_B))

    def predict(self, x_BF: Tensor, classes: int) -> Tensor:
        """The likeliest of the first so many classes."""
        with torch.no_grad():
            return self.logits(x_BF)[:, :classes].argmax(1)

    def _gradient(self, x_BF: Tensor, y_B: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad(nn.functional.cross_entropy(self.logits(x_BF), y_B), self.moves)

    def _step(self, grads: tuple[Tensor, ...]) -> None:
        """Descend; the penalty, lambda / 2 sum F_k (w - w_k)^2, by a step that is always stable."""
        pull = self.way.rate * self.way.hold
        with torch.no_grad():
            for at, (weight, grad) in enumerate(zip(self.moves, grads, strict=True)):
                moved = weight - self.way.rate * grad + pull * self.anchor[at]
                weight.copy_(moved / (1 + pull * self.fisher[at]))

    def _measure(self, grads: tuple[Tensor, ...], rows: int) -> None:
        for at, (weight, grad) in enumerate(zip(self.moves, grads, strict=True)):
            self.fisher[at] += grad**2 / rows
            self.anchor[at] += grad**2 / rows * weight.detach()

    def _drawn(self) -> list[tuple[Tensor, Tensor]]:
        if not self.old:
            return []
        picks = torch.randint(len(self.old), (REPLAYED,), generator=self.draw).tolist()
        return [self.old[pick] for pick in picks]

    def _keep(self, x: Tensor, y: Tensor) -> None:
        """A reservoir (Vitter 1985)."""
        self.came += 1
        if len(self.old) < self.way.room:
            self.old.append((x, y))
        elif self.way.room:
            slot = int(torch.randint(self.came, (1,), generator=self.draw))
            if slot < self.way.room:
                self.old[slot] = (x, y)
