"""Records as Avro: a body by its writer's schema, behind a registry's header or plain."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Final, Protocol, TypeAlias

from fastavro import schemaless_reader

from streams.avroschema import Parsed, prepared
from streams.values import BadValueError, short, word
from streams.wire import Read, Slots, Topic, not_utf8, text_key

MAGIC: Final = 0
HEADER: Final = 5
"""Bytes before a body: the magic 0, then the schema's id, big endian."""

MOST_ID: Final = 2**31 - 1
"""Registries count with signed numbers; what lies above is no id."""

Find: TypeAlias = Callable[[int], Parsed]


class Written(Protocol):
    """A schema as it was written, and those that it names, each before whoever names it."""

    @property
    def text(self) -> str:
        """The schema, in JSON."""
        ...

    @property
    def references(self) -> Sequence[str]:
        """The schemas that it names."""
        ...


class Schemas(Protocol):
    """Knows the writers' schemas by their ids."""

    def schema(self, number: int) -> Written:
        """Give that schema; BadValueError if there is none, LaterError if it cannot be had now."""
        ...

    def in_touch(self) -> float:
        """Seconds since when it does not answer; 0 while it does."""
        ...


class Framed:
    """Reads bodies behind the registry's header, each by its writer's schema.

    A schema is looked up once; one that is of no use is remembered as such. So fields may come and
    go: what a record lacks is missing, what nobody asked for is passed over.
    """

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._parsed: dict[int, Parsed] = {}
        self._useless: dict[int, BadValueError] = {}

    def reader(self, names: Sequence[str], topic: Topic) -> Read:  # noqa: ARG002 - one for both
        """Give what reads these fields from one record."""
        return reading(names, lambda raw: value(raw, HEADER, self._find(_number(raw))))

    def key(self, raw: bytes) -> str:
        """Read a key: text or a number behind a header, or in a record of one field; else text."""
        return framed_key(raw, self._find)

    def in_touch(self) -> float:
        """Seconds since when the registry does not answer; 0 while it does."""
        return self._schemas.in_touch()

    def _find(self, number: int) -> Parsed:
        found = self._parsed.get(number)
        if found is not None:
            return found
        if number in self._useless:
            raise self._useless[number].with_traceback(None)
        written = self._schemas.schema(number)
        try:
            found = self._parsed[number] = prepared(written.text, written.references)
        except BadValueError as bad:
            detail = f"schema {number}: {bad.detail}"
            self._useless[number] = BadValueError(bad.reason, detail)
            raise self._useless[number] from None
        return found


class ByFile:
    """Reads bodies that were all written with the schema of one file.

    Args:
        schemas: the schema of each topic.
        header: whether records begin with the registry's header, whose id then does not matter.
    """

    def __init__(self, schemas: Mapping[Topic, Parsed], *, header: bool) -> None:
        self._schemas, self._header = schemas, header

    def reader(self, names: Sequence[str], topic: Topic) -> Read:
        """Give what reads these fields from one record of that topic."""
        schema = self._schemas[topic]
        if self._header:
            find: Find = lambda number: schema  # noqa: E731, ARG005 - whatever the id
            return reading(names, lambda raw: value(raw, HEADER, find(_number(raw))))
        return reading(names, lambda raw: value(raw, 0, schema))

    def key(self, raw: bytes) -> str:
        """Read a key, which is text: the schemas are those of values."""
        return text_key(raw)

    def in_touch(self) -> float:
        """Say 0: nothing else is needed."""
        return 0.0


def reading(names: Sequence[str], decode: Callable[[bytes], object]) -> Read:
    """Give what reads these fields from what a record is decoded to."""

    def read(raw: bytes) -> Slots:
        record = decode(raw)
        if type(record) is not dict:
            raise BadValueError("not-an-object", f"{short(record)}; send one record or map")
        return [*map(record.get, names)]

    return read


def framed_key(raw: bytes, find: Find) -> str:
    """Read a key behind a header; what has none, or is neither text nor a number, as text."""
    if raw[:1] != b"\0":
        return text_key(raw)
    try:
        found = value(raw, HEADER, find(_number(raw)))
        if isinstance(found, dict) and len(found) == 1:
            (found,) = found.values()
        return word(found) or ""
    except BadValueError:
        return text_key(raw)


def _number(raw: bytes) -> int:
    """Give the schema's id that a header holds."""
    if len(raw) < HEADER or raw[0] != MAGIC:
        raise BadValueError(
            "undecodable",
            f"{short(raw[:HEADER])} is no header; send 0, a schema's id in 4 bytes, the body",
        )
    number = int.from_bytes(raw[1:HEADER], "big")
    if number > MOST_ID:
        raise BadValueError("undecodable", f"no schema has the id {number}; send a header")
    return number


def value(raw: bytes, start: int, schema: Parsed) -> object:
    """Read the body that begins at `start`, all of it.

    Raises:
        BadValueError: the bytes are not what the schema says.
    """
    stream = BytesIO(raw)
    stream.seek(start)
    try:
        found: object = schemaless_reader(stream, schema, None)
    except UnicodeDecodeError as error:
        raise not_utf8(error) from None
    except Exception as error:  # noqa: BLE001 - whatever the library trips over, the record is refused
        why = f"{type(error).__name__} {error}"[:200].strip()
        raise BadValueError("undecodable", f"{why}; send Avro of its schema") from None
    if stream.tell() != len(raw):
        more = len(raw) - stream.tell()
        raise BadValueError("undecodable", f"{more} bytes follow; send Avro of its schema")
    return found
