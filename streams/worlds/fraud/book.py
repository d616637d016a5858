"""The book of days: purchases and labels, from which any day's records follow.

A day's records depend on the settings and on a bounded number of days before it, no more; so the
book holds only these, and opening it at a distant day writes only these.
"""

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

from streams.records import Event, Label, Value
from streams.worlds.fraud.attacks import attacked
from streams.worlds.fraud.features import WINDOW_DAYS, Trail, Verdicts, mean, risk
from streams.worlds.fraud.people import (
    CATEGORIES,
    CHANNELS,
    DAY,
    Flags,
    Floats,
    Ints,
    People,
    Purchases,
    honest,
)
from streams.worlds.fraud.settings import FraudSettings

EPOCH = 1_704_067_200.0  # day 0 begins here: Monday, 2024-01-01, UTC
RISK_DAYS = 14
NEVER = -1


@dataclass(frozen=True, slots=True)
class Page:
    """One day's purchases in their order, when each label comes (or `NEVER`), and what is lost."""

    day: int
    purchases: Purchases
    label_micros: Ints  # since day 0
    no_distance: Flags
    no_category: Flags

    @classmethod
    def write(cls, day: int, people: People, settings: FraudSettings) -> "Page":
        """Draw the day from the seed."""
        rng = np.random.default_rng([settings.seed, 1, day])
        drawn = attacked(day, honest(people, day, rng), people, settings)
        order = np.argsort(drawn.micros, kind="stable")
        purchases = Purchases(*(getattr(drawn, f.name)[order] for f in fields(drawn)))
        rows = len(purchases)
        delay = settings.label_delay_days * rng.lognormal(0, settings.label_delay_sigma, rows)
        never = (rng.random(rows) < settings.unlabelled) | (delay > settings.give_up_days)
        wait = (np.minimum(delay, settings.give_up_days) * DAY).astype(np.int64)
        return cls(
            day=day,
            purchases=purchases,
            label_micros=np.where(never, NEVER, day * DAY + purchases.micros + wait),
            no_distance=rng.random(rows) < settings.missing,
            no_category=rng.random(rows) < settings.missing,
        )

    def known_on(self, day: int) -> Ints:
        """Give the places of the purchases whose label comes on that day."""
        return np.flatnonzero(self.label_micros // DAY == day)


class Book:
    """Opened at a day; `turn` gives that day's records and goes on to the next."""

    def __init__(self, people: People, settings: FraudSettings, day: int) -> None:
        self._people, self._settings = people, settings
        self._reach = max(settings.give_up_days, WINDOW_DAYS) + 1
        self._pages: deque[Page] = deque(maxlen=self._reach)
        self._verdicts: deque[Verdicts] = deque(maxlen=RISK_DAYS)
        self._cards = [f"card-{card}" for card in range(settings.customers)]
        self.day = max(0, day - RISK_DAYS - self._reach + 1)
        while self.day < day:
            self._write()
            if self.day >= day - RISK_DAYS:
                self._read_verdicts()
            self.day += 1

    def turn(self) -> tuple[list[Event | Label], Floats]:
        """Give the day's records in order of time, and their times in seconds of Unix time."""
        self._write()
        records: list[Event | Label] = []
        micros = [np.zeros(0, np.int64)]
        if self._has_events(self.day):
            page = self._pages[-1]
            records += self._events(page)
            micros.append(self.day * DAY + page.purchases.micros)
        for page in self._pages:
            known = page.known_on(self.day)
            records += _labels(page, known)
            micros.append(page.label_micros[known])
        self._read_verdicts()
        self.day += 1
        times = np.concatenate(micros)
        order = np.argsort(times, kind="stable")
        return [records[i] for i in order.tolist()], EPOCH + times[order] / 1e6

    def _has_events(self, day: int) -> bool:
        return self._settings.days is None or day < self._settings.days

    def _write(self) -> None:
        if self._has_events(self.day):
            self._pages.append(Page.write(self.day, self._people, self._settings))

    def _read_verdicts(self) -> None:
        """Count the labels that came today, for the terminals' records from tomorrow on."""
        known = [(page.purchases, page.known_on(self.day)) for page in self._pages]
        terminal = [p.terminal[at] for p, at in known] or [np.zeros(0, np.int64)]
        task = [p.task[at] for p, at in known] or [np.zeros(0, np.int64)]
        counted = np.concatenate(terminal), np.concatenate(task)
        self._verdicts.append(Verdicts.of(*counted, self._settings.terminals))

    def _events(self, page: Page) -> list[Event]:
        """Make the page's events, in the order of `FIELDS` in `world`."""
        purchases, people = page.purchases, self._people
        times = (EPOCH + (page.day * DAY + purchases.micros) / 1e6).tolist()
        distance = people.distance(purchases.card, purchases.terminal)
        category: list[Value] = [
            CATEGORIES[i] for i in people.category[purchases.terminal].tolist()
        ]
        columns: list[list[Value]] = [
            times,
            (purchases.cents / 100).tolist(),
            _without(distance.tolist(), page.no_distance),
            *self._trails(purchases),
            _known(risk(self._verdicts, purchases.terminal)),
            [CHANNELS[i] for i in purchases.channel.tolist()],
            _without(category, page.no_category),
        ]
        ids = [f"{page.day}-{i}" for i in range(len(purchases))]
        keys = [self._cards[i] for i in purchases.card.tolist()]
        return list(map(Event, ids, keys, times, zip(*columns, strict=True)))

    def _trails(self, today: Purchases) -> list[list[Value]]:
        """Give the columns of the card's and the terminal's last days."""
        week = [page for page in self._pages if page.day >= self.day - WINDOW_DAYS]
        offset = (WINDOW_DAYS - self.day) * DAY
        micros = np.concatenate([p.purchases.micros + (offset + p.day * DAY) for p in week])
        cents = np.concatenate([p.purchases.cents for p in week])
        card = np.concatenate([p.purchases.card for p in week])
        terminal = np.concatenate([p.purchases.terminal for p in week])
        mine = Trail.of(card, micros, cents, len(today))
        theirs = Trail.of(terminal, micros, cents, len(today))
        return [
            _known(mine.since),
            mine.count_1.astype(np.float64).tolist(),
            mine.count_7.astype(np.float64).tolist(),
            _known(mean(mine.cents_1, mine.count_1)),
            _known(mean(mine.cents_7, mine.count_7)),
            theirs.count_1.astype(np.float64).tolist(),
            theirs.count_7.astype(np.float64).tolist(),
        ]


def _labels(page: Page, known: Ints) -> list[Label]:
    ids = [f"{page.day}-{i}" for i in known.tolist()]
    times = (EPOCH + page.label_micros[known] / 1e6).tolist()
    truths = ["fraud" if task else "genuine" for task in page.purchases.task[known].tolist()]
    return list(map(Label, ids, times, truths))


def _known(column: Floats) -> list[Value]:
    return _without(column.tolist(), np.isnan(column))


def _without(column: list[Value], gone: Flags) -> list[Value]:
    """Put None where it is gone; changes the list that it is given."""
    for i in np.flatnonzero(gone).tolist():
        column[i] = None
    return column
