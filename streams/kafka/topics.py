"""Topics that have to be there: looked for, and made where the settings say so."""

from collections.abc import Mapping, Sequence

from streams.kafka.access import options
from streams.kafka.client import KafkaAdminClient, NewTopic, Wire, plainly
from streams.kafka.settings import KafkaSettings
from streams.source import SourceError


def ensure_topics(
    settings: KafkaSettings,
    topics: Sequence[str],
    partitions: int | None = None,
    config: Mapping[str, str] | None = None,
) -> None:
    """See that the topics are there, or make them where the settings say so.

    Args:
        settings: the cluster, and what to make.
        topics: their names.
        partitions: of one that is made here; None for the settings' word.
        config: of one that is made here.

    Raises:
        SourceError: some are missing, or the cluster could not be asked.
    """
    wire, count = Wire(), partitions or settings.partitions
    with plainly(settings, "looking for topics", wire):
        admin = KafkaAdminClient(**options(settings), kafka_client=wire)
        try:
            there = set(admin.list_topics())
            absent = [topic for topic in topics if topic not in there]
            if absent and settings.create_topics:
                admin.create_topics(
                    [
                        NewTopic(name, count, settings.replication, topic_configs=config)
                        for name in absent
                    ]
                )
                absent = []
        finally:
            admin.close()
    if absent:
        raise SourceError(
            f"kafka {settings.bootstrap}: no topic {', '.join(map(repr, absent))}, or none that "
            "this user may see; make it with `kafka-topics.sh --bootstrap-server "
            f"{settings.bootstrap} --create --topic {absent[0]} --partitions {count}`, or set "
            "create_topics = true"
        )
