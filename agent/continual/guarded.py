"""A mixture whose task changes only where the current one is surprised: false alarms by a set rate.

The posterior compares hypotheses with one another: where none is quite right, one that has learned
less may happen to be the better for a while, though nothing changed. Here another hypothesis takes
over only while an alarm lasts: the current task's own loss must first stand out of what it was
before, by a test whose rate of false alarms is set (`agent.nets.surprise`). Answers are weighed as
in any mixture, alarm or not.

Shapes: T tasks, B rows, H hypotheses.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.belief import Heard, MixtureSettings
from agent.continual.mixture import Mixture
from agent.learners.base import Learner, State
from agent.nets import part, prefixed
from agent.nets.surprise import Surprise, SurpriseSettings


@dataclass(frozen=True, slots=True)
class GuardedSettings:
    """A mixture, and the alarm that must sound before its task changes.

    Args:
        mixture: hypotheses, and when they take over.
        alarm: on the current task's loss; `settle` is for how many labels it lasts.
    """

    mixture: MixtureSettings = field(default_factory=MixtureSettings)
    alarm: SurpriseSettings = field(default_factory=lambda: SurpriseSettings(settle=24))


class Guarded(Mixture):
    """As `Mixture`, under guard.

    Args:
        learner: of classes or of numbers; its task axis holds the hypotheses.
        settings: of mixture and alarm.
        usual_R: losses (1 - exp(-z^2 / 2), z in scales) of tasks that do not change, to begin with.
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
    def _minutes(
        self, state: State, heard: Heard, x_TBF: Tensor, y_TB: Tensor
    ) -> dict[str, Tensor]:
        watch = part("mixture.watch", state)
        place_T = heard.now.current_TH.argmax(1)
        loss_TBH, seen_TB = torch.from_numpy(heard.loss_TBH), torch.from_numpy(heard.seen_TB)
        own_TB = loss_TBH[torch.arange(len(loss_TBH)), :, torch.from_numpy(place_T)]
        for row in range(own_TB.shape[1]):
            after, _ = self._surprise.hear(watch, own_TB[:, row])
            watch = {
                name: torch.where(_like(seen_TB[:, row], leaf), leaf, watch[name])
                for name, leaf in after.items()
            }
        return super()._minutes(state, heard, x_TBF, y_TB) | prefixed("watch", watch)

    @override
    def _may_change(self, book: dict[str, Tensor], task: int) -> bool:
        step, alarm = int(book["watch.step"][task]), int(book["watch.alarm"][task])
        return alarm > 0 and step - alarm <= self._guard.alarm.settle


def _like(seen_T: Tensor, leaf: Tensor) -> Tensor:
    return seen_T.view(-1, *[1] * (leaf.ndim - 1))
