"""The schema of a person's file, guessed, and said in words with the flag that overrides it."""

from dataclasses import dataclass, field
from pathlib import Path

from agent.evaluate.columns import FEW, ID_NAME, ROWS, Column, columns
from agent.faults import nearest
from streams.cells import MISSING
from streams.files import FileSettings
from streams.schema import Goal, Kind, Schema


class WishError(ValueError):
    """What was asked for does not fit the file; the message says what would."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person says of the file; the rest is guessed.

    Args:
        target: the column to predict.
        goal: "classes" or "number".
        time: the column with the event time.
        id: the column that names an event; it is no feature.
        drop: columns to leave out.
        kinds: what columns hold.
        delimiter: what divides the cells of a CSV file.
    """

    target: str
    goal: Goal | None = None
    time: str | None = None
    id: str | None = None
    drop: tuple[str, ...] = ()
    kinds: dict[str, Kind] = field(default_factory=dict)
    delimiter: str | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """How the file will be read: its schema, and every guess in words.

    Events are named by their rows: an id that came twice would not be learned twice by the agent,
    but would be by its rivals.
    """

    schema: Schema
    file: FileSettings
    missing: frozenset[str]
    said: tuple[str, ...]


def guess(path: Path, wishes: Wishes) -> Guess:
    """Guess how to read the file.

    Raises:
        ValueError: the delimiter is no single character.
        WishError: a column that was named is not there, or the target cannot be what was asked.
        SourceError: the file cannot be read.
    """
    file = FileSettings(str(path), delimiter=wishes.delimiter)
    found = columns(path, wishes.delimiter)
    for name in (wishes.target, wishes.time, wishes.id, *wishes.drop, *wishes.kinds):
        if name is not None and name not in found:
            raise WishError(f"{path.name} has no column {name!r}; {nearest(name, found)}")
    goal, why = _goal(found[wishes.target], wishes.goal)
    said = [f"target {wishes.target}: {why}"]
    id_name = wishes.id or _id(found, wishes)
    if id_name is not None:
        why = "as asked" if wishes.id else "by its name and because every value differs"
        said.append(f"{id_name}: names the event, {why}; no feature")
    fields, missing = _fields(found, wishes, id_name, said)
    time = wishes.time or _time(found, fields)
    said.append(_of_time(time, wishes))
    schema = Schema(fields=fields, goal=goal, target=wishes.target, time=time)
    return Guess(schema, file, missing, tuple(said))


def _of_time(time: str | None, wishes: Wishes) -> str:
    if time is None:
        return "event time: none found, so the row's number stands for it (--time COLUMN)"
    return f"event time: {time}, " + ("as asked" if wishes.time else "whose values never fall")


def _goal(target: Column, wished: Goal | None) -> tuple[Goal, str]:
    count = len(target.distinct)
    if not target.values:
        raise WishError(
            f"the target {target.name!r} is empty in the first {ROWS} rows; name another"
        )
    if wished == "number" and not target.all_numbers:
        odd = next(iter(target.odd))
        raise WishError(f"the target {target.name!r} holds {odd!r}; it cannot be a number")
    if wished is not None:
        return wished, f"{wished}, as asked"
    if target.all_numbers and (count > FEW or not target.whole):
        return "number", f"a number ({count} different values; --goal classes to override)"
    return "classes", f"{count} classes in the first rows (--goal number to override)"


def _id(found: dict[str, Column], wishes: Wishes) -> str | None:
    taken = {wishes.target, wishes.time, *wishes.drop}
    named = (name for name in found if ID_NAME.match(name) and name not in taken)
    return next((name for name in named if found[name].unique), None)


def _fields(
    found: dict[str, Column], wishes: Wishes, id_name: str | None, said: list[str]
) -> tuple[dict[str, Kind], frozenset[str]]:
    fields: dict[str, Kind] = {}
    missing = MISSING
    for name, column in found.items():
        if name in {wishes.target, id_name, *wishes.drop}:
            continue
        kind, why = column.kind()
        if name == wishes.time or name in wishes.kinds:
            kind, why = wishes.kinds.get(name, "time"), "as asked"
        said.append(f"{name}: {kind or 'left out'}, {why}")
        if kind is not None:
            fields[name] = kind
        if kind == "numeric" and column.all_numbers:
            missing |= column.odd
    if not fields:
        raise WishError("no column is left to predict from; drop fewer")
    return fields, missing


def _time(found: dict[str, Column], fields: dict[str, Kind]) -> str | None:
    ordered = (name for name, kind in fields.items() if kind == "time" and found[name].ordered)
    return next(ordered, None)
