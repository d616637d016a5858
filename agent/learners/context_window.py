"""A context of the last examples under a FiLM network, and a Bayesian last layer on top of it.

The last M examples are encoded, each alone, and averaged; the code scales and shifts every layer
(context-aware dynamics: Lee et al. 2020, CaDM; FiLM: Perez et al. 2018). What the network then
still gets wrong of the same examples is fitted by its last layer, whose prior is meta-learned
(Harrison, Sharma & Pavone 2018, ALPaCA, in its dual form; Bertinetto et al. 2019, R2-D2):

    z = tanh(mean of e(x_i, y_i)),   h(x) = FiLM body of x under z,   m(x) = W h(x)
    W' = W + (P H' (H P H' + s I)^-1 (Y - m(X)))'                      over the M examples

so that what the encoder was never trained on is still met, as far as the features reach; where
they do not, the scale of an answer grows with the layer's posterior variance, h' P' h.

The state is a window of examples and, made of them at `learn`, the modulation and the last layer:
answering costs little more than a plain network, which is what a planner asks thousands of times.
The last few examples are all kept; of older ones those that tell something, the larger targets: a
robot at rest does not forget its body. Targets are expected in units of order one, cut at 10.

Shapes: T tasks, B examples, F features, M examples kept, E embedding, O outputs, Z code.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from typing_extensions import override

from agent.learners.base import Blockwise, Learner, Numbers, Spec, State
from agent.learners.meta import STAGES, Pointwise, numbers, targets
from agent.learners.registry import register
from agent.nets import rows_seen
from agent.nets.body import BodySettings, Mlp, seeded
from agent.nets.film import FilmBody
from agent.nets.linear import factor, solve_lower, unreduced
from agent.nets.sets import bounded
from agent.nets.window import Run, front, held_after, run_of, slid

QUIETEST, LOUDEST = -9.0, 4.0  # log scales


@dataclass(frozen=True, slots=True)
class ContextWindowOptions:
    """Window, encoder and network.

    Args:
        memory: M, examples kept.
        recent: of these, the last ones, whatever they are.
        telling: an older one is kept in place of the oldest if its mean square target is more than
            this share of that of those kept; 0 keeps the last M.
        patience: steps in which that share is halved, if none is kept meanwhile.
        body: the network under the last layer, which the code modulates.
        encoder: widths of e; the last is what is averaged.
        code: Z, numbers that the average is brought down to.
        last: whether the last layer is fitted to the examples.
        seed: of the first weights.
    """

    memory: int = 24
    recent: int = 8
    telling: float = 0.3
    patience: float = 25.0
    body: BodySettings = field(
        default_factory=lambda: BodySettings(hidden=(96, 96), activation="gelu")
    )
    encoder: tuple[int, ...] = (64, 64)
    code: int = 16
    last: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.memory, self.code) < 1:
            raise ValueError("memory and code must be 1 or more")
        if not 0 < self.recent <= self.memory:
            raise ValueError(f"recent is {self.recent}; give 1 to memory, {self.memory}")
        if self.telling < 0 or self.patience <= 0:
            raise ValueError("telling must be 0 or more, patience above 0")
        if not self.encoder or min(self.encoder) < 1:
            raise ValueError(f"encoder is {self.encoder}; give the widths of one or more layers")


class ContextWindow(Pointwise, Blockwise):
    """A ring of examples, and the network that they make.

    >>> options = ContextWindowOptions(memory=8, recent=8, telling=0.0)
    >>> learner = ContextWindow(Spec(features=1, classes=0), options)
    >>> x = torch.linspace(-1, 1, 8).view(1, 8, 1)
    >>> one = learner.learn(learner.begin(tasks=1), x + 5, x[..., 0] - 9)
    >>> two = learner.learn(one, x, x[..., 0])
    >>> alone = learner.learn(learner.begin(tasks=1), x, x[..., 0])
    >>> torch.allclose(two["film"], alone["film"], atol=1e-6)  # the first eight fell out
    True
    """

    def __init__(self, spec: Spec, options: ContextWindowOptions) -> None:
        super().__init__(spec)
        self.options = options
        with seeded(options.seed):
            settings = BodySettings(hidden=options.encoder, activation=options.body.activation)
            self.encoder = Mlp(spec.features + spec.outputs, settings)
            self.code = nn.Linear(self.encoder.size, options.code)
            self.body = FilmBody(spec.features, options.body)
            self.film = nn.Linear(options.code, self.body.modulation)
            self.head = nn.Linear(self.body.size, spec.outputs)
            self.width = nn.Linear(self.body.size, spec.outputs)
        nn.init.zeros_(self.width.weight)
        nn.init.zeros_(self.width.bias)
        self.spread = nn.Parameter(torch.zeros(STAGES, spec.outputs))
        self.log_prior = nn.Parameter(torch.zeros(self.body.size))
        self.log_noise = nn.Parameter(torch.tensor(-2.0))
        self.log_doubt = nn.Parameter(torch.zeros(spec.outputs))

    @override
    def begin(self, tasks: int) -> State:
        """No examples: the network under a code of zeros."""
        zero, memory = self.head.weight.new_zeros, self.options.memory
        empty = {
            "x": zero(tasks, memory, self.spec.features),
            "y": zero(tasks, memory, self.spec.outputs),
            "held": torch.zeros(tasks, 1, dtype=torch.int64, device=self.head.weight.device),
            "idle": zero(tasks, 1),
        }
        film_TM = self.film(zero(tasks, self.options.code))
        last_TEO = self.head.weight.mT.expand(tasks, -1, -1)
        known_TME = zero(tasks, memory, self.body.size)
        made = {"film": film_TM, "last": last_TEO, "known": known_TME}
        return {**self.fresh(tasks), **empty, **made}

    @override
    def predict(self, state: State, x_TBF: Tensor) -> Numbers:
        """Answer under the modulation, by the last layer, as they are."""
        h_TBE, mean = self._embedded(state, x_TBF)
        h_TBE = h_TBE.detach()
        log_scale = self.width(h_TBE) + self.scale(state).unsqueeze(1)
        wide = (1 + self.doubt(state, h_TBE) * self.log_doubt.clamp(-8, 4).exp()).log() / 2
        return numbers(self.spec, mean, (log_scale + wide).clamp(QUIETEST, LOUDEST).exp())

    def mean(self, state: State, x_TBF: Tensor) -> Tensor:
        """Answer without a scale, shape TBO, at half the cost: what planners ask."""
        return self._embedded(state, x_TBF)[1]

    def _embedded(self, state: State, x_TBF: Tensor) -> tuple[Tensor, Tensor]:
        """Give features and means of rows, TBE and TBO."""
        h_TBE = self.body(bounded(x_TBF), state["film"])
        return h_TBE, torch.baddbmm(self.head.bias, h_TBE, state["last"])

    def doubt(self, state: State, h_TBE: Tensor) -> Tensor:
        """Posterior variance of the last layer along features, in units of the noise, TB1."""
        if not self.options.last:
            return torch.zeros_like(h_TBE[..., :1])
        broad_E, noise = (
            one.detach().clamp(-8, 4).exp() for one in (self.log_prior, self.log_noise)
        )
        prior = (h_TBE.square() * broad_E).sum(2, keepdim=True)
        gained = (h_TBE @ state["known"].detach().mT).square().sum(2, keepdim=True)
        return (prior - gained).clamp(min=0) / noise

    @override
    def scale(self, state: State) -> Tensor:
        """Log of the learned scale with so many examples in the ring, shape TO."""
        stage = torch.log2(1 + state["held"].squeeze(1).float()).long().clamp(max=STAGES - 1)
        assert self.spread is not None  # noqa: S101 - it predicts numbers
        return self.spread[stage]

    @override
    def learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> State:
        """Take the examples in; read the window anew."""
        seen_TB = rows_seen(y_TB, seen_TB)
        x_TBF, y_TBO = bounded(x_TBF), bounded(targets(self.spec, y_TB, 0))
        after = {**state, **self.noted(state, y_TB, seen_TB)}
        room = int((self.options.memory - state["held"]).min())
        if not self.options.telling or x_TBF.shape[1] <= room:
            after |= self._shifted(after, x_TBF, y_TBO, run_of(seen_TB))
        else:
            for row in range(x_TBF.shape[1]):
                one = slice(row, row + 1)
                after |= self._taken(after, x_TBF[:, one], y_TBO[:, one], seen_TB[:, one])
        return {**after, **self.made(after)}

    def _shifted(self, state: State, x_TBF: Tensor, y_TBO: Tensor, run: Run) -> dict[str, Tensor]:
        """The window with the seen rows shifted in; as many of the oldest fall out."""
        return {
            "x": slid(state["x"], front(x_TBF, run), run),
            "y": slid(state["y"], front(y_TBO, run), run),
            "held": held_after(state["held"], run, self.options.memory),
        }

    def _taken(
        self, state: State, x_T1F: Tensor, y_T1O: Tensor, seen_T1: Tensor
    ) -> dict[str, Tensor]:
        """The window with one more row; of a full one, what leaves the recent ones is kept or not.

        Of a row that is refused a place, the one after the kept ones is let go instead.
        """
        options = self.options
        shifted = self._shifted(state, x_T1F, y_T1O, run_of(seen_T1))
        border = options.memory - options.recent
        size_TM = state["y"].square().mean(2)
        usual_T1 = size_TM[:, :border].mean(1, keepdim=True) if border else size_TM[:, :1]
        least_T1 = options.telling * usual_T1 * 0.5 ** (state["idle"] / options.patience)
        refused_T1 = (size_TM[:, border : border + 1] < least_T1) & seen_T1
        refused_T1 &= state["held"] >= options.memory
        still_T11 = refused_T1.unsqueeze(2)
        for name in ("x", "y"):
            held = torch.cat([state[name][:, :border], shifted[name][:, border:]], 1)
            shifted[name] = torch.where(still_T11, held, shifted[name])
        idle_T1 = torch.where(seen_T1, 0.0, state["idle"])
        return {**shifted, "idle": torch.where(refused_T1, state["idle"] + 1, idle_T1)}

    def made(self, state: State) -> dict[str, Tensor]:
        """The modulation and the last layer that the examples of a ring make."""
        x_TMF, y_TMO, held_T1 = state["x"], state["y"], state["held"]
        memory = self.options.memory
        there = torch.arange(memory, device=held_T1.device) >= memory - held_T1
        weight_TM1 = (there / held_T1.clamp(min=1)).unsqueeze(2).to(x_TMF.dtype)
        mean_TE = (self.encoder(torch.cat([x_TMF, y_TMO], 2)) * weight_TM1).sum(1)
        some = (held_T1 > 0).to(x_TMF.dtype)
        film_TM = self.film(torch.tanh(self.code(mean_TE)) * some)
        start_EO = self.head.weight.mT
        if not self.options.last:
            plain = {"last": start_EO.expand(len(x_TMF), -1, -1), "known": state["known"]}
            return {"film": film_TM, **plain}
        h_TME = self.body(x_TMF, film_TM) * there.unsqueeze(2)
        with unreduced(h_TME):
            left_TMO = (y_TMO - h_TME @ start_EO - self.head.bias) * there.unsqueeze(2)
            more_TEO, known_TME = self.fitted(h_TME, left_TMO)
        return {"film": film_TM, "last": start_EO + more_TEO, "known": known_TME}

    def fitted(self, h_TME: Tensor, left_TMO: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer must add to fit what is left of the examples, shape TEO.

        And what the examples tell of it: rows whose squared products with features are the variance
        that is gone, shape TME.
        """
        broad_TME = h_TME * self.log_prior.clamp(-8, 4).exp()
        eye = torch.eye(h_TME.shape[1], dtype=h_TME.dtype, device=h_TME.device)
        joint_TMM = broad_TME @ h_TME.mT + self.log_noise.clamp(-8, 4).exp() * eye
        known_TME = solve_lower(lower := factor(joint_TMM), broad_TME)
        return known_TME.mT @ solve_lower(lower, left_TMO), known_TME


@register(
    "context-window", ContextWindowOptions, family="contextual", goals=("number", "numbers"),
    outer="episodes",
    paper="Lee, Seo, Lee, Lee & Shin 2020, Context-aware Dynamics Model (CaDM), with FiLM"
    " (Perez et al. 2018) and the last layer of ALPaCA (Harrison et al. 2018)",
)  # fmt: skip
def _context_window(spec: Spec, options: ContextWindowOptions) -> Learner:
    return ContextWindow(spec, options)
