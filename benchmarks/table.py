"""What a benchmark measured, on paper: out/NAME.json and out/NAME.md, with where and when."""

import json
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from typing import Any, TypeAlias

OUT = Path(__file__).parent.parent / "out"

Cell: TypeAlias = str | float | None
Row: TypeAlias = Mapping[str, Cell]


def header(command: str) -> dict[str, str]:
    """Say when, where and by which command."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {cpu_count()} cores",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "river", "kafka-python")),
        "command": command,
    }


def write(name: str, rows: Sequence[Row], command: str) -> None:
    """Write out/NAME.json and out/NAME.md, and print the latter."""
    head = header(command)
    OUT.mkdir(exist_ok=True)
    whole = json.dumps({"header": head, "rows": rows}, indent=1, allow_nan=False)
    (OUT / f"{name}.json").write_text(whole + "\n", encoding="utf-8")
    text = markdown(head, rows)
    (OUT / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def markdown(head: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Give the table, under a line that says when, where and how; numbers stand to the right."""
    said = f"{head['date']}, {head['machine']}, {head['versions']}. `{head['command']}`\n"
    names = list(rows[0])
    right = [any(isinstance(row[name], float | int) for row in rows) for name in names]
    lines = [names, ["---:" if one else "---" for one in right]]
    lines += [[_cell(row[name]) for name in names] for row in rows]
    return "\n".join([said, *("| " + " | ".join(line) + " |" for line in lines)]) + "\n"


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value.replace("|", "\\|")
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _processor() -> str:
    """Give the processor's name, as Linux tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def filled(text: str, kind: str, paths: Callable[[str], Path], laid: Callable[[Any], str]) -> str:
    """Put what was measured between its markers, <!-- kind:NAME --> and <!-- /kind:NAME -->.

    Args:
        text: of a page; a name whose file is not there keeps what it has, and is told.
        kind: of the markers.
        paths: gives the JSON of a name.
        laid: gives its markdown.
    """
    marked = re.compile(rf"(<!-- {kind}:(\w+) -->\n)(.*?)(<!-- /{kind}:\2 -->)", re.DOTALL)

    def fill(found: re.Match[str]) -> str:
        path = paths(found[2])
        if not path.exists():
            print(f"{found[2]}: kept as it is; there is no {path}")
            return found[0]
        return f"{found[1]}\n{laid(json.loads(path.read_text(encoding='utf-8')))}\n{found[4]}"

    return marked.sub(fill, text)
