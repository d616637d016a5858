"""A schema, and what is read by it."""

from streams.schema import Schema

SCHEMA = Schema(
    fields={"amount": "numeric", "country": "categorical", "text": "tokens", "seen": "time"},
    target="fraud",
    id="id",
    key="card",
    time="time",
    max_bytes=4096,
)
