"""Proximal policy optimization (Schulman et al. 2017) over a drill, with a critic that knows more.

The actor sees what the robot will see; the critic also sees the body (Pinto et al. 2018, Asymmetric
actor critic), which it is never asked about once training is over. An episode that ends by the
clock is bootstrapped with the critic's value; one that ends by a fall is worth nothing beyond it.

Shapes: T steps, N robots, B = T N rows, O observations, C context, P what only the critic sees,
A actions.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agent.control.crawl import Crawler
from agent.control.policy import Actor, layers
from agent.nets.body import seeded
from agent.robot.ppo_drill import Drill, Seen

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PpoSettings:
    """How a policy is trained.

    Args:
        horizon: T, steps of each robot between updates.
        epochs: times that each row is descended on.
        batch: rows a step of descent.
        rate: of Adam at the start; falls to a tenth along a line.
        clip: how far the probability of an action may move in an update.
        discount: of reward, a step.
        trace: lambda of the generalized advantage estimate.
        entropy: what a unit of entropy is worth.
        spread: log of the standard deviation of actions at the start.
        hidden: widths of the layers of actor and critic.
        centre: share by which the mean reward that is taken off all of them moves in an update
            (Naik et al. 2024, Reward centering); 0: nothing is. For robots whose episodes end by
            the clock alone, where discounts near 1 make all values large.
    """

    horizon: int = 16
    epochs: int = 3
    batch: int = 512
    rate: float = 1e-3
    clip: float = 0.2
    discount: float = 0.99
    trace: float = 0.95
    entropy: float = 1e-3
    spread: float = -1.0
    hidden: tuple[int, ...] = (128, 128)
    centre: float = 0.0

    def __post_init__(self) -> None:
        for name in ("horizon", "epochs", "batch", "rate", "clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0")
        if not 0 <= self.centre <= 1:
            raise ValueError(f"centre is {self.centre}; give a share, 0 to 1")
        for name in ("discount", "trace"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give more than 0, 1 at most")


class Learner(nn.Module):
    """Actor, critic and the spread of actions; build it under `seeded`."""

    def __init__(self, actor: Actor, privileged: int, settings: PpoSettings) -> None:
        super().__init__()
        self.actor, self.privileged = actor, privileged
        sizes = (actor.senses.size + actor.context + privileged, *settings.hidden, 1)
        self.critic = layers(sizes, nn.Tanh)
        self.spread_A = nn.Parameter(torch.full((actor.actions,), settings.spread))

    def value(self, seen: Seen) -> Tensor:
        """Give what the critic expects of these, (X)."""
        parts = [self.actor.senses(seen.obs), seen.context, seen.privileged]
        value: Tensor = self.critic(torch.cat(parts, -1)).squeeze(-1)
        return value

    def act(self, seen: Seen, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw actions (X, A), and give their log-probabilities."""
        mean = self.actor(seen.obs, seen.context)
        noise = torch.randn(mean.shape, generator=draw)
        action = mean + self.spread_A.exp() * noise
        return action, -(0.5 * noise.square() + self.spread_A).sum(-1)

    def logp(self, seen: Seen, action: Tensor) -> Tensor:
        """Give the log-probabilities of actions, without their constant."""
        far = (action - self.actor(seen.obs, seen.context)) * (-self.spread_A).exp()
        logp: Tensor = -(0.5 * far.square() + self.spread_A).sum(-1)
        return logp


@dataclass(slots=True)
class Scales:
    """Running mean and variance of observations; size of returns, and what rewards are about."""

    count: float = 1e-4
    mean: Tensor | float = 0.0
    var: Tensor | float = 1.0
    size: float = 1.0
    centre: float = 0.0

    def see(self, obs_BO: Tensor) -> None:
        """Merge these rows in (Chan et al. 1979)."""
        rows = len(obs_BO)
        whole = self.count + rows
        apart = obs_BO.mean(0) - self.mean
        var = self.var * self.count + obs_BO.var(0, correction=0) * rows
        self.var = (var + apart.square() * self.count * rows / whole) / whole
        self.mean, self.count = self.mean + apart * rows / whole, whole

    def tell(self, actor: Actor) -> None:
        """Let the actor standardise by them."""
        actor.senses.mean_O.copy_(torch.as_tensor(self.mean))
        actor.senses.std_O.copy_(torch.as_tensor(self.var).sqrt().clamp(min=1e-3))


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gives: actor, critic and spread, and reward a step by update."""

    learner: Learner
    rewards: tuple[float, ...]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All parts by name; those of the actor begin with "actor."."""
        return {name: one.clone() for name, one in self.learner.state_dict().items()}

    @property
    def late(self) -> float:
        """Give the reward a step of the last tenth of the updates."""
        some = self.rewards[-max(1, len(self.rewards) // 10) :]
        return sum(some) / len(some)


def train(
    drill: Drill,
    updates: int,
    settings: PpoSettings,
    seed: int,
    say: Say,
    start: Mapping[str, Tensor] | None = None,
    actor: Actor | None = None,
) -> Trained:
    """Train a policy on a drill for so many updates: from `Trained.tensors`, an actor, or nothing.

    What was learned already keeps the scale of its senses.
    """
    draw = torch.Generator().manual_seed(seed)
    learner = _begun(drill, settings, seed, start, actor)
    adam = torch.optim.Adam(learner.parameters(), settings.rate, eps=1e-5)
    scales, seen, rewards = Scales(), drill.begin(), list[float]()
    running_N = torch.zeros(drill.robots)
    for update in range(updates):
        rate = settings.rate * (1 - 0.9 * update / updates)
        for group in adam.param_groups:
            group["lr"] = rate
        rows, seen = collect(learner, drill, seen, settings, draw)
        if start is None:
            scales.see(rows["obs"].flatten(0, 1))
        rewards.append(float(rows["reward"].mean()))
        scales.centre += settings.centre * (rewards[-1] - scales.centre)
        rows["reward"] = rows["reward"] - scales.centre
        running_N = _sized(scales, rows["reward"], running_N, settings.discount)
        _improve(learner, adam, advantages(rows, scales.size, settings), settings, draw)
        if start is None:
            scales.tell(learner.actor)
        if update % 20 == 0 or update == updates - 1:
            late = sum(rewards[-10:]) / len(rewards[-10:])
            say(f"update {update} of {updates}: {late:.2f} a step")
    return Trained(learner.requires_grad_(requires_grad=False), tuple(rewards))


def actor_of(tensors: Mapping[str, Tensor]) -> Actor:
    """Build the actor among `Trained.tensors`."""
    mark = "actor."
    own = {name[len(mark) :]: one for name, one in tensors.items() if name.startswith(mark)}
    return (Crawler if "trot_P" in own else Actor).of(own)


def built(
    tensors: Mapping[str, Tensor], seed: int, settings: PpoSettings | None = None, *, fresh: bool
) -> Learner:
    """Build the learner that `Trained.tensors` are of; `fresh`: with weights that know nothing."""
    settings = settings or PpoSettings()
    with seeded(seed):
        actor = actor_of(tensors)
        if fresh:
            senses = actor.senses
            angles = senses.turns_O.nonzero().flatten().tolist()
            actor = Actor(
                len(senses.turns_O), actor.actions, actor.context, angles, settings.hidden
            )
            actor.senses = senses
        wide = tensors["critic.0.weight"].shape[1]
        learner = Learner(actor, wide - actor.senses.size - actor.context, settings)
    if not fresh:
        own = learner.state_dict().keys()
        learner.load_state_dict({name: one for name, one in tensors.items() if name in own})
    return learner.requires_grad_(requires_grad=True)


def _begun(
    drill: Drill,
    settings: PpoSettings,
    seed: int,
    start: Mapping[str, Tensor] | None,
    actor: Actor | None,
) -> Learner:
    if start is not None:
        return built(start, seed, settings, fresh=False)
    with seeded(seed):
        sizes = drill.observations, drill.actions, drill.context, drill.angles
        return Learner(actor or Actor(*sizes, settings.hidden), drill.privileged, settings)


@torch.no_grad()
def collect(
    learner: Learner, drill: Drill, seen: Seen, settings: PpoSettings, draw: torch.Generator
) -> tuple[dict[str, Tensor], Seen]:
    """Let the robots go T steps; give what happened, each (T, N, ...), and what is seen now."""
    kept: list[dict[str, Tensor]] = []
    for _ in range(settings.horizon):
        action, logp = learner.act(seen, draw)
        row = {
            "obs": seen.obs, "context": seen.context, "privileged": seen.privileged,
            "action": action, "logp": logp, "value": learner.value(seen),
        }  # fmt: skip
        now = drill.step(action.clamp(-1, 1))
        seen, cut_N = now.seen, now.ended_N & ~now.fallen_N
        ends = torch.where(cut_N, learner.value(now.last), 0.0) if cut_N.any() else 0 * now.reward_N
        kept.append(row | {"reward": now.reward_N, "ended": now.ended_N, "ends": ends})
    rows = {name: torch.stack([one[name] for one in kept]) for name in kept[0]}
    rows["after"] = learner.value(seen).unsqueeze(0)
    return rows, seen


def _sized(scales: Scales, reward_TN: Tensor, running_N: Tensor, discount: float) -> Tensor:
    first = scales.count < 2 * reward_TN.numel()
    for reward_N in reward_TN:
        running_N = running_N * discount + reward_N
    now = max(float(running_N.std()), 1.0)
    scales.size = now if first else 0.99 * scales.size + 0.01 * now
    return running_N


def advantages(rows: Mapping[str, Tensor], size: float, settings: PpoSettings) -> dict[str, Tensor]:
    """Give the rows, flat, with advantages and targets (Schulman et al. 2016, equation 16).

    `size` is what a reward is divided by.
    """
    value_TN, ended_TN = rows["value"], rows["ended"].float()
    reward_TN = rows["reward"] / size + settings.discount * rows["ends"]
    next_TN = torch.cat([value_TN[1:], rows["after"]])
    wrong_TN = reward_TN + settings.discount * next_TN * (1 - ended_TN) - value_TN
    gain_N, gains = torch.zeros_like(value_TN[0]), list[Tensor]()
    for t in reversed(range(len(value_TN))):
        gain_N = wrong_TN[t] + settings.discount * settings.trace * (1 - ended_TN[t]) * gain_N
        gains.append(gain_N)
    advantage_TN = torch.stack(gains[::-1])
    names = ("obs", "context", "privileged", "action", "logp")
    flat = {name: rows[name].flatten(0, 1) for name in names}
    target_TN = advantage_TN + value_TN
    return flat | {"advantage": advantage_TN.flatten(), "target": target_TN.flatten()}


def _improve(
    learner: Learner,
    adam: torch.optim.Optimizer,
    rows: Mapping[str, Tensor],
    settings: PpoSettings,
    draw: torch.Generator,
) -> None:
    count = len(rows["logp"])
    for _ in range(settings.epochs):
        for some in torch.randperm(count, generator=draw).split(settings.batch):
            adam.zero_grad()
            loss(learner, {name: one[some] for name, one in rows.items()}, settings).backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 0.5)
            adam.step()


def loss(learner: Learner, rows: Mapping[str, Tensor], settings: PpoSettings) -> Tensor:
    """Give the clipped surrogate (equation 9), with the critic's error and the entropy."""
    seen = Seen(rows["obs"], rows["context"], rows["privileged"])
    ratio_B = (learner.logp(seen, rows["action"]) - rows["logp"]).exp()
    good_B = rows["advantage"]
    good_B = (good_B - good_B.mean()) / (good_B.std() + 1e-8)
    near_B = ratio_B.clamp(1 - settings.clip, 1 + settings.clip)
    gain = torch.minimum(ratio_B * good_B, near_B * good_B).mean()
    wrong = (learner.value(seen) - rows["target"]).square().mean()
    entropy = learner.spread_A.sum() + 0.5 * math.log(2 * math.pi * math.e)
    return 0.5 * wrong - gain - settings.entropy * entropy
