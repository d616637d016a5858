"""An online network: fast weights, one batched step a call, gradients written out.

Two voices over the same row: one linear, one with a hidden layer of rectifiers. Both may also read
*votes*, what other experts said of the row, with one weight a vote that is the same for every class
(so that a class never seen before is read as the others are).

    linear:  o = x A + Σ_v u_v vote_v        hidden:  o = relu(norm(x W)) Z + Σ_v w_v vote_v

norm takes each row's mean over the layer away and divides by its deviation (Ba, Kiros & Hinton
2016, without parameters). Every weight has its own step size, tuned online (`nets.autostep`), and
the least useful hidden unit is born anew now and then (`nets.renewal`).

Shapes: T tasks, B rows, F features (a one is appended: bias), H hidden, V votes,
O outputs (C classes, or 1), P parameters.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.learners.base import Classes, Exact, Numbers, Said, Spec, State
from agent.learners.registry import SINGLE, register
from agent.nets import Layout, adam, adam_begin, all_seen, hot
from agent.nets.autostep import autostep, autostep_begin, keep_size
from agent.nets.exact import product
from agent.nets.norm import through_norm
from agent.nets.numbers import middle_and_spread, numbers_merged
from agent.nets.plasticity import Plasticity
from agent.nets.renewal import hidden_begin, hidden_note, renew_if_due

UNSEEN = -30.0
TINY = 1e-5  # of a layer's variance
EVEN = -0.6931471805599453  # two voices, half each


@dataclass(frozen=True, slots=True)
class Trace:
    """What `pull` needs of what `forward` did; `out` holds logits or standardised means."""

    row_TBF: Tensor
    before_TBH: Tensor  # normalised, before the rectifier
    size_TB1: Tensor | None  # one over the layer's deviation
    hidden_TBH: Tensor  # and a one
    vote_TBVO: Tensor
    out_TB2O: Tensor


class OnlineNetwork(Exact):
    """A linear and a hidden voice, learned by gradient from what comes.

    Args:
        spec: what is asked for.
        votes: how many experts' votes are read beside the features.
        hidden: H, the width of the hidden layer.
        rate: first step size, times its kind's start in `how`.
        seed: of the generator that draws the first weights.
        how: its update rule, and how it stays able to learn.
    """

    voices = ("linear", "hidden")

    def __init__(
        self,
        spec: Spec,
        votes: int = 0,
        hidden: int = 64,
        rate: float = 0.01,
        seed: int = 0,
        how: Plasticity | None = None,
    ) -> None:
        self.spec = spec
        self._votes, self._hidden, self._rate, self._seed = votes, hidden, rate, seed
        self._how = how or Plasticity()
        self._first: dict[tuple[int, torch.device], Tensor] = {}

    def begin(self, tasks: int) -> State:
        """Draw the first weights, the same for every task."""
        draw = torch.Generator().manual_seed(self._seed)
        rows, outputs = self.spec.features + 1, max(self.spec.classes, 1)
        bound = rows**-0.5

        def uniform(*shape: int) -> Tensor:
            return torch.empty(shape).uniform_(-bound, bound, generator=draw)

        first = {
            "A": torch.zeros(1, rows, outputs),
            "W": uniform(1, rows, self._hidden),
            "Z": torch.zeros(1, self._hidden + 1, outputs),
            "u": self._how.start.first_votes(self._votes),
        }
        flat = self._layout(outputs).join(first).expand(tasks, -1).contiguous()
        step = self._first_steps(outputs, flat.device).expand(tasks, -1).contiguous()
        if self._how.rule == "adam":
            fast = adam_begin("fast", flat) | {"fast.step": step}
        else:
            fast = autostep_begin("fast", flat, step)
        return {
            **fast,
            **hidden_begin(flat[:, 0], self._hidden),
            "known": torch.full((tasks, outputs), 0.0 if self.spec.regression else UNSEEN),
            "target": torch.zeros(tasks, 3),  # how many, their mean, their sum of squares
            "error": torch.ones(tasks, 2),  # recent squared error of each voice, standardised
        }

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer from the features alone."""
        return self.said(state, self.forward(state, x_TBF, self._no_votes(x_TBF, state)))

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Answer all rows with the weights as they stand."""
        del y_TB, seen_TB
        return self.predict(state, x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Answer all rows with the weights as they stand, then take one step."""
        seen_TB = all_seen(y_TB, seen_TB)
        trace = self.forward(state, x_TBF, self._no_votes(x_TBF, state))
        if not bool(seen_TB.any()):
            return self.said(state, trace), state
        grad = self.output_gradient(state, trace, y_TB, seen_TB)
        return self.said(state, trace), self.settle(state, trace, grad, y_TB, seen_TB)

    def widen(self, state: State, classes: int) -> State:
        """New classes start at weights of zero and count as unseen."""
        old = state["known"].shape[1]
        after = dict(state)
        first = self._layout(classes).split(self._first_steps(classes, state["fast"].device))
        flat = state["fast"].shape
        for leaf in [key for key in state if state[key].shape == flat]:
            parts = self._layout(old).split(state[leaf])
            for name in ("A", "Z"):
                fresh = first[name][..., old:].expand(flat[0], -1, -1)
                new = fresh if leaf == "fast.step" else torch.zeros_like(fresh)
                parts[name] = torch.cat([parts[name], new], 2)
            after[leaf] = self._layout(classes).join(parts)
        after["known"] = torch.nn.functional.pad(state["known"], (0, classes - old), value=UNSEEN)
        return after

    def forward(self, state: State, x_TBF: Tensor, vote_TBVO: Tensor) -> Trace:
        """Outputs of both voices; votes are log-probabilities or standardised means."""
        fast = self._layout(state["known"].shape[1]).split(state["fast"])
        one = x_TBF.new_ones(*x_TBF.shape[:2], 1)
        row = torch.cat([x_TBF, one], 2)
        before, size = torch.bmm(row, fast["W"]), None
        if self._how.norm:
            before, _, size = torch.native_layer_norm(before, (self._hidden,), None, None, TINY)
        hidden = torch.cat([before.relu(), one], 2)
        out = torch.stack([product(row, fast["A"]), product(hidden, fast["Z"])], 2)
        if self._votes:
            out += fast["u"].unsqueeze(1) @ vote_TBVO
        out += state["known"][:, None, None]
        return Trace(row, before, size, hidden, vote_TBVO, out)

    def said(self, state: State, trace: Trace) -> Said:
        """Turn outputs into distributions."""
        if not self.spec.regression:
            logp = torch.log_softmax(trace.out_TB2O, 3)
            return Classes(torch.full_like(logp[..., 0], EVEN), logp)
        middle, spread = self.target(state)
        mean = trace.out_TB2O[..., 0] * spread.unsqueeze(2) + middle.unsqueeze(2)
        scale = (state["error"].sqrt() * spread).unsqueeze(1).expand_as(mean)
        return Numbers(torch.full_like(mean, EVEN), mean, scale)

    def output_gradient(self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Gradient of both voices' mean loss by their outputs, shape TB2O.

        Cross entropy for classes; for numbers half the squared error, its slope held to three
        deviations (Huber 1964) so that one wild number moves little.
        """
        share = seen_TB / seen_TB.sum(1, keepdim=True).clamp_(min=1)
        if self.spec.regression:
            middle, spread = self.target(state)
            miss = trace.out_TB2O - ((y_TB - middle) / spread)[..., None, None]
            return miss.clamp(-3, 3) * share[..., None, None]
        label = hot(y_TB, trace.out_TB2O.shape[3]).unsqueeze(2)
        return torch.softmax(trace.out_TB2O, 3).sub_(label).mul_(share[..., None, None])

    def vote_gradient(self, state: State, grad_TB2O: Tensor) -> Tensor:
        """Pass a gradient by the outputs on to the votes, shape TBVO."""
        fast = self._layout(state["known"].shape[1]).split(state["fast"])
        return fast["u"].mT.unsqueeze(1) @ grad_TB2O

    def gradient(self, state: State, trace: Trace, grad_TB2O: Tensor) -> Tensor:
        """From a gradient by the outputs to one by all weights, shape TP."""
        layout = self._layout(state["known"].shape[1])
        linear, hidden = grad_TB2O.unbind(2)
        before = trace.before_TBH
        back = torch.bmm(hidden, layout.split(state["fast"])["Z"][:, :-1].mT)
        back = torch.ops.aten.threshold_backward(back, before, 0)
        if trace.size_TB1 is not None:
            back = through_norm(back, before, trace.size_TB1)
        parts = {
            "A": torch.bmm(trace.row_TBF.mT, linear),
            "W": torch.bmm(trace.row_TBF.mT, back),
            "Z": torch.bmm(trace.hidden_TBH.mT, hidden),
            "u": (grad_TB2O @ trace.vote_TBVO.mT).sum(1),
        }
        return layout.join(parts)

    def settle(
        self, state: State, trace: Trace, grad_TB2O: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> State:
        """Step against a gradient by the outputs; note the labels."""
        grad = self.gradient(state, trace, grad_TB2O)
        after = {**state, **self._stepped(state, grad, grad_TB2O, seen_TB.any(1))}
        after |= self._renewed(after, trace, seen_TB)
        if self.spec.regression:
            return after | self._note_numbers(state, trace, y_TB, seen_TB)
        met = torch.where(seen_TB, 0.0, UNSEEN)
        return after | {"known": state["known"].scatter_reduce(1, y_TB.long(), met, "amax")}

    def _stepped(
        self, state: State, grad_TP: Tensor, grad_TB2O: Tensor, busy_T: Tensor
    ) -> dict[str, Tensor]:
        """Leaves after one step of the rule."""
        if self._how.rule == "adam":
            return adam(state, "fast", grad_TP, state["fast.step"].exp(), busy_T)
        error = grad_TB2O.abs().sum((1, 2, 3))
        start = self._first_steps(state["known"].shape[1], busy_T.device)
        after = autostep(state, "fast", grad_TP, error, busy_T, self._how, start)
        if self._how.norm:
            keep_size(self._layout(state["known"].shape[1]).split(after["fast"])["W"])
        return after

    def _renewed(self, state: State, trace: Trace, seen_TB: Tensor) -> dict[str, Tensor]:
        """Leaves after what the hidden layer did is noted, and a unit is born anew if one is due.

        With `norm`, a unit has a small part in what the others say, so answers move a little.
        """
        noted = hidden_note(state, trace.hidden_TBH, seen_TB)
        outputs = state["known"].shape[1]
        first = self._first_steps(outputs, seen_TB.device)
        return noted | renew_if_due(
            {**state, **noted}, self._layout(outputs), first, self._how, self._seed
        )

    def _first_steps(self, outputs: int, device: torch.device) -> Tensor:
        """The log of the first step size of every weight, shape 1P; made once."""
        if (outputs, device) not in self._first:
            steps = self._how.start.steps(self._layout(outputs))
            log = (steps * self._rate).clamp(min=1e-30).log()
            self._first[outputs, device] = log.to(device)
        return self._first[outputs, device]

    def target(self, state: State) -> tuple[Tensor, Tensor]:
        """Middle and spread of the numbers so far, each of shape T1."""
        return middle_and_spread(state["target"])

    def _note_numbers(
        self, state: State, trace: Trace, y_TB: Tensor, seen_TB: Tensor
    ) -> dict[str, Tensor]:
        """Note the labels, and how large the voices' errors have been of late."""
        merged = numbers_merged(state["target"], y_TB, seen_TB)
        new = seen_TB.sum(1).clamp(min=1e-9)
        at, spread = self.target(state)
        miss = (trace.out_TB2O[..., 0] - ((y_TB - at) / spread).unsqueeze(2)).clamp(-10, 10) ** 2
        recent = (miss * seen_TB.unsqueeze(2)).sum(1) / new.unsqueeze(1)
        pace = (new / 200).clamp(max=1).unsqueeze(1)
        error = torch.lerp(state["error"], recent.clamp(min=1e-6), pace)
        busy = seen_TB.any(1, keepdim=True) & merged.isfinite().all(1, keepdim=True)
        return {
            "target": torch.where(busy, merged, state["target"]),
            "error": torch.where(busy, error, state["error"]),
        }

    def _layout(self, outputs: int) -> Layout:
        rows, hidden = self.spec.features + 1, self._hidden
        return Layout(
            (
                ("A", (rows, outputs)),
                ("W", (rows, hidden)),
                ("Z", (hidden + 1, outputs)),
                ("u", (2, self._votes)),
            )
        )

    def _no_votes(self, x_TBF: Tensor, state: State) -> Tensor:
        if self._votes:
            raise ValueError("this network reads votes: call `forward` with them")
        return x_TBF.new_zeros(*x_TBF.shape[:2], 0, state["known"].shape[1])


@register(
    "network",
    Plasticity,
    family="stream",
    paper="Mahmood et al. 2012, Autostep, and Dohare et al. 2024, continual backprop",
    goals=SINGLE,
)
def _network(spec: Spec, options: Plasticity) -> OnlineNetwork:
    return OnlineNetwork(spec, how=options)
