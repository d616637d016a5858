"""Bytes to records and back. Refuses with a reason, never guesses, never raises on a record."""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar, cast

import msgspec

from streams.assemble import Assembler, Slots, event_names, label_names
from streams.cells import MISSING, text
from streams.records import Event, Label, Prediction, Refused
from streams.schema import Schema
from streams.values import JSON, REASONS, short

__all__ = ["REASONS", "Codec", "Rows", "decode_refused", "encode_prediction", "encode_refused"]

_AWKWARD = re.compile(r'[\x00-\x1f"\\]')  # msgspec takes no such field names
_NOT_FINITE = re.compile(rb"[:\[,]\s*[-+]?(nan|inf|infinity)\b", re.IGNORECASE)


class Codec:
    """Reads the records of one schema.

    Missing (null, absent or empty) values are None, never an error. Where the schema names no id,
    `where` is the id; where it names no time, `time` is the time; a missing key is "". Fields that
    the schema does not name are ignored; of a field that comes twice the last one counts.

    Args:
        schema: what a record holds.
        missing: CSV cells that mean "missing" where a number or a time should be.
    """

    def __init__(self, schema: Schema, missing: frozenset[str] = MISSING) -> None:
        self.schema = schema
        self.missing = missing
        self._make = Assembler(schema, JSON)
        self._event_slots = _slots(event_names(schema))
        self._label_slots = _slots(label_names(schema))

    def event(self, raw: bytes, where: str, time: float) -> Event | Refused:
        """Read a JSON object as an event; never raises."""
        if len(raw) > self.schema.max_bytes:
            return oversize(raw, where, self.schema.max_bytes)
        try:
            slots = self._event_slots(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return _undecodable(error, raw, where)
        return self._make.event(slots, where, time, raw)

    def label(self, raw: bytes, where: str, time: float) -> Label | Refused:
        """Read a JSON object as a label; never raises."""
        if len(raw) > self.schema.max_bytes:
            return oversize(raw, where, self.schema.max_bytes)
        try:
            slots = self._label_slots(raw)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            return _undecodable(error, raw, where)
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
    seen = short(error.object[error.start : error.end])
    return Refused("bad-encoding", f"{seen} is no UTF-8; send UTF-8 text", where, raw)


def _undecodable(error: Exception, raw: bytes, where: str) -> Refused:
    try:
        raw.decode()
    except UnicodeDecodeError as fault:
        return not_text(fault, raw, where)
    if "out of range" in str(error) or _NOT_FINITE.search(raw):
        return Refused("not-finite", f"{error}; send finite numbers, or null", where, raw)
    if isinstance(error, msgspec.ValidationError):
        return Refused("not-an-object", f"{error}; send one JSON object a record", where, raw)
    return Refused("undecodable", f"{error}, in {short(raw)}; send valid JSON", where, raw)


def _slots(names: Sequence[str]) -> Callable[[bytes], Slots]:
    """Give a function from JSON text to the values of these fields, None where absent."""
    if any(_AWKWARD.search(name) for name in names):
        whole = msgspec.json.Decoder(dict[str, Any])
        return lambda raw: (*map(whole.decode(raw).get, names),)
    struct = msgspec.defstruct(
        "Slots",
        [(f"f{i}", Any, None) for i in range(len(names))],
        rename={f"f{i}": name for i, name in enumerate(names)},
    )
    decode = msgspec.json.Decoder(struct).decode
    astuple = msgspec.structs.astuple
    return lambda raw: astuple(decode(raw))


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
