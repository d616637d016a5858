"""Where checkpoints lie: whether it can be written to, has room, and holds what fits."""

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.doctor.finding import Finding, counted, good
from agent.parts import fingerprint
from agent.service.checkpoint import CheckpointSettings
from agent.service.lock import NAME as LOCK
from agent.service.snapshot import FORMAT, CheckpointError, DamagedError
from agent.service.store import ALL, MANIFEST, STATE, is_url, local
from agent.service.store_open import open_place, shards
from agent.service.store_read import GoneError, body_at, ordered
from agent.settings import Settings

CHECK: Final = "store"
PROBE: Final = os.urandom(65_536)
ROOM: Final = 256 << 20  # bytes that should be free at the least
SHOWN: Final = 3  # settings that differ, of those that are named


def store(settings: CheckpointSettings) -> Iterator[Finding]:
    """Write a probe, read it back and remove it; look how much room is left."""
    folder = None if is_url(settings.folder) else local(settings.folder)
    if folder is not None and not folder.exists():
        yield _to_be_made(folder)
    else:
        yield _written(settings)
    if folder is None:
        return
    yield _room(folder, nearest(folder), settings.keep)
    if (holder := _held(folder)) is not None:
        said = f"{folder} is in use by process {holder}"
        yield Finding(CHECK, "warn", said, "stop that daemon before another starts here")


def _written(settings: CheckpointSettings) -> Finding:
    """Write as a checkpoint is written, under a name that is none."""
    name = f".doctor-{uuid.uuid4().hex[:8]}"
    try:
        place = open_place(settings.folder, ALL, settings.options)
    except CheckpointError as error:
        return Finding(CHECK, "fail", str(error), "see [checkpoint] folder and options")
    try:
        place.write(name, PROBE, PROBE[:16])
        same = place.read(name, STATE) == PROBE and place.read(name, MANIFEST) == PROBE[:16]
    except (OSError, DamagedError) as error:
        return Finding(CHECK, "fail", f"{place.path()}: {error}", place.remedy)
    finally:
        with suppress(OSError):
            place.remove(name)
    if not same:
        remedy = "mend the disk or the store: it would lose checkpoints"
        return Finding(
            CHECK, "fail", f"{place.path()}: what is read is not what was written", remedy
        )
    return good(CHECK, f"{place.path()}: written, read back and removed")


def _to_be_made(folder: Path) -> Finding:
    there = nearest(folder)
    try:
        probed(there)
    except OSError as error:
        remedy = "give this user the right to write there, or set checkpoint.folder elsewhere"
        return Finding(CHECK, "fail", f"{there}: {error.strerror or error}", remedy)
    return good(CHECK, f"{folder} is not there yet; {there.absolute()} takes files")


def nearest(folder: Path) -> Path:
    """Give the folder, or the nearest above it that is there."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def probed(folder: Path) -> None:
    """Write a file, read it back and remove it. Raises `OSError`."""
    path = folder / f".doctor-{uuid.uuid4().hex[:8]}"
    try:
        with path.open("xb") as file:
            file.write(PROBE)
            file.flush()
            os.fsync(file.fileno())
        if path.read_bytes() != PROBE:
            raise OSError("what was written is not what is read")
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _room(folder: Path, there: Path, keep: int) -> Finding:
    free = shutil.disk_usage(there).free
    sizes = [sum(f.stat().st_size for f in c.iterdir()) for c in folder.rglob("checkpoint-*")]
    want = max(ROOM, 2 * (keep + 1) * max(sizes, default=0))
    said = f"{free / 2**30:,.1f} GiB free"
    if free < want:
        remedy = f"make room: {want / 2**30:,.2f} GiB let checkpoints grow"
        return Finding("room", "warn", said, remedy)
    return good("room", said)


def _held(folder: Path) -> str | None:
    """Name the process that holds a folder for itself."""
    try:
        with (folder / LOCK).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return file.read(20).strip() or "unknown"
    except OSError:
        return None
    return None


def checkpoints(settings: Settings) -> Iterator[Finding]:
    """See that the newest checkpoint of each shard was made with these settings."""
    where = settings.checkpoint
    try:
        names = shards(where.folder, where.options)
        found = {name: _newest(where, name) for name in names}
    except (CheckpointError, OSError) as error:
        yield Finding("checkpoints", "fail", str(error), "see the store")
        return
    if not found:
        yield good("checkpoints", "none yet: it starts anew")
    now = json.loads(json.dumps(fingerprint(settings)))
    wrong = [one for one in (_judged(name, body, now) for name, body in found.items()) if one]
    yield from wrong
    if found and not wrong:
        yield good("checkpoints", f"{counted(len(found), 'shard')}, made with these settings")


def _judged(shard: str, body: Mapping[str, Any] | None, now: Mapping[str, Any]) -> Finding | None:
    if body is None:
        said = f"shard {shard}: the newest is damaged"
        return Finding("checkpoints", "warn", said, "`adaptd inspect` says more")
    if differing := _differing(body, now):
        said = f"shard {shard} was made with other settings: {differing}"
        return Finding("checkpoints", "fail", said, "set them back, or give another folder")
    return None


def _newest(where: CheckpointSettings, shard: str) -> Mapping[str, Any] | None:
    place = open_place(where.folder, shard, where.options)
    for name in reversed(ordered(place, place.listing().names)):
        try:
            return body_at(place, name)
        except GoneError:
            continue
        except DamagedError:
            return None
    return None


def _differing(body: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if body["format"] != FORMAT:
        return f"format {body['format']}, and this version reads {FORMAT}"
    then = body["settings"]
    paths = [path for path in sorted(then.keys() | now.keys()) if then.get(path) != now.get(path)]
    said = [f"{path} {then.get(path)!r}, now {now.get(path)!r}" for path in paths[:SHOWN]]
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(said) + more
