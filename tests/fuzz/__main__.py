"""`python -m tests.fuzz TARGET SECONDS FOLDER`: json, msgpack, avro or settings.

It ends with 0 if nothing was found; else what was found lies in the folder, and its trace is told.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["streams"]):
    from tests.fuzz.checks import check
    from tests.hostile import hostile

SEEDS = (
    b'[web]\nport = 1\n[stream]\nfields = { a = "numeric" }\n',
    b'[source]\nkind = "kafka"\n[source.kafka]\nlabels = "l"\nconsumer = { a = 1 }\n',
    b'[[source.world.schedule]]\ntask = "card_testing"\nfirst = 0\nlasting = 9\nevery = 30\n',
)


def target(name: str, folder: Path) -> tuple[Callable[[bytes], None], list[bytes]]:
    """Give what to do with bytes, and bytes to begin with."""
    if name == "settings":
        with atheris.instrument_imports(include=["agent.toml", "agent.build", "agent.kinds"]):
            from tests.fuzz.settled import check_settings  # noqa: PLC0415 - it loads torch
        file = folder / "settings.toml"

        def settings(raw: bytes) -> None:
            file.write_bytes(raw)
            check_settings(file, {}, {})

        return settings, list(SEEDS)
    form = next(one for one in ("json", "msgpack", "avro") if one == name)
    return lambda raw: check(form, raw), [one.raw[:4096] for one in hostile(form)]


def main(name: str, seconds: str, place: str) -> None:
    """Fuzz one target for so many seconds."""
    folder = Path(place)
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    run, seeds = target(name, folder)
    for at, seed in enumerate(seeds):
        (folder / "seeds" / str(at)).write_bytes(seed)
    bounds = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=5", "-rss_limit_mb=2048"]
    where = [f"-artifact_prefix={folder}/", str(folder / "seeds")]
    atheris.Setup([sys.argv[0], *bounds, *where], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:4])
