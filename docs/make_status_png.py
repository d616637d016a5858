"""Make docs/status.png: run the daemon on the card world for two minutes, then picture its page.

    .venv/bin/python docs/make_status_png.py [seconds] [out.png]

Needs Chromium (Debian: apt-get install chromium). `--demo` as the first word pictures a synthetic
run instead of the daemon.
"""

import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # so that `agent` and `tests` are found from a fresh clone

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--window-size=1280,800", "--force-device-scale-factor=2",
    "--virtual-time-budget=5000",
)  # fmt: skip


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(url: str, daemon: subprocess.Popen[bytes], seconds: float = 90) -> None:
    """Wait until the page answers."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if daemon.poll() is not None:
            raise SystemExit(f"the daemon left with {daemon.returncode} before its page answered")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310 - loopback
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} did not answer within {seconds:g} s")


@contextlib.contextmanager
def running(seconds: float) -> Iterator[str]:
    """Run the daemon for so long in an empty folder, and give its page's address."""
    command, port = str(Path(sys.executable).with_name("adaptd")), free_port()
    url = f"http://127.0.0.1:{port}/"
    with tempfile.TemporaryDirectory() as folder:
        daemon = subprocess.Popen([command, "run", "--port", str(port)], cwd=folder)
        try:
            wait_for(url, daemon)
            print(f"{url} answers; picture in {seconds:g} s")
            time.sleep(seconds)
            yield url
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)


@contextlib.contextmanager
def synthetic() -> Iterator[str]:
    """Serve a synthetic run, and give its page's address."""
    from agent.service.health import Health  # noqa: PLC0415 - only the demo needs the package
    from agent.service.metrics import Metrics  # noqa: PLC0415 - as above
    from agent.service.status import About, Status  # noqa: PLC0415 - as above
    from agent.service.tally import Tally  # noqa: PLC0415 - as above
    from agent.service.web import Web, WebSettings, routes  # noqa: PLC0415 - as above
    from tests.steps import synthetic_run  # noqa: PLC0415 - as above

    tally, health, steps = Tally("classes"), Health(time.monotonic), list(synthetic_run())
    for step in steps:
        tally(step)
    health.mark("assigned")
    health.mark("restored")
    about = About("demo", "synthetic run")
    metrics = Metrics(about, tally, health, lambda: steps[-1].wall)
    status = Status(about, tally, health, lambda: steps[-1].wall)
    with Web(WebSettings(port=0), routes(status, health, metrics.text)) as web:
        yield web.url


def picture(url: str, out: Path) -> None:
    """Take the picture with headless Chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as home:
        command = [browser, *FLAGS, f"--user-data-dir={home}", f"--screenshot={out.resolve()}", url]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    _shrink(out)
    print(f"{out}: {out.stat().st_size:,} bytes")


def _shrink(path: Path) -> None:
    """Keep 256 colours: a page of flat colours looks the same at a third of the size."""
    with Image.open(path) as full:
        few = full.convert("RGB").quantize(
            256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE
        )
    few.save(path, optimize=True)


def main(words: list[str]) -> None:
    """Read the words of the command line, and do it."""
    demo = words[:1] == ["--demo"]
    words = words[demo:]
    seconds = float(words[0]) if words else 120.0
    out = Path(words[1]) if len(words) > 1 else ROOT / "docs" / "status.png"
    with synthetic() if demo else running(seconds) as url:
        picture(url, out)


if __name__ == "__main__":
    main(sys.argv[1:])
