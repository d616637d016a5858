"""`adaptd train`, as a person types it."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from agent.cli import app
from agent.training.keep import FILE
from agent.training.weights import card_of, load

ROOT = Path(__file__).parents[1]
SMALL = [
    "--tasks-per-step", "4", "--queries", "5", "--test-tasks", "20", "--threads", "1",
    "--set-training", "validate_every=10", "--set-training", "validation_tasks=8",
    "--set-training", "checkpoint_every=5", "--set", "body.hidden=[8]",
]  # fmt: skip


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["train", *words])


def maml(out: Path, *words: str) -> Result:
    return typed("--learner", "maml", "--tasks", "sinusoid", "--out", str(out), *SMALL, *words)


def test_a_run_trains_compares_and_writes_weights_with_their_card(tmp_path: Path) -> None:
    done = maml(tmp_path, "--iterations", "20", "--shots", "1..5", "--steps", "2", "--seed", "3")
    assert done.exit_code == 0, done.output
    assert re.search(r"tasks of train and test: distance", done.output)
    assert re.search(r"10\s+10\s+.*±", done.output)
    assert "Meta-learning added" in done.output or "Mixed" in done.output
    card = card_of(tmp_path)
    assert card.training["shots"] == [1, 5]
    assert card.training["steps"] == [2, 2]
    assert card.training["seed"] == 3
    assert card.options["body"]["hidden"] == [8]
    assert [(row["shots"], row["steps"]) for row in card.scores] == [
        (0, 0), *((shots, steps) for shots in (1, 5, 10) for steps in (1, 5, 10))
    ]  # fmt: skip
    assert load(tmp_path).spec.features == 1
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [0, 10, 20]
    assert list(tmp_path.glob("events.out.tfevents.*"))
    assert (tmp_path / "finetune" / FILE).exists()


def test_classes_are_trained_from_tasks_of_ones_own_choice(tmp_path: Path) -> None:
    done = typed(
        "--learner", "prototypical", "--tasks", "mixtures", "--set-tasks", "ways=3",
        "--out", str(tmp_path), *SMALL, "--iterations", "10", "--shots", "2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert load(tmp_path).spec.classes == 3
    assert "finetune is not pre-trained" in done.output.replace("\n", " ")


def test_training_through_time_is_typed_too(tmp_path: Path) -> None:
    words = ["--through-time", "--set-time", "stream.length=20", "--set-time", "horizon=10"]
    done = maml(tmp_path, "--iterations", "4", *words)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--learner", "mamml"], "--learner: mamml: did you mean maml?"),
        (["--tasks", "sinusoids"], "--tasks: sinusoids: did you mean sinusoid?"),
        (["--set", "ratee=1"], "learner.ratee: unknown key: did you mean rate?"),
        (["--set", "body.hidden=[0]"], "hidden"),
        (["--set-tasks", "amplitud=[1,2]"], "tasks.amplitud: unknown key: did you mean amplitude?"),
        (["--set-training", "clip=-1"], "training.clip: "),
        (["--iterations", "-5"], "training.iterations: "),
        (["--shots", "five"], "write it as 5 or 1..5"),
        (["--shots", "5..1"], "training.shots: "),
        (["--set-time", "cue=-1"], "cue"),
        (["--resume"], "holds no run: leave out --resume"),
        (["--learner", "recency"], "no weights"),
        (["--learner", "prototypical"], "prototypical predicts classes; not number"),
        (["--set", "rate"], "write it as"),
    ],
)
def test_what_cannot_be_is_said_with_its_place_and_remedy(
    words: Sequence[str], said: str, tmp_path: Path
) -> None:
    given = ["--learner", "maml", "--tasks", "sinusoid", "--out", str(tmp_path / "run")]
    done = typed(*given, *words)
    assert done.exit_code == 2
    assert said in re.sub(r"[\s│]+", " ", done.output)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    assert maml(tmp_path, "--iterations", "5").exit_code == 0
    done = maml(tmp_path, "--iterations", "5")
    assert done.exit_code == 2
    assert "go on with --resume" in done.output
    other = maml(tmp_path, "--iterations", "5", "--resume", "--set-tasks", "noise=0.5")
    assert other.exit_code == 1
    assert "of another run" in other.output


def start(out: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent", "train", "--learner", "maml", "--tasks", "sinusoid",
         "--out", str(out), *SMALL, *words],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    assert path.exists(), process.communicate()[0]


@pytest.mark.slow
def test_a_process_that_is_killed_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Two real processes: only the system's own kill shows that the checkpoint outlives it."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed, "--iterations", "300")
    wait_for(killed / FILE, process)
    time.sleep(random.Random().uniform(0, 0.5))  # noqa: S311 - any moment will do
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "card.json").exists()
    assert maml(killed, "--iterations", "300", "--resume").exit_code == 0
    assert maml(whole, "--iterations", "300").exit_code == 0
    one, two = (load_file(folder / "weights.safetensors") for folder in (killed, whole))
    assert all(torch.equal(leaf, two[name]) for name, leaf in one.items())


@pytest.mark.slow
def test_ctrl_c_ends_with_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    """A real process: its signal handler is what is tested."""
    process = start(tmp_path, "--iterations", "100000")
    wait_for(tmp_path / FILE, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command with --resume goes on from there" in " ".join(said.split())
