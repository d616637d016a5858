"""The mixer of voices: its written gradients, and that no order matters to it."""

import pytest
import torch
from torch import Tensor

from agent.continual.mixer import ABOUT, LOSSES, SURE, Mixer
from tests.draws import drawn

KNOWN = ("one", "two", "three", "four")
TABLES = [KNOWN, ("four", "guest", "two", "another", "one"), ("three", "one")]
IDS = ["as trained", "reordered, with guests", "some absent"]


def parameters(mixer: Mixer, tasks: int = 2) -> Tensor:
    """Parameters of every task, far from their start, in double precision."""
    return 0.4 * drawn(tasks, mixer.layout.size, seed=3).double()


def looked_at(mixer: Mixer, voices: int, flat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, and class logits, of seven rows; and the voices' words."""
    seen, about = drawn(2, 7, voices, LOSSES + SURE, seed=1), drawn(2, 7, ABOUT, seed=2)
    fast = mixer.layout.split(flat)
    looked = mixer.look(fast, seen.double(), about.double())
    logp = torch.log_softmax(drawn(2, 7, voices, 3, seed=4).double(), 3)
    out = mixer.mix(fast, looked, logp).out_TBC if mixer.words else looked.weight_TBV
    return looked.weight_TBV, out, logp


@pytest.mark.parametrize("voices", TABLES, ids=IDS)
def test_the_written_gradient_of_the_mixer_is_that_of_autograd(voices: tuple[str, ...]) -> None:
    mixer = Mixer(voices, KNOWN, words=True)
    flat = parameters(mixer).requires_grad_()
    _, out, logp = looked_at(mixer, len(voices), flat)
    by_out = drawn(2, 7, 3, seed=5).double()
    (expected,) = torch.autograd.grad((out * by_out).sum(), flat)
    fast = mixer.layout.split(flat.detach())
    seen, about = drawn(2, 7, len(voices), LOSSES + SURE, seed=1), drawn(2, 7, ABOUT, seed=2)
    looked = mixer.look(fast, seen.double(), about.double())
    written = mixer.pull(fast, looked, mixer.mix(fast, looked, logp), by_out)
    assert float(expected.abs().max()) > 0.1
    assert torch.allclose(written, expected, atol=1e-10)


@pytest.mark.parametrize("voices", TABLES, ids=IDS)
def test_the_written_gradient_by_the_weights_is_that_of_autograd(voices: tuple[str, ...]) -> None:
    mixer = Mixer(voices, KNOWN, words=False)
    flat = parameters(mixer).requires_grad_()
    weight, _, _ = looked_at(mixer, len(voices), flat)
    by_weight = drawn(2, 7, len(voices), seed=5).double()
    (expected,) = torch.autograd.grad((weight * by_weight).sum(), flat)
    fast = mixer.layout.split(flat.detach())
    seen, about = drawn(2, 7, len(voices), LOSSES + SURE, seed=1), drawn(2, 7, ABOUT, seed=2)
    looked = mixer.look(fast, seen.double(), about.double())
    written = mixer.pull_weights(fast, looked, by_weight)
    assert float(expected.abs().max()) > 0.1
    assert torch.allclose(written, expected, atol=1e-10)


def test_the_mixer_does_not_care_for_the_order_of_classes_nor_of_voices() -> None:
    mixer, other = Mixer(KNOWN, KNOWN, words=True), Mixer(KNOWN[::-1], KNOWN, words=True)
    flat = parameters(mixer, 1)
    fast = mixer.layout.split(flat)
    seen, about = drawn(1, 5, 4, LOSSES + SURE).double(), drawn(1, 5, ABOUT).double()
    logp = torch.log_softmax(drawn(1, 5, 4, 3, seed=1).double(), 3)
    out = mixer.mix(fast, mixer.look(fast, seen, about), logp).out_TBC
    order = [2, 0, 1]
    turned = mixer.mix(fast, mixer.look(fast, seen, about), logp[..., order]).out_TBC
    assert torch.allclose(turned, out[..., order], atol=1e-12)
    looked = other.look(fast, seen.flip(2), about)
    assert torch.allclose(other.mix(fast, looked, logp.flip(2)).out_TBC, out, atol=1e-12)
