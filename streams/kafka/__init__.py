"""Kafka: events and labels from topics, answers and dead letters to topics.

The settings cost nothing to import; the client is loaded with the source or the sink.
"""

from typing import TYPE_CHECKING, Any

from streams.kafka.settings import KafkaSettings

if TYPE_CHECKING:  # loaded on first use, below
    from streams.kafka.commons import KafkaCommons
    from streams.kafka.exactly import KafkaTransactions
    from streams.kafka.sink import KafkaSink
    from streams.kafka.source import KafkaSource

__all__ = ["KafkaCommons", "KafkaSettings", "KafkaSink", "KafkaSource", "KafkaTransactions"]


def __getattr__(name: str) -> Any:
    """Load the source or the sink when it is first asked for."""
    if name == "KafkaSource":
        from streams.kafka.source import KafkaSource  # noqa: PLC0415 - loads the client

        return KafkaSource
    if name == "KafkaSink":
        from streams.kafka.sink import KafkaSink  # noqa: PLC0415 - loads the client

        return KafkaSink
    if name == "KafkaTransactions":
        from streams.kafka.exactly import KafkaTransactions  # noqa: PLC0415 - loads the client

        return KafkaTransactions
    if name == "KafkaCommons":
        from streams.kafka.commons import KafkaCommons  # noqa: PLC0415 - loads the client

        return KafkaCommons
    raise AttributeError(name)
