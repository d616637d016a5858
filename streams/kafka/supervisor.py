"""A producer that outlives its own death.

One error that cannot be retried, such as a record that the broker finds too large, leaves
kafka-python's idempotent producer unable to send ever again. So everything sent is kept until a
flush finds it acknowledged; if something failed, a new producer sends the rest again, in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import structlog

from streams.kafka.client import (
    AT_FAULT,
    BATCH_LIFE,
    NOT_ALLOWED,
    faults,
    producer,
    remedy,
)
from streams.kafka.outlet import end, only_partition, said
from streams.kafka.settings import KafkaSettings
from streams.kafka.touch import Clock
from streams.source import SourceError

_log = structlog.get_logger()

Header: TypeAlias = tuple[str, bytes]


class Output(NamedTuple):
    """One record to write; without a partition the client chooses by the key."""

    topic: str
    value: bytes
    key: bytes | None
    headers: list[Header]
    partition: int | None


class Supervisor:
    """Sends records, remembers them until they are safe, and makes producers anew.

    Args:
        settings: how to connect, and how much to remember.
        clock: seconds, never going back.
        bounced: told of a record that the broker does not take, and why.
    """

    def __init__(
        self, settings: KafkaSettings, clock: Clock, bounced: Callable[[Output, str], None]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._bounced = bounced
        self._producer, self._wire = producer(settings)
        self._outputs: list[Output] = []  # sent since the last flush, in order
        self._futures: list[Any] = []  # their acknowledgements, or the errors that sending raised
        self._stuck: float | None = None  # since when flushes have left something
        self.recreations = 0

    def only_partition(self, topic: str) -> int | None:
        """Give the partition of a topic that has just one, so that no key need be hashed."""
        return only_partition(self._settings, self._producer, self._wire, topic)

    def heard(self) -> float:
        """Give the client's monotonic time of the last bytes from a broker."""
        return self._wire.heard()

    def send(self, output: Output) -> None:
        """Send one record, not waiting for it; what fails shows at the next flush."""
        self._post(output)

    def ease(self) -> None:
        """Flush if too much waits; what is not acknowledged in time goes on waiting."""
        if len(self._outputs) >= self._settings.max_unflushed:
            try:
                self.flush()
            except SourceError as error:
                _log.error("answers wait for the broker", why=str(error))

    def flush(self) -> None:
        """Wait until all is acknowledged, in as many attempts as time allows.

        Raises:
            SourceError: time is up, or the brokers refuse this client.
        """
        until = self._clock() + self._settings.flush_timeout
        tried = self._stuck is None  # what failed in an earlier flush was not tried in this one
        while self._outputs:
            errors = self._wait(max(0.0, until - self._clock()))
            if not errors:
                self._stuck = None
                return
            refusals = [error for error in errors if tried and isinstance(error, NOT_ALLOWED)]
            refusal, tried = next(iter(refusals), None), True
            if refusal is not None or self._clock() >= until:
                self._give_up(refusal or errors[0])
            self._again(errors)

    def forget(self) -> None:
        """Stop remembering what is not acknowledged: someone else will send it again."""
        self._outputs, self._futures = [], []

    def close(self) -> None:
        """Wait a second for what is on its way and end the producer; never raises."""
        if self._outputs and (left := self._wait(1.0)):
            _log.warning("closing with answers unsent", answers=len(left), error=str(left[0]))
        end(self._producer, 1.0)

    def _post(self, output: Output) -> None:
        topic, value, key, headers, partition = output
        try:
            future = self._producer.send(topic, value, key, headers, partition)
        except (faults.KafkaError, ValueError) as error:
            future = _Failed(error)
        self._outputs.append(output)
        self._futures.append(future)

    def _wait(self, seconds: float) -> Sequence[Exception]:
        """Keep what is not acknowledged after that time, and give an error for each.

        Where a flush has left some that failed since, the producer is lost: they would be waited
        for in vain.
        """
        if not self._lost():
            try:
                self._producer.flush(seconds)
            except faults.KafkaError as error:
                _log.debug("answers not acknowledged", error=str(error), seconds=seconds)
        left = [
            (output, future)
            for output, future in zip(self._outputs, self._futures, strict=True)
            if not future.succeeded()
        ]
        self._outputs = [output for output, _ in left]
        self._futures = [future for _, future in left]
        return [future.exception or faults.KafkaTimeoutError() for future in self._futures]

    def _lost(self) -> bool:
        """Say whether a flush left something that failed, or that is older than batches become."""
        if self._stuck is None:
            return False
        limit = max(self._settings.flush_timeout, BATCH_LIFE) + 1.0
        overdue = self._clock() - self._stuck > limit
        return overdue or any(future.failed() for future in self._futures)

    def _again(self, errors: Sequence[Exception]) -> None:
        """Make a new producer and send again, in order, all that is not acknowledged."""
        self._anew(errors[0])
        outputs = self._outputs
        self.forget()
        for output, error in zip(outputs, errors, strict=True):
            self._post(output)
            if isinstance(error, AT_FAULT):
                self._alone(output)

    def _alone(self, output: Output) -> None:
        """Wait for a record that was found at fault; if it is so again, bounce it."""
        future = self._futures[-1]
        self._wait(self._settings.flush_timeout)
        if not isinstance(future.exception, AT_FAULT):
            return
        self._outputs, self._futures = self._outputs[:-1], self._futures[:-1]
        self._anew(future.exception)
        self._bounced(output, str(future.exception))

    def _anew(self, error: Exception) -> None:
        _log.error("producer lost, making a new one", error=said(error))
        end(self._producer, 0.0)
        patience = min(self._settings.connect_timeout, self._settings.flush_timeout)
        self._producer, self._wire = producer(replace(self._settings, connect_timeout=patience))
        self._stuck = None
        self.recreations += 1

    def _give_up(self, error: Exception) -> None:
        self._stuck = self._clock() if self._stuck is None else self._stuck
        place = f"kafka {self._settings.bootstrap}"
        late = f"not acknowledged in {self._settings.flush_timeout:g} s"
        why = said(error)
        raise SourceError(
            f"{place}: {len(self._outputs)} answers {late} ({why}); {remedy(error)}"
        ) from error


class _Failed:
    """Stands for the acknowledgement of what could not even be sent."""

    def __init__(self, error: Exception) -> None:
        self.exception = error

    def succeeded(self) -> bool:
        return False

    def failed(self) -> bool:
        return True
