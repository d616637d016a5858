"""Estimates of an actuator's gains through a model of the intact body.

A body whose motor j turns with gain g_j moves as the intact one would under the action g * a. With
f the intact body's model, each transition (o, a, o') tells of g by its error in deviations,

    z(g) = (o' - o - f(o, g * a)) / s(o, g * a),      z(g + d) ~ z(g) - J d

and weighted least squares over transitions gives a step of Gauss-Newton,

    (sum w J'J + R) d = sum w J'z - R (g - g_0),      w = (v + 1) / (v + z^2)

w are the weights of Student's t with v degrees (Lange et al. 1989, Robust statistical modeling
using the t distribution): a bad contact counts little. J is a secant over half the range of an
action: motors that turn the other way are far from where a tangent holds.

Shapes: X any leading axes (N robots, W transitions), D columns that tell, A actions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from agent.control.forward import Forward

TAIL = 4.0  # v, degrees of freedom of Student's t
SECANT = 0.5  # of an action, to each side


class Slopes(NamedTuple):
    """What transitions say around some gains."""

    error_XD: Tensor  # z, deviations
    slope_XDA: Tensor  # J, deviations for a unit of gain
    log_XD: Tensor  # log of the scale that z is measured by, in the model's units


@dataclass(frozen=True, slots=True)
class Through:
    """The intact body's model, asked about other gains.

    Args:
        model: of the intact body.
        columns: of an observation that are compared; velocities tell most, and each once.
        least: the smallest scale, in the model's units: no model is surer than that.
    """

    model: Forward
    columns: tuple[int, ...]
    least: float = 0.02

    def errors(
        self, obs_XO: Tensor, action_XA: Tensor, next_XO: Tensor, gain_XA: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give z and the log of the scale under these gains, each (X, D)."""
        mean_XD, log_XD = self._says(obs_XO, gain_XA * action_XA)
        return (self._moved(obs_XO, next_XO) - mean_XD) * (-log_XD).exp(), log_XD

    def slopes(self, obs_XO: Tensor, action_XA: Tensor, next_XO: Tensor, gain_XA: Tensor) -> Slopes:
        """Give z and J around these gains."""
        u_XA = (gain_XA * action_XA).clamp(-1, 1)
        actions = u_XA.shape[-1]
        eye_AA = SECANT * torch.eye(actions, dtype=u_XA.dtype)
        up_XAA = (u_XA.unsqueeze(-2) + eye_AA).clamp(max=1.0)
        down_XAA = (u_XA.unsqueeze(-2) - eye_AA).clamp(min=-1.0)
        tried = torch.cat([u_XA.unsqueeze(-2), up_XAA, down_XAA], -2)
        wide_XO = obs_XO.unsqueeze(-2).expand(*tried.shape[:-1], obs_XO.shape[-1])
        mean, log = self._says(wide_XO, tried)
        width_XA = (up_XAA - down_XAA).diagonal(dim1=-2, dim2=-1)
        rise_XAD = mean[..., 1 : 1 + actions, :] - mean[..., 1 + actions :, :]
        slope_XAD = rise_XAD * (action_XA / width_XA).unsqueeze(-1)
        per_XD = (-log[..., 0, :]).exp()
        error_XD = (self._moved(obs_XO, next_XO) - mean[..., 0, :]) * per_XD
        return Slopes(error_XD, slope_XAD.mT * per_XD.unsqueeze(-1), log[..., 0, :])

    def _says(self, obs_XO: Tensor, action_XA: Tensor) -> tuple[Tensor, Tensor]:
        mean_XO, log_XO = self.model.standard(obs_XO, action_XA)
        floor = torch.log(torch.tensor(self.least))
        return mean_XO[..., self.columns], log_XO[..., self.columns].clamp(min=floor)

    def _moved(self, obs_XO: Tensor, next_XO: Tensor) -> Tensor:
        columns = list(self.columns)
        return (next_XO - obs_XO)[..., columns] / self.model.rise_O[columns]


def weights(error_XD: Tensor) -> Tensor:
    """Give w: how much each error counts."""
    return (TAIL + 1) / (TAIL + error_XD.square())


def likelihood(error_XD: Tensor, log_XD: Tensor, wide_X: Tensor | float = 1.0) -> Tensor:
    """Give the log-likelihood of transitions (X), without its constant; nats.

    `wide_X` widens the scale: how badly a body is explained, by the model that is the best for it.
    """
    wide_X1 = torch.as_tensor(wide_X).unsqueeze(-1)
    far_XD = (error_XD / wide_X1).square()
    return -(0.5 * (TAIL + 1) * (far_XD / TAIL).log1p() + log_XD + wide_X1.log()).sum(-1)


def gauss_newton(slopes: Slopes, ridge_NAA: Tensor, pull_NA: Tensor, seen_NW: Tensor) -> Tensor:
    """Give the step d (N, A) over W transitions of each robot, of which `seen_NW` count.

    `ridge_NAA` is R, `pull_NA` is R (g_0 - g).
    """
    weight_NWD = weights(slopes.error_XD) * seen_NW.unsqueeze(-1)
    return solved(slopes, weight_NWD, ridge_NAA, pull_NA)


def solved(slopes: Slopes, weight_NWD: Tensor, ridge_NAA: Tensor, pull_NA: Tensor) -> Tensor:
    """Solve the normal equations with these weights."""
    heavy = slopes.slope_XDA * weight_NWD.unsqueeze(-1)
    normal_NAA = torch.einsum("nwda,nwdb->nab", heavy, slopes.slope_XDA) + ridge_NAA
    right_NA = torch.einsum("nwda,nwd->na", heavy, slopes.error_XD) + pull_NA
    step: Tensor = torch.linalg.solve(normal_NAA, right_NA.unsqueeze(-1)).squeeze(-1)
    return step


def sparse(
    slopes: Slopes, seen_NW: Tensor, prior: float = 2.0, small: float = 0.1, rounds: int = 4
) -> Tensor:
    """Give a step d in which few gains change: most motors are as they were.

    A ridge of `prior` / (d^2 + small^2), from round to round (iteratively reweighted least squares,
    Chartrand & Yin 2008), lets what has changed go free and holds the rest.
    """
    robots, actions = slopes.error_XD.shape[0], slopes.slope_XDA.shape[-1]
    step_NA = torch.zeros(robots, actions)
    held_NA = torch.full((robots, actions), prior)
    for _ in range(rounds):
        left = slopes.error_XD - torch.einsum("nwda,na->nwd", slopes.slope_XDA, step_NA)
        weight_NWD = weights(left) * seen_NW.unsqueeze(-1)
        step_NA = solved(slopes, weight_NWD, torch.diag_embed(held_NA), torch.zeros_like(step_NA))
        held_NA = prior * small / (step_NA.square() + small**2)
    return step_NA


def sizes(gain_XA: Tensor, least_A: Tensor | None = None) -> Tensor:
    """Give the context that a policy is told: how far the size of each gain is from the intact.

    `least_A` is the smallest size of each that training has had; none is told smaller, since what
    a network makes of a context that it never had is anyone's guess.
    """
    size_XA = gain_XA.abs().clamp(max=1.25)
    return (size_XA if least_A is None else torch.maximum(size_XA, least_A)) - 1.0


def signs(gain_XA: Tensor, least: float = 0.25) -> Tensor:
    """Give what commands are multiplied by, so that motors that turn the other way do as meant."""
    return torch.where(gain_XA < -least, -1.0, 1.0)
