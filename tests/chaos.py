"""Members of one group killed, frozen, stopped and added at random under load; then all is judged.

    python -m tests.chaos --minutes 10 [--daemons 3] [--partitions 12] [--seed 1] [--rate 400]

The broker is one on loopback, or that of KAFKA_BOOTSTRAP. Nothing may be lost or answered twice,
the order within a key has to stay, and how long each partition stood still is told.
A broker may lose count of a group's members; tansu 0.6 does: it goes on handing partitions to some
that died, whichever client they were, and a group that has come to that never recovers. Where the
living do not come by all partitions in `STUCK` seconds, the story ends there: all are stopped, and
what was committed until then is judged.
"""

import os
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tests.broker import Broker
from tests.committed import committed
from tests.killer import INSTANCE, write
from tests.kills import _broker as broker_of
from tests.kills import ends, shards
from tests.load import Written, loaded
from tests.members import Members, StuckError
from tests.verdict import Verdict, cluster, judged


@dataclass(frozen=True)
class Story:
    """What happened, and what came of it; `gaps` are seconds without an answer, by partition."""

    deeds: Counter[str]
    written: Written
    verdict: Verdict
    gaps: dict[int, list[float]]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """How much happens.

    Args:
        seconds: for so long.
        daemons: members at the start.
        partitions: of each topic.
        seed: of what happens.
        rate: events a second.
        pause: least and most seconds from one deed to the next.
        static, patient: see `Members`.
    """

    seconds: float
    daemons: int = 3
    partitions: int = 12
    seed: int = 1
    rate: float = 400.0
    pause: tuple[float, float] = (3.0, 15.0)
    static: bool = False
    patient: bool = True


def told(folder: Path, broker: Broker, plan: Plan) -> Story:
    """Have things happen, then judge."""
    draw = random.Random(plan.seed)  # noqa: S311 - what happens when, no secret
    parts = plan.partitions
    path, settings = write(folder, broker, parts)
    path.write_text(path.read_text().replace(INSTANCE, ""))
    kafka = cluster(settings)
    members = Members(folder, path, draw, parts, plan.static, plan.patient)
    try:
        for _ in range(plan.daemons):
            members.add()
        members.ready()
        began = time.monotonic()
        topics = (kafka.events, kafka.labels or "")
        with loaded(broker.bootstrap, topics, parts, plan.rate, plan.seed) as load:
            stuck = _play(members, plan, draw, began)
            written = load.end()
        if not stuck:
            with ends(settings, written, parts) as done:
                stuck = _ended(members, done)
        members.stop()
    finally:
        members.close()
    members.deeds["the broker's group was stuck in the end"] += stuck
    verdict = judged(broker, settings, written, shards(parts), whole=not stuck)
    gaps = stood_still(broker, kafka.predictions, parts)
    return Story(members.deeds, written, verdict, gaps, time.monotonic() - began)


def _play(members: Members, plan: Plan, draw: random.Random, began: float) -> bool:
    """Have things happen; say whether the broker's group got stuck."""
    while time.monotonic() - began < plan.seconds:
        time.sleep(draw.uniform(*plan.pause))
        try:
            members.act(plan.daemons + 1)
        except StuckError as error:
            print(f"{time.monotonic() - began:6.0f} s  stuck: {error}", flush=True)  # noqa: T201
            return True
        print(f"{time.monotonic() - began:6.0f} s  {dict(members.deeds)}", flush=True)  # noqa: T201
    return False


def _ended(members: Members, done: Callable[[], bool]) -> bool:
    """Let all come to the end; say whether the broker's group got stuck."""
    try:
        members.end(done)
    except StuckError as error:
        print(f"stuck in the end: {error}", flush=True)  # noqa: T201 - why
        return True
    return False


def stood_still(broker: Broker, topic: str, partitions: int) -> dict[int, list[float]]:
    """Give the seconds between one committed answer and the next, by partition of the event."""
    times = defaultdict(list)
    for record in committed(broker, topic):
        name = msgspec.json.decode(record.value)["id"]
        times[int(name[1:]) % partitions].append(record.timestamp / 1000)
    return {
        part: [after - before for before, after in pairwise(sorted(some))]
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
    patient: Annotated[bool, typer.Option(help="Let it settle before a kill.")] = True,  # noqa: FBT002 - a flag
) -> None:
    """Let things happen to a group, and print what came of it; exit code 1 for a fault."""
    os.environ["OMP_NUM_THREADS"] = "1"
    plan = Plan(60 * minutes, daemons, partitions, seed, rate, static=static, patient=patient)
    with tempfile.TemporaryDirectory() as name, broker_of() as broker:
        story = told(Path(name), broker, plan)
    print(table(story))  # noqa: T201 - for this it was run
    raise typer.Exit(1 if story.verdict.faults else 0)


if __name__ == "__main__":
    typer.run(main)
