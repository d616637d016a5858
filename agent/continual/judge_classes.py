"""Voices that speak of classes: heard, mixed, pooled, judged.

Shapes: T tasks, B rows, V voices, C classes, A answers (two), W words kept of a row.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.judge import Heard, Judge
from agent.continual.mixer import HORIZONS, LEAST
from agent.continual.recall import Then, ToldClasses, halfway, read, where_late, written
from agent.learners.base import Classes, Said, State
from agent.nets import hot

UNSEEN = -30.0


class ClassJudge(Judge):
    """As its base; words are kept in half precision."""

    @override
    def unsaid(self, classes: int) -> Tensor:
        return self._nothing(classes, torch.float16)

    @override
    def hear(
        self,
        state: State,
        said: Sequence[Said],
        y_TB: Tensor,
        seen_TB: Tensor,
        then_TBW: Tensor | None = None,
    ) -> Heard:
        logp = torch.cat([one.logp_TBVC for one in said if isinstance(one, Classes)], 2)
        logp = logp.nan_to_num(nan=LEAST, neginf=LEAST, posinf=0.0)
        met = torch.where(seen_TB.unsqueeze(2), hot(y_TB, logp.shape[3]), 0.0)
        so_far = torch.nn.functional.pad(met, (0, 0, 1, 0)).cumsum(1)
        known = torch.where(so_far > 0, 0.0, state["known"].unsqueeze(1))
        asked, then = known[:, :-1], None
        index = y_TB.long()[..., None, None].expand(*logp.shape[:3], 1)
        gained = judged = logp.gather(3, index).squeeze(3)
        if then_TBW is not None:
            then = self._then(then_TBW, y_TB)
            spoken = then.said_TBUZ[:, :, : self.voices]
            asked = where_late(then, torch.where(spoken[:, :, 0].isnan(), UNSEEN, 0.0), asked)
            logp = halfway(then, spoken, logp)
            judged = logp.gather(3, index).squeeze(3)
        share, weight = self._share(state["weight"], judged, seen_TB)
        logp = logp.clamp(min=LEAST) * (asked == 0).unsqueeze(2)
        sure = torch.where((asked == 0).unsqueeze(2), logp, LEAST).amax(3)
        sight, loss = self._sight(state, -gained, seen_TB, sure, then)
        count = asked.eq(0).sum(2).float()
        after = {"weight": weight, "loss": loss, "known": known[:, -1]}
        about = self._about(state, seen_TB, count.clamp(min=1).log() / 4, then)
        return Heard(logp, None, sight, about, asked, share, after, then=then)

    def _then(self, then_TBW: Tensor, y_TB: Tensor) -> Then:
        """Read words; a row whose class was not known when it was asked counts as not late."""
        then = read(then_TBW, self.voices, len(HORIZONS))
        index = y_TB.long()[..., None, None].expand(-1, -1, then.said_TBUZ.shape[2], 1)
        told = ~then.said_TBUZ.gather(3, index).isnan()[:, :, 0, 0]
        return replace(then, late_TB=then.late_TB & told)

    @override
    def answer(
        self, state: State, heard: Heard, y_TB: Tensor, seen_TB: Tensor
    ) -> tuple[Said, dict[str, Tensor]]:
        fast = self.mixer.layout.split(state["mixer"])
        looked = self.mixer.look(fast, heard.sight_TBVZ, heard.about_TBA)
        mixed = self.mixer.mix(fast, looked, heard.logp_TBVC)
        share = heard.share_TBV.log().to(heard.logp_TBVC.dtype).unsqueeze(3)
        pooled = torch.logsumexp(share + heard.logp_TBVC, 2)
        logits = torch.stack([mixed.out_TBC, pooled], 2)
        logp = torch.log_softmax(logits + heard.known_TBC.unsqueeze(2), 3)
        spoken, then = logp, heard.then
        if then is not None:
            answers = then.said_TBUZ[:, :, self.voices :].nan_to_num(nan=UNSEEN)
            spoken = where_late(then, answers, logp)
        index = y_TB.long()[..., None, None].expand(*logp.shape[:3], 1)
        gained = spoken.gather(3, index).squeeze(3)
        trust, after = self._trust(state["trust"], gained, seen_TB)
        wrong = logp[:, :, 0].exp() - hot(y_TB, logp.shape[3])
        changed = {**heard.after, "trust": after, "count": self._count(state, seen_TB)}
        changed |= self._step(state, fast, looked, mixed, wrong, seen_TB)
        return ToldClasses(trust.log().float(), logp, partial(_words, heard, logp)), changed


def _words(heard: Heard, logp_TBAC: Tensor) -> Tensor:
    said = torch.cat([heard.logp_TBVC, logp_TBAC], 2)
    said = torch.where((heard.known_TBC == 0).unsqueeze(2), said, torch.nan)
    trail = heard.sight_TBVZ[..., : len(HORIZONS)]
    return written(heard.about_TBA[..., 0], trail, said).half()
