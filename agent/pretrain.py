"""Meta-training of the default agent's mixer on generated drifting streams, and its card.

Shapes: N rows, F features, K codes.
"""

import multiprocessing
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from agent.cards import ship
from agent.continual.blend import Blend, BlendSettings
from agent.continual.default import AgentSettings, voices_of
from agent.continual.mixer import Mixer
from agent.continual.mixing import (
    MixingSettings,
    Stream,
    Witnessed,
    replay,
    shared,
    train,
    witness,
)
from agent.encode import Encoder, EncoderSettings
from agent.learners.base import Spec
from streams.schema import Kind
from streams.worlds.drift import (
    HELD_OUT_KINDS,
    HELD_OUT_RULES,
    KINDS,
    RULES,
    TRAIN_KINDS,
    TRAIN_RULES,
    Drifting,
    drifting,
)

Tell = Callable[[str], None]


One = TypeVar("One")
Other = TypeVar("Other")


class Map(Protocol):
    """Applies a function to all, lazily and in order."""

    def __call__(self, each: Callable[[One], Other], of: Iterable[One], /) -> Iterator[Other]:
        """Give the results."""
        ...


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """What is trained on, and how long.

    Args:
        goal: of the streams: classes, or numbers.
        streams: to train on; kinds and rules that are held out are not among them.
        held: streams to be judged on, of all kinds and rules, with seeds of their own.
        rows: of a stream.
        seed: the first stream's; also of the mixer's draw.
        processes: that go through streams.
        agent: the voices.
        mixing: how the mixer learns.
    """

    goal: Literal["classes", "numbers"] = "classes"
    streams: int = 400
    held: int = 40
    rows: int = 1600
    seed: int = 1
    processes: int = 2
    agent: AgentSettings = field(default_factory=AgentSettings)
    mixing: MixingSettings = field(default_factory=MixingSettings)


HELD_FROM = 10_000_000  # seeds of streams that are judged on


def encoded(found: Drifting) -> Stream:
    """Give a generated stream as the daemon's encoder would."""
    names: dict[str, Kind] = {f"x{at}": "numeric" for at in range(found.x_NF.shape[1])}
    names |= {f"c{at}": "categorical" for at in range(found.codes_NK.shape[1])}
    encoder = Encoder(names, EncoderSettings())
    values = [
        (*_numbers(x_F), *(str(code) if code else None for code in c_K.tolist()))
        for x_F, c_K in zip(found.x_NF, found.codes_NK, strict=True)
    ]
    rows, _ = encoder.encode(encoder.begin(), values)
    spec = Spec(encoder.width + 1, found.classes, codes=encoder.codes, dated=True)
    return Stream(spec, rows, found.y_N.astype(np.float64), found.known_N.astype(np.int64))


def _numbers(x_F: NDArray[np.float32]) -> Iterator[float | None]:
    for value in x_F.tolist():
        yield None if value != value else value  # noqa: PLR0124 - only nan differs from itself


def build(spec: Spec, settings: AgentSettings) -> Blend:
    """Give the voices under a mixer that was not trained."""
    return Blend(spec, voices_of(spec, settings), BlendSettings(rate=0.0))


@contextmanager
def workers(processes: int) -> Iterator[Map]:
    """Give a `map` that runs in so many processes; in this one where it is one."""
    if processes == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(processes, initializer=_alone) as pool:
        yield pool.imap


def _alone() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _one(job: tuple[PretrainSettings, int, bool]) -> Witnessed:
    settings, seed, held = job
    kinds, rules = (KINDS, RULES) if held else (TRAIN_KINDS, TRAIN_RULES)
    numbers = settings.goal == "numbers"
    found = drifting(seed, settings.rows, kinds, rules=rules, regression=numbers)
    return witness(lambda spec: build(spec, settings.agent), encoded(found))


def witnessed(settings: PretrainSettings, tell: Tell, *, held: bool) -> list[Witnessed]:
    """Go through all streams; several processes share them."""
    first, count = (HELD_FROM, settings.held) if held else (settings.seed, settings.streams)
    jobs = [(settings, first + at, held) for at in range(count)]
    what = "held-out streams" if held else "streams"
    found: list[Witnessed] = []
    with workers(settings.processes) as mapped:
        for one in mapped(_one, jobs):
            found.append(one)
            if len(found) % 20 == 0 or len(found) == count:
                tell(f"{len(found)} of {count} {what}")
    return found


def pretrain(settings: PretrainSettings, folder: Path, tell: Tell) -> dict[str, Any]:
    """Train the mixer, judge it on held-out streams, write weights and card; give the card."""
    start = time.perf_counter()
    classes = 0 if settings.goal == "numbers" else 2
    voices = build(Spec(3, classes, dated=True), settings.agent).table
    streams = witnessed(settings, tell, held=False)
    draw = torch.Generator().manual_seed(settings.seed)
    steps = settings.mixing.iterations

    def each(at: int, loss: float) -> None:
        if at % 500 == 0 or at + 1 == steps:
            tell(f"step {at + 1} of {steps}: loss {loss:.4f}")

    weights = train(voices, streams, settings.mixing, draw, each)
    held = witnessed(settings, tell, held=True)
    raw = save({"mixer": weights})
    told = {
        "of": "the mixer of the default agent (agent.continual.mixer)",
        "goal": settings.goal,
        "voices": list(voices),
        "trained on": f"{len(streams)} generated streams of {settings.rows} rows, no real one",
        "kinds": list(TRAIN_KINDS),
        "rules": list(TRAIN_RULES),
        "held out": [*HELD_OUT_KINDS, *HELD_OUT_RULES],
        "judged": judged(voices, weights, held),
        "settings": asdict(settings),
        "seconds": round(time.perf_counter() - start),
    }
    return ship(folder, f"mixer-{settings.goal}", raw, told)


def judged(
    voices: Sequence[str], weights_1P: torch.Tensor, held: Sequence[Witnessed]
) -> dict[str, float]:
    """Mean loss on held-out streams: nats a label, or absolute error in typical ones."""
    words = held[0].y_N.dtype == torch.int64
    mixer = Mixer(voices, voices, words=words)
    fresh = mixer.draw(torch.Generator().manual_seed(0))
    rate = BlendSettings().rate
    ways = {
        "fixed share": [shared(one, words=words) for one in held],
        "meta-trained, standing still": [replay(mixer, weights_1P, one, 0.0) for one in held],
        "meta-trained, going on learning": [replay(mixer, weights_1P, one, rate) for one in held],
        "from a random start": [replay(mixer, fresh, one, 2 * rate) for one in held],
    }
    return {
        name: round(float(torch.stack([one.float().mean() for one in each]).mean()), 5)
        for name, each in ways.items()
    }
