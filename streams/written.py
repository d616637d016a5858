"""Records to the JSON that `Codec` reads back, for whatever makes a stream."""

from typing import Any

import msgspec

from streams.records import Event, Label
from streams.schema import Schema


class Writing:
    """Writes records of one schema; a missing value becomes null.

    Args:
        schema: the names of the fields; it must name an id, a key, a time and a target, for
            without them a label could not find its event.
    """

    def __init__(self, schema: Schema) -> None:
        needed = {name: getattr(schema, name) for name in ("id", "key", "time", "target")}
        for name, given in needed.items():
            if given is None:
                raise ValueError(f"stream.{name} is missing; name the field that holds it")
        self._event = needed["id"], needed["key"], needed["time"]
        self._label = (
            schema.label_id or needed["id"],
            schema.label_time or needed["time"],
            schema.label_target or needed["target"],
        )
        self._fields = tuple(schema.fields)
        self._encode = msgspec.json.Encoder().encode

    def event(self, event: Event) -> bytes:
        """Write an event, without the label that may ride along."""
        id_, key, time = self._event
        found: dict[str, Any] = {id_: event.id, key: event.key, time: event.time}
        found.update(zip(self._fields, event.values, strict=True))
        return self._encode(found)

    def label(self, label: Label) -> bytes:
        """Write a label."""
        id_, time, target = self._label
        return self._encode({id_: label.id, time: label.time, target: label.truth})
