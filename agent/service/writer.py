"""Writes checkpoints in a thread of its own, so that the loop only pays for the copy."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agent.service.checkpoint import CheckpointStore, Saved
from agent.service.snapshot import Arrays, CheckpointError, Json, Photograph


@dataclass(frozen=True, slots=True)
class _Job:
    store: CheckpointStore
    photograph: Photograph
    done: Callable[[Saved], None]


class Writer:
    """One checkpoint is being written at a time, and at most one of each shard waits.

    A newer one takes the place of the one of its shard that waits, whose `done` is then never
    called: the newer one covers all that it covered. So a slow store costs fewer checkpoints, never
    a waiting loop.

    Args:
        monotonic: seconds, for how long to wait.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._waiting: dict[str, _Job] = {}  # by shard, in the order in which they are written
        self._writing: str | None = None  # the shard that is being written
        self._closing = False
        self._failures: dict[str, Exception] = {}  # by shard, the last one that was not told yet
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def submit(
        self, store: CheckpointStore, arrays: Arrays, meta: Json, done: Callable[[Saved], None]
    ) -> None:
        """Copy these now and write them soon; `done` is called in the writing thread once durable.

        Raises `CheckpointError` for the failure of an earlier one of this shard, once; this one is
        taken all the same, so the loop may log the error and go on.
        """
        job = _Job(store, Photograph.take(arrays, meta), done)
        with self._changed:
            if self._closing:
                raise CheckpointError("the checkpoint writer is closed; make a new one")
            self._waiting[store.shard] = job
            self._changed.notify_all()
            self._raise_failure(store.shard)

    def failed(self, shard: str | None = None) -> CheckpointError | None:
        """Give the failure of an earlier one, once, as soon as it is known.

        Args:
            shard: whose; None is any: call again until there is none.
        """
        with self._changed:
            failure = self._failure(shard)
        return None if failure is None else CheckpointError(str(failure))

    def drain(self, timeout: float, shard: str | None = None) -> None:
        """Wait until all is durable, or all of one shard, which then goes first.

        Raises `CheckpointError` if that fails or takes longer than `timeout` seconds.
        """
        until = self._monotonic() + timeout
        with self._changed:
            if shard is not None and (job := self._waiting.pop(shard, None)) is not None:
                self._waiting = {shard: job, **self._waiting}
            while self._busy(shard):
                left = until - self._monotonic()
                if left <= 0 or not self._thread.is_alive():
                    raise CheckpointError(
                        f"a checkpoint was not written within {timeout:g} s; is the disk or the"
                        " store stuck?"
                    )
                self._changed.wait(left)
            self._raise_failure(shard)

    def cancel(self, shard: str) -> None:
        """Forget what of a shard waits, and its failure: the shard is another's now.

        What is being written already is written to its end.
        """
        with self._changed:
            self._waiting.pop(shard, None)
            self._failures.pop(shard, None)
            self._changed.notify_all()

    def close(self, timeout: float = 60.0) -> None:
        """Drain and end the thread; safe to call twice. Raises like `drain`."""
        with self._changed:
            if self._closing:
                return
        try:
            self.drain(timeout)
        finally:
            with self._changed:
                self._closing = True
                self._waiting.clear()
                self._changed.notify_all()
            self._thread.join(0.0 if self._writing is not None else timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _busy(self, shard: str | None) -> bool:
        if shard is None:
            return bool(self._waiting) or self._writing is not None
        return shard in self._waiting or self._writing == shard

    def _failure(self, shard: str | None) -> Exception | None:
        """Take one failure out: of the shard, or of any."""
        if shard is None:
            shard = next(iter(self._failures), None)
        return None if shard is None else self._failures.pop(shard, None)

    def _raise_failure(self, shard: str | None) -> None:
        failure = self._failure(shard)
        if failure is not None:
            raise CheckpointError(str(failure)) from failure

    def _run(self) -> None:
        while (job := self._next()) is not None:
            failure = _write(job)
            with self._changed:
                self._writing = None
                if failure is not None:
                    self._failures[job.store.shard] = failure
                self._changed.notify_all()
            del job  # its photograph need not outlive it while nothing is to do

    def _next(self) -> _Job | None:
        """Wait for a job and take it; None at the end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._waiting:
                return None
            self._writing = next(iter(self._waiting))
            return self._waiting.pop(self._writing)


def _write(job: _Job) -> Exception | None:
    try:
        job.done(job.store.write(job.photograph))
    except Exception as error:  # noqa: BLE001  # it is raised where the loop asks next
        return error
    return None
