"""The default agent as a River classifier and a River regressor.

    from river import datasets, evaluate, metrics
    from agent.estimators import AdaptdClassifier

    evaluate.progressive_val_score(datasets.Phishing(), AdaptdClassifier(), metrics.Accuracy())

They take dicts as River gives them (numbers, words, moments; features may appear and vanish), and
DataFrames by `learn_many`, `predict_many` and `predict_proba_many`, which are far quicker a row.
Answers are exact, test then train: what was learned last counts in the next one, but for what
learns by gradient, which takes a step every `agent.block` labels.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from river import base
from river.utils.pandas import import_pandas
from typing_extensions import override

from agent.continual.default import AgentSettings
from agent.estimators.columns import Features, Layout
from agent.estimators.online import Online


class _Estimator:
    """What both share: parameters, the first dict, learning.

    Args:
        features: numbers with columns of their own; later ones share some. 0 makes room for half
            as many again as the first dict has, 8 at the least and 128 at the most.
        seed: of every generator in the agent.
        agent: its other settings; None takes the defaults.
    """

    _regression = False

    def __init__(
        self, features: int = 0, seed: int = 0, agent: AgentSettings | None = None
    ) -> None:
        if features < 0:
            raise ValueError(f"features is {features}; give 0 (the first dict decides) or more")
        self.features, self.seed, self.agent = features, seed, agent
        self._online: Online | None = None

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"agent": AgentSettings(slots=64)}

    def learn_one(self, x: Features, y: Any) -> None:
        """Learn a dict with its truth."""
        self._taught([x], [y])

    def learn_many(self, X: Any, y: Any) -> None:
        """Learn a DataFrame's rows in their order, as `learn_one` would one by one."""
        self._taught(X.to_dict("records"), y.tolist())

    def _taught(self, xs: list[Features], truths: list[Any]) -> None:
        if not xs:
            return
        if self._online is None:
            settings = replace(self.agent or AgentSettings(), seed=self.seed)
            layout = Layout.of(xs[0], self.features)
            self._online = Online(settings, layout, numbers=self._regression)
        self._online.learn(xs, truths)


class AdaptdClassifier(_Estimator, base.MiniBatchClassifier):
    """The default agent, for classes of any name, found as they come.

    Args:
        features: numbers with columns of their own; later ones share some. 0 makes room for half
            as many again as the first dict has, 8 at the least and 128 at the most.
        seed: of every generator in the agent.
        agent: its other settings; None takes the defaults.

    >>> model = AdaptdClassifier()
    >>> model.predict_proba_one({"colour": "red"})
    {}
    >>> for _ in range(20):
    ...     model.learn_one({"colour": "red"}, "stop")
    ...     model.learn_one({"colour": "green"}, "go")
    >>> model.predict_one({"colour": "red"}), model.predict_one({"colour": "green"})
    ('stop', 'go')
    """

    @property
    @override
    def _multiclass(self) -> bool:
        return True

    @override
    def predict_proba_one(self, x: dict[Any, Any], **_: Any) -> dict[Any, float]:
        """Say how likely each class met so far is; nothing before the first."""
        if self._online is None:
            return {}
        told = self._online.probabilities([x])[0].tolist()
        return dict(zip(self._online.classes, told, strict=True))

    @override
    def predict_proba_many(self, X: Any) -> Any:
        """Say how likely each class met so far is: a DataFrame with a column a class."""
        pandas = import_pandas()
        if self._online is None or X.empty:
            return pandas.DataFrame(index=X.index)
        told = self._online.probabilities(X.to_dict("records"))
        return pandas.DataFrame(told, index=X.index, columns=list(self._online.classes))


class AdaptdRegressor(_Estimator, base.MiniBatchRegressor):
    """The default agent, for numbers in any unit.

    Args:
        features: numbers with columns of their own; later ones share some. 0 makes room for half
            as many again as the first dict has, 8 at the least and 128 at the most.
        seed: of every generator in the agent.
        agent: its other settings; None takes the defaults.

    >>> model = AdaptdRegressor()
    >>> model.predict_one({"x": 1.0})
    0.0
    >>> for _ in range(40):
    ...     model.learn_one({"x": 1.0}, 20.0)
    >>> round(model.predict_one({"x": 1.0}))
    20
    """

    _regression = True

    @override
    def predict_one(self, x: dict[Any, Any]) -> float:
        """Say the mean; 0 before the first truth."""
        return 0.0 if self._online is None else float(self._online.moments([x])[0][0])

    @override
    def predict_many(self, X: Any) -> Any:
        """Say the mean of each row: a Series."""
        pandas = import_pandas()
        if self._online is None or X.empty:
            return pandas.Series(0.0, index=X.index, dtype=float)
        return pandas.Series(self._online.moments(X.to_dict("records"))[0], index=X.index)
