"""Which stream to make: everything that is settled before its rows are drawn.

A plan is drawn feature by feature, and then, for some streams, given a character: that of cyclic
sensors, word lists, drifting sensor arrays, rare alarms, or traffic. The characters' numbers are
invented; none is taken from a data set.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from streams.worlds.drift.concepts import ConceptSettings
from streams.worlds.drift.dress import DressSettings
from streams.worlds.drift.inputs import InputSettings
from streams.worlds.drift.labels import LabelSettings
from streams.worlds.tasks import Reals

SHORT, LONG = 100.0, 20_000.0  # mean rows of a concept
MANY = 50  # classes, at most
WIDE = 200  # features, at most
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """One stream's settings.

    Args:
        kind: of change.
        rule: of labels.
        length: mean rows of a concept.
        known: concepts that return; 0 where none does.
        prior_C: how frequent classes are to be; None leaves it to the rule.
        crowded: share of rows, at most, where an indicator is on.
        effect: share of the features that are effects of the label.
        strength: of these effects.
        delay: of labels.
        inputs: of causes and features.
        concepts: of label rules.
        labels: of labels given their scores.
        dress: of what is seen.
    """

    kind: str
    rule: str
    length: float
    known: int
    prior_C: Reals | None
    crowded: float
    effect: float
    strength: float
    delay: str
    inputs: InputSettings
    concepts: ConceptSettings
    labels: LabelSettings
    dress: DressSettings


def between(low: float, high: float, draw: Generator) -> float:
    """Draw evenly in the logarithm."""
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def some(share: float, value: float, draw: Generator) -> float:
    """Give a value with that chance, else 0."""
    luck = draw.random()
    return value if luck < share else 0.0


def drawn(
    rows: int,
    kinds: Collection[str],
    rules: Collection[str],
    classes: int,
    features: int,
    draw: Generator,
) -> Plan:
    """Draw a plan; `classes` is 0 for numbers, `features` 0 to draw them too."""
    kind = str(draw.choice(sorted(kinds)))
    fitting = sorted(rule for rule in rules if kind != "covariate" or rule != "effects")
    rule = str(draw.choice(fitting))
    features = features or round(between(2, WIDE, draw))
    longest = min(LONG, max(2 * SHORT, rows * HALF))
    length = between(min(SHORT * max(1, classes / 4), longest), longest, draw)
    known = int(draw.integers(2, 6)) if kind == "recurring" else 0
    if kind in {"covariate", "prior"} and draw.random() < HALF:
        known = int(draw.integers(2, 5))
    if known:
        length = min(length, rows / 4)
    plan = Plan(
        kind,
        rule,
        length,
        known,
        _prior(classes, draw) if classes else None,
        crowded=0.5,
        effect=some(0.3, draw.uniform(0, 0.5), draw),
        strength=between(0.2, 3, draw),
        delay=str(draw.choice(("none", "fixed", "spread", "never"), p=(0.7, 0.1, 0.1, 0.1))),
        inputs=_inputs(kind, rule, features, draw),
        concepts=ConceptSettings(rule, "fresh", max(classes, 1)),
        labels=_labels(classes, draw),
        dress=_dress(kind, draw),
    )
    plan = replace(plan, concepts=_concepts(plan, draw))
    if draw.random() < 0.4:  # noqa: PLR2004 - so many have a character
        make, kinds_of, rules_of = CHARACTERS[int(draw.integers(len(CHARACTERS)))]
        rules_of = [one for one in rules_of if one in rules]
        if classes and kind in kinds_of and rules_of:
            plan = make(_with_rule(plan, str(draw.choice(rules_of))), draw)
    return plan


def _with_rule(plan: Plan, rule: str) -> Plan:
    return replace(plan, rule=rule, concepts=replace(plan.concepts, rule=rule))


def class_count(draw: Generator) -> int:
    """Draw how many classes: mostly 2 to 6, else up to `MANY`."""
    if draw.random() < 0.45:  # noqa: PLR2004 - the most usual case
        return 2
    return round(between(3, 6, draw) if draw.random() < HALF else between(3, MANY, draw))


def _prior(classes: int, draw: Generator) -> Reals | None:
    """Draw how frequent classes are: as the rule has them, even, uneven, or one of them rare."""
    how = draw.choice(4, p=(0.3, 0.3, 0.25, 0.15))
    if not how:
        return None
    if how == 1:
        return np.full(classes, 1 / classes)
    if how == 2:  # noqa: PLR2004 - uneven
        share = draw.dirichlet(np.full(classes, between(0.5, 5, draw))) + 0.2 / classes
        uneven: Reals = share / share.sum()
        return uneven
    return rare(classes, between(0.005, 0.1, draw), draw)


def rare(classes: int, share: float, draw: Generator) -> Reals:
    """Let one class have that share, and the others the rest evenly."""
    prior_C = np.full(classes, (1 - share) / (classes - 1))
    prior_C[draw.integers(classes)] = share
    return prior_C


def _inputs(kind: str, rule: str, features: int, draw: Generator) -> InputSettings:
    cards: tuple[int, ...] = ()
    if rule == "codes" or draw.random() < 0.35:  # noqa: PLR2004 - so many have codes
        cards = tuple(round(between(2, 500, draw)) for _ in range(draw.integers(1, 6)))
    still = kind in {"none", "prior"}
    binary = float(draw.choice((0, 0, 0, 0.3, 1)))
    if rule == "words":
        binary = float(draw.choice((0.8, 1.0)))
    return InputSettings(
        features=features,
        cards=cards,
        rho=float(draw.choice((0, 0, 0.5, 0.9, 0.98))),
        wander=0.0 if still or rule == "effects" else some(0.3, between(0.3, 3, draw), draw),
        period=int(some(0.15, round(between(6, 200, draw)), draw)),
        binary=binary,
        shift=between(0.3, 2, draw) if kind == "covariate" else 0.0,
    )


def _concepts(plan: Plan, draw: Generator) -> ConceptSettings:
    relations, chances = ("fresh", "near", "flip", "arrive"), (0.45, 0.25, 0.2, 0.1)
    relation = str(draw.choice(relations, p=chances))
    if plan.concepts.width == 1 and relation == "arrive":
        relation = "fresh"
    if plan.kind == "incremental" and relation == "arrive":
        relation = "near"
    return replace(
        plan.concepts,
        relation=relation if plan.kind not in {"none", "covariate", "prior"} else "fresh",
        cards=plan.inputs.cards,
        relevant=float(draw.uniform(0.1, 1)),
        sharp=between(2, 30, draw),
        change=float(draw.uniform(0.15, 0.8)),
        coded=some(0.5, draw.uniform(0.1, 0.7), draw),
    )


def _labels(classes: int, draw: Generator) -> LabelSettings:
    timings, chances = ("none", "sticky", "chain", "cycle", "runs"), (0.55, 0.15, 0.1, 0.1, 0.1)
    timing = str(draw.choice(timings, p=chances))
    hold = between(0.5, 6, draw) if classes else float(draw.uniform(0.3, 0.99))
    noise = some(0.35, draw.uniform(0, 0.3), draw) if classes else between(0.05, 2, draw)
    return LabelSettings(
        classes=classes,
        timing=timing,
        hold=hold,
        period=round(between(6, 200, draw)),
        noise=noise,
        heavy=draw.random() < 0.3,  # noqa: PLR2004 - so many have heavy tails
        skew=draw.random() < 0.25,  # noqa: PLR2004 - so many are skewed
    )


def _dress(kind: str, draw: Generator) -> DressSettings:
    return DressSettings(
        odd=some(0.6, draw.uniform(0, 1), draw),
        units=draw.random() < HALF,
        copies=some(0.3, draw.uniform(0, 0.5), draw),
        missing=some(0.25, between(0.01, 0.4, draw), draw),
        late=0.0 if kind in {"none", "prior", "covariate"} else some(0.15, 0.3, draw),
    )


def cyclic(plan: Plan, draw: Generator) -> Plan:
    """Two classes that hold on to one another, and inputs that go through a cycle."""
    period = int(draw.integers(20, 100))
    rho = float(draw.uniform(0.8, 0.99))
    hold = between(1, 5, draw)
    return replace(
        _binary(plan, draw),
        prior_C=_uneven(draw),
        inputs=replace(plan.inputs, period=period, rho=rho, binary=0.0),
        labels=replace(plan.labels, classes=2, timing="sticky", hold=hold, period=period),
    )


def listed(plan: Plan, draw: Generator) -> Plan:
    """Lists of words, of interest or not to somebody whose mind changes."""
    plan = _binary(plan, draw)
    return replace(
        plan,
        length=between(SHORT, 600, draw),
        prior_C=_uneven(draw),
        inputs=replace(plan.inputs, binary=1.0, wander=0.0),
        concepts=replace(plan.concepts, relation=str(draw.choice(("flip", "fresh"))), sharp=6.0),
        labels=replace(plan.labels, classes=2, timing="none"),
    )


def arrays(plan: Plan, draw: Generator) -> Plan:
    """Clusters seen by arrays of sensors that are not quite what they were."""
    plan = replace(plan, strength=between(0.7, 4, draw), effect=1.0)
    return replace(
        plan,
        inputs=replace(plan.inputs, binary=0.0),
        concepts=replace(plan.concepts, relation="near", change=float(draw.uniform(0.1, 0.4))),
        dress=replace(plan.dress, units=True, missing=0.0),
    )


def alarms(plan: Plan, draw: Generator) -> Plan:
    """Rare positives among many."""
    plan = _binary(plan, draw)
    return replace(
        plan,
        prior_C=rare(2, between(0.005, 0.1, draw), draw),
        concepts=replace(plan.concepts, sharp=between(3, 15, draw)),
        labels=replace(plan.labels, classes=2, timing="none", noise=0.0),
    )


def traffic(plan: Plan, draw: Generator) -> Plan:
    """Long runs of one label after another, classes that come late, features that tell."""
    hold = between(5, 12, draw)
    return replace(
        plan,
        strength=between(1, 4, draw),
        effect=1.0,
        concepts=replace(plan.concepts, relation="arrive"),
        labels=replace(plan.labels, timing="sticky", hold=hold, noise=0.0),
    )


def _uneven(draw: Generator) -> Reals:
    share = draw.uniform(0.3, 0.7)
    return np.array([share, 1 - share])


def _binary(plan: Plan, draw: Generator) -> Plan:
    relation = plan.concepts.relation
    if relation == "arrive":
        relation = str(draw.choice(("fresh", "near")))
    concepts = replace(plan.concepts, width=2, relation=relation)
    return replace(plan, concepts=concepts, labels=replace(plan.labels, classes=2))


Character = Callable[[Plan, Generator], Plan]
CHANGING = ("abrupt", "gradual", "recurring", "incremental")
CHARACTERS: tuple[tuple[Character, Collection[str], Collection[str]], ...] = (
    (cyclic, (*CHANGING, "none", "covariate"), ("linear", "network", "trees", "additive")),
    (listed, ("abrupt", "recurring", "gradual"), ("words", "linear")),
    (arrays, CHANGING, ("effects",)),
    (alarms, (*CHANGING, "none", "covariate"), ("linear", "network", "trees", "codes")),
    (traffic, ("abrupt", "recurring"), ("effects",)),
)
"""Who makes a character, of which kinds of change it can be, and of which rules."""
