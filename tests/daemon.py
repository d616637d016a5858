"""The real process: started, watched over HTTP, killed, asked to stop."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent


@dataclass
class Daemon:
    """A running `adaptd run`; `log` is the file of its standard error."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = field(default="")

    def lines(self) -> list[dict[str, Any]]:
        """Give the log so far."""
        found = []
        for line in self.log.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": line})
        return found

    def serving(self, seconds: float = 60.0) -> "Daemon":
        """Wait until the page is served."""
        self.until(lambda: any(line.get("event") == "serving" for line in self.lines()), seconds)
        self.url = next(line["page"] for line in self.lines() if line.get("event") == "serving")
        return self

    def until(self, true: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something; TimeoutError with the log when it does not come about."""
        end = time.monotonic() + seconds
        while not true():
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"it left with {self.process.returncode}: {self.log.read_text()}"
                )
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s: {self.log.read_text()}")
            time.sleep(0.02)

    def get(self, path: str) -> tuple[int, bytes]:
        """Ask the port."""
        try:
            with urlopen(f"{self.url}{path}", timeout=10) as reply:  # noqa: S310 - loopback
                return reply.status, reply.read()
        except HTTPError as error:
            return error.code, error.read()
        except OSError:  # refused or reset: it is starting, or going
            return 0, b""

    def figures(self) -> dict[str, Any]:
        """Give the status page's figures; empty before the first."""
        code, body = self.get("status.json")
        return dict(json.loads(body)["figures"] or {}) if code else {}

    def answered(self) -> int:
        """Give the events answered in this life."""
        return int(self.figures().get("events", 0))

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 60.0) -> int:
        """Ask it to stop and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def running(
    folder: Path, *arguments: str, module: str = "agent", command: str = "run"
) -> Iterator[Daemon]:
    """Run `adaptd COMMAND ARGUMENTS --port 0` and see that it is gone at the end."""
    log = folder / f"daemon-{time.monotonic_ns()}.log"
    words = [sys.executable, "-m", module, *command.split(), *arguments, "--port", "0"]
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stderr=stream, stdout=stream, cwd=ROOT)
    daemon = Daemon(process, log)
    try:
        yield daemon.serving()
    finally:
        if process.poll() is None:
            daemon.kill()
