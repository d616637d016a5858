"""The agent with a part taken out, stilled or replaced: what each variant is made of.

Parts go by name, so that one that several variants share is gone through once a stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.continual.blend import BlendSettings
from agent.continual.default import AgentSettings, voices_of
from agent.continual.mixture import Mixture, MixtureSettings
from agent.continual.shipped import shipped_starts
from agent.continual.stack import Stack
from agent.learners.attention import Attention
from agent.learners.base import Learner, Spec
from agent.learners.network import OnlineNetwork
from agent.learners.recency import Recency
from agent.learners.ridge import Ridge, RidgeOptions
from agent.nets.plasticity import Plasticity
from agent.nets.starts import AttentionStart, Starts

Make = Callable[[Spec, int], Learner]
"""Builds a part for rows of this spec, with this seed."""

SHARED = "mixture over ridge"


@dataclass(frozen=True, slots=True)
class Variant:
    """One row of a table.

    Args:
        what: it is, for a reader; also the name under which its figures are kept.
        swap: parts by the place that they take: a part's name, or None where it is taken out.
        blend: how voices are weighed.
        start: of the mixer: the one that ships, or drawn at random.
        answer: which of the two answers is judged.
        base: whether the whole agent's parts are there; without them, only those of `swap`.
        more: whether something is added, not taken out.
    """

    what: str
    swap: Mapping[str, str | None] = field(default_factory=dict)
    blend: BlendSettings = field(default_factory=BlendSettings)
    start: Literal["shipped", "random"] = "shipped"
    answer: Literal["both", "mixer", "share"] = "both"
    base: bool = True
    more: bool = False

    def parts(self, whole: Mapping[str, Make]) -> dict[str, str]:
        """Name the part at each place, those of the whole agent being called as their place."""
        placed = {place: place for place in whole if self.base} | dict(self.swap)
        return {place: part for place, part in placed.items() if part is not None}


def stack(
    spec: Spec,
    settings: AgentSettings,
    how: Plasticity | None = None,
    start: AttentionStart | None = None,
) -> Learner:
    """Build the agent's stack as it does, perhaps with another plasticity or start of attention."""
    plain, dated, starts = spec.sees(), spec.sees(dated=True), shipped_starts(spec)
    attention = Attention(
        dated,
        slots=settings.slots,
        bank=settings.bank,
        rate=settings.attention_rate,
        start=start or starts.attention,
    )
    recency = Recency(dated)
    votes = len(attention.voices) + len(recency.voices)
    how = how or Plasticity(start=starts.network)
    network = OnlineNetwork(plain, votes, settings.hidden, settings.rate, settings.seed, how)
    return Stack(attention, recency, network, settings.own, spec)


def whole(spec: Spec, seed: int) -> dict[str, Learner]:
    """Give the agent's own experts by place."""
    return voices_of(spec, AgentSettings(seed=seed))


def learned(change: Callable[[Plasticity], Plasticity]) -> Make:
    """Make the stack with another plasticity, from the steps that ship."""

    def make(spec: Spec, seed: int) -> Learner:
        how = Plasticity(start=shipped_starts(spec).network)
        return stack(spec, AgentSettings(seed=seed), change(how))

    return make


def changed(settings: AgentSettings) -> Make:
    """Make the stack with other settings of the agent."""
    return lambda spec, seed: stack(spec, replace(settings, seed=seed))


def one_rate(rate: float) -> Make:
    """Make the stack with one step size for all of the network, and one for all of attention."""

    def make(spec: Spec, seed: int) -> Learner:
        starts = shipped_starts(spec)
        even = replace(starts.network, linear=1.0, inner=1.0, outer=1.0, votes=1.0, bias=1.0)
        near = replace(starts.attention, rates=(1.0, 1.0, 1.0, 1.0))
        settings = AgentSettings(seed=seed, rate=rate)
        return stack(spec, settings, Plasticity(rule="adam", start=even), near)

    return make


def started(spec: Spec, seed: int) -> Learner:
    """Make the stack from the start that nobody meta-learned."""
    settings = AgentSettings(seed=seed)
    return voices_of(spec, settings, Starts())["stack"]


def tasks(settings: MixtureSettings) -> Make:
    """Make a mixture over tasks above ridge."""

    def make(spec: Spec, seed: int) -> Learner:
        inner = Ridge(spec.sees(), RidgeOptions(forget=(1.0,), seed=seed))
        return Mixture(inner, settings)

    return make


def ridge(forget: float) -> Make:
    """Make ridge with one pace of forgetting: a window of about 1 / (1 - forget) labels."""
    return lambda spec, seed: Ridge(spec.sees(), RidgeOptions(forget=(forget,), seed=seed))


RATES = (0.003, 0.01, 0.03)
PARTS: dict[str, Make] = {
    **{f"stack, one rate {rate}": one_rate(rate) for rate in RATES},
    "stack, Adam": learned(lambda how: replace(how, rule="adam")),
    "stack, unbounded": learned(lambda how: replace(how, bound=0.0)),
    "stack, unguarded": learned(lambda how: replace(how, guard=0.0)),
    "stack, not renewed": learned(lambda how: replace(how, renew=0)),
    "stack, not normed": learned(lambda how: replace(how, norm=False)),
    "stack, plain start": started,
    "stack, no bank": changed(AgentSettings(bank=0)),
    "stack, FIFO": changed(AgentSettings(slots=AgentSettings().slots * 2, bank=0)),
    "stack, still attention": changed(AgentSettings(attention_rate=0.0)),
    "stack, no own": changed(AgentSettings(own=0.0)),
    "attention": lambda spec, _: Attention(
        spec.sees(dated=True),
        AgentSettings().slots,
        bank=AgentSettings().bank,
        start=shipped_starts(spec).attention,
    ),
    "recency": lambda spec, _: Recency(spec.sees(dated=True)),
    "network": lambda spec, seed: OnlineNetwork(spec.sees(), seed=seed),
    "tasks": tasks(MixtureSettings()),
    "tasks, ADWIN": tasks(MixtureSettings(by="adwin")),
    "tasks, none stored": tasks(MixtureSettings(tasks=1)),
    "tasks, not by inputs": tasks(MixtureSettings(by_inputs=False)),
    "ridge 1": ridge(1.0),
    "ridge 0.998": ridge(0.998),
    "ridge 0.995": ridge(0.995),
    "ridge 0.98": ridge(0.98),
}


def _apart(*places: str) -> dict[str, str | None]:
    return {"stack": None} | {place: place for place in places}


def _alone(what: str, part: str) -> Variant:
    return Variant(what, {"alone": part}, answer="share", base=False)


WHOLE = "the whole agent"
AGENT = (
    Variant(WHOLE),
    Variant("mixer from a random start", start="random"),
    Variant(
        "mixer from a random start, twice the rate",
        blend=BlendSettings(rate=2 * BlendSettings().rate),
        start="random",
    ),
    Variant("mixer stands still", blend=BlendSettings(rate=0.0)),
    Variant("no share: the mixer alone", answer="mixer"),
    Variant("no mixer: fixed share alone", answer="share"),
    Variant("without ridge", {"ridge": None}),
    Variant("without cells", {"cells": None}),
    Variant("without boosted", {"boosted": None}),
    Variant("without bayes", {"bayes": None}),
    Variant("without transitions", {"transitions": None}),
    Variant("without autoregression", {"autoregression": None}),
    Variant("not stacked: three apart", _apart("attention", "recency", "network")),
    Variant("no attention (of the three apart)", _apart("recency", "network")),
    Variant("no recency (of the three apart)", _apart("attention", "network")),
    Variant("no network (of the three apart)", _apart("attention", "recency")),
    Variant("FIFO only, no bank", {"stack": "stack, no bank"}),
    Variant("FIFO only, of twice the slots", {"stack": "stack, FIFO"}),
    Variant("attention stands still", {"stack": "stack, still attention"}),
    Variant("attention taught by the network alone", {"stack": "stack, no own"}),
    Variant("attention and network from the plain start", {"stack": "stack, plain start"}),
    *(Variant(f"one tuned rate, {r}", {"stack": f"stack, one rate {r}"}) for r in RATES),
    Variant("rates not tuned online (Adam)", {"stack": "stack, Adam"}),
    Variant("steps not bounded", {"stack": "stack, unbounded"}),
    Variant("no guard of what matters", {"stack": "stack, unguarded"}),
    Variant("no renewal", {"stack": "stack, not renewed"}),
    Variant("no layer norm", {"stack": "stack, not normed"}),
    Variant("with tasks", {"tasks": "tasks"}, more=True),
    Variant("with tasks by ADWIN", {"tasks": "tasks, ADWIN"}, more=True),
    Variant("with tasks, none stored", {"tasks": "tasks, none stored"}, more=True),
)
"""Each beside the first."""

TASKS = (
    _alone(SHARED, "tasks"),
    _alone("ADWIN resets", "tasks, ADWIN"),
    _alone("no stored tasks", "tasks, none stored"),
    _alone("inputs move nothing", "tasks, not by inputs"),
    _alone("one ridge for all", "ridge 1"),
    _alone("a window of 500 labels", "ridge 0.998"),
    _alone("a window of 200 labels", "ridge 0.995"),
    _alone("a window of 50 labels", "ridge 0.98"),
)
"""The posterior by itself, over ridge, beside what could stand in its place."""

MEMORY = (
    "FIFO only, no bank",
    "FIFO only, of twice the slots",
    "attention stands still",
    "rates not tuned online (Adam)",
    "no guard of what matters",
    "no renewal",
    "no layer norm",
    "with tasks",
    "with tasks by ADWIN",
    "with tasks, none stored",
)
LONG = (AGENT[0], *(one for one in AGENT if one.what in MEMORY))
"""What only a long stream whose concepts return can show."""
