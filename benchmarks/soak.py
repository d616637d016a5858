"""A long life: memory, open files and speed of the daemon over a million events of the card world.

    python -m benchmarks.soak [EVENTS]

Samples the real process once a second; "after warm-up" is the second half of its events. Every
sample is kept in out/soak_samples.json.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import psutil

from benchmarks import table

Sample = dict[str, float]


def sample(process: psutil.Process, url: str) -> Sample:
    """Ask the page how far it is, and the system what the process holds."""
    with urlopen(f"{url}status.json", timeout=10) as reply:  # noqa: S310 - loopback
        figures = json.load(reply)["figures"] or {}
    return {
        "events": figures.get("events", 0),
        "rss": process.memory_info().rss,
        "files": process.num_fds(),
        "threads": process.num_threads(),
    }


def watched(command: list[str], log: Path) -> tuple[int, list[Sample]]:
    """Run the daemon to its end; give its exit code and what was seen."""
    seen: list[Sample] = []
    with log.open("w") as out, subprocess.Popen(command, stderr=out) as daemon:
        url, process = address(log, daemon), psutil.Process(daemon.pid)
        while daemon.poll() is None:
            try:
                seen.append(sample(process, url))
            except (OSError, psutil.Error):  # it is leaving
                break
            time.sleep(1.0)
        return daemon.wait(), seen


def address(log: Path, daemon: subprocess.Popen[bytes]) -> str:
    """Wait for the first line of the log, which says where the page is."""
    while daemon.poll() is None:
        lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
        if lines and lines[0].endswith("\n"):
            return str(json.loads(lines[0])["page"])
        time.sleep(0.1)
    raise SystemExit(f"the daemon left with {daemon.returncode}: {log.read_text(encoding='utf-8')}")


def main(events: int) -> None:
    """Write out/soak.json, out/soak.md and out/soak_samples.json."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "agent", "run", "--port", "0", "--once"]
        command += ["--checkpoints", f"{folder}/checkpoints", "--events", str(events)]
        began = time.perf_counter()
        code, seen = watched(command, Path(folder) / "log")
        seconds = time.perf_counter() - began
    table.OUT.mkdir(exist_ok=True)
    (table.OUT / "soak_samples.json").write_text(json.dumps(seen, indent=1), encoding="utf-8")
    late = [one for one in seen if one["events"] > events / 2]
    if not late:
        raise SystemExit(f"it left with {code} before half of its events; nothing to tell")
    row: table.Row = {
        "events": events,
        "seconds": round(seconds, 1),
        "events/s": round(events / seconds),
        "MiB half way": round(late[0]["rss"] / 2**20),
        "MiB at the end": round(late[-1]["rss"] / 2**20),
        "MiB at most": round(max(one["rss"] for one in seen) / 2**20),
        "files open half way": int(late[0]["files"]),
        "files open at the end": int(late[-1]["files"]),
        "exit code": code,
    }
    table.write("soak", [row], f"python -m benchmarks.soak {events}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
