"""Members of one group killed, frozen, stopped and added at random under load; then all is judged.

    python -m tests.chaos --minutes 10 [--daemons 3] [--partitions 12] [--seed 1] [--rate 400]

The broker is one on loopback, or that of KAFKA_BOOTSTRAP. Nothing may be lost or answered twice,
the order within a key has to stay, and how long each partition stood still is told.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tests.broker import Broker
from tests.committed import committed
from tests.daemon import ROOT, Daemon
from tests.killer import INSTANCE, write
from tests.kills import _broker as broker_of
from tests.kills import shards
from tests.load import Written, loaded
from tests.verdict import Verdict, cluster, judged

DEEDS = ("kill", "kill", "kill and come back", "freeze", "stop", "add")
END = 240.0  # seconds that all may take to come to an end


@dataclass
class Members:
    """The daemons of one group.

    Args:
        folder: for logs.
        settings: the file that they share.
        draw: what happens to whom.
        partitions: that they share.
        static: whether each has an `instance` of its own. A broker has to miss those that are
            killed for good: tansu 0.6 never does once two are, whoever the client is.
    """

    folder: Path
    settings: Path
    draw: random.Random
    partitions: int
    static: bool = False
    living: dict[str, Daemon] = field(default_factory=dict)
    deeds: Counter[str] = field(default_factory=Counter)
    born: int = 0

    def add(self, name: str | None = None) -> None:
        """Start one; a name that was there before takes its shards up again."""
        self.born += 1
        name = name or f"member-{self.born}"
        log = self.folder / f"{name}-{self.born}.log"
        command = [sys.executable, "-m", "agent", "run", str(self.settings), "--port", "0"]
        if self.static:
            command += ["--set", f"source.kafka.instance={name}"]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=ROOT)
        self.living[name] = Daemon(process, log)

    def act(self, most: int) -> None:
        """Do something to one of them; one at the least lives on."""
        deed = self.draw.choice(DEEDS)
        if deed == "add" and len(self.living) >= most:
            deed = "kill and come back"
        elif deed in {"kill", "stop"} and len(self.living) == 1:
            deed = "add"
        self.deeds[deed] += 1
        if deed == "add":
            self.add()
            return
        name = self.draw.choice(sorted(self.living))
        self._do(deed, name, self.living[name])

    def _do(self, deed: str, name: str, one: Daemon) -> None:
        assert one.process.poll() is None, one.log.read_text()
        if deed == "freeze":
            one.process.send_signal(signal.SIGSTOP)
            time.sleep(self.draw.uniform(1.0, 14.0))  # longer than a session lasts, at times
            one.process.send_signal(signal.SIGCONT)
            return
        del self.living[name]
        if deed == "stop":
            assert one.stop(60) == 0, one.log.read_text()
            return
        one.kill()
        if deed == "kill and come back":
            time.sleep(self.draw.uniform(0.0, 5.0))
            self.add(name)

    def end(self) -> None:
        """Let them come to the end of the topics, and stop all in order."""
        until = time.monotonic() + END
        for one in self.living.values():
            one.serving()
        quiet = 0
        while quiet < 3 and time.monotonic() < until:
            figures = [one.figures() for one in self.living.values()]
            idle = all(figures) and sum(int(str(one["lag"])) for one in figures) == 0
            held = sum(_held(one) for one in self.living.values())
            quiet = quiet + 1 if idle and held == self.partitions else 0
            time.sleep(1.0)
        assert quiet, [one.log.read_text()[-3000:] for one in self.living.values()]
        for one in self.living.values():
            assert one.stop(60) == 0, one.log.read_text()

    def close(self) -> None:
        """Leave none behind."""
        for one in self.living.values():
            if one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
                one.kill()


def _held(one: Daemon) -> int:
    """Read from its metrics how many shards it holds."""
    for line in one.get("metrics")[1].decode().splitlines():
        if line.startswith("adaptd_shards "):
            return int(float(line.split()[1]))
    return 0


@dataclass(frozen=True)
class Story:
    """What happened, and what came of it; `gaps` are seconds without an answer, by partition."""

    deeds: Counter[str]
    written: Written
    verdict: Verdict
    gaps: dict[int, list[float]]
    seconds: float


def told(
    folder: Path,
    broker: Broker,
    seconds: float,
    daemons: int,
    partitions: int,
    seed: int,
    rate: float,
    pause: tuple[float, float] = (3.0, 15.0),
    *,
    static: bool = False,
) -> Story:
    """Have things happen for so many seconds, then judge."""
    draw = random.Random(seed)  # noqa: S311 - what happens when, no secret
    path, settings = write(folder, broker, partitions)
    path.write_text(path.read_text().replace(INSTANCE, ""))
    kafka, members = cluster(settings), Members(folder, path, draw, partitions, static)
    topics = (kafka.events, kafka.labels or "")
    try:
        for _ in range(daemons):
            members.add()
        for one in members.living.values():
            one.serving().until(lambda one=one: one.get("readyz")[0] == 200, END)  # type: ignore[misc]
        began = time.monotonic()
        with loaded(broker.bootstrap, topics, partitions, rate, seed) as load:
            while time.monotonic() - began < seconds:
                time.sleep(draw.uniform(*pause))
                members.act(daemons + 1)
                print(f"{time.monotonic() - began:6.0f} s  {dict(members.deeds)}", flush=True)  # noqa: T201
            written = load.end()
        members.end()
    finally:
        members.close()
    verdict = judged(broker, settings, written, shards(partitions))
    gaps = stood_still(broker, kafka.predictions, partitions)
    return Story(members.deeds, written, verdict, gaps, time.monotonic() - began)


def stood_still(broker: Broker, topic: str, partitions: int) -> dict[int, list[float]]:
    """Give the seconds between one committed answer and the next, by partition of the event."""
    times = defaultdict(list)
    for record in committed(broker, topic):
        name = msgspec.json.decode(record.value)["id"]
        times[int(name[1:]) % partitions].append(record.timestamp / 1000)
    return {
        part: [after - before for before, after in pairwise(some)]
        for part, some in sorted(times.items())
    }


def table(story: Story) -> str:
    """Put it into a table, with what is wrong below."""
    worst = sorted(max(some) for some in story.gaps.values())
    long = sorted(gap for some in story.gaps.values() for gap in some if gap > 1.0)
    deeds = ", ".join(f"{count} {deed}" for deed, count in sorted(story.deeds.items()))
    rows = {
        "what was done": deeds,
        "events, labels written": f"{story.written.events:,}, {story.written.labels:,}",
        "answers committed": f"{len(story.verdict.answers.committed):,}",
        "transactions committed, given up": (
            f"{story.verdict.journal.commits:,}, {story.verdict.journal.aborts:,}"
        ),
        "standstills of a partition over 1 s": f"{len(long)}",
        "their median": f"{statistics.median(long):.1f} s" if long else "-",
        "worst of a partition, median over partitions": f"{statistics.median(worst):.1f} s",
        "worst of all": f"{worst[-1]:.1f} s",
        "seconds in all": f"{story.seconds:.0f}",
        "faults": "; ".join(story.verdict.faults) or "none",
    }
    return "\n".join(["| what | seen |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())])


def main(
    minutes: Annotated[float, typer.Option(help="How long things happen.")] = 10.0,
    daemons: Annotated[int, typer.Option(help="Members at the start.")] = 3,
    partitions: Annotated[int, typer.Option(help="Of each topic.")] = 12,
    seed: Annotated[int, typer.Option(help="Of what happens.")] = 1,
    rate: Annotated[float, typer.Option(help="Events a second.")] = 400.0,
    static: Annotated[bool, typer.Option(help="Give each member an instance.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Let things happen to a group, and print what came of it; exit code 1 for a fault."""
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name, broker_of() as broker:
        seconds = 60 * minutes
        story = told(Path(name), broker, seconds, daemons, partitions, seed, rate, static=static)
    print(table(story))  # noqa: T201 - for this it was run
    raise typer.Exit(1 if story.verdict.faults else 0)


if __name__ == "__main__":
    typer.run(main)
