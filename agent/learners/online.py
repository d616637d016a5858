"""What learners share that take one example at a time: features that stand still, a fast predictor.

`represent` is moved by meta-training alone; the predictor (`agent.nets.predictor`) is the state,
and takes one step of gradient descent a row. Embeddings have unit mean square: meta-training cannot
grow them until steps overshoot.

Classes not met yet stand in the softmax that is learned from, `unmet` of them, at the start that a
new class gets: as in the papers, whose heads have all their outputs from the first; what they say
of a row is a constant to its gradient. So the first class has something to be told apart from, and
nothing depends on the room for classes.

Shapes: T tasks, B examples, F features, E embedding, C classes, O outputs (classes or numbers).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Said, Spec, State
from agent.learners.meta import Pointwise, numbers, one_voice, targets
from agent.nets import all_seen, before, hot, part, prefixed
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.inner import clipped, like, sound
from agent.nets.predictor import Predictor

TINY = 1e-6  # added to the mean square of an embedding


@dataclass(frozen=True, slots=True)
class OnlineOptions:
    """A representation, a predictor on it, and its steps.

    Args:
        body: the network under the embedding.
        embedding: width of a layer with a rectifier on the body; 0: the body's output itself.
        predictor: widths of the predictor's hidden layers.
        rate: step size; each layer takes it divided by the number of its inputs.
        unmet: classes not met yet that stand in the softmax learned from.
        clip: largest norm of a step's gradient.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    embedding: int = 0
    predictor: tuple[int, ...] = ()
    rate: float = 0.5
    unmet: int = 20
    clip: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rate <= 0 or self.clip <= 0:
            raise ValueError("rate and clip must be above 0")
        if self.embedding < 0 or self.unmet < 0 or min(self.predictor, default=1) < 1:
            raise ValueError("embedding and unmet must be 0 or more, the predictor's widths above")


class Online(Pointwise):
    """Features that stand still under a predictor that moves with every row.

    Args:
        spec: what is asked for.
        options: networks and steps.
    """

    def __init__(self, spec: Spec, options: OnlineOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            size = options.embedding or self.body.size
            self.project = nn.Linear(self.body.size, size) if options.embedding else None
            self.predictor = Predictor(size, options.predictor)
            parts = self.predictor.draw(spec.outputs if spec.regression else 1)
            self.draw(size)
        self.start = nn.ParameterDict({name: nn.Parameter(leaf) for name, leaf in parts.items()})

    def draw(self, size: int) -> None:
        """Build what a family has beside the body; called under its seed."""

    def represent(self, x_TBF: Tensor) -> Tensor:
        """Embed rows, each with a mean square of 1, shape TBE."""
        found: Tensor = self.body(x_TBF)
        if self.project is not None:
            found = self.project(found).relu()
        return found * (found.square().mean(2, keepdim=True) + TINY).rsqrt()

    def opened(self, name: str, tasks: int) -> Tensor:
        """Give the learned start of a part, once a task; the head with a column a class."""
        leaf: Tensor = self.start[name]
        wide = not self.spec.regression and name in {"head", "bias"}
        return leaf.expand(tasks, -1, self.spec.classes if wide else -1)

    @override
    def begin(self, tasks: int) -> State:
        """Lay out the learned start once a task."""
        fast = {name: self.opened(name, tasks) for name in self.start}
        return {**self.fresh(tasks), **prefixed("fast", fast)}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer by the predictor as it stands."""
        return self.answer(
            state, self.predictor.layers(part("fast", state), self.represent(x_TBF))[-1]
        )

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take a step a row."""
        return self.predict_then_learn(state, x_TBF, y_TB, seen_TB)[1]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer a row, take a step on it, go on: exact at every row, embedding all at once."""
        first = y_TB if y_TB.ndim == 2 else y_TB[..., 0]  # noqa: PLR2004 - several outputs
        seen_TB = all_seen(first, seen_TB)
        h_TBE, known_TBC = self.represent(x_TBF), self.met(state, y_TB, seen_TB)
        fast, outs = part("fast", state), []
        for row in range(x_TBF.shape[1]):
            one = slice(row, row + 1)
            layers = self.predictor.layers(fast, h_TBE[:, one])
            outs.append(layers[-1])
            delta = self.delta(layers, y_TB[:, one], known_TBC[:, row + 1 : row + 2])
            fast = self.step(fast, self.predictor.pull(fast, layers, delta), seen_TB[:, row])
        said = self.answers(state, torch.cat(outs, 1), known_TBC[:, :-1], seen_TB)
        moved = sound(fast, part("fast", state), seen_TB.any(1))
        return said, {**state, **self.noted(state, y_TB, seen_TB), **prefixed("fast", moved)}

    def step(
        self, fast: Mapping[str, Tensor], grads: Mapping[str, Tensor], seen_T: Tensor
    ) -> dict[str, Tensor]:
        """Give the predictor one step of gradient descent later."""
        grads, rate = clipped(grads, self.options.clip), self.options.rate
        moved = {
            name: leaf - rate * self.predictor.rate(name) * grads[name]
            for name, leaf in fast.items()
        }
        if bool(seen_T.all()):
            return moved
        return {
            name: torch.where(like(seen_T, leaf), leaf, fast[name]) for name, leaf in moved.items()
        }

    def met(self, state: State, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Logit offsets of classes before each row and after the last, shape T (B+1) C."""
        if self.spec.regression:
            return state["count"].new_zeros(y_TB.shape[0], y_TB.shape[1] + 1, 1)
        known = state["known"].unsqueeze(1)
        met = hot(y_TB, known.shape[2]) * seen_TB.unsqueeze(2)
        so_far = nn.functional.pad(met.cumsum(1), (0, 0, 1, 0))
        return torch.where(so_far > 0, torch.zeros_like(known), known)

    def delta(self, layers: list[Tensor], y_TB: Tensor, known_TBC: Tensor) -> Tensor:
        """Gradient of the rows' mean loss by the outputs, shape TBO."""
        out, rows = layers[-1], y_TB.shape[1]
        if self.spec.regression:
            return 2 * (out - targets(self.spec, y_TB, 0)) / (out.shape[2] * rows)
        logits = out + known_TBC
        if self.options.unmet:
            new = torch.baddbmm(
                self.opened("bias", out.shape[0])[..., :1],
                layers[-2],
                self.opened("head", out.shape[0])[..., :1],
            )
            logits = torch.cat([logits, new + math.log(self.options.unmet)], 2)
        share = torch.softmax(logits, 2)[..., : out.shape[2]]
        return (share - hot(y_TB, out.shape[2])) / rows

    def answers(self, state: State, out_TBO: Tensor, known_TBC: Tensor, seen_TB: Tensor) -> Said:
        """Say the outputs of rows, each with what was known before it."""
        if not self.spec.regression:
            return one_voice(torch.log_softmax(out_TBO + known_TBC, 2))
        count_TB = state["count"] + before(seen_TB)
        scale = self.scale({"count": count_TB.reshape(-1, 1)}).view(*count_TB.shape, 1)
        return numbers(self.spec, out_TBO, scale.expand_as(out_TBO))

    @override
    def widen(self, state: State, classes: int) -> State:
        """A new class gets the start that the others had."""
        room = classes - state["known"].shape[1]
        after = dict(super().widen(state, classes))
        for name in ("head", "bias"):
            leaf = state[f"fast.{name}"]
            new = self.start[name].detach().expand(leaf.shape[0], -1, room)
            after[f"fast.{name}"] = torch.cat([leaf, new], 2)
        return after
