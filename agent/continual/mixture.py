"""Tasks without labels for tasks: a changepoint posterior over states of one learner.

Bayesian online changepoint detection (Adams & MacKay 2007), over a learner's states as in MOCA
(Harrison, Sharma, Finn & Pavone 2020, Continuous Meta-Learning without Tasks). Beyond them, the
hypotheses are M *tasks*, the current one and stored ones that may return; and R *rungs*, learners
begun anew at recent moments, which stand for a new task of that age. The posterior moves with every
label inside a block; answers are its mixture, never a hard reset. When a hypothesis other than the
current task is all but sure, it becomes the current task; the one that was left is put back to what
it was before the change, and stored. The hazard has a Beta posterior.

What differs: (a) classes are judged as if all hypotheses had been taught with the same class
frequencies, so that a run of one label is no new task; (b) one label moves the odds by a bounded
factor; (c) inputs tilt the answers, by a running normal of each task's inputs, only as far as such
tilting has lately helped, and never move the posterior by themselves; (d) a hypothesis learns the
rows for which it is responsible.

Cost per block: the learner's for H = M + R tasks at once (twice where responsibility moves), and
some hundred small operations. Memory is that of H + R + 1 states. Neither grows.

Shapes: T tasks, B rows, F features, H hypotheses, M tasks kept, R rungs, C classes.
"""

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.belief import LEAST, Belief, Heard, MixtureSettings, spoken
from agent.continual.changes import believed
from agent.continual.detectors import DETECTORS, RECENT, alarmed, remembered, since_alarm
from agent.continual.hypotheses import (
    REFERENCE,
    moved,
    noted,
    noted_at_first,
    picked,
    referred,
)
from agent.continual.posterior import Bools, array, cut
from agent.continual.sound import put_back
from agent.continual.tasks import FADE, Book
from agent.learners.base import Exact, Learner, Said, Spec, State
from agent.learners.inferring import Believed
from agent.learners.registry import SINGLE, register
from agent.learners.ridge import Ridge
from agent.nets import pad_last, part, prefixed, rows_seen

__all__ = ["Mixture", "MixtureSettings"]

COMMON = 10_000.0  # labels whose frequencies all share
TRUST = 0.02  # a block: how often the use of inputs is thought to change


class Mixture(Exact):
    """One voice: the mixture of what the states of a learner say.

    Args:
        learner: of classes or of numbers; its task axis holds the hypotheses.
        settings: of the posterior.
    """

    voices = ("mixture",)

    def __init__(self, learner: Learner, settings: MixtureSettings | None = None) -> None:
        self._learner, self.settings = learner, settings or MixtureSettings()
        self.spec: Spec = learner.spec
        self._tasks, self._rungs = self.settings.tasks, len(self.settings.spans)
        self._places = self._tasks + self._rungs
        self._inputs, self._reference = self.spec.sees(), 0 if self.spec.outputs > 1 else REFERENCE
        self._belief = Belief(self.spec, self.settings)

    def begin(self, tasks: int) -> State:
        """One task, number 0, and one rung, both at the learner's start."""
        fresh = noted_at_first(self._learner.begin(tasks), tasks, self._inputs.features)
        book = {
            **Book.first(tasks, self._tasks, self._rungs),
            "hazard": torch.full((tasks, 1), self._belief.hazard(0, 0), dtype=torch.float64),
            "lean": torch.zeros(tasks, self._places, dtype=torch.float64),
            "trust": torch.full((tasks, 1), 0.5, dtype=torch.float64),
            "labels": torch.zeros(tasks, max(self.spec.classes, 1)),
            "late": torch.zeros(tasks, max(self.spec.classes, 1)),
            "rows": torch.zeros(tasks, self._reference, self.spec.features),
            "known": torch.zeros(tasks, self._reference, dtype=torch.bool),
        }
        if self.settings.by in DETECTORS:
            book["losses"] = torch.full((tasks, RECENT), -1.0)
        live, kept = (
            {name: leaf.repeat_interleave(times, 0) for name, leaf in fresh.items()}
            for times in (self._places, self._rungs)
        )
        trees = prefixed("live", live) | prefixed("kept", kept) | prefixed("fresh", fresh)
        return prefixed("mixture", book) | trees

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Mix what the hypotheses say by the posterior as it stands."""
        seen = np.zeros(x_TBF.shape[:2], np.bool_)
        each = self._learner.predict(part("live.inner", state), self._each(x_TBF))
        now = self._belief.standing(state)
        none = np.zeros((len(x_TBF), 2, x_TBF.shape[1], self._places))
        before, _, _ = self._belief.run_down(now, none, seen)
        lean, _ = self._belief.lean(state, now, x_TBF, seen)
        return spoken(each, self._belief.told(state, now, before, lean)[0])

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Let the posterior move from row to row, and teach nobody."""
        return self._hear(state, x_TBF, y_TB, rows_seen(y_TB, seen_TB), teach=False).said

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Exact posterior at every row; the hypotheses answer as the learner does in a block."""
        seen_TB = rows_seen(y_TB, seen_TB)
        heard = self._hear(state, x_TBF, y_TB, seen_TB, teach=True)
        if not heard.seen_TB.any():
            return heard.said, state
        return heard.said, self._settle(state, heard, x_TBF, y_TB)

    def foremost(self, state: State) -> tuple[Learner, State]:
        """Give the learner, and of each task the state that answers best now: what to plan with."""
        now = self._belief.standing(state)
        best = now.weight_T2H[:, 1] if self.settings.by == "posterior" else now.current_TH
        return self._learner, picked(part("live.inner", state), best.argmax(1), self._places)

    def believed(self, state: State) -> Believed:
        """Read which tasks there are, and which one is now."""
        return believed(state)

    def widen(self, state: State, classes: int) -> State:
        """Widen every hypothesis."""
        after = {**state} | {
            f"mixture.{name}": pad_last(state[f"mixture.{name}"], classes)
            for name in ("labels", "late")
        }
        for tree in ("live", "kept", "fresh"):
            inner = self._learner.widen(part(f"{tree}.inner", state), classes)
            after |= prefixed(f"{tree}.inner", inner)
        return after

    def _hear(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor, *, teach: bool
    ) -> Heard:
        """Let all hypotheses answer, and learn as if nothing changed; run the posterior down."""
        now, seen = self._belief.standing(state), array(seen_TB)
        taught = ((now.current_TH | self._belief.is_rung) & now.holds_TH)[:, None] & seen[..., None]
        each, elsewhere, learned = self._asked(state, x_TBF, y_TB, taught, teach=teach)
        late_TBC = self._belief.late(state, y_TB, seen)
        both_T2BH, loss_TBH = self._belief.evidence(state, now, each, elsewhere, y_TB, late_TBC)
        before_TBH, after_TBH, weight_T2H = self._belief.run_down(now, both_T2BH, seen)
        lean_TBH, carry_TH = self._belief.lean(state, now, x_TBF, seen)
        told, plain, tilted = self._belief.told(state, now, before_TBH, lean_TBH)
        like = np.exp(both_T2BH[:, 1])
        gain = np.log((tilted * like).sum(2) / (plain * like).sum(2))
        return Heard(
            spoken(each, told),
            now,
            seen,
            after_TBH,
            weight_T2H,
            late_TBC[:, -1],
            carry_TH,
            (gain * seen).sum(1, keepdims=True),
            loss_TBH,
            learned,
            taught,
        )

    def _asked(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, taught_TBH: Bools, *, teach: bool
    ) -> tuple[Said, Said, State | None]:
        """What all hypotheses say of the rows, and of those of reference; the states after."""
        live, rows = part("live.inner", state), x_TBF.shape[1]
        x_HBF = self._each(torch.cat([x_TBF, state["mixture.rows"]], 1))
        longer = (*(0,) * (2 * y_TB.ndim - 4), 0, self._reference)
        y_HB = self._each(torch.nn.functional.pad(y_TB, longer))
        mask_HB = np.zeros(x_HBF.shape[:2], np.bool_)
        mask_HB[:, :rows] = taught_TBH.swapaxes(1, 2).reshape(-1, rows)
        mask = torch.from_numpy(mask_HB).to(x_TBF.device)
        learned: State | None = None
        if teach and mask_HB.any():
            each, learned = self._learner.predict_then_learn(live, x_HBF, y_HB, mask)
        else:
            each = self._learner.foresee(live, x_HBF, y_HB, mask)
        return *cut(each, rows), learned

    def _settle(self, state: State, heard: Heard, x_TBF: Tensor, y_TB: Tensor) -> State:
        """Teach those responsible, then turn the page of each task's book."""
        mask_TBH = self._responsible(heard)
        inner = heard.learned
        other_T = torch.from_numpy((mask_TBH != heard.taught_TBH).any((1, 2))).to(x_TBF.device)
        if inner is None or bool(other_T.any()):
            mask_HB = torch.from_numpy(mask_TBH.swapaxes(1, 2).reshape(-1, x_TBF.shape[1]))
            rows = self._each(x_TBF), self._each(y_TB), mask_HB.to(x_TBF.device)
            again = self._learner.learn(part("live.inner", state), *rows)
            first = again if inner is None else inner
            inner = {name: put_back(leaf, again[name], other_T) for name, leaf in first.items()}
        x = self.spec.shown(self._inputs, x_TBF)
        live = prefixed("inner", inner) | noted(state, mask_TBH, x)
        pages, leaves = Book.opened(state)
        book = leaves | self._minutes(state, heard, x_TBF, y_TB)
        sources = [self._turn(page, heard, book, task) for task, page in enumerate(pages)]
        book = {name: leaf.to(x_TBF.device) for name, leaf in book.items()}
        after = {**state, **prefixed("mixture", book)}
        if not any(sources):
            return after | prefixed("live", live)
        still = [*range(self._places + self._rungs)]
        return after | moved(state, live, [one or still for one in sources], self._places)

    def _turn(
        self, page: Book, heard: Heard, book: dict[str, Tensor], task: int
    ) -> list[int] | None:
        """Write a block into a book; give the sources of what moves."""
        seen = heard.seen_TB[task]
        rows = float(seen.sum())
        if rows == 0:
            return None
        page.weight[:] = heard.weight_T2H[task]
        page.use *= FADE**rows
        page.use += heard.after_TBH[task, seen, : self._tasks].sum(0)
        page.number[2] += rows
        alarm = "losses" in book and alarmed(self.settings.by, since_alarm(book["losses"][task]))
        was = page.current
        winner = self._winner(page, alarm=alarm) if self._may_change(book, task) else None
        source = page.settle(self.settings.spans, winner, self.settings.young)
        book["hazard"][task] = self._belief.hazard(page.number[4], page.number[2])
        if page.current != was:
            book["lean"][task] = 0.0
        if alarm:
            book["losses"][task] = -1.0
        return source

    def _winner(self, page: Book, *, alarm: bool) -> int | None:
        if self.settings.by == "posterior":
            weight = page.weight[0]
            best = int(weight.argmax())
            rival = weight[best] / max(weight[best] + weight[page.current], LEAST)
            return best if rival >= self.settings.sure else None
        if not alarm:
            return None
        others = page.weight[0].copy()
        others[page.current] = -1.0
        return int(others.argmax())

    def _may_change(self, book: State, task: int) -> bool:  # noqa: ARG002 - see Guarded
        return True

    def _minutes(
        self, state: State, heard: Heard, x_TBF: Tensor, y_TB: Tensor
    ) -> dict[str, Tensor]:
        """What the book keeps of a block, besides its pages; tensors of its own."""
        seen = heard.seen_TB
        trust = array(state["mixture.trust"])
        odds = trust * np.exp(heard.gain_T1.clip(-3, 3))
        odds = odds / (odds + 1 - trust)
        labels = array(state["mixture.labels"])
        if not self.spec.regression:
            keep = (1 - 1 / COMMON) ** seen.sum(1, keepdims=True)
            met = (array(y_TB)[..., None] == np.arange(labels.shape[1])) & seen[..., None]
            labels = labels * keep + met.sum(1)
        book = {
            "hazard": array(state["mixture.hazard"]).copy(),
            "lean": heard.lean_TH.copy(),
            "trust": np.where(seen.any(1, keepdims=True), odds + TRUST * (0.5 - odds), trust),
            "labels": labels.astype(np.float32),
            "late": heard.late_TC.astype(np.float32),
        }
        leaves = {name: torch.from_numpy(leaf) for name, leaf in book.items()}
        if self.settings.by in DETECTORS:
            place = heard.now.current_TH.argmax(1)[:, None, None]
            loss_TB = torch.from_numpy(np.take_along_axis(heard.loss_TBH, place, 2)[..., 0])
            rings = state["mixture.losses"].cpu()
            leaves["losses"] = remembered(rings, loss_TB, torch.from_numpy(seen))
        return leaves | (referred(state, x_TBF, seen) if self._reference else {})

    def _responsible(self, heard: Heard) -> Bools:
        """Which rows each hypothesis learns, shape TBH: rungs all, tasks their own."""
        now = heard.now
        own = now.current_TH[:, None]
        if self.settings.by == "posterior":
            own = heard.after_TBH >= self.settings.learns
        mask: Bools = (own | self._belief.is_rung) & now.holds_TH[:, None]
        return mask & heard.seen_TB[..., None]

    def _each(self, rows: Tensor) -> Tensor:
        return rows.repeat_interleave(self._places, 0)


@register(
    "mixture",
    MixtureSettings,
    family="stream",
    paper="Adams & MacKay 2007, Bayesian Online Changepoint Detection, over states as in MOCA"
    " (Harrison et al. 2020), with stored tasks",
    goals=SINGLE,
)
def _mixture(spec: Spec, settings: MixtureSettings) -> Learner:
    return Mixture(Ridge(spec), settings)
