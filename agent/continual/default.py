"""The default agent: many voices over every row, under a meta-learned mixer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

from agent.continual.blend import Blend, BlendSettings, Start
from agent.continual.growth import GROWTH
from agent.continual.mixture import Mixture
from agent.continual.share import Share
from agent.continual.shipped import shipped, shipped_starts
from agent.continual.stack import Stack
from agent.learners.attention import Attention
from agent.learners.autoregression import Autoregression
from agent.learners.base import Learner, Spec
from agent.learners.bayes import Bayes
from agent.learners.boosted import Boosted, BoostedOptions
from agent.learners.cells import Cells, CellsOptions
from agent.learners.network import OnlineNetwork
from agent.learners.recency import Recency
from agent.learners.registry import SINGLE, NoOptions, register
from agent.learners.ridge import Ridge, RidgeOptions
from agent.learners.river import River, RiverSettings
from agent.learners.transitions import Transitions
from agent.nets.plasticity import Plasticity
from agent.nets.starts import Starts


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """The learner and how it is taught.

    Args:
        seed: of every generator in the agent.
        device: "auto" takes CUDA where it is there.
        batched: whether one process learns blocks of several shards in one call. On a CPU "auto"
            does if that leaves every bit of a shard's state as it is alone, which is tried at the
            start. On a GPU "auto" does, and states agree to rounding only.
        block: lanes of a block: predictions and labels taken up between two gradient steps. More is
            faster and a little slower to follow a change.
        growth: on a young stream the open block is learned provisionally whenever labels came that
            are this share of all before; 0 waits for whole blocks from the first row on.
        slots: labelled events that attention remembers as they came.
        bank: older ones that it keeps, balanced by class.
        attention_rate: step size of attention's scales, bandwidths and recencies.
        hidden: width of the network's hidden layer.
        rate: step size of the network.
        own: weight of attention's own loss beside what the network teaches it.
        blend: how the voices are weighed.
        experts: River models that sit at the table too, by name ("naive_bayes.GaussianNB").
        learners: meta-learners that sit at the table too: registered names ("gemcl"), or folders
            that `adaptd train` wrote.
        tasks: whether a mixture over remembered tasks sits at the table: it tells of changes, new
            or returned, in the log, the metrics, the answers and on the page, and costs about a
            fourth of the rate.
        classes: room for classes at the start; it doubles when it is full.
    """

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batched: Literal["auto", "on", "off"] = "auto"
    block: int = 32
    growth: float = GROWTH
    slots: int = 512
    bank: int = 512
    attention_rate: float = 0.02
    hidden: int = 64
    rate: float = 0.01
    own: float = 0.1
    blend: BlendSettings = field(default_factory=BlendSettings)
    experts: tuple[str, ...] = ()
    learners: tuple[str, ...] = ()
    tasks: bool = False
    classes: int = 2

    def __post_init__(self) -> None:
        for name, least, most in (
            ("block", 1, 4096),
            ("slots", 1, 1_000_000),
            ("bank", 0, 1_000_000),
            ("hidden", 1, 65_536),
            ("classes", 2, 4096),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{name} is {value}; give {least} to {most}")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("device is 'cuda', but there is no CUDA device here; give auto or cpu")
        for name in ("attention_rate", "rate", "own", "growth"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; give 0 to 1")

    def place(self) -> torch.device:
        """Give the device that is meant, here."""
        cuda = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return torch.device("cuda" if cuda else "cpu")


def stack_of(spec: Spec, settings: AgentSettings, starts: Starts | None = None) -> Stack:
    """Build what learns by gradient, from these starts or those that this package ships."""
    plain, dated = spec.sees(), spec.sees(dated=True)
    starts = starts or shipped_starts(spec)
    attention = Attention(
        dated,
        slots=settings.slots,
        bank=settings.bank,
        rate=settings.attention_rate,
        start=starts.attention,
    )
    recency = Recency(dated)
    network = OnlineNetwork(
        plain,
        votes=len(attention.voices) + len(recency.voices),
        hidden=settings.hidden,
        rate=settings.rate,
        seed=settings.seed,
        how=Plasticity(start=starts.network),
    )
    return Stack(attention, recency, network, settings.own, spec)


def voices_of(
    spec: Spec, settings: AgentSettings, starts: Starts | None = None
) -> dict[str, Learner]:
    """Build the agent's own experts: what remembers, what sums up, what learns by gradient."""
    plain, dated = spec.sees(), spec.sees(dated=True)
    experts: dict[str, Learner] = {
        "stack": stack_of(spec, settings, starts),
        "ridge": Ridge(plain, RidgeOptions(seed=settings.seed)),
        "cells": Cells(spec.sees(codes=True), CellsOptions(seed=settings.seed)),
        "boosted": Boosted(plain, BoostedOptions(seed=settings.seed)),
    }
    if spec.regression:
        return {**experts, "autoregression": Autoregression(dated)}
    return {**experts, "bayes": Bayes(plain), "transitions": Transitions(dated)}


def _of_task(spec: Spec) -> Learner:
    """What is kept of a task: for classes its labelled events, for numbers a regression."""
    if spec.regression:
        return Ridge(spec, RidgeOptions(forget=(1.0,)))
    return Attention(spec, slots=128, bank=128, bandwidths=(0.5,), recencies=(0.001,))


def default_agent(
    spec: Spec,
    settings: AgentSettings,
    seated: Mapping[str, Learner] | None = None,
    start: Start | None = None,
) -> Blend:
    """Build the learner that these settings ask for, with those that are seated beside it.

    The seated see the quantities of a row only.

    Args:
        spec: of the rows.
        settings: of everything.
        seated: further learners, by name.
        start: of the mixer; without it, the one that this package ships.

    Raises:
        ValueError: an expert's name means no River model of this goal.
    """
    experts = voices_of(spec, settings)
    if settings.tasks:
        experts["tasks"] = Mixture(_of_task(spec.sees()))
    for name in settings.experts:
        experts[name.replace(".", "/")] = River(spec.sees(), RiverSettings(name, settings.seed))
    experts |= dict(seated or {})
    begin = start or shipped(spec)
    return Blend(spec, experts, settings.blend, begin, settings.seed)


@register(
    "stack",
    family="stream",
    paper="Wolpert 1992, Stacked generalization: a network over the voices",
    goals=SINGLE,
)
def _stack(spec: Spec, _: NoOptions) -> Learner:
    plain, dated = spec.sees(), spec.sees(dated=True)
    attention, recency = Attention(dated), Recency(dated)
    votes = len(attention.voices) + len(recency.voices)
    return Stack(attention, recency, OnlineNetwork(plain, votes=votes), spec=spec)


@register(
    "share",
    family="stream",
    paper="Herbster & Warmuth 1998, Tracking the Best Expert: fixed share",
    goals=SINGLE,
)
def _share(spec: Spec, _: NoOptions) -> Learner:
    return Share(voices_of(spec, AgentSettings()), spec=spec)


@register(
    "blend",
    family="stream",
    paper="the default agent: a meta-learned mixer and fixed share over many voices",
    goals=SINGLE,
)
def _blend(spec: Spec, _: NoOptions) -> Learner:
    return default_agent(spec, AgentSettings())
