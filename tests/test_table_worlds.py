"""Tables as families of tasks: what is learned of the columns comes from training tasks alone."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streams.worlds.tabular import TableSettings, table_world
from streams.worlds.tasks import SPLITS
from tests.omniglot import PATH as OMNIGLOT

HAPT = OMNIGLOT.parent / "hapt_windows_users_1_20.csv.gz"


def drawn(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def written(folder: Path, *, packed: bool = False) -> Path:
    """Write ten tasks of twelve rows: `row` counts, `mood` and `kind` have three words."""
    lines = ["task,row,mood,size,kind,level"]
    for row in range(120):
        task, size = row // 12, "" if row % 5 == 0 else row * 2.5
        lines.append(
            f"t{task},{row},{'abc'[row % 3]},{size},{'xyz'[row % 3]},{task * 100 + row % 12}"
        )
    text = "\n".join(lines) + "\n"
    path = folder / ("rows.csv.gz" if packed else "rows.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.fixture
def numeric(tmp_path: Path) -> TableSettings:
    return TableSettings(
        written(tmp_path), task="task", target="level", categorical=("mood", "kind"),
        validation=("t8",), test=("t9",),
    )  # fmt: skip


@pytest.fixture
def classes(numeric: TableSettings) -> TableSettings:
    return replace(
        numeric, target="kind", goal="classes", categorical=("mood",), left_out=("level",)
    )


def place(x: NDArray[np.float32]) -> list[int]:
    """Read the rows' numbers back from the column `row`, the first of the features."""
    trained = np.arange(96)
    found: list[int] = np.rint(x[..., 0] * trained.std() + trained.mean()).ravel().tolist()
    return [int(one) for one in found]


def test_numbers_are_in_units_of_the_training_tasks(numeric: TableSettings) -> None:
    world = table_world(numeric)
    level = np.repeat(np.arange(8) * 100, 12) + np.tile(np.arange(12), 8)
    assert abs(world.middle - level.mean()) < 1e-9
    assert abs(world.unit - level.std()) < 1e-9
    episode = world.episode("test", 1, 8, 4, drawn())
    y = np.concatenate([episode.support_y, episode.query_y], 1) * world.unit + world.middle
    assert sorted(np.rint(y).astype(int).ravel().tolist()) == list(range(900, 912))
    rows = place(np.concatenate([episode.support_x, episode.query_x], 1))
    assert sorted(rows) == list(range(108, 120))


def test_columns_become_numbers_indicators_and_marks_of_what_is_missing(
    numeric: TableSettings,
) -> None:
    world = table_world(numeric)
    assert world.features == 1 + 2 + 3 + 3  # row; size and its absence; mood; kind
    x = world.episode("train", 8, 12, 0, drawn()).support_x.reshape(-1, 9)
    row = np.array(place(x))
    assert np.array_equal(x[:, 2] == 1, row % 5 == 0)
    assert (x[row % 5 == 0, 1] == 0).all()
    assert np.array_equal(x[:, 3:6].argmax(1), row % 3)
    assert (x[:, 3:6].sum(1) == 1).all()


def test_each_split_has_its_own_tasks(numeric: TableSettings) -> None:
    world = table_world(numeric)
    for split, names in (("train", set("01234567")), ("validation", {"8"}), ("test", {"9"})):
        episode = world.episode(split, 30, 2, 1, drawn())  # type: ignore[arg-type] # a pair's word
        assert {world.names[one][1:] for one in episode.tasks.tolist()} == names
    shared = table_world(replace(numeric, validation=(), test=(), share=0.2))
    seen = [set(shared.episode(split, 50, 1, 1, drawn()).tasks.tolist()) for split in SPLITS]
    assert [len(some) for some in seen] == [6, 2, 2]
    assert len(set.union(*seen)) == 10


def test_all_classes_keep_their_names_and_drawn_ones_get_new_ones(classes: TableSettings) -> None:
    world = table_world(classes)
    assert world.labels == ("x", "y", "z")
    assert world.classes == 3
    episode = world.episode("train", 5, 2, 2, drawn())
    rows = np.array(place(episode.support_x)).reshape(5, 6)
    assert np.array_equal(rows % 3, episode.support_y)
    assert (rows // 12 == episode.tasks[:, None]).all()
    query = np.array(place(episode.query_x)).reshape(5, 6)
    assert not any(set(a) & set(b) for a, b in zip(rows.tolist(), query.tolist(), strict=True))
    two = table_world(replace(classes, ways=2)).episode("train", 40, 2, 1, drawn())
    assert two.tasks.shape == (40, 2)
    assert len(np.unique(two.tasks % 3, axis=0)) == 6
    of = np.array(place(two.support_x)).reshape(40, 4)
    picked = np.take_along_axis(two.tasks, two.support_y.astype(np.int64), 1)
    assert np.array_equal(of // 12 * 3 + of % 3, picked)


def test_tasks_that_lack_a_class_are_drawn_for_those_that_they_have(tmp_path: Path) -> None:
    """Task i lacks class i; a row's number is its class, so what was drawn can be read."""
    path = tmp_path / "lacking.csv"
    rows = [f"t{t},{c},c{c}" for t in range(5) for c in range(5) if c != t for _ in range(4)]
    path.write_text("task,row,kind\n" + "\n".join(rows) + "\n")
    world = table_world(TableSettings(path, "task", "kind", "classes", ways=3))
    episode = world.episode("train", 60, 2, 2, drawn())
    task, kind = episode.tasks // 5, episode.tasks % 5
    assert (task == task[:, :1]).all()
    assert (kind != task).all()
    assert all(len(set(one)) == 3 for one in kind.tolist())
    with pytest.raises(ValueError, match="train: no task has 5 classes of 2 rows"):
        table_world(TableSettings(path, "task", "kind", "classes")).episode(
            "train", 1, 1, 1, drawn()
        )


def test_rows_in_order_are_a_stretch_with_the_queries_last(numeric: TableSettings) -> None:
    world = table_world(replace(numeric, in_order=True))
    episode = world.episode("train", 30, 3, 2, drawn())
    x = np.concatenate([episode.support_x, episode.query_x], 1)
    rows = np.array(place(x)).reshape(30, 5)
    assert (np.diff(rows, axis=1) == 1).all()
    assert len(set((rows[:, 0] % 12).tolist())) > 4


def test_packed_tables_are_read_too(tmp_path: Path, classes: TableSettings) -> None:
    packed = table_world(replace(classes, path=written(tmp_path, packed=True)))
    assert packed.features == table_world(classes).features


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"validation": ("t8",), "test": ("t8", "t9")}, r"tasks \(task\) t8: in both validation"),
        ({"train": ("t9", "t1")}, r"tasks \(task\) t9: in both train and test"),
        ({"test": ("t99",)}, "task 't99' is not in column 'task'; there are t0, t1"),
        ({"task": "user"}, "column 'user' is not there; there are task, row"),
        ({"categorical": ("mood",)}, "column 'kind', row 2: 'x' is not a number; name the column"),
        ({"goal": "class"}, "goal"),
        ({"ways": 2}, "ways: a number has none"),
        ({"path": Path("none.csv")}, r"none\.csv"),
    ],
)
def test_what_is_wrong_is_named(
    numeric: TableSettings, wrong: dict[str, object], said: str
) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        table_world(replace(numeric, **wrong))  # type: ignore[arg-type] # wrong on purpose


def test_too_few_rows_and_ragged_files_are_refused(tmp_path: Path, classes: TableSettings) -> None:
    with pytest.raises(ValueError, match="test: no task has 3 classes of 5 rows; take fewer"):
        table_world(classes).episode("test", 2, 3, 2, drawn())
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="row 3 has 1 cells, the header 2"):
        table_world(TableSettings(ragged, "a", "b"))
    ragged.write_text("a,b\n")
    with pytest.raises(ValueError, match="no header with rows below it"):
        table_world(TableSettings(ragged, "a", "b"))


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    rows = [f"t{i % 5},{i},{'' if i % 2 else i}" for i in range(100)]
    path.write_text("task,row,y\n" + "\n".join(rows) + "\n")
    world = table_world(TableSettings(path, "task", "y"))
    episode = world.episode("train", 3, 10, 0, drawn())
    assert np.isfinite(episode.support_y).all()
    with pytest.raises(ValueError, match="train: no task has 11 rows"):
        world.episode("train", 3, 11, 0, drawn())


@pytest.mark.data
@pytest.mark.skipif(not HAPT.exists(), reason=f"no ../shared/data/{HAPT.name}")
def test_a_user_of_a_real_table_is_a_task() -> None:
    world = table_world(
        TableSettings(HAPT, "user", "activity", "classes", ways=5, left_out=("experiment",))
    )
    episode = world.episode("test", 6, 2, 5, drawn())
    assert episode.support_x.shape == (6, 10, 37)
    assert np.isfinite(episode.query_x).all()
    assert len(world.names) == 20
