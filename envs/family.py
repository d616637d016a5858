"""A family of bodies: to learn from, to choose settings by, and to be judged by; disjoint.

Which family a body belongs to is told by one rule over the body alone, `Family.split_of`. A draw
that the rule puts elsewhere is not taken: the families cannot overlap.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import numpy as np

from envs.body import Body
from envs.grammar import ALL
from envs.robots import Robot

Split = Literal["train", "validation", "held-out"]
SPLITS: tuple[Split, ...] = ("train", "validation", "held-out")
Range = tuple[float, float]

MARGIN = 0.05  # share of a factor by which validation goes beyond training
FARTHEST = 0.5  # share by which held-out bodies go beyond it at most
WEAK: Range = (0.3, 0.8)  # factors of weak motors
HALF = 0.5  # of draws: with other proportions; below rather than above
STRONG: Range = (1.3, 2.0)
SPANS: Mapping[str, Range] = MappingProxyType({"length": (0.8, 1.2), "mass": (0.75, 1.3)})


@dataclass(frozen=True, eq=False)
class Family:
    """What may change on a robot, and which changes are kept for what.

    Args:
        robot: whose bodies these are.
        lists: the bodies that benchmarks use, by split.
        spared: actuators that never fail but in held-out bodies.
        unseen: sets of actuators that never fail together but in held-out bodies.
        validation: sets of actuators that fail together in validation bodies, never in training.
        often: how probably an actuator fails in training.
        kinds: how probably it then is dead, weak, inverted.
        most: faulty, dead and inverted actuators in one training body, at most.
        spans: for each field, the factors of training bodies; validation goes a twentieth beyond,
            held-out bodies up to a half.
        removals: whether limbs are lost, in held-out bodies alone.
    """

    robot: Robot
    lists: Mapping[Split, tuple[str, ...]]
    spared: frozenset[str] = frozenset()
    unseen: tuple[frozenset[str], ...] = ()
    validation: tuple[frozenset[str], ...] = ()
    often: float = 0.2
    kinds: tuple[float, float, float] = (0.5, 0.2, 0.3)
    most: tuple[int, int, int] = (2, 2, 1)
    spans: Mapping[str, Range] = field(default_factory=lambda: SPANS)
    removals: bool = False

    def named(self, split: Split) -> tuple[Body, ...]:
        """Give the fixed list that benchmarks use."""
        return tuple(Body.parse(text) for text in self.lists[split])

    def draw(self, split: Split, generator: np.random.Generator) -> Body:
        """Draw a body of a split."""
        while True:
            body = self._proposed(split, generator)
            if self.split_of(body) == split:
                return replace(body, name=body.spelled)

    def split_of(self, body: Body) -> Split:
        """Tell which family a body belongs to; the intact one belongs to training.

        A joint that seizes, a range that shrinks, a limb that goes: training knows none of these.
        """
        gears = {name: body.factor("gear", name) for name in self.robot.actuators}
        faulty = {name for name, gear in gears.items() if gear != 1.0}
        if body.locked or body.limited or body.removed or faulty & self.spared:
            return "held-out"
        if any(together <= faulty for together in self.unseen):
            return "held-out"
        counts = (len(faulty), _count(gears, lambda g: g == 0), _count(gears, lambda g: g < 0))
        if max(map(abs, gears.values())) > 1 or any(map(int.__gt__, counts, self.most)):
            return "held-out"
        beyond = max((self._beyond(body, of, part) for of, part in self._factors()), default=0.0)
        if beyond > MARGIN:
            return "held-out"
        together = any(both <= faulty for both in self.validation)
        return "validation" if together or beyond > 0 else "train"

    def _factors(self) -> Iterable[tuple[str, str]]:
        """Give each field and part with a factor."""
        for limb in self.robot.limbs:
            yield "length", limb
        for part in self.robot.parts:
            yield from (("mass", part), ("friction", part))
        for joint in self.robot.joints:
            yield "damping", joint

    def _beyond(self, body: Body, of: str, part: str) -> float:
        """Give the share by which a factor lies beyond those of training."""
        factor = body.factor(of, part)
        if of == "length":
            factor *= body.factor("stretch", part)
        low, high = self.spans.get(of, (1.0, 1.0))
        return max(1 - factor / low, factor / high - 1, 0.0)

    def _proposed(self, split: Split, generator: np.random.Generator) -> Body:
        body = self._ordinary(generator)
        if split == "train":
            return body
        if split == "validation":
            if self.validation and generator.random() < HALF:
                return self._failing(body, _pick(self.validation, generator), generator)
            return self._far(body, (0.2 * MARGIN, MARGIN), generator)
        ways: list[Callable[[], Body]] = [
            lambda: self._far(body, (MARGIN, FARTHEST), generator),
            lambda: self._inverting(body, generator),
            lambda: self._failing(body, self._spread(body), generator, STRONG),
        ]
        if self.spared or self.unseen:
            alone = [frozenset({name}) for name in sorted(self.spared)]
            ways += 2 * [
                lambda: self._failing(body, _pick((*alone, *self.unseen), generator), generator)
            ]
        if self.removals:
            ways.append(lambda: replace(body, removed=(_pick(tuple(self.robot.limbs), generator),)))
        return _pick(ways, generator)()

    def _ordinary(self, generator: np.random.Generator) -> Body:
        """Propose a body of training: some faults, and in half of them other proportions."""
        free = [name for name in self.robot.actuators if name not in self.spared]
        gear = {name: self._gear(generator) for name in free if generator.random() < self.often}
        if generator.random() < HALF:
            return Body(gear=gear)
        told: dict[str, Any] = {
            of: {ALL: _within(span, generator)} for of, span in self.spans.items()
        }
        if "length" in self.spans:
            span = self.spans["length"]
            told["length"] = {limb: _within(span, generator) for limb in self.robot.limbs}
        return Body(gear=gear, **told)

    def _gear(self, generator: np.random.Generator) -> float:
        dead, weak, _ = np.cumsum(self.kinds)
        chance = generator.random()
        if chance < dead:
            return 0.0
        return _within(WEAK, generator) if chance < weak else -1.0

    def _failing(
        self,
        body: Body,
        which: frozenset[str],
        generator: np.random.Generator,
        strong: Range | None = None,
    ) -> Body:
        """Let these actuators fail, whatever else the body has."""
        draw = self._gear if strong is None else lambda chance: _within(strong, chance)
        return replace(
            body, gear={**body.gear, **{name: draw(generator) for name in sorted(which)}}
        )

    def _spread(self, body: Body) -> frozenset[str]:
        return frozenset(self.robot.actuators) - body.gear.keys()

    def _inverting(self, body: Body, generator: np.random.Generator) -> Body:
        """Invert more actuators than training ever does."""
        names = self.robot.actuators
        many = min(self.most[2] + 1, len(names))
        chosen = generator.choice(len(names), many, replace=False)
        return replace(body, gear={**body.gear, **{names[int(row)]: -1.0 for row in chosen}})

    def _far(self, body: Body, shares: Range, generator: np.random.Generator) -> Body:
        """Put one factor beyond those of training, by a share in this range."""
        of = _pick(sorted(self.spans), generator)
        low, high = self.spans[of]
        share = generator.uniform(*shares)
        factor = round(low * (1 - share) if generator.random() < HALF else high * (1 + share), 3)
        part = _pick(tuple(self.robot.limbs), generator) if of == "length" else ALL
        told: dict[str, Any] = {of: {**getattr(body, of), part: factor}}
        return replace(body, **told)


def _count(gears: Mapping[str, float], of: Callable[[float], bool]) -> int:
    return sum(map(of, gears.values()))


def _within(span: Range, generator: np.random.Generator) -> float:
    return round(float(generator.uniform(*span)), 3)


Chosen = TypeVar("Chosen")


def _pick(among: Sequence[Chosen], generator: np.random.Generator) -> Chosen:
    return among[int(generator.integers(len(among)))]
