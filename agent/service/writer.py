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
    photograph: Photograph
    done: Callable[[Saved], None]


class Writer:
    """One checkpoint is being written at a time, and at most one waits.

    A newer one takes the place of the one that waits, whose `done` is then never called: the newer
    one covers all that it covered. So a slow disk costs fewer checkpoints, never a waiting loop.
    """

    def __init__(
        self, store: CheckpointStore, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store, self._monotonic = store, monotonic
        self._changed = threading.Condition()
        self._waiting: _Job | None = None
        self._writing = False
        self._closing = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def submit(self, arrays: Arrays, meta: Json, done: Callable[[Saved], None]) -> None:
        """Copy these now and write them soon; `done` is called in the writing thread once durable.

        Raises `CheckpointError` for the failure of an earlier one, once; this one is taken all the
        same, so the loop may log the error and go on.
        """
        job = _Job(Photograph.take(arrays, meta), done)
        with self._changed:
            if self._closing:
                raise CheckpointError("the checkpoint writer is closed; make a new one")
            self._waiting = job
            self._changed.notify_all()
            self._raise_failure()

    def failed(self) -> CheckpointError | None:
        """Give the failure of an earlier one, once, as soon as it is known."""
        with self._changed:
            failure, self._failure = self._failure, None
        return None if failure is None else CheckpointError(str(failure))

    def drain(self, timeout: float) -> None:
        """Wait until all is durable. Raises `CheckpointError` if that fails or takes longer."""
        until = self._monotonic() + timeout
        with self._changed:
            while self._waiting is not None or self._writing:
                left = until - self._monotonic()
                if left <= 0 or not self._thread.is_alive():
                    raise CheckpointError(
                        f"a checkpoint was not written within {timeout:g} s; is the disk stuck?"
                    )
                self._changed.wait(left)
            self._raise_failure()

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
                self._waiting = None
                self._changed.notify_all()
            self._thread.join(0.0 if self._writing else timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise CheckpointError(str(failure)) from failure

    def _run(self) -> None:
        while (job := self._next()) is not None:
            failure = self._write(job)
            with self._changed:
                self._writing = False
                self._failure = failure or self._failure
                self._changed.notify_all()

    def _next(self) -> _Job | None:
        """Wait for a job and take it; None at the end."""
        with self._changed:
            while self._waiting is None and not self._closing:
                self._changed.wait()
            job, self._waiting = self._waiting, None
            self._writing = job is not None
            return job

    def _write(self, job: _Job) -> Exception | None:
        try:
            job.done(self._store.write(job.photograph))
        except Exception as error:  # noqa: BLE001  # it is raised where the loop asks next
            return error
        return None
