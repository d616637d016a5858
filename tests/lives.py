"""A small agent on a stream of files, and checkpoints of it: what tests of commands share."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.parts import fingerprint
from agent.service.checkpoint import CheckpointStore
from agent.service.prequential import Prequential
from agent.settings import Settings, load
from streams.codec import Codec
from streams.records import Record

TOML = """
[stream]
target = "y"
id = "id"
time = "t"
{stream}
[stream.fields]
a = "numeric"
"b.c" = "categorical"
[source]
kind = "file"
[source.file]
path = "events.jsonl"
[agent]
device = "cpu"
slots = 64
bank = 32
hidden = 8
{agent}
[checkpoint]
folder = "{folder}"
"""
CREATED = 1_700_000_000.0


def settings_file(folder: Path, agent: str = "", stream: str = "") -> Path:
    """Write the settings of a small agent; its checkpoints go to `folder / "c"`."""
    path = folder / "settings.toml"
    path.write_text(TOML.format(folder=folder / "c", agent=agent, stream=stream))
    return path


def settings_in(path: Path) -> Settings:
    return load(path, {})


def line(at: int, *, label: bool = True) -> bytes:
    """Event number `at`, whose class a number and a word decide."""
    shop = ("fuel", "books")[at // 3 % 2]
    event = {"id": f"e{at}", "t": float(at), "a": at % 7, "b.c": shop}
    truth = {"y": "yes" if (at % 7 > 3) == (shop == "fuel") else "no"}
    return msgspec.json.encode(event | (truth if label else {}))


def events(settings: Settings, first: int, after: int) -> list[Record]:
    codec = Codec(settings.schema)
    return [codec.event(line(at), f"events[0]@{at}", 0.0) for at in range(first, after)]


def agent_after(settings: Settings, records: Sequence[Record]) -> Prequential:
    agent = Prequential.build(
        settings.schema, settings.agent, settings.encoder, settings.labels, probes=settings.probes
    )
    agent.feed(records)
    return agent


def keep(settings: Settings, agent: Prequential, shard: str = "all") -> Path:
    """Write a checkpoint of an agent; give its path."""
    folder = settings.checkpoint.folder
    store = CheckpointStore(folder, 9, fingerprint(settings), lambda: CREATED, shard)
    arrays, learner = agent.snapshot()
    position = {"events[0]": agent.records}
    return Path(store.save(arrays, {"source": position, "sink": {}, "learner": learner}).path)
