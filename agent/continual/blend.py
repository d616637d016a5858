"""Blend: every voice of every expert, under a meta-learned mixer and fixed share.

Two answers are made of the voices: the mixer's (`agent.continual.mixer`), which was meta-trained
and goes on learning on this stream, and fixed share's; and these two are weighed by fixed share
once more. So the whole is never far behind its best voice (the regret of two fixed shares:
`agent.continual.share`), and ahead of it where voices complement one another.

Inside a block the losses that the mixer looks at and both fixed shares move from row to row; the
mixer's parameters take one step of Adam at its end. Cost a block of 32 rows, 20 voices and two
classes: about 1.2 ms on one core.

Shapes: T tasks, B rows, V voices, C classes, H horizons, A answers (two).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.mixer import HORIZONS, LEAST, Looked, Mixed, Mixer
from agent.continual.share import fixed_share
from agent.learners.base import Classes, Exact, Learner, Numbers, Said, Spec, State
from agent.nets import adam, adam_begin, all_seen, hot, part, prefixed
from agent.nets.trails import Trails

ANSWERS = ("mixer", "share")
UNSEEN = -30.0
WORST = 6.0  # of a loss that is looked at, in nats or in units of the typical error
PACE = 200.0  # labels over which the typical error of numbers is followed


@dataclass(frozen=True, slots=True)
class BlendSettings:
    """How voices are weighed.

    Args:
        rate: step size at which the mixer goes on learning; 0: it stays as it was meta-trained.
        switch: how often the best voice is thought to change, per label.
        trust: the same for the two answers.
        floor: the least likelihood, relative to the best, that a label can give a voice.
    """

    rate: float = 0.002
    switch: float = 0.01
    trust: float = 0.005
    floor: float = 0.05

    def __post_init__(self) -> None:
        for name in ("rate", "switch", "trust"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give 0 to 1")
        if not 0 < self.floor < 1:
            raise ValueError(f"floor is {self.floor}; give a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Start:
    """A meta-trained mixer: the voices that it knows, and its parameters, flat (1P)."""

    voices: tuple[str, ...]
    weights_1P: Tensor


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a block before the mixer is asked."""

    logp_TBVC: Tensor  # or the voices' means, C = 1
    scale_TBV: Tensor | None
    sight_TBVZ: Tensor
    about_TBA: Tensor
    known_TBC: Tensor
    share_TBV: Tensor
    after: dict[str, Tensor]
    unit_TB1: Tensor | None = None


class Blend(Exact):
    """Experts under a mixer.

    Args:
        spec: of the rows; each expert is shown the columns that its own spec asks for.
        experts: learners by name; every voice of each is weighed on its own.
        settings: how.
        start: the meta-trained mixer; None: one drawn from `seed`.
        seed: of that draw.
    """

    voices = ANSWERS

    def __init__(
        self,
        spec: Spec,
        experts: Mapping[str, Learner],
        settings: BlendSettings | None = None,
        start: Start | None = None,
        seed: int = 0,
    ) -> None:
        if not experts:
            raise ValueError("experts is empty: give at least one learner to weigh")
        self.spec, self.experts = spec, dict(experts)
        self._settings = settings or BlendSettings()
        names = tuple(voice for one in self.experts.values() for voice in one.voices)
        self.table = names
        words = not spec.regression
        self.mixer = Mixer(names, start.voices if start else names, words=words)
        drawn = self.mixer.draw(torch.Generator().manual_seed(seed))
        self._start = start.weights_1P if start else drawn
        self._trails = Trails(HORIZONS)

    def begin(self, tasks: int) -> State:
        """Equal weights, and the meta-trained mixer."""
        voices, classes = len(self.table), self.spec.width
        state: dict[str, Tensor] = {
            "weight": torch.full((tasks, voices), 1 / voices, dtype=torch.float64),
            "trust": torch.full((tasks, len(ANSWERS)), 1 / len(ANSWERS), dtype=torch.float64),
            "loss": torch.ones(tasks, len(HORIZONS), voices),
            "count": torch.zeros(tasks, 1),
            "known": torch.full((tasks, classes), 0.0 if self.spec.regression else UNSEEN),
            "unit": torch.zeros(tasks, 2),  # typical error; squared miss in units of the scale
            **adam_begin("mixer", self._start.expand(tasks, -1).contiguous()),
        }
        for name, expert in self.experts.items():
            state |= prefixed(name, expert.begin(tasks))
        return state

    def standing(self, state: State) -> dict[str, float]:
        """The voices' weights by fixed share, of the first task; they sum to one."""
        return dict(zip(self.table, state["weight"][0].tolist(), strict=True))

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """Answer each row by what has been learned so far."""
        said = [
            expert.predict(part(name, state), self.spec.shown(expert.spec, x_TBF))
            for name, expert in self.experts.items()
        ]
        y_TB = torch.zeros(x_TBF.shape[:2], device=x_TBF.device)
        seen_TB = torch.zeros_like(y_TB, dtype=torch.bool)
        return self.answer(state, self.hear(state, said, y_TB, seen_TB), y_TB, seen_TB)[0]

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        """Let losses and shares move from row to row, and teach nobody."""
        seen_TB = all_seen(y_TB, seen_TB)
        said = [
            expert.foresee(part(name, state), self.spec.shown(expert.spec, x_TBF), y_TB, seen_TB)
            for name, expert in self.experts.items()
        ]
        return self.answer(state, self.hear(state, said, y_TB, seen_TB), y_TB, seen_TB)[0]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        """Losses and shares exact at every row; the mixer takes one step; experts as they do."""
        seen_TB = all_seen(y_TB, seen_TB)
        said, experts = self.ask(state, x_TBF, y_TB, seen_TB)
        heard = self.hear(state, said, y_TB, seen_TB)
        answer, after = self.answer(state, heard, y_TB, seen_TB)
        if not bool(seen_TB.any()):
            return answer, state
        return answer, {**state, **experts, **after}

    def ask(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[list[Said], dict[str, Tensor]]:
        """Let every expert answer and learn; give what they said, and their states after."""
        heard: list[Said] = []
        after: dict[str, Tensor] = {}
        for name, expert in self.experts.items():
            shown = self.spec.shown(expert.spec, x_TBF)
            said, learned = expert.predict_then_learn(part(name, state), shown, y_TB, seen_TB)
            heard.append(said)
            after |= prefixed(name, learned)
        return heard, after

    def widen(self, state: State, classes: int) -> State:
        """Widen every expert; nothing here depends on the number of classes but who is known."""
        after = dict(state)
        room = classes - state["known"].shape[1]
        after["known"] = torch.nn.functional.pad(state["known"], (0, room), value=UNSEEN)
        for name, expert in self.experts.items():
            after |= prefixed(name, expert.widen(part(name, state), classes))
        return after

    def hear(self, state: State, said: Sequence[Said], y_TB: Tensor, seen_TB: Tensor) -> Heard:
        """Line the voices up, with their losses before each row."""
        if self.spec.regression:
            return self._hear_numbers(state, said, y_TB, seen_TB)
        logp = torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 2)
        logp = logp.nan_to_num(nan=LEAST, neginf=LEAST, posinf=0.0)
        met = torch.where(seen_TB.unsqueeze(2), hot(y_TB, logp.shape[3]), 0.0)
        so_far = torch.nn.functional.pad(met, (0, 0, 1, 0)).cumsum(1)
        known = torch.where(so_far > 0, 0.0, state["known"].unsqueeze(1))
        index = y_TB.long()[..., None, None].expand(*logp.shape[:3], 1)
        gained = logp.gather(3, index).squeeze(3)
        share, weight = fixed_share(
            state["weight"], gained, seen_TB, self._settings.switch, self._settings.floor
        )
        logp = logp.clamp(min=LEAST) * (known[:, :-1] == 0).unsqueeze(2)
        sure = torch.where((known[:, :-1] == 0).unsqueeze(2), logp, LEAST).amax(3)
        sight, loss = self._sight(state, -gained, seen_TB, sure)
        count = known[:, :-1].eq(0).sum(2).float()
        after = {"weight": weight, "loss": loss, "known": known[:, -1]}
        about = self._about(state, seen_TB, count.clamp(min=1).log() / 4)
        return Heard(logp, None, sight, about, known[:, :-1], share, after)

    def _sight(
        self, state: State, loss_TBV: Tensor, seen_TB: Tensor, sure_TBV: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What the mixer sees of each voice, shape TBVZ; the losses after the block."""
        loss_TBV = loss_TBV.clamp(max=WORST)
        trail, after = self._trails.run(state["loss"], loss_TBV, seen_TB)
        trail = trail.transpose(2, 3)  # T B V H
        ahead = trail - trail.amin(2, keepdim=True)
        among = sure_TBV - sure_TBV.mean(2, keepdim=True)
        return torch.cat([trail, ahead, sure_TBV.unsqueeze(3), among.unsqueeze(3)], 3), after

    def _about(self, state: State, seen_TB: Tensor, other_TB: Tensor) -> Tensor:
        seen = seen_TB.to(other_TB.dtype)
        count = state["count"] + seen.cumsum(1) - seen
        return torch.stack([torch.log1p(count) / 8, other_TB], 2)

    def _hear_numbers(
        self, state: State, said: Sequence[Said], y_TB: Tensor, seen_TB: Tensor
    ) -> Heard:
        numbers = [one for one in said if isinstance(one, Numbers)]
        scale = torch.cat([one.scale_TBV for one in numbers], 2).nan_to_num(nan=1e6).clamp(1e-9)
        mean = torch.cat([one.mean_TBV for one in numbers], 2)
        middle = mean.nan_to_num(posinf=0.0, neginf=0.0).median(2, keepdim=True).values
        mean = torch.where(mean.isfinite(), mean, middle)
        unit = torch.where(state["unit"][:, :1] > 0, state["unit"][:, :1], 1.0).unsqueeze(2)
        miss = (y_TB.unsqueeze(2) - mean) / unit
        gained = -0.5 * ((y_TB.unsqueeze(2) - mean) / scale) ** 2 - scale.log()
        share, weight = fixed_share(
            state["weight"], gained, seen_TB, self._settings.switch, self._settings.floor
        )
        sight, loss = self._sight(state, miss.abs(), seen_TB, (scale / unit).log().clamp(-4, 4))
        apart = ((mean - middle) / unit).clamp(-20, 20)
        spread = apart.abs().mean(2).log1p() / 2
        after = {"weight": weight, "loss": loss, "known": state["known"]}
        about = self._about(state, seen_TB, spread)
        unit = unit.expand(-1, y_TB.shape[1], -1)
        return Heard(mean.unsqueeze(3), scale, sight, about, middle, share, after, unit)

    def answer(
        self, state: State, heard: Heard, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, dict[str, Tensor]]:
        """Two answers, weighed; and what changes at the end of the block."""
        fast = self.mixer.layout.split(state["mixer"])
        looked = self.mixer.look(fast, heard.sight_TBVZ, heard.about_TBA)
        if self.spec.regression:
            return self._numbers(state, heard, (fast, looked), y_TB, seen_TB)
        mixed = self.mixer.mix(fast, looked, heard.logp_TBVC)
        share = heard.share_TBV.log().to(heard.logp_TBVC.dtype).unsqueeze(3)
        pooled = torch.logsumexp(share + heard.logp_TBVC, 2)
        logits = torch.stack([mixed.out_TBC, pooled], 2)
        logp = torch.log_softmax(logits + heard.known_TBC.unsqueeze(2), 3)
        index = y_TB.long()[..., None, None].expand(*logp.shape[:3], 1)
        gained = logp.gather(3, index).squeeze(3)
        trust, after = fixed_share(
            state["trust"], gained, seen_TB, self._settings.trust, self._settings.floor
        )
        wrong = logp[:, :, 0].exp() - hot(y_TB, logp.shape[3])
        changed = {**heard.after, "trust": after, "count": self._count(state, seen_TB)}
        changed |= self._step(state, fast, looked, mixed, wrong, seen_TB)
        return Classes(trust.log().float(), logp), changed

    def _count(self, state: State, seen_TB: Tensor) -> Tensor:
        return state["count"] + seen_TB.sum(1, keepdim=True)

    def _step(
        self,
        state: State,
        fast: dict[str, Tensor],
        looked: Looked,
        mixed: Mixed | None,
        wrong: Tensor,
        seen_TB: Tensor,
    ) -> dict[str, Tensor]:
        """One step of Adam on the mixer, against the mean gradient of the rows."""
        if self._settings.rate <= 0:
            return {}
        seen = seen_TB.unsqueeze(2)
        share = torch.where(seen, wrong, 0.0) / seen.sum(1, keepdim=True).clamp(min=1)
        if mixed is None:
            grad = self.mixer.pull_weights(fast, looked, share)
        else:
            grad = self.mixer.pull(fast, looked, mixed, share)
        norm = grad.norm(dim=1, keepdim=True)
        grad = grad / norm.clamp(min=1.0)
        return adam(state, "mixer", grad, self._settings.rate, seen_TB.any(1))

    def _numbers(
        self,
        state: State,
        heard: Heard,
        mixer: tuple[dict[str, Tensor], Looked],
        y_TB: Tensor,
        seen_TB: Tensor,
    ) -> tuple[Said, dict[str, Tensor]]:
        """The same for numbers: weighed means, learned by their absolute error."""
        fast, looked = mixer
        mean, scale = heard.logp_TBVC.squeeze(3), heard.scale_TBV
        assert scale is not None  # noqa: S101 - numbers have one
        weight = torch.stack([looked.weight_TBV, heard.share_TBV.float()], 2)
        answer = (weight * mean.unsqueeze(2)).sum(3)
        apart = mean.unsqueeze(2) - answer.unsqueeze(3)
        width = (weight * (scale.unsqueeze(2) ** 2 + apart**2)).sum(3).sqrt()
        loose = torch.where(state["unit"][:, 1:] > 0, state["unit"][:, 1:], 1.0).sqrt()
        width = width * loose.unsqueeze(2)
        miss = y_TB.unsqueeze(2) - answer
        gained = -(miss.abs() / width) - width.log()
        trust, after = fixed_share(
            state["trust"], gained, seen_TB, self._settings.trust, self._settings.floor
        )
        unit = torch.where(state["unit"][:, :1] > 0, state["unit"][:, :1], 1.0).unsqueeze(2)
        slope = -(miss[..., :1] / unit).clamp(-1, 1)
        wrong = slope * ((mean - answer[..., :1]) / unit).clamp(-10, 10)
        changed = {**heard.after, "trust": after, "count": self._count(state, seen_TB)}
        changed |= self._step(state, fast, looked, None, wrong, seen_TB)
        changed["unit"] = self._units(state, miss[..., 1], miss[..., 0] / width[..., 0], seen_TB)
        return Numbers(trust.log().float(), answer, width), changed

    def _units(self, state: State, miss_TB: Tensor, odd_TB: Tensor, seen_TB: Tensor) -> Tensor:
        """Follow the typical error, and how much wider than said errors are."""
        new = seen_TB.sum(1).clamp(min=1)
        size = torch.where(seen_TB, miss_TB.abs(), 0.0).sum(1) / new
        loose = torch.where(seen_TB, odd_TB.square().clamp(max=100), 0.0).sum(1) / new
        old = state["unit"]
        wider = loose * torch.where(old[:, 1] > 0, old[:, 1], 1.0)
        found = torch.stack([size, wider], 1).clamp(1e-12, 1e12)
        pace = (new / PACE).clamp(max=1).unsqueeze(1)
        moved = torch.where(old > 0, torch.lerp(old, found, pace), found)
        sound = seen_TB.any(1, keepdim=True) & moved.isfinite().all(1, keepdim=True)
        return torch.where(sound, moved, old)
