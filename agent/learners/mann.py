"""Memory-augmented network (Santoro et al. 2016): an external memory, written where least used.

    K_i = cosine(k, M_i),  r_i = softmax(s K_i),  read = sum_i r_i M_i     equations 2 to 4
    u <- g u + r + w                                                       equation 5, usage
    w = sigmoid(a) r_before + (1 - sigmoid(a)) lu_before                   equation 7
    M_i <- M_i + w_i k, the least used row wiped first                     equation 8

An LSTM controller reads the input and what came of the last label, and gives the key k, which both
reads and writes. lu marks the row of least usage (one is read, so one).

From the paper differ two things. Labels are not fed as one-hot input a step later, which would fix
their number: a label is stored in the row that its key is written to, as an indicator (or a number,
beside how much of one is there), and the controller is told how well it was foreseen (or the
number, squashed). So reading gives a vote over any number of classes, or a mean in the numbers' own
unit; for numbers a head adds to it. And lu is the least used row of now, which is then wiped; a
step later it might hold something.

Shapes: T tasks, B rows, K = B + 1, N rows of memory, E embedding, D key, H controller, C classes,
O outputs, V = C, or O and a mass.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets import hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.cells import LongShort
from agent.nets.inner import like
from agent.nets.window import rows

FLOOR = 1e-3  # share of the vote that every known class has
FORESEEN = 2  # values that tell the controller of a class
FOUND = ("hidden", "cell", "told", "memory", "label")
LEAVES = (*FOUND, "usage", "read")

History: TypeAlias = list[dict[str, Tensor]]
"""Controller, memory, stored labels and usage after 0, 1, ... examples."""


@dataclass(frozen=True, slots=True)
class MannOptions:
    """Controller and memory.

    Args:
        body: the network that embeds rows.
        memory: rows.
        key: width of a row.
        hidden: units of the controller.
        fade: what is left of a usage after a step.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    memory: int = 64
    key: int = 32
    hidden: int = 32
    fade: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.memory, self.key, self.hidden) < 1 or not 0 < self.fade < 1:
            raise ValueError("memory, key and hidden must be 1 or more; fade between 0 and 1")


class Mann(Causal):
    """A controller with an external memory of keys and labels.

    >>> learner = Mann(Spec(features=2, classes=2), MannOptions())
    >>> x, y = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]), torch.tensor([[0, 1]])
    >>> state = learner.learn(learner.begin(tasks=1), x, y)
    >>> learner.predict(state, x).marginal().argmax(2).tolist()
    [[0, 1]]
    """

    def __init__(self, spec: Spec, options: MannOptions) -> None:
        super().__init__(spec)
        self.options = options
        self.told = 2 * spec.outputs if spec.regression else FORESEEN
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            size = self.body.size
            self.cell = LongShort(size + self.told, options.hidden)
            self.key = nn.Linear(size, options.key)
            self.turn = nn.Linear(options.hidden, options.key, bias=False)
            head = size + options.hidden + options.key + self.told
            self.join = nn.Linear(head, options.hidden)
            self.say = nn.Linear(options.hidden, spec.outputs)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)
        nn.init.constant_(self.turn.weight, 0.0)
        self.sharp = nn.Parameter(torch.tensor(2.3))
        self.gate = nn.Parameter(torch.tensor(-2.0))

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """An empty memory."""
        zero, options = self.gate.new_zeros, self.options
        columns = self.spec.classes or self.spec.outputs + 1
        return {
            "hidden": zero(tasks, options.hidden),
            "cell": zero(tasks, options.hidden),
            "told": zero(tasks, self.told),
            "memory": zero(tasks, options.memory, options.key),
            "label": zero(tasks, options.memory, columns),
            "usage": zero(tasks, options.memory),
            "read": zero(tasks, options.memory),
        }

    @override
    def hear(self, state: State, told: Told) -> tuple[History, dict[str, Tensor]]:
        """Read, then write, example by example; the trace is what stood before and after each."""
        parts = {name: state[name] for name in LEAVES}
        history, every = [parts], bool(told.run.told.all())
        drive_TBG, key_TBD = self._prepared(told.e_TBE)
        value_TBV = self._values(told, parts["label"])
        for at in range(told.e_TBE.shape[1]):
            control = self._control(drive_TBG[:, at], parts)
            key = self._address(key_TBD[:, at], control["hidden"])
            moved = control | self.write(parts, key, value_TBV[:, at], told.label_TBL[:, at])
            parts = moved if every else _where(told.run.told[:, at], moved, parts)
            history.append(parts)
        return history, parts

    def write(
        self, parts: Mapping[str, Tensor], key_TD: Tensor, value_TV: Tensor, label_TL: Tensor
    ) -> dict[str, Tensor]:
        """Read by the key, then write it with its label: equations 5, 7 and 8."""
        read = self.weigh(key_TD, parts["memory"])
        least = hot(parts["usage"].argmin(1), self.options.memory).to(read.dtype)
        write = torch.lerp(least, parts["read"], self.gate.sigmoid()).unsqueeze(2)
        keep = (1 - least).unsqueeze(2)
        if not self.spec.regression:
            vote = (read.unsqueeze(1) @ parts["label"]).squeeze(1)
            given = (vote * value_TV).sum(1) / vote.sum(1).clamp(min=FLOOR)
            label_TL = torch.stack([given, 1 - given], 1)
        return {
            "told": label_TL,
            "memory": parts["memory"] * keep + write * key_TD.unsqueeze(1),
            "label": parts["label"] * keep + write * value_TV.unsqueeze(1),
            "usage": self.options.fade * parts["usage"] + read + write.squeeze(2),
            "read": read,
        }

    @override
    def ask(self, trace: History, asked: Asked) -> Tensor:
        """Let the controller read once for each row; the labels found are the answer."""
        parts = {
            name: rows(torch.stack([one[name] for one in trace], 1), asked.at_TB).flatten(0, 1)
            for name in FOUND
        }
        drive, key = (one.flatten(0, 1) for one in self._prepared(asked.e_TBE))
        hidden = self._control(drive, parts)["hidden"]
        read = self.weigh(self._address(key, hidden), parts["memory"]).unsqueeze(1)
        shape = asked.at_TB.shape
        label: Tensor = (read @ parts["label"]).view(*shape, -1)
        if not self.spec.regression:
            return (label / label.sum(2, keepdim=True).clamp(min=FLOOR) + FLOOR).log()
        mass = label[..., -1:]
        apart = (label[..., :-1] / mass.clamp(min=FLOOR) - asked.middle_TBO) / asked.deviation_TBO
        content = (read @ parts["memory"]).squeeze(1)
        even = self._even(asked.e_TBE).flatten(0, 1)
        joint = torch.cat([even, hidden, content, asked.unit.flatten(0, 1)], 1)
        added: Tensor = self.say(torch.relu(self.join(joint)))
        return added.view(*shape, -1) + torch.where(mass > FLOOR, apart, 0.0)

    def _prepared(self, e_TBE: Tensor) -> tuple[Tensor, Tensor]:
        """What rows push the controller's gates by, TBG, and keys before it turns them, TBD."""
        even = self._even(e_TBE)
        nothing = even.new_zeros(*even.shape[:2], 1, self.told)
        return self.cell.drive(even, nothing).squeeze(2), self.key(even)

    def _control(self, drive_TG: Tensor, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The controller after an input."""
        told = nn.functional.linear(parts["told"], self.cell.reads.weight[:, -self.told :])
        return self.cell.step(drive_TG + told, parts)

    def _address(self, key_TD: Tensor, hidden_TH: Tensor) -> Tensor:
        """The key, of length 1."""
        return nn.functional.normalize(key_TD + self.turn(hidden_TH), dim=1)

    def weigh(self, key_TD: Tensor, memory_TND: Tensor) -> Tensor:
        """Equations 2 and 3, shape TN."""
        near = nn.functional.normalize(memory_TND, dim=2) @ key_TD.unsqueeze(2)
        return torch.softmax(near.squeeze(2) * self.sharp.exp(), 1)

    def _values(self, told: Told, like: Tensor) -> Tensor:
        """What is stored of labels, shape TBV."""
        if not self.spec.regression:
            return hot(told.y_TB, like.shape[2]).to(like.dtype)
        y_TBO = told.y_TB if self.spec.outputs > 1 else told.y_TB.unsqueeze(2)
        return nn.functional.pad(y_TBO, (0, 1), value=1.0)

    @staticmethod
    def _even(e: Tensor) -> Tensor:
        """Whatever comes in, of one size."""
        return nn.functional.layer_norm(e, e.shape[-1:])

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class is stored nowhere."""
        return {**super().by_class(), "label": 0.0}


def _where(
    told_T: Tensor, after: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    return {
        name: torch.where(like(told_T, leaf), leaf, before[name]) for name, leaf in after.items()
    }


@register(
    "mann", MannOptions, family="model-based", outer="episodes",
    paper="Santoro et al. 2016, Meta-Learning with Memory-Augmented Neural Networks",
)  # fmt: skip
def _mann(spec: Spec, options: MannOptions) -> Learner:
    return Mann(spec, options)
