"""The page of robots: filled from what was measured, and true to the examples."""

import json
import re
from pathlib import Path

import pytest

from agent.robot.settings import load
from docs.make_robots import PAGE, filled, shown
from envs.life import Life
from tests.robots import EXAMPLES

ROWS = {
    "header": {"date": "2026-11-23", "machine": "m", "versions": "v", "command": "adaptd it"},
    "seeds": 5,
    "reward a step": {
        "robust": {"intact": [1.0, 3.0], "dead": [0.5, 0.5]},
        "told": {"intact": [4]},
    },
    "false alarms": 0,
}


def test_what_was_measured_goes_between_its_markers_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "robots-dead.json").write_text(json.dumps(ROWS), encoding="utf-8")
    text = "head\n<!-- robots:dead -->\nformer\n<!-- /robots:dead -->\n<!-- robots:arm -->\nkept\n"
    text += "<!-- /robots:arm -->\ntail\n"
    once = filled(text, tmp_path)
    assert "| robust | 2 ± 1.4 | 0.5 ± 0 |" in once
    assert "| told | 4 | - |" in once
    assert "seeds: 5; false alarms: 0." in once
    assert "`adaptd it`" in once
    assert "former" not in once
    assert "kept" in once
    assert filled(once, tmp_path) == once


def test_rows_as_lists_and_as_tables_are_laid_out() -> None:
    assert "| a | b |\n|---|---:|\n| x | 1.5 |" in shown({"rows": [{"a": "x", "b": 1.5}]})
    told = {"rows": {"way": [1, 2]}, "columns": ["one", "two"]}
    assert "| rows | one | two |\n|---|---:|---:|\n| way | 1 | 2 |" in shown(told)


BLOCKS = [
    block
    for page in sorted(PAGE.parent.glob("robots*.md"))
    for block in re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize("text", BLOCKS)
def test_every_toml_block_is_a_life_or_good_settings(text: str, tmp_path: Path) -> None:
    path = tmp_path / "it.toml"
    path.write_text(text, encoding="utf-8")
    if "[[change]]" in text:
        assert len(Life.from_toml(path).changes) > 1
    else:
        load(path, {})


def test_the_page_has_a_place_for_each_benchmark() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in ("arm", "inverted", "dead", "life", "trial", "clock", "others", "blind"):
        assert text.count(f"<!-- robots:{name} -->\n") == 1
        assert text.count(f"<!-- /robots:{name} -->") == 1


def test_the_ten_lines_are_those_of_the_example() -> None:
    text = PAGE.read_text(encoding="utf-8")
    block = next(
        one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@objective" in one
    )
    example = (EXAMPLES / "my_robot.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1]
    assert block == example
    assert len([line for line in block.splitlines() if line.strip()]) <= 10
