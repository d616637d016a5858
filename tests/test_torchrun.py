"""Several processes train as one: the same weights on all, and those of one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from agent.learners.meta import Meta
from agent.learners.registry import every_learner
from agent.training.episodes import spec_of
from agent.training.ranks import Ranks, ranks
from agent.training.settings import TrainSettings
from agent.training.trainer import train
from streams.worlds.families import TASKS

ROOT = Path(__file__).parents[1]
CASES = (("maml", "sinusoid"), ("reptile", "sinusoid"), ("prototypical", "mixtures"))
SETTINGS = TrainSettings(
    iterations=15, tasks_per_step=4, shards=2, validate_every=5, validation_tasks=8,
    checkpoint_every=10, threads=1,
)  # fmt: skip


def trained(name: str, tasks: str, where: Ranks, out: Path) -> dict[str, torch.Tensor]:
    family = TASKS[tasks]
    world = family.build(family.settings())
    entry = every_learner()[name]
    learner = entry(spec_of(world))
    assert isinstance(learner, Meta)
    done = train(learner, world, SETTINGS, ranks=where, outer=entry.outer, folder=out / name)
    best = torch.tensor(done.history[-1].best)
    return {**learner.state_dict(), "the best validation": best}


def one_of_several(out: Path) -> None:
    """Run in each of the processes that `torchrun` starts."""
    with ranks(os.environ, "cpu") as where:
        for name, tasks in CASES:
            save_file(trained(name, tasks, where, out), out / f"{name}-{where.rank}")


@pytest.mark.slow
def test_two_processes_end_with_the_same_weights_which_are_those_of_one(tmp_path: Path) -> None:
    """Three processes that load torch: the one way to see gloo average their gradients."""
    how = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [sys.executable, *how, __file__, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for name, tasks in CASES:
        first, second = (load_file(tmp_path / f"{name}-{rank}") for rank in (0, 1))
        alone = trained(name, tasks, Ranks(), tmp_path / "alone")
        for leaf, weight in first.items():
            assert torch.equal(weight, second[leaf]), (name, leaf)
            torch.testing.assert_close(weight, alone[leaf], rtol=1e-3, atol=1e-5)


if __name__ == "__main__":
    one_of_several(Path(sys.argv[1]))
