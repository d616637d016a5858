"""The default agent as a CapyMOA classifier and a CapyMOA regressor.

    from capymoa.evaluation import prequential_evaluation
    from agent.estimators.capymoa import AdaptdClassifier

    prequential_evaluation(stream, AdaptdClassifier(stream.get_schema()))

They are batch learners: with `batch_size=256` a batch is answered before it is learned, many times
as fast; one by one they answer exactly, test then train. CapyMOA itself comes with the extra
`adaptd[capymoa]` and needs Java.
"""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agent.continual.default import AgentSettings
from agent.estimators.columns import Layout
from agent.estimators.online import Online

try:
    from capymoa.base import BatchClassifier, BatchRegressor
except ImportError:

    class BatchClassifier:  # type: ignore[no-redef]
        """Stands for CapyMOA's where it is not installed."""

        def __init__(self, *_: Any, **__: Any) -> None:
            raise ImportError("CapyMOA is not installed: pip install 'adaptd[capymoa]', and Java")

    BatchRegressor = BatchClassifier


class _Reader:
    """The agent, and a schema's attributes as it reads them: words where they are nominal."""

    def __init__(self, schema: Any, seed: int, agent: AgentSettings | None) -> None:
        header = schema.get_moa_header()
        every = [header.attribute(at) for at in range(schema.get_num_attributes())]
        self._names = [str(one.name()) for one in every]
        self._nominal = [bool(one.isNominal()) for one in every]
        words = sum(self._nominal)
        settings = replace(agent or AgentSettings(), seed=seed)
        self.classes = 0 if schema.is_regression() else int(schema.get_num_classes())
        if self.classes:
            settings = replace(settings, classes=max(settings.classes, self.classes))
        layout = Layout(len(every) - words, words, 0)
        self.online = Online(settings, layout, numbers=not self.classes)

    def dicts(self, x_BF: Tensor) -> list[dict[Hashable, Any]]:
        """Rows as dicts; a nominal value goes by its index, NaN is missing."""
        kinds = list(zip(self._names, self._nominal, strict=True))
        return [
            {
                name: str(int(value)) if nominal and value == value else value  # noqa: PLR0124 - not NaN
                for (name, nominal), value in zip(kinds, row, strict=True)
            }
            for row in x_BF.tolist()
        ]


class AdaptdClassifier(BatchClassifier):  # type: ignore[misc]  # CapyMOA is untyped
    """The default agent, for the classes of a schema.

    Args:
        schema: of the stream.
        random_seed: of every generator in the agent.
        agent: its other settings; None takes the defaults.
    """

    x_dtype, y_dtype = torch.float64, torch.int64

    def __init__(
        self, schema: Any, random_seed: int = 1, agent: AgentSettings | None = None
    ) -> None:
        super().__init__(schema=schema, random_seed=random_seed)
        self._reader = _Reader(schema, random_seed, agent)

    def batch_train(self, x: Tensor, y: Tensor) -> None:
        """Learn a batch in its order."""
        self._reader.online.learn(self._reader.dicts(x), y.tolist())

    def batch_predict_proba(self, x: Tensor) -> Tensor:
        """Say how likely the schema's classes are; all alike before the first label."""
        online, count = self._reader.online, self._reader.classes
        if not online.classes:
            return torch.full((len(x), count), 1 / count, dtype=self.x_dtype)
        told = np.zeros((len(x), count))
        told[:, np.array(online.classes, np.intp)] = online.probabilities(self._reader.dicts(x))
        return torch.from_numpy(told)


class AdaptdRegressor(BatchRegressor):  # type: ignore[misc]  # CapyMOA is untyped
    """The default agent, for the number of a schema.

    Args:
        schema: of the stream.
        random_seed: of every generator in the agent.
        agent: its other settings; None takes the defaults.
    """

    x_dtype, y_dtype = torch.float64, torch.float64

    def __init__(
        self, schema: Any, random_seed: int = 1, agent: AgentSettings | None = None
    ) -> None:
        super().__init__(schema=schema, random_seed=random_seed)
        self._reader = _Reader(schema, random_seed, agent)

    def batch_train(self, x: Tensor, y: Tensor) -> None:
        """Learn a batch in its order."""
        self._reader.online.learn(self._reader.dicts(x), y.tolist())

    def batch_predict(self, x: Tensor) -> Tensor:
        """Say the mean of each row."""
        return torch.from_numpy(self._reader.online.moments(self._reader.dicts(x))[0])
