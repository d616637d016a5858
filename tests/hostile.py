"""Records that mean harm, in each format, and good ones to send beside them."""

import io
import json
import struct
from dataclasses import dataclass
from typing import Any, Literal

import fastavro
import msgspec

from streams.avro import ByFile
from streams.avroschema import prepared
from streams.codec import Codec
from streams.messagepack import MessagePack
from streams.schema import Schema
from streams.wire import Wire

Format = Literal["json", "msgpack", "avro"]
FORMATS: tuple[Format, ...] = ("json", "msgpack", "avro")

SCHEMA = Schema(
    {"a": "numeric", "b": "numeric", "word": "categorical", "text": "tokens", "seen": "time"},
    target="y",
    id="id",
    key="k",
    time="t",
)
LIST = {"type": "array", "items": ["null", "string", "double"]}
ANY = ["null", "double", "string", "bytes", LIST]
AVRO: Any = {
    "type": "record",
    "name": "Any",
    "fields": [{"name": name, "type": ANY} for name in ("id", "k", "t", "y", *SCHEMA.fields)],
}
_PARSED = prepared(json.dumps(AVRO))
_WRITES = fastavro.parse_schema(AVRO)


def codec(form: Format) -> Codec:
    """Give the codec of `SCHEMA` in that format; Avro allows every field almost anything."""
    wires: dict[Format, Wire | None] = {
        "json": None,
        "msgpack": MessagePack(),
        "avro": ByFile({"events": _PARSED, "labels": _PARSED}, header=True),
    }
    return Codec(SCHEMA, wire=wires[form])


def write(form: Format, **fields: Any) -> bytes:
    """Write one record."""
    if form == "json":
        return json.dumps(fields).encode()
    if form == "msgpack":
        return msgspec.msgpack.encode(fields)
    out = io.BytesIO()
    fastavro.schemaless_writer(out, _WRITES, dict.fromkeys(_NAMES) | fields)
    return b"\0" + struct.pack(">I", 1) + out.getvalue()


_NAMES = [field["name"] for field in AVRO["fields"]]


@dataclass(frozen=True)
class Hostile:
    """A record, what it tries, and whether it is refused (else it is odd, but legal)."""

    name: str
    raw: bytes
    refused: bool


BASE: dict[str, Any] = {"id": "x", "t": 50.0, "a": 1.0, "word": "w"}

_BAD_FIELDS: dict[str, dict[str, Any]] = {
    "nan": {"a": float("nan")},
    "infinite": {"a": float("inf")},
    "infinite time": {"t": float("-inf")},
    "time in microseconds": {"t": 1.7e15},
    "time as a word": {"t": "yesterday"},
    "time of year 10000": {"t": "10000-01-01"},
    "no id": {"id": ""},
    "no id at all": {"id": None},
    "a word for a number": {"a": "1e5"},
    "words for a category": {"word": ["a", "b"]},
    "numbers for words": {"text": [1.0]},
    "a long id": {"id": "i" * 2000},
    "a long key": {"k": "k" * 2000},
    "a long class": {"y": "y" * 2000},
    "ten megabytes": {"text": "w" * 10_000_000},
}
_ODD_FIELDS: dict[str, dict[str, Any]] = {
    "most of a float": {"a": 1.7e308, "b": -1.7e308},
    "least of a float": {"a": 5e-324, "b": -5e-324},
    "minus nothing": {"a": -0.0},
    "control characters": {"id": "\x00\x1b[2J\r\n", "k": "\x07", "word": "\x00", "text": "\x01"},
    "prototypes": {"id": "__proto__", "k": "constructor", "word": "__class__", "text": "toString"},
    "markup": {"id": "<script>alert(1)</script>", "word": "{{7*7}}", "text": "${jndi:ldap://x}"},
    "right to left": {"id": "\u202eevil", "word": "\ufeff", "text": "\u2028"},
    "an id of a number": {"id": 1e300},
    "a lone far future": {"t": 9e10},
    "a lone far past": {"t": -9e10},
    "before all time": {"t": "0001-01-01T00:00:00"},
    "many words": {"text": " ".join(f"w{i}" for i in range(5000))},
    "a long word": {"word": "w" * 50_000},
}

_RAW_JSON = {
    "100,000 brackets": b'{"id":"x","t":1,"a":' + b"[" * 50_000,
    "closed brackets": b'{"id":"x","t":1,"other":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deep objects": b'{"id":"x","t":1,"other":' + b'{"a":' * 12_000 + b"1" + b"}" * 12_000 + b"}",
    "brackets in a row": b"[" * 65_000,
    "a huge integer": b'{"id":"x","t":1,"a":1' + b"0" * 5000 + b"}",
    "a huge integer for a word": b'{"id":"x","t":1,"word":1' + b"0" * 5000 + b"}",
    "a huge integer for an id": b'{"id":1' + b"0" * 5000 + b',"t":1}',
    "a huge fraction": b'{"id":"x","t":1,"a":0.' + b"0" * 60_000 + b"1e60001e}",
    "a huge exponent": b'{"id":"x","t":1,"a":1e999}',
    "an exponent of many digits": b'{"id":"x","t":1,"a":1e' + b"9" * 60_000 + b"}",
    "NaN": b'{"id":"x","t":1,"a":NaN}',
    "-Infinity": b'{"id":"x","t":1,"a":-Infinity}',
    "a lone surrogate": b'{"id":"\\ud800","t":1}',
    "a surrogate in UTF-8": b'{"id":"\xed\xa0\x80","t":1}',
    "overlong UTF-8": b'{"id":"\xc0\x80","t":1}',
    "a raw control character": b'{"id":"\x00","t":1}',
    "an escape cut off": b'{"id":"\\u00',
    "quotes": b'{"id":' + b'"' * 65_000,
    "backslashes": b'{"id":"' + b"\\" * 65_001,
    "ten megabytes": b'{"id":"' + b"x" * 10_000_000 + b'","t":1}',
    "nothing": b"",
    "a zero": b"\0",
    "UTF-16": '{"id":"x","t":1}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"id":"x","t":1}',
    "two objects": b'{"id":"x","t":1}{"id":"y","t":1}',
    "a comment": b'{"id":"x","t":1}//',
    "a prototype for a value": b'{"id":"x","t":1,"a":{"__proto__":{"a":1}}}',
}
_RAW_PACK = {
    "100,000 arrays": b"\x83\xa2id\xa1x\xa1t\x01\xa1a" + b"\x91" * 60_000,
    "maps in maps": b"\x83\xa2id\xa1x\xa1t\x01\xa1z" + b"\x81\xa1a" * 20_000 + b"\x01",
    "an array of four milliards": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "arrays of milliards in one another": b"\x81\xa1a" + b"\xdd\xff\xff\xff\xff" * 90,
    "a map of milliards": b"\xdf\xff\xff\xff\xff",
    "a text of four milliards": b"\x81\xa2id\xdb\xff\xff\xff\xff",
    "keys that are lists": b"\x81\x91\x01\x01",
    "keys that are numbers": b"\x81\x01\x01",
    "a byte that is never used": b"\xc1",
    "a bad key in keys of keys": b"\x81\xa1a"
    + b"\x81" * 90
    + b"\xc7\x0c\xff\0\0\0\0\x7f"
    + b"\xff" * 7,
    "a timestamp out of range": b"\x82\xa2id\xa1x\xa1t\xc7\x0c\xff\0\0\0\0\x7f" + b"\xff" * 7,
    "an extension": b"\x82\xa2id\xa1x\xa1t\xd4\x05\x01",
    "not UTF-8": b"\x81\xa2id\xa1\xff",
    "nothing": b"",
}
_RAW_AVRO = {
    "no header": b"{}",
    "a header alone": b"\0\0\0\0\1",
    "an id beyond all": b"\0\xff\xff\xff\xff\0",
    "a branch that is not there": b"\0\0\0\0\1\x7e",
    "a branch before the first": b"\0\0\0\0\1" + b"\x13" * 9,
    "a text of a huge length": b"\0\0\0\0\1\x04" + b"\xfe" + b"\xff" * 8 + b"\x01",
    "an array of a huge count": b"\0\0\0\0\1\x08" + b"\xfe" + b"\xff" * 8 + b"\x01",
    "an array of as many nulls as bytes": b"\0\0\0\0\1\x08\xfe\xff\x07" + b"\0" * 60_000,
    "a length without an end": b"\0\0\0\0\1\x04" + b"\xff" * 60_000,
    "not UTF-8": b"\0\0\0\0\1\x04\x02\xff" + b"\0" * 8,
    "nothing": b"",
}
_RAW = {"json": _RAW_JSON, "msgpack": _RAW_PACK, "avro": _RAW_AVRO}


def hostile(form: Format) -> list[Hostile]:
    """Give all of them in that format; what is refused first."""
    found = [Hostile(name, raw, refused=True) for name, raw in _RAW[form].items()]
    for group, refused in ((_BAD_FIELDS, True), (_ODD_FIELDS, False)):
        for name, fields in group.items():
            found.append(Hostile(name, write(form, **(BASE | fields)), refused))
    if form == "json":  # of a field that comes twice the last one counts
        twice = b'{"id":"x","id":"y","t":1,"t":2,"a":1,"a":2,"__proto__":{"a":3},"constructor":1}'
        found.append(Hostile("fields that come twice", twice, refused=False))
    return found
