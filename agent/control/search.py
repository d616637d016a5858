"""Which gait to try next, when to stop, and which body this is: what trials are decided by.

Bodies met before are hypotheses beside a new one, each with a forecast for every gait; what a
trial earned moves the odds between them by the density that each gave it.

Shapes: n robots that decide, G gaits, K bodies kept, M trials kept of each, H = K + 1 hypotheses
(the last: a new body).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from agent.control.controller import Kind
from agent.control.notebook import blank, joined, leaves, lists, mapped, merged, noted
from agent.control.outlook import NONE, Outlook
from agent.control.pace import KNOWN, PaceSettings
from agent.faults import at_least
from agent.learners.base import State


@dataclass(frozen=True, slots=True)
class TrialSettings:
    """How trials go, and when.

    Args:
        trial: steps of control of a trial.
        start: steps of it that do not count: the robot is still going over to the gait.
        most: trials after a change.
        enough: share of the most that any gait is thought to earn, from which on trials end.
        boldness: standard deviations that are added to a forecast when a gait is chosen.
        bodies: K.
        kept: M.
        doubt: share of the forecasts' deviation that is left where a simulation was told.
        fresh: probability that a change brings a body not met before.
        rise: steps that getting up may take before a gait is tried where the robot lies.
        weight: trials that a mean counts as, at the most.
        pace: when what the gait in use earns is a change.
    """

    trial: int = 80
    start: int = 40
    most: int = 10
    enough: float = 0.95
    boldness: float = 0.7
    bodies: int = 8
    kept: int = 24
    doubt: float = 0.5
    fresh: float = 0.5
    rise: int = 120
    weight: int = 10
    pace: PaceSettings = field(default_factory=PaceSettings)

    def __post_init__(self) -> None:
        at_least(1, self, "trial", "most", "bodies", "weight")
        if not 0 <= self.start < self.trial:
            raise ValueError(f"start is {self.start}; give 0 or more, below trial, {self.trial}")
        if self.kept <= self.most:
            raise ValueError(f"kept is {self.kept}; give more than most, {self.most}")
        for name in ("enough", "doubt", "fresh"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give a share above 0, to 1")


class Search:
    """Decides for robots whose trial has ended.

    Args:
        outlook: forecasts of gaits.
        settings: of trials.
    """

    def __init__(self, outlook: Outlook, settings: TrialSettings) -> None:
        self.outlook, self.settings = outlook, settings

    def begin(self, robots: int, gait: int) -> State:
        """Give the leaves of a search that knows one body, with what its best gait earns on it."""
        of, whole = self.settings, torch.zeros(robots, dtype=torch.int64)
        earned_N = torch.full((robots,), float(self.outlook.intact_G[gait]))
        first = noted(blank(robots, of.kept), whole + gait, earned_N, of.weight)
        others = blank(robots, of.bodies - 1, of.kept)
        memory = mapped(lambda one, rest: torch.cat([one.unsqueeze(1), rest], 1), first, others)
        used = torch.full((robots, of.bodies), NONE)
        used[:, 0] = 0
        return {
            "gait": whole + gait,
            "tries": whole,
            "trying": torch.zeros(robots, dtype=torch.bool),
            "body": whole,
            "used": used,
            "odds": torch.zeros(robots, of.bodies + 1, dtype=torch.float64),
            "expect": self.outlook.mean_G.expand(robots, -1).clone(),
            "doubt": torch.ones(robots),
            **leaves("list", blank(robots, of.kept)),
            **leaves("memory", memory),
        }

    def opened(self, state: State, who_n: Tensor) -> State:
        """Open an empty list where a change was noticed; every known body may have come back."""
        of = self.settings
        state = self._remembered(state, who_n)
        known_nK = state["used"][who_n] != NONE
        share_nK = torch.where(known_nK, (1 - of.fresh) / known_nK.sum(1, keepdim=True), 0.0)
        odds_nH = torch.cat([share_nK, torch.full_like(share_nK[:, :1], of.fresh)], 1).log()
        return put(
            state,
            who_n,
            {
                **leaves("list", blank(len(who_n), of.kept)),
                "odds": odds_nH.double(),
                "tries": torch.zeros_like(who_n),
                "expect": self.outlook.mean_G.expand(len(who_n), -1),
                "doubt": torch.ones(len(who_n)),
                "trying": torch.ones_like(who_n, dtype=torch.bool),
            },
        )

    def decided(self, state: State, who_n: Tensor, score_n: Tensor) -> tuple[State, Tensor]:
        """Note what was tried; choose the next gait, or the best one where trials are over.

        Returns:
            the state, and for each that decides whether its trials are over.
        """
        of = self.settings
        gait_n1 = state["gait"][who_n].unsqueeze(1)
        odds_nH = state["odds"][who_n] + self._density(state, who_n, gait_n1, score_n)
        before = mapped(lambda part: part[who_n], lists("list", state))
        tried = noted(before, gait_n1.squeeze(1), score_n, of.weight)
        tries_n = state["tries"][who_n] + 1
        state = put(state, who_n, {"odds": odds_nH, "tries": tries_n, **leaves("list", tried)})
        mean_nHG, deviation_nHG = self._forecasts(state, who_n)
        share_nH1 = odds_nH.softmax(1).unsqueeze(2)
        hope_nG = (share_nH1 * (mean_nHG + of.boldness * deviation_nHG)).sum(1)
        was_nG = _mask(tried.gait_NM, hope_nG.shape[1])
        limit_n, next_n = hope_nG.masked_fill(was_nG, -torch.inf).max(1)
        best_n, most_n = tried.best()
        done_n = (most_n >= limit_n - (1 - of.enough) * limit_n.abs()) | (tries_n >= of.most)
        return put(state, who_n, {"gait": torch.where(done_n, best_n, next_n)}), done_n

    def told(self, state: State, who_n: Tensor, mean_nG: Tensor) -> State:
        """Take in what a simulation of the body, as it is thought to be, says of every gait."""
        doubt_n = torch.full((len(who_n),), self.settings.doubt)
        return put(state, who_n, {"expect": mean_nG.double(), "doubt": doubt_n})

    def settled(self, state: State, who_n: Tensor) -> tuple[State, list[Kind]]:
        """Enter what was tried under the body that it was most probably; say which kind that is."""
        of = self.settings
        rows_n = torch.arange(len(who_n))
        used_nK, odds_nH = state["used"][who_n], state["odds"][who_n]
        guess_n = odds_nH.argmax(1)
        new_n = guess_n == of.bodies
        slot_n = torch.where(new_n, used_nK.argmin(1), guess_n)
        memory = mapped(lambda part: part[who_n], lists("memory", state))
        kept = mapped(lambda part: part[rows_n, slot_n], memory)
        empty = blank(len(who_n), of.kept)
        base = mapped(lambda one, other: torch.where(new_n.unsqueeze(1), one, other), empty, kept)
        mine = mapped(lambda part: part[who_n], lists("list", state))
        filled = merged(base, mine, of.weight)
        memory = mapped(lambda old, new: old.index_put((rows_n, slot_n), new), memory, filled)
        came_n = slot_n != state["body"][who_n]
        kinds: list[Kind] = [
            "new" if new else "returned" if came else ""
            for new, came in zip(new_n.tolist(), came_n.tolist(), strict=True)
        ]
        now_n = state["age"][who_n]
        used_nK = used_nK.scatter(1, slot_n.unsqueeze(1), now_n.unsqueeze(1))
        over = {"body": slot_n, "used": used_nK, "trying": torch.zeros_like(new_n)}
        return put(state, who_n, {**over, **leaves("memory", memory)}), kinds

    def _remembered(self, state: State, who_n: Tensor) -> State:
        """Note what the gait in use earned on the body that it was used on, until the change."""
        rows_n, slot_n = torch.arange(len(who_n)), state["body"][who_n]
        memory = mapped(lambda part: part[who_n], lists("memory", state))
        before = mapped(lambda part: part[rows_n, slot_n], memory)
        after = noted(before, state["gait"][who_n], state["pace"][who_n], 1)
        sure_n1 = (state["paced"][who_n] >= KNOWN).unsqueeze(1)
        own = mapped(lambda new, old: torch.where(sure_n1, new, old), after, before)
        memory = mapped(lambda old, new: old.index_put((rows_n, slot_n), new), memory, own)
        return put(state, who_n, leaves("memory", memory))

    def _density(self, state: State, who_n: Tensor, gait_n1: Tensor, score_n: Tensor) -> Tensor:
        """Give the log-density of a score under each hypothesis, (n, H)."""
        mean_nHG, deviation_nHG = self._forecasts(state, who_n)
        at_nH1 = gait_n1.expand(-1, mean_nHG.shape[1]).unsqueeze(2)
        mean_nH, deviation_nH = (x.gather(2, at_nH1).squeeze(2) for x in (mean_nHG, deviation_nHG))
        return self.outlook.density(mean_nH, deviation_nH, score_n.unsqueeze(1))

    def _forecasts(self, state: State, who_n: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and deviation of every gait under every hypothesis, (n, H, G) each."""
        mine = mapped(lambda part: part[who_n], lists("list", state))
        memory = mapped(lambda part: part[who_n], lists("memory", state))
        wide = mapped(lambda part: part.unsqueeze(1).expand(-1, self.settings.bodies, -1), mine)
        known = mapped(lambda part: part.flatten(0, 1), joined(memory, wide))
        shape = (len(who_n), self.settings.bodies, -1)
        mean, deviation = (x.view(shape) for x in self.outlook.after(known))
        new = self.outlook.after(mine, state["expect"][who_n], state["doubt"][who_n])
        mean = torch.cat([mean, new[0].unsqueeze(1)], 1)
        return mean, torch.cat([deviation, new[1].unsqueeze(1)], 1)


def put(state: State, who_n: Tensor, new: State) -> State:
    """Give a state in which some leaves of some robots are replaced."""
    changed = {name: state[name].index_put((who_n,), leaf) for name, leaf in new.items()}
    return {**state, **changed}


def _mask(gait_nM: Tensor, gaits: int) -> Tensor:
    """Mark the gaits of a list, (n, G)."""
    at_nM = torch.where(gait_nM == NONE, gaits, gait_nM)
    mask = torch.zeros(len(gait_nM), gaits + 1, dtype=torch.bool)
    return mask.scatter(1, at_nM, value=True)[:, :gaits]
