"""Label rules: random functions from features and codes to scores of classes, or to a number.

Shapes: N rows, F features, R relevant ones, K columns of codes, C scores (1 for a number).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from streams.worlds.drift.inputs import Codes
from streams.worlds.tasks import Floats, Ints, Reals

Scores = Callable[[Floats, Codes], Reals]
"""From features, NF, and codes, NK, to scores, NC."""


@dataclass(frozen=True, slots=True)
class Domain:
    """What a rule is about.

    Args:
        relevant_R: indices of the features that matter.
        cards: how many codes each column has.
        width: C.
    """

    relevant_R: Ints
    cards: tuple[int, ...]
    width: int


def linear(domain: Domain, draw: Generator) -> Scores:
    """Score by weighted sums."""
    r = domain.relevant_R
    w_RC = draw.standard_normal((len(r), domain.width)) * draw.exponential(1, (len(r), 1))
    return lambda z, _: z[:, r] @ w_RC


def network(domain: Domain, draw: Generator) -> Scores:
    """Score by a network of one hidden layer."""
    r, hidden = domain.relevant_R, int(draw.integers(4, 33))
    a = draw.standard_normal((len(r), hidden)) * draw.uniform(0.5, 3) / len(r) ** 0.5
    bias, out = draw.standard_normal(hidden), draw.standard_normal((hidden, domain.width))
    return lambda z, _: np.tanh(z[:, r] @ a + bias) @ out


def trees(domain: Domain, draw: Generator) -> Scores:
    """Score by the leaves of a few trees; all nodes of a level ask the same question."""
    many, depth = int(draw.integers(1, 5)), int(draw.integers(1, 6))
    asked = draw.choice(domain.relevant_R, (many, depth))
    at = 0.8 * draw.standard_normal((many, depth))
    leaves = draw.standard_normal((many, 2**depth, domain.width))
    power = 2 ** np.arange(depth)

    def scores(z_NF: Floats, _: Codes) -> Reals:
        total = np.zeros((len(z_NF), domain.width))
        for ask, cut, leaf in zip(asked, at, leaves, strict=True):
            total += leaf[(z_NF[:, ask] > cut) @ power]
        return total

    return scores


def prototypes(domain: Domain, draw: Generator) -> Scores:
    """Score by the nearest of a class's prototypes; a number by a sum of bumps."""
    r, c = domain.relevant_R, domain.width
    each = int(draw.integers(1, 5)) if c > 1 else int(draw.integers(3, 16))
    centre = draw.standard_normal((each * c, len(r)))
    height = draw.standard_normal(each)

    def scores(z_NF: Floats, _: Codes) -> Reals:
        z = z_NF[:, r]
        far = (z * z).sum(1)[:, None] - 2 * z @ centre.T + (centre * centre).sum(1)
        if c == 1:
            bumps: Reals = np.exp(-far / len(r)) @ height[:, None]
            return bumps
        near: Reals = -far.reshape(len(z), each, c).min(1)
        return near

    return scores


def additive(domain: Domain, draw: Generator) -> Scores:
    """Score by a sum of waves, each of one of a few features."""
    r = draw.permutation(domain.relevant_R)[: int(draw.integers(1, 7))]
    often = draw.uniform(0.2, 2, (len(r), domain.width))
    phase = draw.uniform(0, 2 * np.pi, (len(r), domain.width))
    size = draw.standard_normal((len(r), domain.width))

    def scores(z_NF: Floats, _: Codes) -> Reals:
        total = np.zeros((len(z_NF), domain.width))
        for column, f, p, s in zip(r, often, phase, size, strict=True):
            total += s * np.sin(z_NF[:, column, None] * f + p)
        return total

    return scores


def pairs(domain: Domain, draw: Generator) -> Scores:
    """Score by products of two features, or of their signs."""
    many = int(draw.integers(1, 7))
    one, other = draw.choice(domain.relevant_R, (2, many))
    w_PC = draw.standard_normal((many, domain.width))
    signs = draw.random() < 0.5  # noqa: PLR2004 - half of them

    def scores(z_NF: Floats, _: Codes) -> Reals:
        product = z_NF[:, one] * z_NF[:, other]
        out: Reals = (np.sign(product) if signs else product) @ w_PC
        return out

    return scores


def words(domain: Domain, draw: Generator) -> Scores:
    """Score a class by whether so many (k) of its own indicators (n) are on."""
    r, c = domain.relevant_R, domain.width
    owner = draw.random((len(r), c)) < max(0.3, 1 / c)
    owner[draw.integers(0, len(r), c), np.arange(c)] = True
    k_C = draw.integers(1, np.minimum(owner.sum(0), 3) + 1)

    def scores(z_NF: Floats, _: Codes) -> Reals:
        hits = (z_NF[:, r] > 0) @ owner.astype(np.float64)
        out: Reals = (hits >= k_C) + 0.15 * hits
        return out

    return scores


def coded(domain: Domain, draw: Generator) -> Scores:
    """Score by an effect of each code, some columns with more weight than others."""
    tables = [
        draw.standard_normal((card + 1, domain.width)) * draw.exponential() for card in domain.cards
    ]
    for table in tables:
        table[0] = 0

    def scores(_: Floats, codes_NK: Codes) -> Reals:
        total = np.zeros((len(codes_NK), domain.width))
        for column, table in enumerate(tables):
            total += table[codes_NK[:, column]]
        return total

    return scores


MAKERS: dict[str, Callable[[Domain, Generator], Scores]] = {
    "linear": linear,
    "network": network,
    "trees": trees,
    "prototypes": prototypes,
    "additive": additive,
    "pairs": pairs,
    "words": words,
    "codes": coded,
}
RULES = (*MAKERS, "effects")
"""What labels come from; under "effects" they come first, and features are their effects."""


def both(one: Scores, other: Scores, share: float) -> Scores:
    """Mix two rules."""
    return lambda z, codes: (1 - share) * one(z, codes) + share * other(z, codes)


def levelled(rule: Scores, z_MF: Floats, codes_MK: Codes) -> Scores:
    """Bring a rule's scores to deviation 1 on some rows of reference, about 0."""
    raw = rule(z_MF, codes_MK)
    level = raw.mean(0)
    centred = raw - level
    if raw.shape[1] > 1:
        centred = centred - centred.mean(1, keepdims=True)
    size = centred.std() + 1e-6
    return lambda z, codes: (rule(z, codes) - level) / size
