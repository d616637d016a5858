"""Who buys where: the population, drawn once, and what it buys on an honest day."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from streams.worlds.fraud.settings import FraudSettings

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

SQUARE_KM = 100.0
DAY = 86_400_000_000  # microseconds
HOUR = DAY // 24
DAY_S = 86_400
CATEGORIES = ("grocery", "fuel", "restaurant", "clothing", "electronics", "travel", "games")
CHANNELS = ("chip", "contactless", "online")
CHIP, CONTACTLESS, ONLINE = range(3)
TAPPED_BELOW = 5_000  # cents: smaller purchases go without a PIN
REMOTE = 0.15  # share of purchases made online
WEEK = (1.0, 0.95, 0.95, 1.0, 1.2, 1.3, 0.6)  # purchases by day of the week, from Monday


@dataclass(frozen=True, slots=True)
class People:
    """Cards (one a customer) and terminals; `near[start[c]:start[c] + count[c]]` are c's shops."""

    home: Floats
    mean: Floats
    rate: Floats
    shop: Floats
    category: Ints
    near: Ints
    start: Ints
    count: Ints

    @classmethod
    def draw(cls, settings: FraudSettings) -> "People":
        """Draw them from the seed."""
        rng = np.random.default_rng([settings.seed, 0])
        home = rng.uniform(0, SQUARE_KM, (settings.customers, 2))
        shop = rng.uniform(0, SQUARE_KM, (settings.terminals, 2))
        near = _near(home, shop, settings.radius_km)
        count = np.array([len(some) for some in near], np.int64)
        return cls(
            home=home,
            mean=rng.uniform(5, 100, settings.customers),
            rate=rng.uniform(0, 4, settings.customers),
            shop=shop,
            category=rng.integers(0, len(CATEGORIES), settings.terminals),
            near=np.concatenate(near),
            start=np.cumsum(count) - count,
            count=count,
        )

    def pick(self, card: Ints, rng: Generator) -> Ints:
        """Pick a terminal near the home of each card's owner."""
        nth = (rng.random(len(card)) * self.count[card]).astype(np.int64)
        return np.take(self.near, self.start[card] + nth)

    def distance(self, card: Ints, terminal: Ints) -> Floats:
        """Kilometres from home to terminal."""
        apart = self.home[card] - self.shop[terminal]
        return np.sqrt(apart[:, 0] ** 2 + apart[:, 1] ** 2)


@dataclass(frozen=True, slots=True)
class Purchases:
    """Columns of equal length: who, where, microseconds since the day began, cents, how, task.

    `task` is 0 for what is genuine, else 1 + its place in `TASKS`.
    """

    card: Ints
    terminal: Ints
    micros: Ints
    cents: Ints
    channel: Ints
    task: Ints

    def __len__(self) -> int:
        return len(self.card)


def honest(people: People, day: int, rng: Generator) -> Purchases:
    """Draw a day's purchases without fraud."""
    many = rng.poisson(people.rate * WEEK[day % 7])
    card = np.repeat(np.arange(len(many)), many)
    rows = len(card)
    mean = people.mean[card]
    amount = rng.normal(mean, mean / 2)
    amount = np.where(amount > 0, amount, rng.uniform(0, 2 * mean))
    cents = np.maximum(1, np.rint(amount * 100)).astype(np.int64)
    second = rng.normal(12 * 3_600, 20_000, rows)
    second = np.where((second >= 0) & (second < DAY_S), second, rng.uniform(0, DAY_S, rows))
    remote = rng.random(rows) < REMOTE
    near_by = np.where(cents < TAPPED_BELOW, CONTACTLESS, CHIP)
    return Purchases(
        card=card,
        terminal=people.pick(card, rng),
        micros=np.minimum((second * 1e6).astype(np.int64), DAY - 1),
        cents=cents,
        channel=np.where(remote, ONLINE, near_by),
        task=np.zeros(rows, np.int64),
    )


def _near(home: Floats, shop: Floats, radius: float) -> list[Ints]:
    """Give each home the shops within the radius, or else the nearest; in bounded memory."""
    near: list[Ints] = []
    step = max(1, 4_000_000 // len(shop))
    for at in range(0, len(home), step):
        apart = home[at : at + step, None] - shop[None]
        squared = apart[..., 0] ** 2 + apart[..., 1] ** 2
        squared[np.arange(len(squared)), squared.argmin(1)] = 0.0
        near += [np.flatnonzero(row <= radius**2) for row in squared]
    return near
