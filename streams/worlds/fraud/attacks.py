"""The patterns of fraud: each takes a day's purchases and gives them with its own among them.

All is drawn from (seed, task, day or episode), so any day can be made without those before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.random import Generator

from streams.worlds.fraud.people import HOUR, ONLINE, Ints, People, Purchases
from streams.worlds.fraud.settings import TASKS, Attack, FraudSettings, Task

LEAKED_DAYS = 7  # a leaked card is abused for so long
ABUSED = 1 / 3  # share of a leaked card's purchases that are the thief's
TIMES = 5  # and how much larger they are
BURST = 6  # purchases by which a card is tested
BURST_MICROS = HOUR // 3


@dataclass(frozen=True, slots=True)
class Scene:
    """What an attack may look at."""

    settings: FraudSettings
    people: People
    attack: Attack
    day: int
    strength: float

    def rng(self, *what: int) -> Generator:
        """Randomness for this attack and these numbers alone."""
        return np.random.default_rng([self.settings.seed, 2, TASKS.index(self.attack.task), *what])


def attacked(day: int, purchases: Purchases, people: People, settings: FraudSettings) -> Purchases:
    """Let all attacks of that day loose on its purchases."""
    for attack in settings.schedule:
        strength = attack.strength(day)
        if strength > 0:
            purchases = PATTERNS[attack.task](
                purchases, Scene(settings, people, attack, day, strength)
            )
    return purchases


def big_amounts(purchases: Purchases, scene: Scene) -> Purchases:
    """Some large purchases come in; while it lasts, whatever is beyond the limit is fraud."""
    rng = scene.rng(1, scene.day)
    many = rng.poisson(scene.strength * scene.settings.fraud_share * len(purchases))
    card = rng.integers(0, scene.settings.customers, many)
    limit = round(scene.settings.limit * 100)
    mixed = _join(
        purchases,
        Purchases(
            card=card,
            terminal=scene.people.pick(card, rng),
            micros=rng.integers(8 * HOUR, 22 * HOUR, many),
            cents=limit + 1 + rng.exponential(6_000, many).astype(np.int64),
            channel=rng.integers(0, ONLINE + 1, many),
            task=np.zeros(many, np.int64),
        ),
    )
    return _blame(mixed, mixed.cents > limit, "big_amounts")


def compromised_terminals(purchases: Purchases, scene: Scene) -> Purchases:
    """All that passes through some terminals is fraud; each appearance has terminals of its own."""
    terminals = scene.settings.terminals
    many = scene.settings.fraud_share * terminals
    order = scene.rng(1, scene.attack.episode(scene.day)).permutation(terminals)
    taken = order[: max(1, round(scene.strength * many))]
    return _blame(purchases, np.isin(purchases.terminal, taken), "compromised_terminals")


def leaked_cards(purchases: Purchases, scene: Scene) -> Purchases:
    """Cards leak day by day; a third of their purchases in the week after are the thief's."""
    days = range(max(0, scene.day - LEAKED_DAYS + 1), scene.day + 1)
    leaked = np.concatenate([_leak(scene, day) for day in days])
    rng = scene.rng(2, scene.day)
    theirs = np.isin(purchases.card, leaked) & (rng.random(len(purchases)) < ABUSED)
    stolen = replace(
        purchases,
        cents=np.where(theirs, purchases.cents * TIMES, purchases.cents),
        channel=np.where(theirs, ONLINE, purchases.channel),
    )
    return _blame(stolen, theirs, "leaked_cards")


def _leak(scene: Scene, day: int) -> Ints:
    """Draw the cards that leak on that day."""
    customers = scene.settings.customers
    share = scene.attack.strength(day) * scene.settings.fraud_share / ABUSED / LEAKED_DAYS
    rng = scene.rng(1, day)
    return rng.integers(0, customers, rng.poisson(share * customers))


def card_testing(purchases: Purchases, scene: Scene) -> Purchases:
    """Between one and five at night, cards are tried with a burst of tiny purchases online."""
    rng = scene.rng(1, scene.day)
    cards = rng.poisson(scene.strength * scene.settings.fraud_share * len(purchases) / BURST)
    begin = rng.integers(HOUR, 5 * HOUR - BURST_MICROS, cards).repeat(BURST)
    many = cards * BURST
    tests = Purchases(
        card=rng.integers(0, scene.settings.customers, cards).repeat(BURST),
        terminal=rng.integers(0, scene.settings.terminals, cards).repeat(BURST),
        micros=begin + rng.integers(0, BURST_MICROS, many),
        cents=rng.integers(50, 300, many),
        channel=np.full(many, ONLINE),
        task=np.zeros(many, np.int64),
    )
    guilty = np.arange(len(purchases) + many) >= len(purchases)
    return _blame(_join(purchases, tests), guilty, "card_testing")


PATTERNS: dict[Task, Callable[[Purchases, Scene], Purchases]] = {
    "big_amounts": big_amounts,
    "compromised_terminals": compromised_terminals,
    "leaked_cards": leaked_cards,
    "card_testing": card_testing,
}


def _blame(purchases: Purchases, guilty: np.ndarray, task: Task) -> Purchases:
    """Mark the guilty as that task's, unless another task has them already."""
    mine = np.where(guilty, 1 + TASKS.index(task), 0)
    return replace(purchases, task=np.where(purchases.task > 0, purchases.task, mine))


def _join(first: Purchases, second: Purchases) -> Purchases:
    columns = (
        np.concatenate((getattr(first, f.name), getattr(second, f.name))) for f in fields(first)
    )
    return Purchases(*columns)
