"""What holds of a codec, whatever bytes it is given."""

from math import isfinite

import msgspec

from streams.codec import REASONS, decode_refused, encode_refused
from streams.records import Event, Label, Refused
from tests.hostile import FORMATS, Format, codec

CODECS = {form: codec(form) for form in FORMATS}


def check(form: Format, raw: bytes) -> None:
    """Read bytes as an event and as a label; AssertionError, or whatever it raises, is a fault."""
    reads = CODECS[form]
    for found in (reads.event(raw, "w", 5.0), reads.label(raw, "w", 5.0)):
        assert sound(found), found


def sound(found: Event | Label | Refused) -> bool:
    """Whether all that a record promises is so."""
    if isinstance(found, Refused):
        assert found.reason in REASONS
        assert 0 < len(found.detail) < 600
        assert found.detail.isprintable(), "a log on a terminal shows it"
        return decode_refused(encode_refused(found)) == found
    msgspec.json.encode(found)  # every text is valid
    values = [found.truth] if isinstance(found, Label) else [found.label, *found.values]
    numbers = [value for value in (found.time, *values) if isinstance(value, float)]
    return 0 < len(found.id) <= 1024 and all(map(isfinite, numbers))
