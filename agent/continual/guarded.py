"""A mixture whose task changes only where the current one is surprised: false alarms by a set rate.

The posterior compares hypotheses with one another: where none is quite right, one that has learned
less may happen to be the better for a while, though nothing changed. Here another hypothesis takes
over only while an alarm lasts: the current task's own surprise must first stand out of what it was
before, by a test whose rate of false alarms is set (`agent.nets.surprise`). Until then the current
task is believed for sure, so that evidence counts from the alarm on, and for all alike. A task that
returned is left again by another alarm only. Answers are weighed as in any mixture, alarm or not.

Shapes: T tasks, B rows, H hypotheses.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.belief import Heard, MixtureSettings
from agent.continual.changes import RETURNED
from agent.continual.hypotheses import picked
from agent.continual.mixture import Mixture
from agent.continual.tasks import Book
from agent.learners.base import Learner, Numbers, Said, State
from agent.nets import part, prefixed
from agent.nets.surprise import Surprise, SurpriseSettings, oddness


@dataclass(frozen=True, slots=True)
class GuardedSettings:
    """A mixture, and the alarm that must sound before its task changes.

    Args:
        mixture: hypotheses, and when they take over.
        alarm: on the current task's surprise; `settle` is for how many labels it lasts.
    """

    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    alarm: SurpriseSettings = field(default_factory=SurpriseSettings)


class Guarded(Mixture):
    """As `Mixture`, under guard.

    Args:
        learner: of classes or of numbers; its task axis holds the hypotheses.
        settings: of mixture and alarm.
        usual_R: surprises (as `surprise` gives them) of tasks that do not change, to begin with.
    """

    def __init__(
        self,
        learner: Learner,
        settings: GuardedSettings | None = None,
        usual_R: Tensor | None = None,
    ) -> None:
        self._guard = settings or GuardedSettings()
        super().__init__(learner, self._guard.mixture)
        self._surprise = Surprise(self._guard.alarm, usual_R)

    @override
    def begin(self, tasks: int) -> State:
        """As a mixture; nothing is suspected."""
        watch = prefixed("mixture.watch", self._surprise.begin(tasks))
        return {**super().begin(tasks), **watch}

    @override
    def _hear(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor, *, teach: bool
    ) -> Heard:
        """As a mixture; a task that nothing threatens is responsible for all rows."""
        heard = super()._hear(state, x_TBF, y_TB, seen_TB, teach=teach)
        book = part("mixture", state)
        calm_T = np.array([not self._may_change(book, task) for task in range(len(x_TBF))])
        own_T1H = (heard.now.current_TH & calm_T[:, None])[:, None]
        return replace(heard, after_TBH=np.where(own_T1H, 1.0, heard.after_TBH))

    @override
    def _minutes(
        self, state: State, heard: Heard, x_TBF: Tensor, y_TB: Tensor
    ) -> dict[str, Tensor]:
        watch, live = part("mixture.watch", state), part("live.inner", state)
        own = picked(live, heard.now.current_TH.argmax(1), self._places)
        own_TB = surprise(self._learner.predict(own, x_TBF), y_TB)
        seen_TB = torch.from_numpy(heard.seen_TB)
        for row in range(own_TB.shape[1]):
            after, _ = self._surprise.hear(watch, own_TB[:, row])
            watch = {
                name: torch.where(_like(seen_TB[:, row], leaf), leaf, watch[name])
                for name, leaf in after.items()
            }
        return super()._minutes(state, heard, x_TBF, y_TB) | prefixed("watch", watch)

    @override
    def _turn(
        self, page: Book, heard: Heard, book: dict[str, Tensor], task: int
    ) -> list[int] | None:
        """As a mixture; of a task that nothing threatens the posterior is sure."""
        source = super()._turn(page, heard, book, task)
        if not self._may_change(book, task):
            page.weight[0] = 0.0
            page.weight[0, page.current] = 1.0
        return source

    @override
    def _may_change(self, book: State, task: int) -> bool:
        """Whether an alarm lasts, and has not led to a return yet."""
        alarm, step = (float(book[f"watch.{name}"][task]) for name in ("alarm", "step"))
        if alarm <= 0 or step - alarm > self._guard.alarm.settle:
            return False
        number = book["number"][task]  # began at, and changes logged
        began, logged = float(number[3]), int(number[5])
        last = book["log"][task, (logged - 1) % len(book["log"][task]), 1]
        return not (logged > 0 and float(last) == RETURNED and began >= alarm)


def surprise(said: Said, y_TB: Tensor) -> Tensor:
    """How badly labels were foreseen, shape TB: `oddness` of numbers, minus log p of classes."""
    if isinstance(said, Numbers):
        return oddness(y_TB, *said.moments())
    return -said.marginal().gather(2, y_TB.unsqueeze(2)).squeeze(2)


def _like(seen_T: Tensor, leaf: Tensor) -> Tensor:
    return seen_T.view(-1, *[1] * (leaf.ndim - 1))
