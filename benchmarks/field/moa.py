"""Peers of CapyMOA, which runs MOA's learners in Java, at its own defaults.

Java starts with the first import of the package, so it is imported where a model is made.
"""

from importlib import import_module
from typing import Any, Final

import numpy as np

from agent.evaluate.rivals import Said
from benchmarks.field.columns import Columns
from benchmarks.field.fed import Encode
from streams.records import Truth
from streams.schema import Goal

CLASSES: Final = {
    "nb": "NaiveBayes",
    "hat": "HoeffdingAdaptiveTree",
    "knn": "KNN",
    "arf": "AdaptiveRandomForestClassifier",
    "lb": "LeveragingBagging",
    "srp": "StreamingRandomPatches",
}
NUMBERS: Final = {
    "knn": "KNNRegressor",
    "arf": "AdaptiveRandomForestRegressor",
    "soknl": "SOKNL",
}
MEMBERS: Final = {"LeveragingBagging": 100}  # ARF, SRP and SOKNL have 100 by themselves


class Moa:
    """One learner of CapyMOA.

    Args:
        name: of the class in `capymoa.classifier` or `capymoa.regressor`.
        columns: what the rows hold.
        classes: how many classes the stream has; 0 where the target is a number.
        seed: of its draws.
    """

    def __init__(self, name: str, columns: Columns, classes: int, seed: int) -> None:
        schema = import_module("capymoa.stream").Schema.from_custom(
            list(columns.names),
            {field: [str(code) for code in range(n)] for field, n in columns.nominal.items()},
            [str(code) for code in range(classes)] if classes else None,
            target_attribute_name="the target",
            target_type="categorical" if classes else "numeric",
        )
        package = import_module("capymoa.classifier" if classes else "capymoa.regressor")
        more = {"ensemble_size": MEMBERS[name]} if name in MEMBERS else {}
        self._model = getattr(package, name)(schema=schema, random_seed=seed + 1, **more)
        made, self._columns = import_module("capymoa.instance").Instance, columns
        self.encode: Encode = lambda values: made.from_array(schema, columns.row(values))
        self._classes = classes
        self._codes: dict[Truth, int] = {}
        self._labels: list[Truth] = []

    def predict(self, x: Any) -> Said:
        """Give its votes as probabilities, or its number."""
        if not self._classes:
            guess = float(self._model.predict(x))
            return Said(guess if guess == guess else None)  # noqa: PLR0124 (NaN)
        votes = np.nan_to_num(np.array(self._model.predict_proba(x), np.float64))
        votes = votes[: len(self._labels)]
        total = votes.sum()
        if not total > 0.0:
            return Said(self._labels[0] if self._labels else None, {})
        chances = dict(zip(self._labels, (votes / total).tolist(), strict=False))
        return Said(self._labels[int(votes.argmax())], chances)

    def learn(self, x: Any, y: Truth) -> None:
        """Learn one label."""
        if self._classes and y not in self._codes:
            self._codes[y] = len(self._labels)
            self._labels.append(y)
        target = self._codes[y] if self._classes else float(y)
        x.java_instance.getData().setClassValue(target)
        self._model.train(x)


def moa_name(peer: str, goal: Goal) -> str | None:
    """Give the name of its class, or None where CapyMOA has none for that goal."""
    return (CLASSES if goal == "classes" else NUMBERS).get(peer)
