"""The daemons of one group, to which things happen."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.daemon import ROOT, Daemon

DEEDS = ("kill", "kill", "kill and come back", "freeze", "stop", "add")
CALM = 5.0  # seconds without a change after which a group has settled
STUCK = 120.0  # seconds that a group may take to settle
END = 240.0  # seconds that all may take to come to an end


class StuckError(Exception):
    """The broker does not hand all partitions out to those that live."""


@dataclass
class Members:
    """The daemons of one group.

    Args:
        folder: for logs.
        settings: the file that they share.
        draw: what happens to whom.
        partitions: that they share.
        static: whether each has an `instance` of its own.
        patient: kill nobody before the group has settled. tansu 0.6 keeps a member that died while
            the group was forming for ever, and hands it partitions: with the client's own
            assignors and nothing of ours it does the same. Two static members that are killed for
            good it never misses at all.
    """

    folder: Path
    settings: Path
    draw: random.Random
    partitions: int
    static: bool = False
    patient: bool = True
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

    def supervise(self) -> None:
        """Start those again that left with exit code 1, as whatever runs daemons does."""
        for name, one in list(self.living.items()):
            if one.process.poll() == 1:
                self.deeds["left by itself and started again"] += 1
                print(one.log.read_text()[-600:], flush=True)  # noqa: T201 - why
                self.add(name)

    def ready(self) -> None:
        """Wait until all are."""
        until = time.monotonic() + END
        while not all(one.get("readyz")[0] == 200 for one in self._serving()):
            assert time.monotonic() < until, [one.log.read_text() for one in self.living.values()]
            time.sleep(0.5)

    def _serving(self) -> list[Daemon]:
        """Give all, with their ports known."""
        self.supervise()
        for one in self.living.values():
            with suppress(RuntimeError):  # it leaves just now
                one.serving()
        return [one for one in self.living.values() if one.url]

    def act(self, most: int) -> None:
        """Do something to one of them; one at the least lives on."""
        self.supervise()
        deed = self.draw.choice(DEEDS)
        if deed == "add" and len(self.living) >= most:
            deed = "kill and come back"
        elif deed in {"kill", "stop"} and len(self.living) == 1:
            deed = "add"
        self.deeds[deed] += 1
        if deed == "add":
            self.add()
            return
        if self.patient and deed.startswith("kill"):
            self.settled()
        name = self.draw.choice(sorted(self.living))
        self._do(deed, name, self.living[name])

    def settled(self) -> None:
        """Wait until those that live hold all partitions, and go on holding the same."""
        began = since = time.monotonic()
        seen = [0]
        while sum(seen) != self.partitions or time.monotonic() - since < CALM:
            if time.monotonic() - began > STUCK:
                raise StuckError(f"partitions held by {len(self.living)} members: {seen}")
            time.sleep(0.5)
            held = [_held(one) for one in self._serving()]
            if held != seen:
                seen, since = held, time.monotonic()

    def _do(self, deed: str, name: str, one: Daemon) -> None:
        assert one.process.poll() in {None, 1}, one.log.read_text()
        if deed == "freeze":
            one.process.send_signal(signal.SIGSTOP)
            time.sleep(self.draw.uniform(1.0, 14.0))  # longer than a session lasts, at times
            one.process.send_signal(signal.SIGCONT)
            return
        del self.living[name]
        if deed == "stop":
            self._stop(one)
            return
        one.kill()
        if deed == "kill and come back":
            time.sleep(self.draw.uniform(0.0, 5.0))
            self.add(name)

    def _stop(self, one: Daemon) -> None:
        """Stop one in order; in the middle of a rebalance it may have to leave its last answers."""
        code = one.stop(60) if one.process.poll() is None else one.process.returncode
        if code == 1 and "could not be made durable" in one.log.read_text():
            self.deeds["of those stopped, without its last answers"] += 1
            return
        begun = bool(one.log.read_text())
        assert code == 0 or (code == -signal.SIGTERM and not begun), one.log.read_text()

    def end(self, done: Callable[[], bool]) -> None:
        """Let them come to the end of the topics, as `done` says."""
        self.settled()
        until = time.monotonic() + END
        while not done():
            if time.monotonic() > until:
                told = "".join(one.log.read_text()[-600:] for one in self._serving())
                raise StuckError(f"no end after {END:g} s: {told}")

    def stop(self) -> None:
        """Stop all in order."""
        for one in self.living.values():
            self._stop(one)

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
