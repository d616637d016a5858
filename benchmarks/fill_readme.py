"""Put what was measured into README.md and pages of docs/, between their markers.

    python -m benchmarks.fill_readme

Each out/NAME.json goes between <!-- results:NAME --> and <!-- /results:NAME -->; a name whose file
is not there keeps what it has, and is told.
"""

from pathlib import Path

from benchmarks import table

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "families.md", ROOT / "docs" / "agent.md")


def filled(text: str, folder: Path) -> str:
    """Give the text with the tables of that folder between its markers."""
    return table.filled(
        text,
        "results",
        lambda name: folder / f"{name}.json",
        lambda told: table.markdown(told["header"], told["rows"]),
    )


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), table.OUT), encoding="utf-8")
