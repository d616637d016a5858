"""Put what was measured into README.md and pages of docs/, between their markers.

    python -m benchmarks.fill_readme

Each out/NAME.json goes between <!-- results:NAME --> and <!-- /results:NAME -->; a name whose file
is not there keeps what it has, and is told.
"""

import json
import re
from pathlib import Path

from benchmarks.table import OUT, markdown

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "families.md", ROOT / "docs" / "agent.md")
MARKED = re.compile(r"(<!-- results:(\w+) -->\n)(.*?)(<!-- /results:\2 -->)", re.DOTALL)


def filled(text: str, folder: Path) -> str:
    """Give the text with the tables of that folder between its markers."""

    def fill(found: re.Match[str]) -> str:
        path = folder / f"{found[2]}.json"
        if not path.exists():
            print(f"{found[2]}: kept as it is; there is no {path}")
            return found[0]
        whole = json.loads(path.read_text(encoding="utf-8"))
        return f"{found[1]}\n{markdown(whole['header'], whole['rows'])}\n{found[4]}"

    return MARKED.sub(fill, text)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), OUT), encoding="utf-8")
