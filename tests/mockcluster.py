"""A Kafka cluster of three brokers that misbehaves to order: librdkafka's mock, in a child process.

`clustered()` gives one; its verbs take brokers down and up, make them slow, move leaders and
coordinators, drop old records, and have the next requests of a kind answered with errors. Records
lie in memory, five megabytes a partition. Transactions are acknowledged and no more: what is
aborted is shown, and offsets sent to them are lost. kafka-python finds no common tongue with it by
itself: `speak` says which (in a process of its own, `python -m tests.mockcluster run ...` is adaptd
so told).
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from typing_extensions import override

from tests.broker import Broker

ROOT = Path(__file__).parent.parent
SPOKEN = (2, 3)  # a version of brokers
EVERY = -1  # every broker, where one is named


class Api(IntEnum):
    """Kinds of requests, by the protocol's numbers."""

    PRODUCE = 0
    FETCH = 1
    LIST_OFFSETS = 2
    METADATA = 3
    OFFSET_COMMIT = 8
    OFFSET_FETCH = 9
    FIND_COORDINATOR = 10
    JOIN_GROUP = 11
    HEARTBEAT = 12
    SYNC_GROUP = 14
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Code(IntEnum):
    """What a broker may answer instead, by the protocol's numbers."""

    DISCONNECT = -195  # librdkafka's word for cutting the connection
    UNKNOWN = -1
    OFFSET_OUT_OF_RANGE = 1
    NOT_LEADER = 6
    REQUEST_TIMED_OUT = 7
    REPLICA_NOT_AVAILABLE = 9
    MESSAGE_TOO_LARGE = 10
    COORDINATOR_LOADING = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    UNKNOWN_MEMBER_ID = 25
    REBALANCE_IN_PROGRESS = 27
    TOPIC_AUTHORIZATION_FAILED = 29
    OUT_OF_ORDER_SEQUENCE = 45
    INVALID_PRODUCER_EPOCH = 47
    CONCURRENT_TRANSACTIONS = 51
    PRODUCER_FENCED = 90


@dataclass
class MockCluster(Broker):
    """Three brokers, numbered from 1; a partition lives on one of them and has no copies."""

    @override
    def create(self, name: str, partitions: int = 1, **config: str) -> str:
        """Make a topic of that very name, its partitions led by broker 1."""
        self._ask("topic_create", name, partitions, 1)
        for partition in range(partitions):
            self.leader(name, partition, 1)
        return name

    def down(self, broker: int = EVERY) -> None:
        """Cut a broker's connections and take no new ones; it keeps what it leads."""
        self._ask("broker_set_down", broker)

    def up(self, broker: int = EVERY) -> None:
        """Take connections again."""
        self._ask("broker_set_up", broker)

    def slow(self, milliseconds: int, broker: int = EVERY) -> None:
        """Answer every request that much later."""
        self._ask("broker_set_rtt", broker, milliseconds)

    def leader(self, topic: str, partition: int, broker: int) -> None:
        """Move a partition to another broker, with its records; -1 leaves it without."""
        self._ask("partition_set_leader", topic, partition, broker)

    def coordinator(self, group: str, broker: int, kind: str = "group") -> None:
        """Move a coordinator; `kind` is "group" or "transaction"."""
        self._ask("coordinator_set", kind, group, broker)

    def expire(self, topic: str, offset: int, partition: int = 0) -> None:
        """Drop the records of a partition before that offset, as retention does."""
        self._ask("partition_delete_records", topic, partition, offset)

    def errors(self, api: Api, *codes: Code, broker: int | None = None) -> None:
        """Answer the next requests of that kind with these errors, one each; all brokers or one."""
        self._ask("errors", int(api), [int(code) for code in codes], broker)

    def well(self, api: Api) -> None:
        """Forget the errors of that kind that were not given yet."""
        self._ask("clear_request_errors", int(api))

    def requests(self) -> dict[int, int]:
        """Give how many requests of each kind came since this was last asked."""
        return {int(api): count for api, count in self._ask("requests").items()}

    def _ask(self, verb: str, *words: Any) -> Any:
        if self.process is None or self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("no process: start one with clustered()")
        self.process.stdin.write(json.dumps([verb, *words]).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{verb}{words}: error {answer['error']}")
        return answer["result"]


def speak(patch: pytest.MonkeyPatch | None = None) -> None:
    """Have kafka-python speak as to brokers of version 2.3; with `patch`, until it is undone."""
    for client in (KafkaAdminClient, KafkaConsumer, KafkaProducer):
        if patch is None:
            client.DEFAULT_CONFIG["api_version"] = SPOKEN
        else:
            patch.setitem(client.DEFAULT_CONFIG, "api_version", SPOKEN)


@contextmanager
def clustered(brokers: int = 3) -> Iterator[MockCluster]:
    """Run a mock cluster; it is gone at the end. Skips where librdkafka is not installed."""
    if importlib.util.find_spec("confluent_kafka") is None:
        pytest.skip("no mock cluster: install confluent-kafka")
    command = [sys.executable, "-m", "tests.mockserver", str(brokers)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT) as process:
        if process.stdout is None:
            raise RuntimeError("the child has no output")
        cluster = MockCluster(json.loads(process.stdout.readline())["result"], process)
        try:
            yield cluster
        finally:
            process.kill()


if __name__ == "__main__":
    from agent.cli import main  # loads the whole agent: only for a daemon of its own

    speak()
    main()
