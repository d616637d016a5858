"""Checkpoints in a store of objects, by fsspec: S3, Google Cloud Storage and what else it knows.

Objects cannot be renamed, and each is there whole or not at all. So the tensors are written first,
under a fresh name, and the manifest last: its presence makes the checkpoint.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import fsspec
from typing_extensions import override

from agent.service.snapshot import CheckpointError
from agent.service.store import MANIFEST, NAME, STATE, Listing, Options, Place

EXTRAS: Final = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
FLAT: Final = {*EXTRAS, "memory", "az", "abfs", "abfss", "adl", "oss"}
"""Stores that know no folders; in others they are made first."""

BOUNDS: Final = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 3,
            "read_timeout": 10,
            "retries": {"mode": "standard", "total_max_attempts": 1},
        }
    },
}
"""Seconds, unless set otherwise. s3fs itself tries five times, which would multiply with attempts
within one: by its own defaults a host that hangs would be told after 25 minutes, so after one.
"""


class ObjectPlace(Place):
    """The checkpoints of one shard under a prefix of a store.

    Args:
        system: the store, of fsspec.
        url: the place, as a person writes it.
        root: the same as the store calls it.
    """

    remedy = "see that it can be reached and written to: address, credentials, permissions"
    unread = "see that it can be reached and read: address, credentials, permissions"

    def __init__(self, system: Any, url: str, root: str) -> None:
        self._system, self._url, self._root = system, url.rstrip("/"), root.rstrip("/")
        protocols = system.protocol if isinstance(system.protocol, tuple) else (system.protocol,)
        self._flat = not FLAT.isdisjoint(protocols)

    @override
    def path(self, name: str = "") -> str:
        return f"{self._url}/{name}" if name else self._url

    @override
    def folders(self) -> list[str]:
        with _as_os_error():
            try:
                there = self._system.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in there)

    @override
    def listing(self) -> Listing:
        found: dict[str, set[str]] = {}
        with _as_os_error():
            for path in self._system.find(self._root):
                name, _, file = path.removeprefix(f"{self._root}/").partition("/")
                if NAME.fullmatch(name):
                    found.setdefault(name, set()).add(file)
        whole = {name for name, files in found.items() if MANIFEST in files}
        return Listing(tuple(sorted(whole)), tuple(sorted(found.keys() - whole)))

    @override
    def read(self, name: str, file: str) -> bytes:
        with _as_os_error():
            return bytes(self._system.cat_file(self._at(name, file)))

    @override
    def write(self, name: str, state: bytes, manifest: bytes) -> None:
        try:
            with _as_os_error():
                self._put(name, state, manifest)
        except OSError:
            with suppress(OSError):
                self.remove(name)
            raise

    @override
    def remove(self, name: str) -> None:
        for file in (MANIFEST, STATE):
            with _as_os_error(), suppress(FileNotFoundError):
                self._system.rm_file(self._at(name, file))
        if not self._flat:
            with suppress(Exception):  # it may be gone, or hold what is not ours
                self._system.rmdir(f"{self._root}/{name}")

    @override
    def sweep(self, leftover: Collection[str]) -> None:
        for name in leftover:
            self.remove(name)

    def _put(self, name: str, state: bytes, manifest: bytes) -> None:
        if not self._flat:
            self._system.makedirs(f"{self._root}/{name}", exist_ok=True)
        self._system.pipe_file(self._at(name, STATE), state)
        self._system.pipe_file(self._at(name, MANIFEST), manifest)
        size = self._system.info(self._at(name, STATE))["size"]
        if size != len(state):
            raise OSError(f"of {len(state)} bytes of tensors, {size} have arrived")

    def _at(self, name: str, file: str) -> str:
        return f"{self._root}/{name}/{file}"


def open_objects(url: str, options: Options) -> ObjectPlace:
    """Open the place that a URL names.

    Raises:
        CheckpointError: it is not known, its package is missing, or an option does not fit.
    """
    protocol = url.partition("://")[0]
    try:
        kind = fsspec.get_filesystem_class(protocol)
        bounds = BOUNDS.get(EXTRAS.get(protocol, ""), {})
        given = {**bounds, **options, "use_listings_cache": False}
        return ObjectPlace(kind(**given), url, kind._strip_protocol(url))  # noqa: SLF001 - fsspec's
    except ImportError as error:
        extra = EXTRAS.get(protocol)
        remedy = f"pip install 'adaptd[{extra}]'" if extra else str(error)
        raise CheckpointError(
            f"checkpoints in {url} need a package that is not installed; {remedy}"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{url} names no store that is known here: {error}") from error
    except TypeError as error:
        raise CheckpointError(f"checkpoint.options do not fit {url}: {error}") from error


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Let every failure of a store's client be an `OSError`: each has kinds of its own."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
