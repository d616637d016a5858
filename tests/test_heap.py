"""Freed memory that is kept at hand, and what blocks have in common made once."""

import subprocess
import sys

import pytest
import torch

from agent.learners.base import Classes, Spec
from agent.learners.recency import Recency
from agent.nets import heap
from agent.nets.bank import flat, written
from agent.nets.kernel import LOGS, Bounds, Keys, Knobs, attention, attention_gradient

FAULTS = """
import resource, runpy, sys
granted = runpy.run_path(sys.argv[1])["keep_freed_memory"]()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        pieces = [bytearray(2_000_000) for _ in range(4)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
sys.exit(int(granted and faults() > 1000))
"""


def some(*shape: int, seed: int = 0) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=draw, dtype=torch.float64)


@pytest.mark.skipif(sys.platform != "linux", reason="speaks of Linux's C library")
def test_a_large_piece_that_was_freed_is_not_fetched_anew_from_the_system() -> None:
    """Else 20 times 8 MB are 40,000 pages, each a fault. It needs a process of its own."""
    code = subprocess.run([sys.executable, "-c", FAULTS, heap.__file__], check=False).returncode
    assert code == 0


def test_a_payload_that_sums_to_one_has_the_same_gradient_told_or_not() -> None:
    knobs = Knobs(some(2, 3), some(2, 4, seed=1), some(2, 4, 2, seed=2))
    key, payload = some(2, 9, 3, seed=3), some(2, 5, 9, seed=4)
    payload = payload / payload.sum(1, keepdim=True)
    query, distance = some(2, 6, 3, seed=5), some(2, 6, 9, seed=6)
    upstream, found = some(2, 4, 6, 5, seed=7), []
    for whole in (False, True):
        keys = Keys(key, key.square(), some(2, 2, 9, seed=8), payload, whole)
        weight, moment = attention(knobs, keys, distance)
        found.append(attention_gradient(knobs, keys, (query, distance, weight), moment, upstream))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_the_flat_vector_is_read_as_its_equations_say_and_kept_in_bounds() -> None:
    bounds, norm = Bounds(3, 2), torch.tensor([[2.0]])
    fast = torch.tensor([[0.1, -0.2, 0.3, -1.0, 0.5, -3.0, -14.0, 0.2, 0.7]])
    knobs = bounds.knobs(fast, norm)
    assert torch.allclose(knobs.weight_TF, (2 * fast[:, :3]).exp() / 2)
    assert torch.allclose(knobs.sharp_TV, (-2 * fast[:, 3:5]).exp())
    assert torch.allclose(knobs.about_TV2[0, :, 0], torch.tensor([-3.0, -99.0]).exp())
    assert torch.equal(knobs.about_TV2[..., 1], fast[:, 7:])
    wild = bounds.bounded(fast * 1000)
    assert wild[:, :7].min() == LOGS[0]
    assert wild[:, :7].max() == LOGS[1]
    assert wild[:, 7:].tolist() == [[1.0, 1.0]]
    assert torch.equal(bounds.bounded(fast), fast)


def test_slots_of_several_tasks_are_written_each_in_its_own() -> None:
    slot = torch.tensor([[0, 2], [1, 0]])
    leaf = written(torch.zeros(2, 3), flat(slot, 3), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert leaf.tolist() == [[1.0, 0.0, 2.0], [4.0, 3.0, 0.0]]


def test_a_block_of_labels_says_the_same_with_a_row_to_be_left_out_behind_it() -> None:
    """The trail and the weights take another way where not every row is a label."""
    learner = Recency(Spec(1, 3, dated=True))
    x, y = torch.zeros(1, 9, 1), torch.tensor([[0, 1, 2, 2, 1, 0, 0, 1, 2]])
    seen = torch.arange(9).unsqueeze(0) < 8
    plain, one = learner.predict_then_learn(learner.begin(1), x[:, :8], y[:, :8])
    more, two = learner.predict_then_learn(learner.begin(1), x, y, seen)
    assert isinstance(plain, Classes)
    assert isinstance(more, Classes)
    assert torch.allclose(plain.logp_TBVC, more.logp_TBVC[:, :8], atol=1e-6)
    for name, leaf in one.items():
        assert torch.allclose(leaf, two[name], atol=1e-6), name
