"""Hands shards out to the members of a group: events with their labels, in as few moves as can be.

A shard's state is warm where it has been, so members keep what they have as far as shares are fair;
the rest go to those with room. Cooperative (KIP-429): a shard that moves is first given up by its
owner, who makes it durable, and given to the next in a second round; all others go on meanwhile.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from streams.kafka.client import (
    AbstractPartitionAssignor,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    RebalanceProtocol,
)

VERSION: Final = 1  # of the protocol: the first in which members say what they own


def shares(
    parts: Collection[int], owned: Mapping[str, Collection[int]]
) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """Divide numbers of partitions evenly among members, moving as few as possible.

    Of two members that claim the same, the first by name has it.

    >>> shares(range(4), {"a": [0, 1, 2, 3], "b": []})
    ({'a': [0, 1], 'b': [2, 3]}, {'a': [0, 1], 'b': []})
    >>> shares(range(4), {"a": [0, 1], "b": []})
    ({'a': [0, 1], 'b': [2, 3]}, {'a': [0, 1], 'b': [2, 3]})

    Args:
        parts: the numbers.
        owned: what each member has now, by its name.

    Returns:
        What each is to have in the end, and what it may have at once: nothing that another owns.
    """
    owner: dict[int, str] = {}
    for member in sorted(owned):
        for part in sorted(owned[member]):
            if part in parts:
                owner.setdefault(part, member)
    have = {member: [part for part in sorted(owner) if owner[part] == member] for member in owned}
    final = _fair(parts, have)
    free = set(parts) - owner.keys()
    now = {
        member: [part for part in wanted if part in free or owner.get(part) == member]
        for member, wanted in final.items()
    }
    return final, now


def _fair(parts: Collection[int], have: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    least, more = divmod(len(parts), len(have))
    # Those that have most get the shares that are one larger: nothing need move for them.
    ranked = sorted(have, key=lambda member: (-len(have[member]), member))
    room = {member: least + (at < more) for at, member in enumerate(ranked)}
    final = {member: list(have[member][: room[member]]) for member in ranked}
    kept = {part for some in final.values() for part in some}
    left = iter(sorted(set(parts) - kept))
    for member in ranked:
        while len(final[member]) < room[member]:
            final[member].append(next(left))
    return {member: sorted(final[member]) for member in sorted(final)}


class ShardAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # the client has no types
    """The group's leader divides by `shares`; each member says what it owns.

    Args:
        topics: events and, where there is one, labels, whose equal numbers go together.
    """

    name = "adaptd-shards"

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = sorted(topics)
        self._owned: frozenset[int] = frozenset()

    def supported_protocols(self) -> list[Any]:
        """Say that members go on while shards move."""
        return [RebalanceProtocol.COOPERATIVE]

    def metadata(self, topics: Collection[str]) -> Any:
        """Tell the leader what is owned here."""
        owned = [
            ConsumerProtocolSubscription.TopicPartition(topic=topic, partitions=sorted(self._owned))
            for topic in self._topics
            if self._owned
        ]
        return ConsumerProtocolSubscription(
            version=VERSION, topics=sorted(topics), user_data=b"", owned_partitions=owned
        )

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, Any]:
        """Divide the partitions that every topic has."""
        counts = [len(cluster.partitions_for_topic(topic) or ()) for topic in self._topics]
        owned = {member.member_id: _owned(member.metadata) for member in members}
        _, now = shares(range(min(counts)), owned)
        return {
            member: ConsumerProtocolAssignment(
                VERSION, [(topic, parts) for topic in self._topics if parts], b""
            )
            for member, parts in now.items()
        }

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Take note of what is owned here now."""
        del generation
        self._owned = frozenset(tp.partition for tp in assignment.partitions())

    def lost(self) -> None:
        """Own nothing any more: the group has gone on without this member."""
        self._owned = frozenset()


def _owned(metadata: Any) -> set[int]:
    """Read what a member says that it owns."""
    said = getattr(metadata, "owned_partitions", None) or ()
    return {part for topic in said for part in topic.partitions}
