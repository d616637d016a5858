"""A peer that is fed records one at a time, test then train, and scored as the agent is."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import override

from agent.evaluate.contest import Contest
from agent.evaluate.rivals import Rival, Said
from agent.service.report import Scores
from streams.records import Event, Label, Record, Value
from streams.schema import Schema

Encode: TypeAlias = Callable[[Sequence[Value]], Any]
"""From an event's values to what the peer predicts and learns."""


class Fed(Contest):
    """As `Contest`, with features encoded as the peer wants them."""

    def __init__(self, of: Rival, schema: Schema, encode: Encode) -> None:
        super().__init__(of, schema)
        self._encode = encode
        self._waiting: dict[str, tuple[Any, Said]] = {}

    @override
    def feed(self, records: Sequence[Record]) -> Scores:
        rows: list[tuple[float, float, float, float, float]] = []
        for record in records:
            if isinstance(record, Event):
                x = self._encode(record.values)
                said = self._rival.predict(x)
                if record.label is None:
                    self._waiting[record.id] = (x, said)
                else:
                    rows.append(self._learned(x, said, record.label, 0.0))
            elif isinstance(record, Label):
                x, said = self._waiting.pop(record.id)
                rows.append(self._learned(x, said, record.truth, 0.0))
        return Scores(*np.array(rows, np.float64).reshape(-1, 5).T)
