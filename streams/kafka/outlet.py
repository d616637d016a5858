"""What the producers have in common: a topic's only partition, and an end that leaves no thread."""

from typing import Any

import structlog

from streams.kafka.client import Wire, faults, plainly
from streams.kafka.settings import KafkaSettings

_log = structlog.get_logger()


def only_partition(settings: KafkaSettings, client: Any, wire: Wire, topic: str) -> int | None:
    """Give the partition of a topic that has just one, so that no key need be hashed."""
    with plainly(settings, f"looking for topic {topic!r}", wire):
        partitions = client.partitions_for(topic)
    return 0 if partitions == {0} else None


def end(client: Any, seconds: float) -> None:
    """Close a producer, waiting so long for what is on its way; never raises."""
    if client._closed:  # noqa: SLF001 - there is no public word on it
        return
    try:
        client.close(timeout=seconds)
    except (faults.KafkaError, OSError, RuntimeError, ValueError) as error:
        _log.warning("closing the producer", error=said(error))
        sender = client._sender  # noqa: SLF001 - a failed close leaves its thread running
        sender.force_close()
        sender.join(2.0)
        client._closed = True  # noqa: SLF001 - and would be tried again, and fail, at exit


def said(error: BaseException) -> str:
    """Give an error's words, or its kind where it has none."""
    return str(error) or type(error).__name__
