"""What deploy/ ships, read for the tests: files, tools, and what the code itself says."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import typer
import yaml

from agent.cli import app
from agent.service.health import Health
from agent.service.web import WebSettings, routes

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PORT = WebSettings().port
HOME = "/var/lib/adaptd"
USER = 10001


def paths() -> set[str]:
    """Give every path that the daemon answers."""
    nothing: Any = None
    return set(routes(nothing, Health(lambda: 0.0), lambda: (b"", "")))


def tool(name: str) -> str:
    """Give a tool of the environment or of the machine; skip the test where it is not there."""
    found = which(name, path=str(Path(sys.executable).parent)) or which(name)
    if found is None:
        pytest.skip(f"{name} is not here: install the extra `dev`, or Debian's package of it")
    return found


def ran(*command: str | Path) -> str:
    """Run a tool and give what it said; what it finds fails the test."""
    done = subprocess.run(
        [str(word) for word in command], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(path: str) -> Any:
    """Give a YAML file of deploy/."""
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def parsed(words: list[str]) -> Mapping[str, Any]:
    """Give the arguments of an `adaptd` command line, as the command itself would read it."""
    group: Any = typer.main.get_command(app)
    with group.commands[words[0]].make_context(words[0], words[1:]) as context:
        return dict(context.params)


def dockerfile() -> dict[str, str]:
    """Give the instructions of the last stage by name, the last of each name."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    last = max(at for at, line in enumerate(lines) if line.startswith("FROM "))
    return dict(line.split(" ", 1) for line in lines[last:])


def image_environment() -> dict[str, str]:
    """Give what the image puts into the environment."""
    return dict(pair.split("=", 1) for pair in dockerfile()["ENV"].split())


def strings(tree: Any) -> Iterator[str]:
    """Give every text in a tree of YAML."""
    if isinstance(tree, str):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree if type(tree) is list else ():
        yield from strings(part)
