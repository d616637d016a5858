"""Headless Chromium, from outside: the page as it stands after a while, its picture, its errors."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@dataclass(frozen=True)
class Seen:
    """What the browser made of a page."""

    html: str
    console: list[str]

    def text(self, element: str) -> str:
        """Give the words in the element of that id, which holds nothing but words."""
        found = re.search(rf'id="{element}"[^>]*>([^<]*)<', self.html)
        assert found, f"no element {element}"
        return unescape(found[1])

    def value(self, element: str) -> float:
        """Give the number behind the words in the element of that id."""
        found = re.search(rf'id="{element}"[^>]* data-value="([^"]*)"', self.html)
        assert found, f"no value at {element}"
        return float(found[1])

    def root(self, attribute: str) -> str | None:
        """Give a data attribute of the whole page."""
        found = re.search(rf'<html[^>]* data-{attribute}="([^"]*)"', self.html)
        return found[1] if found else None


def look(url: str, home: Path, *more: str, size: str = "1280,800", seconds: float = 4) -> Seen:
    """Open the page, let so many seconds of its own time pass, and give what it is then."""
    done = subprocess.run(
        [
            str(CHROMIUM),
            *FLAGS,
            f"--user-data-dir={home}",
            f"--window-size={size}",
            f"--virtual-time-budget={int(1000 * seconds)}",
            *(more or ("--dump-dom",)),
            url,
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return Seen(done.stdout, re.findall(r":CONSOLE[:(]\d+\)?\] (.*)", done.stderr))
