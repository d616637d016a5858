import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from agent.cli import app

ROOT = Path(__file__).parent.parent


def typed(*words: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env=env)


def process(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The real command, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from agent.cli import main; main()", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::ResourceWarning"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def stream(path: Path, count: int = 300) -> Path:
    rows = (f"{i},{i % 7},{'yes' if i % 7 > 3 else 'no'}" for i in range(count))
    path.write_text("\n".join(["when,x,y", *rows]) + "\n")
    return path


def in_one_line(result: Result, word: str) -> bool:
    """Refused as a person should be told: one line on stderr, code 2, no traceback."""
    lines = result.stderr.splitlines()
    told = len(lines) == 1 and word in lines[0] and lines[0].startswith("adaptd: ")
    return result.exit_code == 2 and told and isinstance(result.exception, SystemExit)


COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands
            if command.callback is not None]  # fmt: skip


@pytest.mark.parametrize("command", [*COMMANDS, "dlq", "dlq list", "dlq show", "dlq requeue"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = typed(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"adaptd {command}" in result.stdout.partition("Example")[2]
    assert command.split(maxsplit=1)[0] in typed("--help").stdout


def test_every_command_is_known_here() -> None:
    wanted = {"doctor", "evaluate", "inspect", "learners", "replay", "run", "train", "validate"}
    assert wanted <= set(COMMANDS)


def test_the_version_is_said() -> None:
    assert typed("--version").stdout == "adaptd 0.1.0\n"


def test_help_and_version_load_no_torch() -> None:
    code = "import sys, agent.cli; print({'torch', 'river', 'kafka'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_good_settings_are_called_good(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("[web]\nport = 0")
    result = typed("validate", path)
    assert result.exit_code == 0
    assert "good (world to none" in result.stdout


def test_every_fault_of_bad_settings_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[web]\nprot = 0\n[source]\nkind = "fil"')
    result = typed("validate", path, env={"ADAPTD__SERVICE__THREADS": "x"})
    assert result.exit_code == 2
    assert sorted(line.split(": ")[1] for line in result.stderr.splitlines()) == [
        "service.threads (from ADAPTD__SERVICE__THREADS)",
        "source.kind",
        "web.prot",
    ]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--port", "70000"], "web.port"),
        (["--log-level", "loud"], "service.log_level (from --log-level)"),
        (["--set", "agent.blok=3"], "agent.blok: unknown key: did you mean block?"),
        (["--set", "agent.block=x"], "agent.block (from --set)"),
        (["none.toml"], "none.toml: cannot be read: there is no such file"),
    ],
)
def test_run_refuses_bad_flags_in_a_line(words: list[str], place: str) -> None:
    assert in_one_line(typed("run", *words), place)


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--port", "x"],
        ["run", "--set", "port"],
        ["evaluate"],
        ["evaluate", "f"],
        ["nothing"],
    ],
)
def test_wrong_usage_is_told_with_code_2(words: list[str]) -> None:
    result = typed(*words)
    assert result.exit_code == 2
    assert "Error: " in result.stderr or "Invalid" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["--target", "z"], "no column 'z'"),
        (["--target", "y", "--time", "whn"], "did you mean when?"),
        (["--target", "y", "--goal", "number"], "cannot be a number"),
        (["--target", "y", "--as", "x=wrd"], "no COLUMN=KIND"),
        (["--target", "y", "--label-delay", "soon"], "no delay"),
        (["--target", "y", "--label-delay", "7d"], "name one with --time"),
        (["--target", "y", "--against", "forest"], "no rival"),
        (["--target", "y", "--against", "river:forest.ARF"], "river.forest has no 'ARF'"),
        (["--target", "y", "--report", "out.pdf"], "name it .html or .png"),
        (["--target", "y", "--json", "no/where.json"], "there is no folder"),
        (["--target", "y", "--settings", "none.toml"], "no such file"),
        (["--target", "y", "--delimiter", "ab"], "delimiter"),
    ],
)
def test_evaluate_refuses_what_cannot_be_before_it_runs(
    tmp_path: Path, words: list[str], place: str
) -> None:
    result = typed("evaluate", stream(tmp_path / "f.csv"), *words)
    assert in_one_line(result, place), result.stderr


def test_evaluate_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert in_one_line(typed("evaluate", tmp_path / "no.csv", "--target", "y"), "no.csv")


def test_evaluate_writes_a_table_json_and_a_report(tmp_path: Path) -> None:
    """Slow: each of three models starts a process; this is the way of a person's first contact."""
    stream(tmp_path / "f.csv")
    rivals = "river:tree.HoeffdingTreeClassifier(grace_period=20, delta=0.1),no-change"
    done = process(
        *("evaluate", "f.csv", "--target", "y", "--against", rivals, "--label-delay", "10"),
        *("--json", "o.json", "--report", "o.html", "--seed", "3", "--as", "when=numeric"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    names = ["adaptd", "no-change", rivals.removesuffix(",no-change")]
    rows = json.loads((tmp_path / "o.json").read_text())
    assert [row["name"] for row in rows] == names
    assert [(row["events"], row["labels"]) for row in rows] == [(300, 300)] * 3
    assert all(row["events_per_s"] > 0 and row["peak_rss_bytes"] > 10e6 for row in rows)
    assert rows[0]["accuracy"] > 0.8
    assert all(name.split("(")[0] in done.stdout for name in names)
    assert "target y: 2 classes" in done.stderr
    page = (tmp_path / "o.html").read_text()
    assert all(name.split("(")[0] in page for name in names)


def test_json_to_standard_output_is_json_alone(tmp_path: Path) -> None:
    stream(tmp_path / "f.csv")
    words = ("evaluate", "f.csv", "--target", "x", "--goal", "number", "--rows", 50, "--json", "-")
    done = process(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["events"] for row in rows] == [50, 50]
    assert all(row["rmse"] is not None and row["accuracy"] is None for row in rows)


def test_a_model_that_fails_is_told_and_the_others_come_through(tmp_path: Path) -> None:
    stream(tmp_path / "f.csv", 50)
    rival = "river:feature_extraction.BagOfWords | naive_bayes.MultinomialNB"
    done = process("evaluate", "f.csv", "--target", "y", "--against", rival, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{rival} failed: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "adaptd" in done.stdout


def test_the_learners_are_listed() -> None:
    lines = typed("learners").stdout.splitlines()
    names = {line.split()[0] for line in lines if line.strip()}
    assert {"maml", "prototypical", "alpaca", "oml", "share", "river:GaussianNB"} <= names
    assert any("Finn, Abbeel & Levine 2017" in line for line in lines)


def test_the_learners_are_listed_for_scripts() -> None:
    listed = json.loads(typed("learners", "--json", "--classes", 7).stdout)
    by_name = {one["name"]: one for one in listed}
    assert by_name["maml"]["family"] == "optimization"
    assert by_name["maml"]["goals"] == ["classes", "number", "numbers"]
    assert by_name["alpaca"]["goals"] == ["number", "numbers"]
    assert min(one["state_bytes"] for one in listed) > 0
    fewer = json.loads(typed("learners", "--json").stdout)
    prototypes = next(one for one in fewer if one["name"] == "prototypical")
    assert prototypes["state_bytes"] < by_name["prototypical"]["state_bytes"]
    assert prototypes["parameters"] == by_name["prototypical"]["parameters"]


def test_the_daemon_runs_on_the_card_world_from_the_command_line(tmp_path: Path) -> None:
    done = process("run", "--port", 0, "--events", 3000, "--once", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
