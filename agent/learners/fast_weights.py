"""Fast weights written by the delta rule (Schlag, Irie & Schmidhuber 2021; Ba et al. 2016).

    W_i = g W_i-1 + b_i k_i (v_i - g W_i-1' k_i)'       the write (Schlag et al., section 4.2)
    k_i = normed phi(x_i),  b_i = sigmoid(slow network of x_i)
    answer = W' q,  q = normed phi(x)                   the read

A slow network, found by meta-training, says where to write (k) and how much (b); the fast weights W
are an associative memory. The delta rule takes away what the key held before: a pair that comes
again with another value is overwritten, where a sum of outer products (Ba et al. 2016) would blend
the two. The decay g is theirs. Several memories stand side by side, each with slow weights of its
own, mixed as the query says.

The values are the labels themselves: an indicator a class, so that any number of classes can be
served, or a number, in whose unit the answer then is; the key has a constant, which learns what is
always so. From Schlag et al. differs that there is one layer, under the whole body.

Shapes: T tasks, B rows, K = B + 1, E embedding, M memories, D key, V classes or
outputs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Learner, Spec, State
from agent.learners.causal import Asked, Causal, Told
from agent.learners.registry import register
from agent.nets import hot
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.inner import like
from agent.nets.window import rows


@dataclass(frozen=True, slots=True)
class FastWeightsOptions:
    """Memories and the slow network that writes them.

    Args:
        body: the network that embeds rows.
        memories: how many.
        key: width of a key, without its constant.
        seed: of the first weights.
    """

    body: BodySettings = field(default_factory=BodySettings)
    memories: int = 2
    key: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.memories, self.key) < 1:
            raise ValueError("memories and key must be 1 or more")


class FastWeights(Causal):
    """An associative memory from keys to labels, written by the delta rule.

    >>> learner = FastWeights(Spec(features=2, classes=2), FastWeightsOptions())
    >>> x, state = torch.tensor([[[0.0, 1.0]]]), learner.begin(tasks=1)
    >>> for label in (0, 1):  # the second takes the first one's place
    ...     state = learner.learn(state, x, torch.tensor([[label]]))
    >>> int(learner.predict(state, x).marginal().argmax())
    1
    """

    def __init__(self, spec: Spec, options: FastWeightsOptions) -> None:
        super().__init__(spec)
        self.options = options
        memories = options.memories
        with seeded(options.seed):
            self.body = make_body(spec.features, options.body)
            size = self.body.size
            self.address = nn.Linear(size, memories * options.key)
            self.strength = nn.Linear(size, memories)
            self.mix = nn.Linear(size, memories)
        nn.init.constant_(self.strength.bias, 1.0)
        self.decay = nn.Parameter(torch.linspace(6.0, 8.0, memories))
        self.temperature = nn.Parameter(torch.tensor(1.5))

    @override
    def start(self, tasks: int) -> dict[str, Tensor]:
        """Empty memories."""
        shape = (tasks, self.options.memories, self.options.key + 1, self.spec.width)
        return {"fast": self.decay.new_zeros(shape)}

    @override
    def hear(self, state: State, told: Told) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Write, example by example; the trace is W after each."""
        value_TBV = self.values(told.y_TB, state["fast"])
        key_TBMD, keep = self.keys(told.e_TBE), self.decay.sigmoid().view(-1, 1, 1)
        strength = self.strength(self._even(told.e_TBE)).sigmoid()
        write_TBMD = torch.where(told.run.told[..., None, None], key_TBMD, 0.0)
        write_TBMD = write_TBMD * strength.unsqueeze(3)
        fast, after, every = state["fast"], [state["fast"]], bool(told.run.told.all())
        for at in range(told.e_TBE.shape[1]):
            kept = keep * fast
            held = key_TBMD[:, at].unsqueeze(2) @ kept
            miss = value_TBV[:, at, None, None] - held
            moved = kept + write_TBMD[:, at].unsqueeze(3) * miss
            fast = moved if every else torch.where(like(told.run.told[:, at], fast), moved, fast)
            after.append(fast)
        return after, {"fast": fast}

    @override
    def ask(self, trace: list[Tensor], asked: Asked) -> Tensor:
        """Read, mixed over the memories."""
        fast = rows(torch.stack(trace, 1), asked.at_TB) if trace[1:] else trace[0].unsqueeze(1)
        held = (self.keys(asked.e_TBE).unsqueeze(3) @ fast).squeeze(3)
        share = torch.softmax(self.mix(self._even(asked.e_TBE)), 2)
        out = (share.unsqueeze(3) * held).sum(2)
        if not self.spec.regression:
            return out * self.temperature.exp()
        return (out - asked.middle_TBO) / asked.deviation_TBO

    def values(self, y_TB: Tensor, like: Tensor) -> Tensor:
        """Labels as they are stored, shape TBV."""
        if not self.spec.regression:
            return hot(y_TB, like.shape[-1]).to(like.dtype)
        return y_TB if self.spec.outputs > 1 else y_TB.unsqueeze(2)

    def keys(self, e_TBE: Tensor) -> Tensor:
        """Where a row is written or looked up: of length 1, a constant among it, shape TBMD."""
        key = self.address(self._even(e_TBE)).unflatten(2, (self.options.memories, -1))
        key = nn.functional.pad(torch.relu(key), (0, 1), value=1.0)
        return nn.functional.normalize(key, dim=3)

    @staticmethod
    def _even(e_TBE: Tensor) -> Tensor:
        """Whatever comes in, of one size."""
        return nn.functional.layer_norm(e_TBE, (e_TBE.shape[2],))

    @override
    def by_class(self) -> Mapping[str, float]:
        """A new class holds nothing."""
        return {**super().by_class(), "fast": 0.0}


@register(
    "fast-weights", FastWeightsOptions, family="model-based", outer="episodes",
    paper="Schlag, Irie & Schmidhuber 2021, Linear Transformers Are Secretly Fast Weight"
    " Programmers; Ba et al. 2016, Using Fast Weights to Attend to the Recent Past",
)  # fmt: skip
def _fast_weights(spec: Spec, options: FastWeightsOptions) -> Learner:
    return FastWeights(spec, options)
