"""One pass of one model over a file: test then train, timed and scored."""

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.evaluate.measures import Ledger
from agent.evaluate.plan import Entrant, Plan, Result
from streams.records import Event, Record, Refused

TOLD: Final = 0.1  # seconds between two words of progress


@dataclass(slots=True)
class _Seen:
    """What went by."""

    ledger: Ledger
    events: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: str = ""
    spent: float = 0.0

    def take(self, records: Sequence[Record]) -> None:
        for record in records:
            if isinstance(record, Event):
                self.events += 1
            elif isinstance(record, Refused):
                self.refused[record.reason] += 1
                self.first = self.first or f"{record.where}: {record.detail}"


def run(plan: Plan, entrant: Entrant, telling: Callable[[float], None]) -> Result:
    """Run one model over the file, in this process; tell the share of the file that is done."""
    seen = _Seen(Ledger(plan.guess.schema.goal))
    start = time.perf_counter()
    of = entrant.make()
    file = plan.file()
    source = plan.delayed(file)
    try:
        told = 0.0
        while not source.ended():
            records = source.poll(plan.batch, 0.0)
            before = time.perf_counter()
            seen.ledger.add(of.feed(records))
            after = time.perf_counter()
            seen.spent += after - before
            seen.take(records)
            if after - told > TOLD:
                telling(file.progress())
                told = after
    finally:
        source.close()
    return _result(entrant.name, seen, time.perf_counter() - start)


def _result(name: str, seen: _Seen, whole: float) -> Result:
    ends, curves = seen.ledger.curves()
    return Result(
        name=name,
        events=seen.events,
        labels=seen.ledger.columns().shape[1],
        refused=dict(seen.refused),
        first=seen.first,
        figures=seen.ledger.figures(),
        seconds=(seen.spent, whole),
        peak_rss_bytes=peak_rss(),
        ends=ends,
        curves=curves,
    )


def peak_rss() -> int:
    """Give the most memory that this process held, in bytes.

    Linux counts it from the program's start; `getrusage` would count what its parent held too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.partition(":")[::2] for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
