"""Bytes to records and back. Refuses with a reason, never guesses, never raises on a record."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Generic, TypeVar, cast

import msgspec

from streams.assemble import Assembler, event_names, label_names
from streams.cells import MISSING, text
from streams.jsontext import JsonText
from streams.records import Event, Label, Prediction, Refused
from streams.schema import Schema
from streams.values import JSON, REASONS, BadValueError
from streams.wire import Slots, Wire, not_utf8

__all__ = ["REASONS", "Codec", "Rows", "decode_refused", "encode_prediction", "encode_refused"]


class Codec:
    """Reads the records of one schema.

    Missing (null, absent or empty) values are None, never an error. Where the schema names no id,
    `where` is the id; where it names no time, `time` is the time; a missing key is "". Fields that
    the schema does not name are ignored.

    Args:
        schema: what a record holds.
        missing: CSV cells that mean "missing" where a number or a time should be.
        wire: the format of records that are no CSV rows; JSON unless said.
    """

    def __init__(
        self, schema: Schema, missing: frozenset[str] = MISSING, wire: Wire | None = None
    ) -> None:
        self.schema = schema
        self.missing = missing
        wire = wire or JsonText()
        self.in_touch, self.key = wire.in_touch, wire.key
        self._make = Assembler(schema, JSON)
        self._event_slots = wire.reader(event_names(schema), "events")
        self._label_slots = wire.reader(label_names(schema), "labels")

    def event(self, raw: bytes, where: str, time: float) -> Event | Refused:
        """Read one record as an event.

        Raises:
            LaterError: what is needed to read it does not answer now; nothing else, ever.
        """
        if len(raw) > self.schema.max_bytes:
            return oversize(raw, where, self.schema.max_bytes)
        try:
            slots = self._event_slots(raw)
        except BadValueError as bad:
            return Refused(bad.reason, bad.detail, where, raw)
        return self._make.event(slots, where, time, raw)

    def label(self, raw: bytes, where: str, time: float) -> Label | Refused:
        """Read one record as a label.

        Raises:
            LaterError: what is needed to read it does not answer now; nothing else, ever.
        """
        if len(raw) > self.schema.max_bytes:
            return oversize(raw, where, self.schema.max_bytes)
        try:
            slots = self._label_slots(raw)
        except BadValueError as bad:
            return Refused(bad.reason, bad.detail, where, raw)
        return self._make.label(slots, where, time, raw)

    def event_rows(self, header: Sequence[str]) -> "Rows[Event]":
        """Read rows under that header as events; KeyError names a column that is not there."""
        make = Assembler(self.schema, text(self.missing))
        return Rows(make.event, header, event_names(self.schema), self.schema.max_bytes)

    def label_rows(self, header: Sequence[str]) -> "Rows[Label]":
        """Read rows under that header as labels; KeyError names a column that is not there."""
        make = Assembler(self.schema, text(self.missing))
        return Rows(make.label, header, label_names(self.schema), self.schema.max_bytes)


Made = TypeVar("Made", Event, Label)


class Rows(Generic[Made]):
    """Reads CSV rows whose columns stand as a header says, by `Codec.event_rows`, `label_rows`."""

    def __init__(
        self,
        make: Callable[[Slots, str, float, bytes], Made | Refused],
        header: Sequence[str],
        names: Sequence[str],
        max_bytes: int,
    ) -> None:
        columns = {name: i for i, name in reversed(list(enumerate(header)))}
        self._pick = _picker([columns[name] for name in names])
        self._width = len(header)
        self._make: Callable[[Slots, str, float, bytes], Made | Refused] = make
        self._max_bytes = max_bytes

    def __call__(self, cells: Sequence[str], where: str, time: float, raw: bytes) -> Made | Refused:
        """Read one row; `raw` is its line as it came; never raises."""
        if len(raw) > self._max_bytes:
            return oversize(raw, where, self._max_bytes)
        if len(cells) != self._width:
            detail = f"{len(cells)} cells under a header of {self._width}; quote what holds commas"
            return Refused("wrong-columns", detail, where, raw)
        return self._make(self._pick(cells), where, time, raw)


def oversize(raw: bytes, where: str, most: int) -> Refused:
    """Refuse what is too long to be read at all."""
    detail = f"{len(raw)} bytes, at most {most} are read; shorten it or raise `max_bytes`"
    return Refused("oversize", detail, where, raw)


def not_text(error: UnicodeDecodeError, raw: bytes, where: str) -> Refused:
    """Refuse what is not UTF-8."""
    bad = not_utf8(error)
    return Refused(bad.reason, bad.detail, where, raw)


def _picker(places: Sequence[int]) -> Callable[[Sequence[str]], Slots]:
    if len(places) > 1:
        return cast("Callable[[Sequence[str]], Slots]", itemgetter(*places))
    return lambda cells: [cells[place] for place in places]


_encode = msgspec.json.Encoder().encode


def encode_prediction(prediction: Prediction) -> bytes:
    """Write a prediction as one JSON object, without a line's end."""
    return _encode(prediction)


class _Letter(msgspec.Struct):
    """A dead letter on the wire: `raw` is the record's text, or its base64 if it is no UTF-8."""

    reason: str
    detail: str
    where: str
    raw: str
    base64: bool = False


_letters = msgspec.json.Decoder(_Letter)


def encode_refused(refused: Refused) -> bytes:
    """Write a dead letter as one JSON object; `decode_refused` gives the same record back."""
    try:
        raw, packed = refused.raw.decode(), False
    except UnicodeDecodeError:
        raw, packed = b64encode(refused.raw).decode(), True
    return _encode(_Letter(refused.reason, refused.detail, refused.where, raw, packed))


def decode_refused(letter: bytes) -> Refused:
    """Read a dead letter; raises ValueError for anything else."""
    found = _letters.decode(letter)
    raw = b64decode(found.raw, validate=True) if found.base64 else found.raw.encode()
    return Refused(found.reason, found.detail, found.where, raw)
