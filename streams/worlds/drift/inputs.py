"""Inputs of a drifting stream: a random structural causal model over latent causes.

Features come in layers; each is a random function of a few latents and features of layers before
it. Latents and the features' own noise are autoregressive in time.

Shapes: N rows, L latents, F features, K columns of codes, R regimes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.tasks import Floats, Ints

Codes = NDArray[np.int32]
LAYERS = 3
BENDS: tuple[Callable[[Floats], Floats], ...] = (
    np.tanh,
    np.sin,
    np.abs,
    lambda a: np.maximum(a, 0),
    lambda a: 0.5 * a * a,
)
TINY = 1e-6


@dataclass(frozen=True, slots=True)
class InputSettings:
    """What inputs are like.

    Args:
        features: F.
        cards: how many codes each of the K columns has.
        rho: correlation of a latent with itself a row before.
        wander: deviation, over the whole stream, of a latent's random walk.
        period: rows of a cycle that is a cause, and the first feature its phase; 0 for none.
        binary: share of features that are indicators.
        shift: how far a regime moves the latents.
    """

    features: int
    cards: tuple[int, ...] = ()
    rho: float = 0.0
    wander: float = 0.0
    period: int = 0
    binary: float = 0.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows as the label rule sees them.

    Args:
        z_NF: features about 0 and about 1 in size.
        codes_NK: codes from 1.
        binary_F: which features are to be cut to indicators, above 0 where on.
    """

    z_NF: Floats
    codes_NK: Codes
    binary_F: NDArray[np.bool_]


def inputs(settings: InputSettings, regime_N: Ints, draw: Generator) -> Inputs:
    """Draw rows; each regime of the inputs has its own means and deviations of the latents."""
    rows, features = len(regime_N), settings.features
    latents = int(draw.integers(1, max(2, min(features, 24)) + 1))
    noise = draw.standard_normal((rows, latents + features), np.float32)
    noise = autoregressive(noise, settings.rho)
    u_NL = _moved(noise[:, :latents], settings, regime_N, draw)
    z_NF = standardised(_features(u_NL, noise[:, latents:], draw))
    if settings.period:
        z_NF[:, 0] = np.arange(rows) % settings.period / settings.period * 3.46 - 1.73
    binary_F = draw.random(features) < settings.binary
    binary_F[0] &= not settings.period
    return Inputs(z_NF, _codes(settings.cards, u_NL, draw), binary_F)


def autoregressive(noise_NL: Floats, rho: float) -> Floats:
    """Filter white noise so that each column has deviation 1 and autocorrelation rho.

    1 / (1 - rho B) is the product of (1 + rho^s B^s) over s = 1, 2, 4, ..., B one row back.
    """
    if not rho:
        return noise_NL
    out = noise_NL * np.float32((1 - rho * rho) ** 0.5)
    out[0] = noise_NL[0]
    step, factor = 1, rho
    while step < len(out) and factor > TINY:
        out[step:] += np.float32(factor) * out[:-step]
        step, factor = 2 * step, factor * factor
    return out


def standardised(x_NF: Floats) -> Floats:
    """Bring each column to mean 0 and deviation 1, within six deviations."""
    centred = x_NF - x_NF.mean(0)
    out: Floats = np.clip(centred / (centred.std(0) + np.float32(TINY)), -6, 6)
    return out


def _moved(u_NL: Floats, settings: InputSettings, regime_N: Ints, draw: Generator) -> Floats:
    """Let latents wander, cycle, and be of their regime."""
    rows, latents = u_NL.shape
    if settings.wander:
        walk = np.cumsum(draw.standard_normal(u_NL.shape, np.float32), 0)
        u_NL = u_NL + walk * np.float32(settings.wander / rows**0.5)
    if settings.period:
        turn = 2 * np.pi * np.arange(rows) / settings.period
        phase, size = draw.uniform(0, 2 * np.pi, latents), draw.uniform(0, 2, latents)
        u_NL = u_NL + (np.sin(turn[:, None] + phase) * size).astype(np.float32)
    if settings.shift:
        regimes = int(regime_N.max()) + 1
        at_RL = settings.shift * draw.standard_normal((regimes, latents), np.float32)
        size_RL = np.exp(0.4 * settings.shift * draw.standard_normal((regimes, latents)))
        u_NL = u_NL * size_RL.astype(np.float32)[regime_N] + at_RL[regime_N]
    return u_NL


def _features(u_NL: Floats, own_NF: Floats, draw: Generator) -> Floats:
    """Compute the features layer by layer, each from about two parents and its own noise."""
    features = own_NF.shape[1]
    spread = np.float32(draw.uniform(0.05, 0.8))
    x_NF = np.empty_like(own_NF)
    known = u_NL
    for columns in np.array_split(np.arange(features), LAYERS):
        shape = (known.shape[1], len(columns))
        w = draw.standard_normal(shape, np.float32) * (draw.random(shape) < 2 / shape[0])
        w[draw.integers(0, shape[0], shape[1]), np.arange(shape[1])] += 1
        x_NF[:, columns] = _bent(known @ w, draw) + spread * own_NF[:, columns]
        known = np.concatenate([known, x_NF[:, columns]], 1)
    return x_NF[:, draw.permutation(features)]


def _bent(a_NF: Floats, draw: Generator) -> Floats:
    """Apply a random function to each column; half of them stay as they are."""
    which_F = draw.integers(0, 2 * len(BENDS), a_NF.shape[1])
    for number, bend in enumerate(BENDS):
        mine = which_F == number
        if mine.any():
            a_NF[:, mine] = bend(a_NF[:, mine])
    return np.clip(a_NF, -8, 8)


def indicated(z_NF: Floats, binary_F: NDArray[np.bool_], crowded: float, draw: Generator) -> Floats:
    """Cut indicators at quantiles, each on in a share of rows from 3 % to `crowded`."""
    often = np.exp(draw.uniform(np.log(0.03), np.log(crowded), len(binary_F)))[binary_F]
    mine = z_NF[:, binary_F]
    at = np.clip(((1 - often) * len(mine)).astype(np.int64), 0, len(mine) - 1)
    cut = np.sort(mine, axis=0)[at, np.arange(len(at))]
    out = z_NF.copy()
    out[:, binary_F] = np.clip(((mine > cut) - often) / (often * (1 - often)) ** 0.5, -6, 6)
    return out


def _codes(cards: tuple[int, ...], u_NL: Floats, draw: Generator) -> Codes:
    """Draw codes with the frequencies of Zipf's law, by chance or by the rank of a latent."""
    rows = len(u_NL)
    codes_NK = np.zeros((rows, len(cards)), np.int32)
    for column, card in enumerate(cards):
        share = np.arange(1, card + 1) ** -draw.uniform(0.3, 1.3)
        even = draw.random(rows)
        if draw.random() < 0.4:  # noqa: PLR2004 - so many columns follow a cause
            even = np.argsort(np.argsort(u_NL[:, draw.integers(u_NL.shape[1])])) / rows
        rank = np.searchsorted(np.cumsum(share) / share.sum(), even, side="right")
        codes_NK[:, column] = 1 + draw.permutation(card)[np.minimum(rank, card - 1)]
    return codes_NK
