"""What a newcomer reads is true: settings load, commands parse, links lead somewhere."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import app
from agent.settings import load
from benchmarks import table
from benchmarks.fill_readme import filled
from docs.make_settings import page

ROOT = Path(__file__).parent.parent
READ = sorted(
    path.relative_to(ROOT)
    for pattern in ("README.md", "docs/*.md", "deploy/*.md")
    for path in ROOT.glob(pattern)
)
EXAMPLES = sorted(path.relative_to(ROOT) for path in (ROOT / "deploy" / "examples").glob("*.toml"))
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)\)")


def blocks(*kinds: str) -> Iterator[str]:
    for path in READ:
        if kinds == ("toml",) and path.name.startswith("robots"):
            continue  # lives and settings of robots: see test_robot_docs
        for kind, text in FENCED.findall((ROOT / path).read_text(encoding="utf-8")):
            if kind in kinds:
                yield text


def commands() -> list[list[str]]:
    text = "\n".join(blocks("console", "bash", "sh")).replace("\\\n", " ")
    lines = (line.removeprefix("$ ").strip() for line in text.splitlines())
    words = [shlex.split(line, comments=True) for line in lines]
    return [line for line in words if line and Path(line[0]).name == "adaptd"]


def test_the_reference_of_settings_is_up_to_date() -> None:
    """Else: .venv/bin/python docs/make_settings.py."""
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page()


def test_every_setting_has_a_meaning() -> None:
    cells = [line.split(" | ") for line in page().splitlines() if line.startswith("| `")]
    assert len(cells) > 80
    assert [row for row in cells if len(row) < 4 or not row[-1].strip(" |")] == []


@pytest.mark.parametrize("text", list(blocks("toml")))
def test_every_toml_block_is_good_settings(text: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    load(path, {})


@pytest.mark.slow
def test_the_ten_lines_of_the_readme_do_what_it_says(tmp_path: Path) -> None:
    """The first thing that a newcomer tries; a few seconds, most of them PyTorch's."""
    (tmp_path / "payments.csv").write_text(next(blocks("csv")), encoding="utf-8")
    (tmp_path / "stream.toml").write_text(next(blocks("toml")), encoding="utf-8")
    command = [sys.executable, "-m", "agent", "run", "stream.toml", "--once", "--port", "0"]
    env = {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True, timeout=60)
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    said = [json.loads(line) for line in lines]
    assert [(one["id"], one["key"], one["label"]) for one in said] == [
        ("p0", "c0", None),
        ("p1", "c1", "no"),
    ]
    assert (tmp_path / "refused.jsonl").read_bytes() == b""


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_every_example_is_found_good_by_validate(path: Path) -> None:
    result = CliRunner().invoke(app, ["validate", str(ROOT / path)])
    assert result.exit_code == 0, result.stderr
    assert ": good (" in result.stdout


def uncommented(path: Path) -> str:
    """The example with every setting that it comments out switched on."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.sub(r'^# (?=\w+ = ["\d\w])', "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_what_an_example_comments_out_is_good_too(path: Path, tmp_path: Path) -> None:
    (tmp_path / path.name).write_text(uncommented(path), encoding="utf-8")
    load(tmp_path / path.name, {})


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_shown_has_only_known_words(words: list[str]) -> None:
    """Read by the real parser; nothing is run."""
    group = typer.main.get_command(app)
    name, *rest = words[1:]
    group.commands[name].make_context(name, rest).close()  # type: ignore[attr-defined]  # it is a group


@pytest.mark.parametrize("path", READ, ids=str)
def test_every_link_leads_to_a_file_that_is_there(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / path).parent.joinpath(link).exists()] == []


def test_what_was_measured_goes_between_its_markers_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "OUT", tmp_path)
    table.write("rates", [{"loop": "a|b", "events/s": 12_345, "part": 0.51239}], "python it")
    text = "head\n<!-- results:rates -->\nold\n<!-- /results:rates -->\ntail\n"
    once = filled(text, tmp_path)
    assert once.startswith("head\n<!-- results:rates -->\n\n")
    assert once.endswith("| a\\|b | 12,345 | 0.5124 |\n\n<!-- /results:rates -->\ntail\n")
    assert "`python it`" in once
    assert "old" not in once
    assert filled(once, tmp_path) == once


def test_tables_of_what_was_not_measured_stay_as_they_are(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert filled(text, tmp_path) == text
    for name in ("field_best", "field_ranks", "rates", "soak"):
        assert f"<!-- results:{name} -->\n" in text
        assert f"<!-- /results:{name} -->\n" in text
