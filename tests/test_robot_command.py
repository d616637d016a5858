"""`adaptd robot` from outside: what it says, what it leaves, and that a killed life goes on."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.faults import SettingsError
from agent.robot.film_log import caption
from agent.robot.settings import RobotSettings, load
from agent.toml import Text
from tests.robots import EXAMPLES, turn

ROOT = Path(__file__).parent.parent
LIFE = "intact@0 invert:elbow@20 intact@60"
TIMES = ("plan_ms", "learn_ms")


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["robot", *words])
    return result.exit_code, result.output


def rows(path: Path) -> list[dict[str, str]]:
    """A life's CSV, without what a clock says."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIMES}
            for row in csv.DictReader(file)
        ]


def lived(folder: Path, *words: str) -> list[str]:
    """The command of a life of 200 steps, which leaves its CSV in the folder."""
    command = [sys.executable, "-m", "agent", "robot", "run", "--life", LIFE, "--steps", "200"]
    command += ["--controller", "random", "--robots", "2", "--port", "0", "--seed", "5"]
    return [*command, "--csv", str(folder / "life.csv"), *words]


def test_a_life_leaves_a_line_a_body_and_what_was_asked_for(tmp_path: Path) -> None:
    csv_file, plot = tmp_path / "life.csv", tmp_path / "life.png"
    code, said = run(
        "run", "--life", LIFE, "--controller", "random", "--port", "0", "--steps", "90",
        "--csv", str(csv_file), "--plot", str(plot), "--log-level", "error",
    )  # fmt: skip
    assert code == 0, said
    assert [line.split()[:3] for line in said.splitlines()[2:]] == [
        ["0", "intact", "20"], ["20", "invert:elbow", "40"], ["60", "intact", "30"],
    ]  # fmt: skip
    assert [row["truth"] for row in rows(csv_file)].count("invert:elbow") == 40
    assert plot.read_bytes().startswith(b"\x89PNG")


WRONG = {
    "an unknown joint": (["--life", "invert:elbw@0"], "elbow?"),
    "a life that does not begin": (["--life", "intact@5"], "begins at step 0"),
    "a life that cannot be read": (["--life", "intact"], "body@step"),
    "a missing file": (["--life", "gone.toml"], "check its name"),
    "an unknown body": (["--life", "bend:elbow@0"], "bend"),
    "an unknown robot": (["--env", "adaptd/PlanerArm-v0"], "did you mean adaptd/PlanarArm-v0?"),
    "an unknown environment": (["--env", "Pendulm-v1"], "Did you mean: `Pendulum`"),
    "no vector of actions": (["--env", "CartPole-v1"], "Discrete(2), no vector of numbers"),
    "a body that cannot change": (
        ["--env", "Pendulum-v1", "--life", "dead:motor@0"],
        "Pendulum-v1 keeps its body; those that change are adaptd/PlanarArm-v0",
    ),
    "an unknown controller": (["--controller", "randm"], "did you mean random?"),
    "an unknown option": (["--set", "options.sise=1"], "options.sise: unknown key"),
    "a wrong option": (["--set", "options.size=3"], "options.size: size is 3.0; give 0 to 1"),
    "no robots": (["--robots", "0"], "robots is 0; give 1 to 100000"),
    "no steps": (["--steps", "0"], "steps is 0; give 1 or more"),
    "an odd picture": (["--plot", "life.txt"], "end it in .png, .svg or .pdf"),
    "an odd film": (["--video", "life.txt"], "end it in .mp4, .gif or .webm"),
    "a film of a foreign robot": (
        ["--env", "Pendulum-v1", "--video", "x.mp4"],
        "RecordVideo",
    ),
    "an unknown setting": (["--set", "web.prot=0"], "web.prot: unknown key: did you mean port?"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_with_place_and_remedy_and_code_2(what: str) -> None:
    words, remedy = WRONG[what]
    flags = ["--controller", "random"] if "--controller" not in words else []
    code, said = run("run", "--port", "0", "--log-level", "error", *flags, *words)
    assert code == 2, said
    assert remedy in said
    assert said.startswith("adaptd: ")
    assert "Traceback" not in said


def test_a_life_is_not_taken_up_with_other_settings(tmp_path: Path) -> None:
    words = ["run", "--controller", "random", "--port", "0", "--log-level", "error"]
    words += ["--checkpoints", str(tmp_path)]
    assert run(*words, "--steps", "5")[0] == 0
    code, said = run(*words, "--steps", "9", "--seed", "4")
    assert code == 2
    assert "seed: 0 in the checkpoint, 4 now" in said
    assert run(*words, "--steps", "9")[0] == 0


def started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)


def until_lines(process: subprocess.Popen[bytes], path: Path, lines: int) -> None:
    """Wait until the CSV has so many lines."""
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, "it left too early"
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_life_goes_on_to_the_bit(tmp_path: Path) -> None:
    """Four processes that load torch: nothing less shows that what is on the disk is enough."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    subprocess.run(lived(whole), cwd=ROOT, check=True, capture_output=True, timeout=120)
    often = ["--set", "checkpoint.every_steps=25", "--checkpoints", str(parts / "ck")]
    pace = ["--real-time"]
    process = started(lived(parts, *often, *pace), tmp_path / "killed.log")
    until_lines(process, parts / "life.csv", 60)
    process.kill()
    process.wait(10)
    assert len(rows(parts / "life.csv")) < 400
    process = started(lived(parts, *often, *pace), tmp_path / "stopped.log")
    until_lines(process, parts / "life.csv", 160)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (tmp_path / "stopped.log").read_text()
    assert '"resumed"' in (tmp_path / "stopped.log").read_text()
    stopped = len(rows(parts / "life.csv"))
    assert 160 <= stopped < 400
    subprocess.run(lived(parts, *often), cwd=ROOT, check=True, capture_output=True, timeout=120)
    assert rows(parts / "life.csv") == rows(whole / "life.csv")
    assert len(rows(whole / "life.csv")) == 400


@pytest.mark.slow
def test_a_running_life_is_served_and_ends_in_order(tmp_path: Path) -> None:
    """A process of its own, for its port and its signals."""
    log = tmp_path / "log"
    process = started(lived(tmp_path, "--real-time", "--stay"), log)
    try:
        until_lines(process, tmp_path / "life.csv", 2)
        lines = log.read_text().splitlines()
        url = next(json.loads(line)["page"] for line in lines if '"serving"' in line)
        for path, words in {
            "": b"robot.js", "metrics": b"adaptd_robot_steps_total", "readyz": b'"ok":true',
            "status.json": b'"life":"intact@0', "charts.js": b"uPlot",
        }.items():  # fmt: skip
            with urlopen(url + path, timeout=10) as reply:  # noqa: S310 - loopback
                assert words in reply.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert '"left"' in log.read_text()
        assert "reward a step, by body" in log.read_text()
    finally:
        process.kill()


def test_settings_come_from_file_environment_and_flags_in_that_order() -> None:
    environment = {"ADAPTD__ROBOT__SEED": "4", "ADAPTD__ROBOT__WEB__PORT": "1", "ADAPTD__X": "1"}
    found = load(EXAMPLES / "arm.toml", environment, {"web.port": Text("2", "--port")})
    assert (found.seed, found.web.port, found.checkpoint.folder) == (4, 2, "lives/arm")
    assert load(None, {}) == RobotSettings()
    with pytest.raises(SettingsError, match="ADAPTD__ROBOT__SEED__: 4: name it"):
        load(None, {"ADAPTD__ROBOT__SEED__": "4"})


@pytest.mark.parametrize("name", ["arm", "far"])
def test_every_example_is_good(name: str) -> None:
    load(EXAMPLES / f"{name}.toml", {})


def test_the_example_of_a_life_is_one_of_the_cheetah() -> None:
    code, said = run(
        "run", "--env", "adaptd/ChangingHalfCheetah-v0", "--life", str(EXAMPLES / "life.toml"),
        "--controller", "hold", "--steps", "605", "--port", "0", "--log-level", "error",
    )  # fmt: skip
    assert code == 0, said
    for body in ("invert:bthigh", "worn out"):
        assert body in said


def test_the_list_names_robots_controllers_and_parts() -> None:
    code, said = run("list")
    assert code == 0
    for words in ("adaptd/PlanarArm-v0", "shoulder, elbow, wrist", "random", "40 ms"):
        assert words in said


def test_parts_are_listed_and_an_unknown_one_is_told() -> None:
    code, said = run("train", "nothing")
    assert code == 2
    assert "no part 'nothing' to train" in said
    assert run("train")[0] == 0


def test_an_unknown_benchmark_is_told_with_the_known_ones() -> None:
    code, said = run("bench", "clok")
    assert code == 2
    assert "clock" in said


def test_a_seed_of_bodies_is_refused_where_none_are_drawn() -> None:
    code, said = run("bench", "clock", "--seed", "3")
    assert code == 2
    assert "--seed goes with blind alone" in said


def test_one_robot_alone_is_refused_where_a_benchmark_has_one_anyway() -> None:
    code, said = run("bench", "arm", "--robot", "Ant")
    assert code == 2
    assert "--robot goes with others, blind alone" in said


def test_a_caption_says_truth_belief_and_how_it_goes() -> None:
    first, second, third = caption(turn(25, change=["new"]), 0.04)
    assert first == "  1.00 s   body: intact"
    assert second == "believed: body 0 (90 %) of 1   gain of elbow 1.00"
    assert third == "reward 1.00   surprise 0.10   noticed: new"
