"""Any River classifier or regressor as a learner: one voice, pure over a state of tensors.

The state holds the model as bytes, taken anew every `rebase` examples, and the examples learned
since, which are replayed on it. A memo beside the state keeps live models, so that learning on
from the newest state costs one `learn_one`; from an older state it costs a replay: slower, never
different. A model is thawed from its bytes at every rebase, by whoever comes there, so that the
bytes do not depend on who made them.

Shapes: T tasks, B examples, F features, C classes, N bytes, R examples between two rebases.
The state stands on the CPU, where River works; N grows by doubling, from 64 KiB.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from river import base, multiclass
from torch import Tensor

from agent.from_river import RiverNameError, river_model
from agent.frozen import freeze, thaw
from agent.learners.base import Classes, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, NoOptions, register
from agent.learners.river_state import Memo, Task, closed, fresh, opened

SHARE: Final = 1e-3  # of probability, spread over all classes: a forest's 0 is no certainty
WIDEST: Final = 1e6  # features are cut to this: River squares them, and exponents overflow


@dataclass(frozen=True, slots=True)
class RiverSettings:
    """A River model as an expert.

    Args:
        model: its name in River, as `forest.ARFClassifier` or
            `preprocessing.StandardScaler | linear_model.LogisticRegression`.
        seed: for models that draw; the same seed gives the same answers.
        rebase: examples kept in the state and replayed after a restart, before the model's bytes
            are taken anew. More makes learning cheaper and restarts dearer.
    """

    model: str = "naive_bayes.GaussianNB"
    seed: int = 0
    rebase: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.rebase <= 65_536:  # noqa: PLR2004 (a checkpoint's size)
            raise ValueError(f"rebase is {self.rebase}; it must be 1 to 65536 examples")


class River:
    """Any River classifier or regressor.

    Raises:
        RiverNameError: the name means no model, or one of the other goal.
    """

    def __init__(self, spec: Spec, settings: RiverSettings) -> None:
        self.spec = spec
        self.settings = settings
        self._names = [f"x{i}" for i in range(spec.features)]
        self._start = freeze(_fitting(spec, settings))
        self._memo = Memo(4)

    @property
    def voices(self) -> tuple[str, ...]:
        """The model's own name."""
        return (f"river:{self.settings.model}",)

    def begin(self, tasks: int) -> State:
        """Give the untaught model, once a task."""
        classes, rows = self.spec.classes, self.settings.rebase
        start = fresh(self._start, rows, self.spec.features, classes)
        return closed([start] * tasks)

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Say what the model says; classes that it leaves out keep a small share."""
        tasks, said = opened(state), []
        for task, x_BF in zip(tasks, _rows(x_TBF), strict=True):
            model = self._model(task, most=2 * len(tasks) + 2)
            said.append([self._say(task, model, row) for row in x_BF.tolist()])
            self._memo.keep(task.token, model)
        return self._joined(said, x_TBF)

    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Teach a copy, in order to say what comes after each row; the live model stays."""
        said, _ = self._pass(state, x_TBF, y_TB, seen_TB, say=True, copy=True)
        return self._joined(said, x_TBF)

    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Teach the model the seen examples, one by one."""
        return self._pass(state, x_TBF, y_TB, seen_TB, say=False)[1]

    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Test on each row, then train on it if it is seen."""
        said, after = self._pass(state, x_TBF, y_TB, seen_TB, say=True)
        return self._joined(said, x_TBF), after

    def widen(self, state: State, classes: int) -> State:
        """Count more classes; the model itself finds them as they come."""
        more = classes - state["counts_TC"].shape[1]
        wide = torch.nn.functional.pad(state["counts_TC"], (0, more))
        return {**state, "counts_TC": wide}

    def _pass(
        self,
        state: State,
        x_TBF: Tensor,
        y_TB: Tensor,
        seen_TB: Tensor | None,
        *,
        say: bool,
        copy: bool = False,
    ) -> tuple[list[list[list[float]]], State]:
        tasks, said = opened(state), []
        seen_TB = torch.ones(y_TB.shape, dtype=torch.bool) if seen_TB is None else seen_TB
        runs = zip(tasks, _rows(x_TBF), y_TB.cpu().numpy(), seen_TB.cpu().numpy(), strict=True)
        for task, x_BF, y_B, seen_B in runs:
            model = self._model(task, most=2 * len(tasks) + 2)
            if copy:
                self._memo.keep(task.token, model)
                model = thaw(freeze(model)) if seen_B.any() else model
            told = []
            for x_F, y, seen in zip(x_BF, y_B, seen_B, strict=True):
                if say:
                    told.append(self._say(task, model, x_F.tolist()))
                if seen:
                    model = self._teach(task, model, x_F, y)
            said.append(told)
            if not copy:
                self._memo.keep(task.token, model)
        return said, closed(tasks)

    def _model(self, task: Task, most: int) -> Any:
        """Give the live model of a task, out of the memo: it may be taught and put back."""
        self._memo.most = max(self._memo.most, most)
        model = self._memo.live.pop(task.token, None)
        if model is None:
            model = thaw(task.base)
            self._replay(task, model)
        return model

    def _replay(self, task: Task, model: Any) -> None:
        pairs = zip(task.x_RF[: task.kept].tolist(), task.y_R[: task.kept].tolist(), strict=True)
        for row, y in pairs:
            self._one(model, row, y)

    def _one(self, model: Any, row: list[float], y: float) -> None:
        try:
            model.learn_one(
                dict(zip(self._names, row, strict=True)), y if self.spec.regression else int(y)
            )
        except ArithmeticError:  # a wild row overflowed the model's sums: it teaches nothing
            return

    def _teach(self, task: Task, model: Any, x_F: NDArray[np.float32], y: Any) -> Any:
        """Teach one example; give the model that stands for the task from now on."""
        row, truth = x_F.tolist(), float(y)
        if self.spec.regression:
            task.erred(truth - self._number(task, model, row), truth)
        else:
            task.counts_C[int(y)] += 1
        self._one(model, row, truth)
        task.keep(x_F, truth)
        return self._rebased(task) if task.kept == self.settings.rebase else model

    def _rebased(self, task: Task) -> Any:
        """Take the bytes anew from a replay alone: predicting leaves traces in some models."""
        model = thaw(task.base)
        self._replay(task, model)
        task.rebase(freeze(model))
        return thaw(task.base)

    def _say(self, task: Task, model: Any, row: list[float]) -> list[float]:
        """Log-probabilities of the classes, or mean and deviation."""
        if self.spec.regression:
            scale = float(np.sqrt(task.error_3[1])) if task.error_3[0] else 1.0
            return [self._number(task, model, row), max(scale, 1e-6)]
        return self._classes(task, model, row)

    def _classes(self, task: Task, model: Any, row: list[float]) -> list[float]:
        try:
            said = model.predict_proba_one(dict(zip(self._names, row, strict=True)))
        except ArithmeticError:  # an exponent overflowed: it knows nothing of such a row
            said = {}
        count = len(task.counts_C)
        p_C = np.array([said.get(c, 0.0) or 0.0 for c in range(count)], np.float64)
        whole = float(p_C.sum())
        p_C = p_C / whole if np.isfinite(whole) and whole > 0 else np.full(count, 1.0 / count)
        logs: list[float] = np.log((1 - SHARE) * p_C + SHARE / count).tolist()
        return logs

    def _number(self, task: Task, model: Any, row: list[float]) -> float:
        try:
            said = model.predict_one(dict(zip(self._names, row, strict=True)))
        except ArithmeticError:  # as above
            said = None
        mean = float(task.error_3[2])
        return float(said) if said is not None and np.isfinite(said) else mean

    def _joined(self, said: list[list[list[float]]], x_TBF: Tensor) -> Said:
        tasks, rows, _ = x_TBF.shape
        flat = torch.tensor(said, dtype=torch.float32, device=x_TBF.device)
        flat = (
            flat.reshape(tasks, rows, 1, -1)
            if flat.numel()
            else x_TBF.new_zeros(tasks, rows, 1, 2 if self.spec.regression else self.spec.classes)
        )
        voice_TBV = x_TBF.new_zeros((tasks, rows, 1), dtype=torch.float32)
        if self.spec.regression:
            return Numbers(voice_TBV, flat[..., 0], flat[..., 1])
        return Classes(voice_TBV, flat)


def _fitting(spec: Spec, settings: RiverSettings) -> Any:
    """Make the model; one that divides only two classes is asked of each class against the rest."""
    model = river_model(settings.model, settings.seed)
    wanted: Any = base.Regressor if spec.regression else base.Classifier
    if not isinstance(model, wanted):
        goal = "number" if spec.regression else "classes"
        raise RiverNameError(f"{settings.model} is no {wanted.__name__}, and the goal is {goal}")
    if spec.regression:
        return model
    try:
        model.clone().predict_proba_one({f"x{i}": 0.0 for i in range(spec.features)})
    except NotImplementedError:
        raise RiverNameError(f"{settings.model} gives no probabilities; take another") from None
    return model if model._multiclass else multiclass.OneVsRestClassifier(model)  # noqa: SLF001 (River's own way to ask)


def _rows(x_TBF: Tensor) -> NDArray[np.float32]:
    clean = torch.nan_to_num(x_TBF.detach().to("cpu", torch.float32), 0.0, WIDEST, -WIDEST)
    rows: NDArray[np.float32] = clean.clamp(-WIDEST, WIDEST).numpy()
    return rows


@register(
    "river:GaussianNB",
    family="stream",
    paper="Montiel et al. 2021, River",
    goals=SINGLE,
)
def _gaussian(spec: Spec, _: NoOptions) -> River:
    """Naive Bayes; for a number, which it cannot say, a linear model."""
    name = "linear_model.LinearRegression" if spec.regression else "naive_bayes.GaussianNB"
    return River(spec, RiverSettings(name))


@register(
    "river:HoeffdingTree",
    family="stream",
    paper="Montiel et al. 2021, River",
    goals=SINGLE,
)
def _tree(spec: Spec, _: NoOptions) -> River:
    """A tree that grows as examples come."""
    name = "HoeffdingTreeRegressor" if spec.regression else "HoeffdingTreeClassifier"
    return River(spec, RiverSettings(f"tree.{name}"))


@register(
    "river:Logistic",
    family="stream",
    paper="Montiel et al. 2021, River",
    goals=SINGLE,
)
def _linear(spec: Spec, _: NoOptions) -> River:
    """A linear model: of two classes, so each class against the rest."""
    name = "LinearRegression" if spec.regression else "LogisticRegression"
    return River(spec, RiverSettings(f"linear_model.{name}"))
