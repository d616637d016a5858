"""Dynamics from nothing: recursive least squares over random features, one set of weights a body.

The change of an observation in a step is linear in phi(x) = [1, x, tanh(R x + b)], R and b drawn
once (Rahimi & Recht 2007, Random features for large-scale kernel machines, with another shape):

    k = P phi / (l + phi' P phi),   W <- W + k (d - W' phi)',   P <- (P - k phi' P) / l

(recursive least squares with forgetting l; Ljung 1999, System identification, § 11.2).

Shapes: N robots, O observations, A actions, F = O + A, D features, X any axes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FAR = 5.0  # deviations at which a number is cut


@dataclass(frozen=True, slots=True)
class Features:
    """Random features of a row.

    Args:
        turn_FH: R.
        shift_H: b.
    """

    turn_FH: Tensor
    shift_H: Tensor

    @classmethod
    def draw(cls, width: int, hidden: int, seed: int) -> "Features":
        """Draw them; of F numbers of unit spread, so many hidden ones."""
        draw = torch.Generator().manual_seed(seed)
        turn = torch.randn(width, hidden, generator=draw) * 1.5 / width**0.5
        return cls(turn, 2 * torch.rand(hidden, generator=draw) - 1)

    @property
    def width(self) -> int:
        """D."""
        return 1 + sum(self.turn_FH.shape)

    def __call__(self, x_XF: Tensor) -> Tensor:
        """Give the features, last axis D."""
        hidden = torch.tanh(x_XF @ self.turn_FH + self.shift_H)
        return torch.cat([torch.ones_like(x_XF[..., :1]), x_XF, hidden], -1)


def scaled(scale_N3O: Tensor, obs_NCO: Tensor, action_NCA: Tensor) -> Tensor:
    """Give rows: observations in their own units, and actions.

    Args:
        scale_N3O: mean and spread of each number, and the spread of its change.
        obs_NCO: of each robot any number.
        action_NCA: likewise.
    """
    mean, spread = scale_N3O[:, 0].unsqueeze(1), scale_N3O[:, 1].unsqueeze(1)
    return torch.cat([((obs_NCO - mean) / spread).clamp(-FAR, FAR), action_NCA], -1)


def fresh(robots: int, width: int, outputs: int, prior: float) -> tuple[Tensor, Tensor]:
    """Give weights that foresee no change (N, D, O), and P (N, D, D), how unsure they are."""
    weight_NDO = torch.zeros(robots, width, outputs, dtype=torch.float64)
    return weight_NDO, prior * torch.eye(width, dtype=torch.float64).repeat(robots, 1, 1)


def taught(
    weight_NDO: Tensor, unsure_NDD: Tensor, phi_ND: Tensor, change_NO: Tensor, keep: float
) -> tuple[Tensor, Tensor]:
    """Take in one row of each robot; see the equations above."""
    phi_ND, change_NO = phi_ND.double(), change_NO.double()
    along_ND = torch.einsum("nde,ne->nd", unsure_NDD, phi_ND)
    size_N1 = keep + (phi_ND * along_ND).sum(1, keepdim=True)
    gain_ND = along_ND / size_N1
    error_NO = change_NO - torch.einsum("ndo,nd->no", weight_NDO, phi_ND)
    weight_NDO = weight_NDO + gain_ND.unsqueeze(2) * error_NO.unsqueeze(1)
    unsure_NDD = (unsure_NDD - gain_ND.unsqueeze(2) * along_ND.unsqueeze(1)) / keep
    bounded = unsure_NDD.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    shrink_N = (100.0 / bounded).clamp(max=1.0)  # directions that are never seen do not run away
    return weight_NDO, (unsure_NDD + unsure_NDD.mT) / 2 * shrink_N.view(-1, 1, 1)


def fitted(phi_NRD: Tensor, change_NRO: Tensor, prior: float) -> tuple[Tensor, Tensor]:
    """Take in many rows at once: ridge regression; give weights and how unsure they are."""
    phi, change = phi_NRD.double(), change_NRO.double()
    eye = torch.eye(phi.shape[2], dtype=torch.float64)
    unsure_NDD = torch.linalg.inv(phi.mT @ phi + eye / prior)
    return unsure_NDD @ (phi.mT @ change), unsure_NDD


def put(leaf: Tensor, at: tuple[int, ...], value: Tensor) -> Tensor:
    """Give a leaf with another value at a place."""
    return leaf.index_put(tuple(torch.tensor(one) for one in at), value)


def where(some_N: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Choose by robot between two leaves."""
    return torch.where(some_N.view(-1, *[1] * (one.ndim - 1)), one, other)
