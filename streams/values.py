"""What one field may hold: from a decoded JSON value or a CSV cell to a number, a word, words.

A converter gives None for what is missing and raises `BadValueError` for what it refuses; it never
guesses. `JSON` holds the converters by kind, for MessagePack and Avro too; `streams.cells` has
those of CSV.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import TypeAlias

from streams.records import Value
from streams.schema import Kind

Convert: TypeAlias = Callable[[object], Value]

REASONS = frozenset(
    {
        "undecodable",  # no JSON, no CSV, no Avro of its schema, ...
        "unknown-schema",  # Avro whose schema the registry does not know, or that is of no use
        "bad-encoding",  # no UTF-8
        "not-an-object",  # a list or a bare value where an object should be
        "wrong-columns",  # a CSV line with too many or too few cells
        "wrong-type",  # a word where a number should be
        "not-finite",  # NaN, an infinity, more than a float can hold, a target above 1e15
        "bad-time",  # neither Unix seconds nor ISO 8601, missing, or far in the future
        "oversize",  # more bytes than `Schema.max_bytes`, or a name of more than 1024 characters
        "no-id",  # the schema names an id and the record has none
        "no-label",  # a label record without its truth
    }
)
"""Why a record can be refused; fixed, since they are a metric's labels."""

MILLISECONDS = 1e11
"""A Unix time above that (the year 5138 in seconds) counts milliseconds; as many of these are
refused: they are finer units still, which nobody has named."""


class BadValueError(Exception):
    """A value that its field cannot hold: `reason` is of `REASONS`, `detail` for a person."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def short(value: object, most: int = 40) -> str:
    """Show a value in few characters, whatever it is; never raises."""
    if isinstance(value, (str, bytes)):
        return repr(value if len(value) <= most else value[:most]) + "..." * (len(value) > most)
    if isinstance(value, int) and value.bit_length() > 4 * most:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    if isinstance(value, (int, float, datetime)) or value is None:
        return str(value)
    return f"a {type(value).__name__}"


def number(value: object) -> float | None:
    """A number or truth value; null and the empty text are missing."""
    kind = type(value)
    if kind is float:
        return _finite(value, value)  # type: ignore[arg-type]  # type() is not narrowed through a name
    if kind is int or kind is bool:
        return _whole(value)  # type: ignore[arg-type]  # as above
    if value is None or value == "":
        return None
    raise BadValueError("wrong-type", f"{short(value)} is not a number; send a number or null")


def _whole(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise not_finite(value) from None


def _finite(value: float, shown: object) -> float:
    if isfinite(value):
        return value
    raise not_finite(shown)


def not_finite(value: object) -> BadValueError:
    """Refuse what no finite float can hold."""
    return BadValueError(
        "not-finite", f"{short(value)} is no finite number; leave it out if it is not known"
    )


def word(value: object) -> str | None:
    """A category by its canonical name: 1, 1.0 and "1" are one; true is "true"."""
    if type(value) is str:
        return value or None
    if value is None:
        return None
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is float:
        return str(int(value)) if _finite(value, value).is_integer() else repr(value)
    if type(value) is int:
        return _digits(value)
    raise BadValueError("wrong-type", f"{short(value)} is no category; send a text or a number")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python prints
        raise BadValueError("wrong-type", f"{short(value)} is no category; send a text") from None


def words(value: object) -> tuple[str, ...] | None:
    """The words of a text, divided by white space, or of a list of texts; no word is missing."""
    if type(value) is str:
        return tuple(value.split()) or None
    if value is None:
        return None
    if type(value) is list and all(type(one) is str for one in value):
        return tuple([one for one in value if one]) or None
    raise BadValueError(
        "wrong-type", f"{short(value)} is no text; send words divided by spaces or a list of words"
    )


def moment(value: object) -> float | None:
    """Unix seconds of a number (above 1e11: milliseconds), an ISO 8601 text or a timestamp."""
    if type(value) is str:
        return iso(value) if value else None
    if type(value) is datetime:
        return _utc(value).timestamp()
    if type(value) is bool:
        raise bad_time(value)
    try:
        return seconds(number(value))
    except BadValueError:
        raise bad_time(value) from None


def seconds(value: float | None) -> float | None:
    """Unix seconds of what may be milliseconds."""
    if value is None or -MILLISECONDS <= value <= MILLISECONDS:
        return value
    if abs(value) > 1000.0 * MILLISECONDS:
        raise bad_time(value)
    return value / 1000.0


def iso(text: str) -> float:
    """Unix seconds of an ISO 8601 text; without a zone it is UTC."""
    try:
        return _utc(datetime.fromisoformat(text.strip())).timestamp()
    except (ValueError, OverflowError):
        raise bad_time(text) from None


def _utc(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def bad_time(value: object) -> BadValueError:
    """Refuse what is no time."""
    return BadValueError(
        "bad-time", f"{short(value)} is no time; send Unix seconds or ISO 8601 (UTC if no zone)"
    )


JSON: Mapping[Kind, Convert] = {
    "numeric": number,
    "categorical": word,
    "tokens": words,
    "time": moment,
}
