"""From a record's slots (its values in a fixed order) to an event or a label, or a refusal.

Formats differ only in how slots are found and in the converters of their cells.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from streams.records import Event, Label, Refused, Truth, Value
from streams.schema import Kind, Schema
from streams.values import BadValueError, Convert, short
from streams.wire import Slots

MOST_NAME: Final = 1024
"""Characters of an id, a key or a class."""

MOST_TRUTH: Final = 1e15
"""Size of a number that is the target."""


def event_names(schema: Schema) -> tuple[str, ...]:
    """Give the fields that an event is made of, features first, each once."""
    roles = (schema.id, schema.key, schema.time, schema.target)
    return tuple(dict.fromkeys([*schema.fields, *(name for name in roles if name is not None)]))


def label_names(schema: Schema) -> tuple[str, ...]:
    """Give the fields that a label is made of, each once."""
    roles = (
        schema.label_id or schema.id,
        schema.label_time or schema.time,
        schema.label_target or schema.target,
    )
    return tuple(dict.fromkeys([name for name in roles if name is not None]))


class Assembler:
    """Makes events of slots in the order of `event_names`, labels in that of `label_names`."""

    def __init__(self, schema: Schema, kinds: Mapping[Kind, Convert]) -> None:
        self._kinds = kinds
        self._features = [kinds[kind] for kind in schema.fields.values()]
        self._word = _name(kinds["categorical"])
        self._moment = kinds["time"]
        self._truth = _measure(kinds["numeric"]) if schema.goal == "number" else self._word
        self._fields = {
            "id": schema.id,
            "time": schema.time,
            "label id": schema.label_id or schema.id,
            "label time": schema.label_time or schema.time,
            "truth": schema.label_target or schema.target,
        }
        self._place_event(schema)
        self._place_label(schema)

    def _place_event(self, schema: Schema) -> None:
        names = event_names(schema)
        self._id = _place(names, schema.id)
        self._key = _place(names, schema.key)
        self._time = _place(names, schema.time)
        self._target = _place(names, schema.target)
        self._event_checks = [
            *((name, i, self._kinds[kind]) for i, (name, kind) in enumerate(schema.fields.items())),
            *self._checks(names, (self._id, self._key), self._time, self._target),
        ]

    def _place_label(self, schema: Schema) -> None:
        names = label_names(schema)
        self._label_id = _place(names, schema.label_id or schema.id)
        self._label_time = _place(names, schema.label_time or schema.time)
        self._label_needs_time = schema.label_time is not None
        self._label_target = _place(names, schema.label_target or schema.target)
        self._label_checks = self._checks(
            names, (self._label_id,), self._label_time, self._label_target
        )

    def _checks(
        self, names: Sequence[str], words: Sequence[int], time: int, target: int
    ) -> list[tuple[str, int, Convert]]:
        roles = [*((place, self._word) for place in words), (time, self._moment)]
        return [
            (names[place], place, convert)
            for place, convert in [*roles, (target, self._truth)]
            if place >= 0
        ]

    def event(self, slots: Slots, where: str, time: float, raw: bytes) -> Event | Refused:
        """Give the event; `where` is its id and `time` its time where the schema names none."""
        try:
            values = [convert(slot) for convert, slot in zip(self._features, slots, strict=False)]
            label = None if self._target < 0 else self._truth(slots[self._target])
            key = "" if self._key < 0 else self._word(slots[self._key]) or ""
            return Event(
                where if self._id < 0 else self._named(slots[self._id], self._fields["id"]),
                cast("str", key),
                time if self._time < 0 else self._timed(slots[self._time], self._fields["time"]),
                tuple(values),
                cast("Truth | None", label),
            )
        except BadValueError as bad:
            return _refuse(bad, self._event_checks, slots, where, raw)

    def label(self, slots: Slots, where: str, time: float, raw: bytes) -> Label | Refused:
        """Give the label; `time` is its time if it has none and `Schema.label_time` names none."""
        try:
            known = None if self._label_time < 0 else self._moment(slots[self._label_time])
            if known is None and self._label_needs_time:
                known = self._timed(slots[self._label_time], self._fields["label time"])
            return Label(
                self._named(
                    None if self._label_id < 0 else slots[self._label_id], self._fields["label id"]
                ),
                time if known is None else cast("float", known),
                self._told(None if self._label_target < 0 else slots[self._label_target]),
            )
        except BadValueError as bad:
            return _refuse(bad, self._label_checks, slots, where, raw)

    def _named(self, slot: object, field: str | None) -> str:
        name = self._word(slot)
        if name is None:
            raise BadValueError(
                "no-id", f"{field!r} is missing; send an id, or name none in the schema"
            )
        return cast("str", name)

    def _timed(self, slot: object, field: str | None) -> float:
        time = self._moment(slot)
        if time is None:
            raise BadValueError(
                "bad-time", f"{field!r} is missing; send a time, or name none in the schema"
            )
        return cast("float", time)

    def _told(self, slot: object) -> Truth:
        truth = self._truth(slot)
        if truth is None:
            raise BadValueError(
                "no-label", f"{self._fields['truth']!r} is missing; send labels once known"
            )
        return cast("Truth", truth)


def _name(word: Convert) -> Convert:
    """Read ids, keys and classes: they are kept for long, so a long one is refused."""

    def convert(value: object) -> Value:
        name = word(value)
        if name is not None and len(cast("str", name)) > MOST_NAME:
            detail = f"{short(name)} has {len(cast('str', name))} characters"
            raise BadValueError("oversize", f"{detail}, a name at most {MOST_NAME}; shorten it")
        return name

    return convert


def _measure(number: Convert) -> Convert:
    """Read numbers to be learned: single precision has to hold their squares."""

    def convert(value: object) -> Value:
        found = number(value)
        if found is not None and abs(cast("float", found)) > MOST_TRUTH:
            detail = f"{short(found)} is too large to be learned, at most {MOST_TRUTH:g}"
            raise BadValueError("not-finite", f"{detail}; send it in a larger unit")
        return found

    return convert


def _place(names: Sequence[str], name: str | None) -> int:
    return -1 if name is None else names.index(name)


def _refuse(
    bad: BadValueError,
    checks: Sequence[tuple[str, int, Convert]],
    slots: Slots,
    where: str,
    raw: bytes,
) -> Refused:
    """Say which field is guilty: the first that its converter refuses, if any."""
    for name, place, convert in checks:
        try:
            convert(slots[place])
        except BadValueError as first:
            return Refused(first.reason, f"{name!r}: {first.detail}", where, raw)
    return Refused(bad.reason, bad.detail, where, raw)
