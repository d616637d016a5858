"""One variant on one stream: every part is gone through once, and Blend weighs what they said.

Voices depend neither on how they are weighed nor on those of other places, so what a part said of a
stream serves every variant that has it. Where the part at a place is another than the agent's but
has as many voices, the mixer hears it under the agent's names: what stands there is what changes,
not whether the mixer knows it.

Shapes: T tasks, B rows of a block, C classes, N rows of a stream.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from agent.continual.blend import ANSWERS, Blend
from agent.continual.mixing import Stream, lanes, lanes_of
from agent.continual.recall import Told
from agent.continual.shipped import shipped
from agent.learners.base import Classes, Exact, Learner, Said, Spec, State
from benchmarks.ablations.variants import PARTS, Variant, whole

LEAST = -10.0  # nats: where a log-probability is cut
WORST = 20.0  # typical errors: where an error is cut


class Named(Exact):
    """A place at the table: its voices' names, and nothing behind them."""

    def __init__(self, spec: Spec, voices: tuple[str, ...]) -> None:
        self.spec, self.voices = spec, voices

    def begin(self, tasks: int) -> State:
        """Hold nothing."""
        del tasks
        return {}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Say nothing."""
        raise NotImplementedError

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Say nothing."""
        raise NotImplementedError

    def widen(self, state: State, classes: int) -> State:
        """Hold nothing."""
        raise NotImplementedError


@dataclass(slots=True)
class Heard:
    """What a part said, block by block, in how many CPU-seconds."""

    voices: tuple[str, ...]
    said: list[Said] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Played:
    """What was said of each row of a stream, in its order, and at what cost.

    `said_N` holds a class or a number; `loss_N` nats, or absolute errors in the labels' mean
    distance from their median.
    """

    truth_N: NDArray[np.float64]
    said_N: NDArray[np.float64]
    loss_N: NDArray[np.float64]
    seconds: float


class Recalled:
    """What was said of the rows whose labels are late, as the daemon keeps it (`recall`).

    Shapes: L lanes of a stream, less those that fill blocks up with nothing; W words.
    """

    def __init__(self, blend: Blend, row_L: Tensor, *, late: bool) -> None:
        none_W = blend.unsaid(blend.spec.classes)
        self._row_L, self._on, self._at = row_L, late and len(none_W) > 0, 0
        self._words_NW = none_W.repeat(int(row_L.max()) + 1 if self._on else 0, 1)

    def then(self, seen_B: Tensor, asked_B: Tensor) -> Tensor | None:
        """Give the words of a block's late rows, shape TBW."""
        if not self._on:
            return None
        words_BW = self._words_NW[self._rows(seen_B, asked_B)]
        return words_BW.masked_fill((asked_B | ~seen_B).unsqueeze(1), torch.nan).unsqueeze(0)

    def keep(self, seen_B: Tensor, asked_B: Tensor, answer: Said) -> None:
        """Keep the words of the rows that were asked; go on to the next block."""
        if self._on and isinstance(answer, Told):
            rows_B = self._rows(seen_B, asked_B)
            self._words_NW[rows_B[asked_B]] = answer.words()[0][asked_B].to(self._words_NW.dtype)
        self._at += int((asked_B | seen_B).sum())

    def _rows(self, seen_B: Tensor, asked_B: Tensor) -> Tensor:
        used = int((asked_B | seen_B).sum())
        rows = self._row_L[self._at : self._at + used]
        return torch.nn.functional.pad(rows, (0, len(asked_B) - used))


class Table:
    """One stream, with what the parts said of it so far."""

    def __init__(self, stream: Stream, seed: int) -> None:
        self.stream, self._seed = stream, seed
        self._blocks, plan = list(lanes_of(stream)), lanes(stream.known_N)
        self._row_L, self._late = torch.from_numpy(plan.row_L), not plan.asked_L.all()
        self._whole = whole(stream.spec, seed)
        self._heard: dict[str, Heard] = {}

    @property
    def places(self) -> Mapping[str, Learner]:
        """The whole agent's experts."""
        return self._whole

    def play(self, variant: Variant) -> Played | None:
        """Let a variant go through the stream; None where it lacks nothing that is there."""
        gone = [place for place, part in variant.swap.items() if part is None]
        if any(place not in self._whole for place in gone):
            return None
        parts = variant.parts(dict.fromkeys(self._whole, whole))  # type: ignore[arg-type]  # keys
        heard = {place: self._ask(part) for place, part in parts.items()}
        spec = self.stream.spec
        named = {place: Named(spec, self._names(place, one)) for place, one in heard.items()}
        start = shipped(spec) if variant.start == "shipped" else None
        blend = Blend(spec, named, variant.blend, start, self._seed)
        state, found, began = dict(blend.begin(1)), [], time.thread_time()
        recalled = Recalled(blend, self._row_L, late=self._late)
        for at, (_, y_TB, seen_TB, asked_B) in enumerate(self._blocks):
            said, then = (
                [one.said[at] for one in heard.values()],
                recalled.then(seen_TB[0], asked_B),
            )
            lined = blend.hear(state, said, y_TB, seen_TB, then)
            answer, after = blend.answer(state, lined, y_TB, seen_TB)
            recalled.keep(seen_TB[0], asked_B, answer)
            if bool(seen_TB.any()):
                state |= after
            found.append(_judged(answer, variant.answer, y_TB)[asked_B])
        seconds = time.thread_time() - began + sum(one.seconds for one in heard.values())
        return self._told(torch.cat(found).numpy(), seconds)

    def _told(self, whole_N3: NDArray[np.float64], seconds: float) -> Played:
        truth_N, said_N, loss_N = whole_N3.T
        if self.stream.spec.regression:
            apart_N = np.abs(self.stream.y_N - np.median(self.stream.y_N))
            loss_N = np.minimum(loss_N / max(float(apart_N.mean()), 1e-12), WORST)
        return Played(truth_N, said_N, loss_N, seconds)

    def _names(self, place: str, heard: Heard) -> tuple[str, ...]:
        mine = self._whole[place].voices if place in self._whole else ()
        return mine if len(mine) == len(heard.voices) else heard.voices

    def _ask(self, part: str) -> Heard:
        if part not in self._heard:
            spec = self.stream.spec
            made = self._whole[part] if part in self._whole else PARTS[part](spec, self._seed)
            self._heard[part] = self._gone_through(made)
        return self._heard[part]

    def _gone_through(self, learner: Learner) -> Heard:
        state, heard = learner.begin(1), Heard(learner.voices)
        for x_TBF, y_TB, seen_TB, _ in self._blocks:
            began = time.thread_time()
            shown = self.stream.spec.shown(learner.spec, x_TBF)
            said, state = learner.predict_then_learn(state, shown, y_TB, seen_TB)
            heard.seconds += time.thread_time() - began
            heard.said.append(said)
        return heard


def _judged(answer: Said, which: str, y_TB: Tensor) -> Tensor:
    """Truth, what was said and its loss, shape B3, float64."""
    truth = y_TB[0].double()
    only = None if which == "both" else ANSWERS.index(which)
    if isinstance(answer, Classes):
        logp = (answer.marginal() if only is None else answer.logp_TBVC[:, :, only])[0]
        loss = -logp.gather(1, y_TB[0].unsqueeze(1))[:, 0].clamp(min=LEAST)
        return torch.stack([truth, logp.argmax(1).double(), loss.double()], 1)
    said = (answer.moments()[0] if only is None else answer.mean_TBV[:, :, only])[0].double()
    return torch.stack([truth, said, (said - truth).abs()], 1)
