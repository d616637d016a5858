"""A small network of fast weights whose gradient is written out, for learning row by row.

    h_0 = x;  h_l = relu(h_(l-1) w_l + b_l);  out = h_L head + bias

Written out, a step costs a few matrix products, and meta-training differentiates through it as
through any others: no second backward pass. Parts are w0, b0, w1, b1, ..., head and bias, task axis
first where they are fast.

Shapes: T tasks, B examples, E features, O outputs.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Predictor:
    """Layers with a rectifier after each, and a linear head on the last.

    Args:
        features: E, the width of what comes in.
        hidden: widths of the layers; none leaves the head alone.
    """

    def __init__(self, features: int, hidden: Sequence[int]) -> None:
        self.widths = (features, *hidden)
        self.size = self.widths[-1]

    def draw(self, columns: int) -> dict[str, Tensor]:
        """Draw a start, from the global generator: call it under `seeded`. No task axis."""
        parts = {}
        for at, (rows, out) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            parts[f"w{at}"] = torch.randn(rows, out) * (2 / rows) ** 0.5
            parts[f"b{at}"] = torch.zeros(1, out)
        head = torch.randn(self.size, columns) * self.size**-0.5
        return {**parts, "head": head, "bias": torch.zeros(1, columns)}

    def rate(self, name: str) -> float:
        """Share of a step size that this part takes: one over its layer's inputs.

        So that one size is right for layers of all widths: a step of 1 on a row whose features are
        about 1 corrects the error of that row.
        """
        layer = len(self.widths) - 1 if name in {"head", "bias"} else int(name[1:])
        return 1 / self.widths[layer]

    def layers(self, fast: Mapping[str, Tensor], x_TBE: Tensor) -> list[Tensor]:
        """Give x, each hidden layer, and last the outputs TBO."""
        found = [x_TBE]
        for at in range(len(self.widths) - 1):
            found.append(torch.baddbmm(fast[f"b{at}"], found[-1], fast[f"w{at}"]).relu())
        return [*found, torch.baddbmm(fast["bias"], found[-1], fast["head"])]

    def pull(
        self, fast: Mapping[str, Tensor], layers: Sequence[Tensor], delta_TBO: Tensor
    ) -> dict[str, Tensor]:
        """Gradient of a loss by the parts, from its gradient by the outputs."""
        grads = {"head": layers[-2].mT @ delta_TBO, "bias": delta_TBO.sum(1, keepdim=True)}
        delta, weight = delta_TBO, fast["head"]
        for at in reversed(range(len(self.widths) - 1)):
            delta = (delta @ weight.mT) * (layers[at + 1] > 0)
            grads[f"w{at}"] = layers[at].mT @ delta
            grads[f"b{at}"] = delta.sum(1, keepdim=True)
            weight = fast[f"w{at}"]
        return grads
