"""The few pieces that learners share: an online Adam step, flat parameters, decays, masks.

Shapes: T tasks, P parameters, B examples, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agent.nets.exact import power

EPSILON = 1e-3
"""Mass spread evenly over the classes, so that no voice ever says "never"."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names the parts of a flat vector of parameters: name → shape (without the task axis)."""

    parts: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(torch.Size(shape).numel() for _, shape in self.parts)

    def split(self, flat_TP: Tensor) -> dict[str, Tensor]:
        """Give views of the parts, each with the task axis first."""
        sizes = [torch.Size(shape).numel() for _, shape in self.parts]
        pieces = flat_TP.split(sizes, 1)
        return {
            name: piece.view(flat_TP.shape[0], *shape)
            for (name, shape), piece in zip(self.parts, pieces, strict=True)
        }

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Give the flat vector of these parts."""
        return torch.cat([parts[name].flatten(1) for name, _ in self.parts], 1)


def adam(
    state: Mapping[str, Tensor], name: str, grad_TP: Tensor, rate: Tensor | float, busy_T: Tensor
) -> dict[str, Tensor]:
    """One step of Adam (Kingma & Ba 2015, algorithm 1) on the leaf `name` of a state.

    Tasks that are not `busy_T`, or whose gradient is not finite, stay as they are. The moments
    are the leaves `name.m`, `name.v`, the step count `name.n`.
    """
    weight, m, v, n = (state[key] for key in (name, f"{name}.m", f"{name}.v", f"{name}.n"))
    square = grad_TP * grad_TP
    sound = square.amax(1) < torch.inf  # not where a number is missing, either
    busy_T1 = (busy_T & sound).unsqueeze(1)
    step = n + busy_T1
    m_new = torch.lerp(m, grad_TP, 0.1)
    v_new = torch.lerp(v, square, 0.001)
    unbias = (1 - power(0.999, step)).sqrt() / (1 - power(0.9, step.clamp(min=1)))
    moved = torch.addcdiv(weight, m_new * (unbias * -rate), v_new.sqrt().add_(1e-8))
    if bool(busy_T1.all()):
        return {name: moved, f"{name}.m": m_new, f"{name}.v": v_new, f"{name}.n": step}
    return {
        name: torch.where(busy_T1, moved, weight),
        f"{name}.m": torch.where(busy_T1, m_new, m),
        f"{name}.v": torch.where(busy_T1, v_new, v),
        f"{name}.n": step,
    }


def adam_begin(name: str, weight_TP: Tensor) -> dict[str, Tensor]:
    """Give the leaves that `adam` keeps for a weight."""
    zero = torch.zeros_like(weight_TP)
    return {
        name: weight_TP,
        f"{name}.m": zero,
        f"{name}.v": zero.clone(),
        f"{name}.n": torch.zeros(weight_TP.shape[0], 1, device=weight_TP.device),
    }


def hot(index: Tensor, classes: int) -> Tensor:
    """Class indicators as floats, a new last axis; `one_hot` would read its input first."""
    return (index.long().unsqueeze(-1) == torch.arange(classes, device=index.device)).float()


def before(seen_TB: Tensor) -> Tensor:
    """Count the seen rows before each row, as floats of shape TB."""
    seen = seen_TB.to(torch.float32)
    return seen.cumsum(1) - seen


def smooth(share_TBVC: Tensor) -> Tensor:
    """Log-probabilities from shares that sum to one or, where nothing is known, to zero."""
    total = share_TBVC.sum(-1, keepdim=True)
    return ((share_TBVC + EPSILON / share_TBVC.shape[-1]) / (total + EPSILON)).log()


def normal_log_density(y: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Log of the normal density, in nats."""
    return -0.5 * ((y - mean) / scale) ** 2 - scale.log() - 0.9189385332046727


def pad_last(leaf: Tensor, size: int, value: float = 0.0) -> Tensor:
    """Make the last axis `size` long."""
    return torch.nn.functional.pad(leaf, (0, size - leaf.shape[-1]), value=value)


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a part's leaves under its name."""
    return {f"{prefix}.{key}": leaf for key, leaf in state.items()}


def part(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take a part's leaves out of the whole."""
    start = len(prefix) + 1
    return {key[start:]: leaf for key, leaf in state.items() if key.startswith(f"{prefix}.")}


def all_seen(y_TB: Tensor, seen_TB: Tensor | None) -> Tensor:
    """Give the mask, all true where none was given."""
    return torch.ones_like(y_TB, dtype=torch.bool) if seen_TB is None else seen_TB


def rows_seen(y_TB: Tensor, seen_TB: Tensor | None) -> Tensor:
    """Give the mask of rows, whatever axes a label has."""
    return all_seen(y_TB if y_TB.ndim == 2 else y_TB[..., 0], seen_TB)  # noqa: PLR2004 - T and B


def first_of(rows: Sequence[Tensor]) -> Tensor:
    """Stack one-row answers along the example axis."""
    return torch.cat(list(rows), 1)
