"""Meta-training of the mixer: what the voices said on generated streams, and descent on it.

The voices do not depend on the mixer, so each stream is gone through once; the mixer then learns
from rows of all streams, many times over. Held-out streams say when to stop and how much it helps.

Shapes: N rows, F features, V voices, C classes, P parameters.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.continual.blend import Blend, Heard
from agent.continual.mixer import Mixer
from agent.learners.base import Spec
from agent.nets import adam, adam_begin, hot


@dataclass(frozen=True, slots=True)
class Stream:
    """Rows and labels, and when each label is known.

    `known_N` is the row after whose arrival the label is known; its own where at once, -1 never.
    """

    spec: Spec
    x_NF: NDArray[np.float32]
    y_N: NDArray[np.float64]
    known_N: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lanes:
    """A stream as it is answered and learned: a lane an event, and one more a late label."""

    row_L: NDArray[np.int64]
    seen_L: NDArray[np.bool_]
    late_L: NDArray[np.float32]
    asked_L: NDArray[np.bool_]


def lanes(known_N: NDArray[np.int64]) -> Lanes:
    """Lay events and late labels out in the order in which they come."""
    count = len(known_N)
    own = known_N == np.arange(count)
    late = np.flatnonzero((known_N > np.arange(count)) & (known_N < count))
    due: dict[int, list[int]] = {}
    for row in late[np.argsort(known_N[late], kind="stable")].tolist():
        due.setdefault(int(known_N[row]), []).append(row)
    rows: list[tuple[int, bool, int, bool]] = []
    learned, at_question = 0, np.zeros(count, np.int64)
    for row in range(count):
        at_question[row] = learned
        rows.append((row, bool(own[row]), 0, True))
        learned += int(own[row])
        for one in due.get(row, ()):
            rows.append((one, True, learned - int(at_question[one]), False))
            learned += 1
    row_L, seen_L, late_L, asked_L = (np.array(column) for column in zip(*rows, strict=True))
    return Lanes(row_L, seen_L, late_L.astype(np.float32), asked_L)


def lanes_of(stream: Stream, block: int = 32) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Give a stream block by block: rows TBF, labels TB, which are learned (TB) and asked (B)."""
    plan = lanes(stream.known_N)
    x_LF = stream.x_NF[plan.row_L]
    if stream.spec.dated:
        x_LF = np.concatenate([x_LF, plan.late_L[:, None]], 1)
    for at in range(0, len(x_LF) - block + 1, block):
        cut = slice(at, at + block)
        y = torch.from_numpy(stream.y_N[plan.row_L[cut]]).unsqueeze(0)
        y = y.float() if stream.spec.regression else y.long()
        seen = torch.from_numpy(plan.seen_L[cut]).unsqueeze(0)
        yield torch.from_numpy(x_LF[cut]).unsqueeze(0), y, seen, torch.from_numpy(plan.asked_L[cut])


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What the voices said of the events of one stream, in half precision, and the truth."""

    logp_NVC: Tensor
    sight_NVZ: Tensor
    about_NA: Tensor
    known_NC: Tensor
    share_NV: Tensor
    y_N: Tensor


def witness(build: Callable[[Spec], Blend], stream: Stream, block: int = 32) -> Witnessed:
    """Go through a stream once; the mixer is neither asked nor taught."""
    blend = build(stream.spec)
    state = blend.begin(1)
    found: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for x_TBF, y, seen, asked in lanes_of(stream, block):
            said, after = blend.ask(state, x_TBF, y, seen)
            heard = blend.hear(state, said, y, seen)
            found.append(_kept(heard, y, asked))
            state = {**state, **after, **blend.answer(state, heard, y, seen)[1]}
    return Witnessed(*(torch.cat(column) for column in zip(*found, strict=True)))


def _kept(heard: Heard, y_TB: Tensor, asked_B: Tensor) -> tuple[Tensor, ...]:
    """What is kept of a block; numbers as distances from the voices' median, in typical errors."""
    logp, known, y = heard.logp_TBVC, heard.known_TBC, y_TB
    if heard.unit_TB1 is not None:
        logp = ((logp[..., 0] - known) / heard.unit_TB1).clamp(-100, 100).unsqueeze(3)
        y = ((y - known[..., 0]) / heard.unit_TB1[..., 0]).clamp(-100, 100)
        known = torch.zeros_like(known)
    whole = (logp, heard.sight_TBVZ, heard.about_TBA, known, heard.share_TBV)
    return (*(leaf[0][asked_B].half() for leaf in whole), y[0][asked_B])


@dataclass(frozen=True, slots=True)
class MixingSettings:
    """How the mixer is meta-trained.

    Args:
        iterations: steps of Adam.
        rate: its step size at its highest; it warms up and falls to zero.
        streams: taken in one step.
        rows: of each.
        decay: of the weights, per step, times the rate.
        absent: share of steps in which some voices are taken for guests.
    """

    iterations: int = 4000
    rate: float = 4e-3
    streams: int = 4
    rows: int = 256
    decay: float = 1e-3
    absent: float = 0.1


def loss(mixer: Mixer, weights_1P: Tensor, some: Witnessed, row_B: Tensor) -> Tensor:
    """Mean log loss of rows of one stream, in nats; of numbers mean absolute error, in units."""
    fast = mixer.layout.split(weights_1P)
    looked = mixer.look(
        fast, some.sight_NVZ[row_B].float().unsqueeze(0), some.about_NA[row_B].float().unsqueeze(0)
    )
    said = some.logp_NVC[row_B].float()
    if not mixer.words:
        answer = (looked.weight_TBV[0] * said[..., 0]).sum(1)
        return (answer - some.y_N[row_B].float()).abs().clamp(max=20).mean()
    known = some.known_NC[row_B].float()
    out = mixer.mix(fast, looked, said.unsqueeze(0)).out_TBC[0] + known
    label = some.y_N[row_B].long()
    met = known.gather(1, label.unsqueeze(1)).squeeze(1) == 0
    each = torch.nn.functional.cross_entropy(out, label, reduction="none")
    return torch.where(met, each, 0.0).sum() / met.sum().clamp(min=1)


def replay(
    mixer: Mixer, weights_1P: Tensor, some: Witnessed, rate: float, block: int = 32
) -> Tensor:
    """Each row's loss by the mixer, going on learning at this rate as it would on the stream."""
    state = adam_begin("mixer", weights_1P.clone())
    lost: list[Tensor] = []
    with torch.inference_mode():
        for at in range(0, len(some.y_N) - block + 1, block):
            cut = slice(at, at + block)
            fast = mixer.layout.split(state["mixer"])
            sight, about = some.sight_NVZ[cut].float(), some.about_NA[cut].float()
            looked = mixer.look(fast, sight.unsqueeze(0), about.unsqueeze(0))
            said, y = some.logp_NVC[cut].float().unsqueeze(0), some.y_N[cut].unsqueeze(0)
            if mixer.words:
                mixed = mixer.mix(fast, looked, said)
                logp = torch.log_softmax(mixed.out_TBC + some.known_NC[cut].float(), 2)
                lost.append(-logp.gather(2, y.unsqueeze(2))[0, :, 0].clamp(min=-10))
                wrong = (logp.exp() - hot(y, logp.shape[2])) / block
                grad = mixer.pull(fast, looked, mixed, wrong)
            else:
                mean = said[..., 0]
                answer = (looked.weight_TBV * mean).sum(2)
                lost.append((answer - y).abs()[0])
                slope = (answer - y).clamp(-1, 1).unsqueeze(2)
                wrong = slope * (mean - answer.unsqueeze(2)).clamp(-10, 10) / block
                grad = mixer.pull_weights(fast, looked, wrong)
            grad = grad / grad.norm(dim=1, keepdim=True).clamp(min=1.0)
            state = adam(state, "mixer", grad, rate, torch.ones(1, dtype=torch.bool))
    return torch.cat(lost)


def shared(some: Witnessed, *, words: bool) -> Tensor:
    """Each row's loss by fixed share over the voices."""
    share = some.share_NV.float()
    said = some.logp_NVC.float()
    if not words:
        return ((share * said[..., 0]).sum(1) - some.y_N).abs()
    pooled = torch.logsumexp(share.log().unsqueeze(2) + said, 1) + some.known_NC.float()
    logp = torch.log_softmax(pooled, 1)
    return -logp.gather(1, some.y_N.unsqueeze(1)).squeeze(1).clamp(min=-10)


def train(
    voices: Sequence[str],
    streams: Sequence[Witnessed],
    settings: MixingSettings,
    generator: torch.Generator,
    tell: Callable[[int, float], None] = lambda _at, _loss: None,
) -> Tensor:
    """Descend on the loss of rows drawn from all streams; give the parameters, shape 1P."""
    words = streams[0].y_N.dtype == torch.int64
    mixer = Mixer(voices, voices, words=words)
    weights = mixer.draw(generator).requires_grad_()
    optimizer = torch.optim.AdamW([weights], settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, total_steps=settings.iterations
    )
    for at in range(settings.iterations):
        optimizer.zero_grad()
        total = torch.zeros(())
        shape = mixer
        if torch.rand((), generator=generator) < settings.absent:
            shape = _with_guests(voices, generator, words=words)
        for _ in range(settings.streams):
            some = streams[int(torch.randint(len(streams), (), generator=generator))]
            row = torch.randint(len(some.y_N), (settings.rows,), generator=generator)
            one = loss(shape, weights, some, row) / settings.streams
            one.backward()
            total += one.detach()
        torch.nn.utils.clip_grad_norm_([weights], 1.0)
        optimizer.step()
        schedule.step()
        tell(at, float(total))
    return weights.detach()


def _with_guests(voices: Sequence[str], generator: torch.Generator, *, words: bool) -> Mixer:
    """Make some voices strangers, at random."""
    out = torch.rand(len(voices), generator=generator) < 0.2  # noqa: PLR2004 - one in five
    names = [f"guest {name}" if guest else name for name, guest in zip(voices, out, strict=True)]
    return Mixer(names, voices, words=words)
