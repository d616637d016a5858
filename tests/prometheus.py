"""A real Prometheus on loopback that scrapes daemons every second, with the rules that ship."""

import json
import math
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.broker import free_port, listening

FOLDER = Path(__file__).parent.parent / "deploy" / "prometheus"
PROMETHEUS = shutil.which("prometheus") or ""


@dataclass(frozen=True)
class Prometheus:
    """Its HTTP API."""

    url: str

    def get(self, path: str, **asked: str) -> Any:
        """Ask; ValueError with its words when it refuses."""
        try:
            with urlopen(f"{self.url}/api/v1/{path}?{urlencode(asked)}", timeout=10) as reply:  # noqa: S310 - loopback
                return json.load(reply)["data"]
        except HTTPError as error:
            raise ValueError(f"{asked}: {error.read().decode()}") from None

    def values(self, expr: str) -> list[float]:
        """Give what an expression yields now; NaN left out."""
        found = self.get("query", query=expr)["result"]
        values = [float(one["value"][1]) for one in found]
        return [one for one in values if not math.isnan(one)]

    def rules(self) -> list[dict[str, Any]]:
        """Give the rules with their health."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]


@contextmanager
def scraping(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run one on the configuration that ships, but faster and on these targets."""
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(FOLDER / name) for name in settings["rule_files"]]
    job = settings["scrape_configs"][0]
    job.pop("file_sd_configs")
    job["static_configs"] = [{"targets": list(targets)}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    port = free_port()
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        listening(port)
        yield ready(Prometheus(f"http://127.0.0.1:{port}"))
    finally:
        process.terminate()
        process.wait(20)


def ready(asked: Prometheus, seconds: float = 20.0) -> Prometheus:
    """Wait until it serves queries."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with urlopen(f"{asked.url}/-/ready", timeout=5):  # noqa: S310 - loopback
                return asked
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{asked.url} is not ready after {seconds} s")
