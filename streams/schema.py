"""What a record holds: its fields by kind, and which of them is the id, key, time and target."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["numeric", "categorical", "tokens", "time"]
"""`tokens` is a text of words divided by spaces, or a list of words; `time` is Unix seconds or
ISO 8601, encoded as the hour of the day, the day of the week and the day of the year."""

Goal: TypeAlias = Literal["classes", "number"]


@dataclass(frozen=True, slots=True)
class Schema:
    """The shape of a stream's records.

    Args:
        fields: the features by name, in the order in which `Event.values` holds them.
        goal: whether the target is a class (found on the fly) or a number.
        target: the field that holds a riding label; absent or empty means "not known yet".
        id: the field that names an event; without one, its place in the stream does.
        key: the field that says whom the event is about (a card, a sensor).
        time: the field with the event time; without one, the record's own time or row number.
        label_id, label_time, label_target: the same on records of a labels topic or file;
            None means "as on events".
        max_bytes: a record larger than that is refused.
        classes: names of the classes known beforehand; others are found on the fly. Without any,
            the first answers name no class, until a first label has come.
        ahead: seconds that the time of an event or label may lie after its Kafka record's own; what
            is dated later is refused, since it would make events that wait for labels look old.
    """

    fields: dict[str, Kind]
    goal: Goal = "classes"
    target: str | None = None
    id: str | None = None
    key: str | None = None
    time: str | None = None
    label_id: str | None = None
    label_time: str | None = None
    label_target: str | None = None
    max_bytes: int = 65_536
    classes: tuple[str, ...] = ()
    ahead: float = 604_800.0

    def __post_init__(self) -> None:
        """Refuse a bound that bounds nothing."""
        if not self.ahead >= 0.0:
            raise ValueError(f"ahead is {self.ahead}; give 0 or more seconds")
