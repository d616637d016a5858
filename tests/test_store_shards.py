"""Checkpoints of many shards in one store: each by itself, whoever writes and whoever reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.service.checkpoint import CheckpointStore
from agent.service.snapshot import CheckpointError, Json
from agent.service.store_open import shards
from agent.service.store_survey import content, examine, is_checkpoint, survey
from tests.checkpoints import loaded, save, state, store, value_of
from tests.places import hook, in_memory, objects


@pytest.fixture(params=["folder", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "fraud")
    else:
        with in_memory() as url:
            yield url


def put(one: CheckpointStore, value: float) -> str:
    return one.save(state(value), {"value": value}).name


def test_each_shard_has_its_own(place: str) -> None:
    for shard, value in (("all", 1), ("0007", 2), ("0012", 3), ("0007", 4)):
        save(place, value, shard=shard)
    assert [loaded(place, shard) for shard in ("all", "0007", "0012", "0003")] == [1, 4, 3, None]
    assert shards(place) == ["all", "0007", "0012"]
    assert [store(place, shard=one).path for one in ("all", "0007")] == [
        place,
        f"{place}/shard-0007",
    ]


def test_a_store_where_nothing_is_has_no_shards(place: str) -> None:
    assert shards(place) == []
    assert loaded(place) is None
    assert list(survey(place)) == []


@pytest.mark.parametrize("shard", ["7", "../up", "", "al", "0007/x"])
def test_a_shard_of_no_such_name_is_refused(tmp_path: Path, shard: str) -> None:
    with pytest.raises(CheckpointError, match='give "all", or a number'):
        store(tmp_path, shard=shard)


def test_objects_have_the_layout_of_folders(tmp_path: Path) -> None:
    with in_memory() as url:
        name = put(store(url, shard="0007"), 1)
        same = tmp_path / "copy" / "shard-0007" / name
        same.mkdir(parents=True)
        for path, held in objects(url).items():
            assert path.startswith(f"shard-0007/{name}/")
            (same / path.rpartition("/")[2]).write_bytes(held)
    assert loaded(tmp_path / "copy", "0007") == 1


def test_the_newest_that_will_do_is_loaded(place: str) -> None:
    for value in range(4):
        save(place, value, keep=4)
    asked = []

    def even(meta: Json) -> bool:
        asked.append(meta["value"])
        return meta["value"] in {0, 1}

    found = store(place).load(even)
    assert found is not None
    assert found[1]["value"] == 1
    assert asked == [3, 2, 1]


def test_where_none_will_do_it_says_so(place: str) -> None:
    for value in range(2):
        save(place, value)
    with pytest.raises(CheckpointError, match=r"none of the 2 checkpoints .* whole and will do"):
        store(place).load(lambda _: False)


def test_those_that_would_not_do_go_before_those_that_did(place: str) -> None:
    for value in range(4):
        save(place, value, keep=9)
    one = store(place, keep=3)
    assert one.load(lambda meta: bool(meta["value"] <= 1)) is not None  # 2 and 3 would not do
    left = []
    for value in (10, 11, 12):
        put(one, value)
        left.append([found.body["meta"]["value"] for found in survey(place)])
    assert left == [[0, 1, 2, 3, 10], [1, 2, 3, 10, 11], [10, 11, 12]]


def test_two_writers_of_one_number_the_later_begun_is_newer(place: str) -> None:
    one, other = (
        CheckpointStore(place, 3, {}, lambda at=at: at)  # type: ignore[misc]  # bound now
        for at in (200.0, 100.0)
    )
    one.load()

    def told(verb: str, _: str) -> None:
        if verb == "write":  # the other has taken its number already
            put(one, 1)

    put(hook(other, told), 2)
    assert len({name[:23] for name in one.names()}) == 1
    assert [value_of(CheckpointStore(place, 3, {}, lambda: 0.0)), len(one.names())] == [1, 2]


def test_another_writer_is_told_of_once(place: str) -> None:
    one, other = store(place), store(place)
    put(one, 1)
    put(other, 2)
    with capture_logs() as logs:
        put(one, 3)
        put(one, 4)
    assert [line["log_level"] for line in logs] == ["warning"]
    assert "another writer" in logs[0]["event"]


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["save", "save", "save", "load", "anew"])),
    max_size=40,
)


@settings(max_examples=60)
@given(steps=STEPS, keep=st.integers(1, 3))
def test_writers_of_one_shard_never_harm_one_another(
    steps: list[tuple[int, str]], keep: int
) -> None:
    """Three writers, in any order: what one removes is its own or was there when it began."""
    with in_memory() as url:
        writers = [store(url, keep) for _ in range(3)]
        may_go: list[set[str]] = [set() for _ in writers]
        begun = [False] * 3
        for count, (who, what) in enumerate(steps):
            before = store(url).names()
            if what == "anew":
                writers[who], begun[who], may_go[who] = store(url, keep), False, set()
                continue
            if what == "load" or not begun[who]:
                begun[who] = True
                may_go[who] |= set(before)
            if what == "load":
                assert value_of(writers[who]) == loaded(url)
                continue
            name = put(writers[who], count)
            after = store(url).names()
            assert after[-1] == name
            assert loaded(url) == count
            assert set(before) - set(after) <= may_go[who]
            assert len(after) >= min(keep, len(before) + 1)
            may_go[who].add(name)


def test_a_checkpoint_removed_under_the_reader_is_looked_for_again(place: str) -> None:
    writer = store(place, keep=1)
    put(writer, 0)
    value = 0

    def told(verb: str, about: str) -> None:
        nonlocal value
        if verb == "read" and about.endswith("state.safetensors") and value < 3:
            value += 1
            put(writer, value)  # and removes the one that is being read

    assert value_of(hook(store(place), told)) == 3


def test_a_store_that_never_stands_still_is_said(place: str) -> None:
    writer = store(place, keep=1)
    put(writer, 0)

    def told(verb: str, about: str) -> None:
        if verb == "read" and about.endswith("manifest.json"):
            put(writer, 1)

    with pytest.raises(CheckpointError, match="go away while they are read"):
        hook(store(place), told).load()


def test_a_survey_tells_of_each_checkpoint_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    save(tmp_path, 1)
    torn = save(tmp_path, 2)
    (torn / "state.safetensors").write_bytes(b"")
    blank = save(tmp_path, 3, shard="0003")
    (blank / "manifest.json").write_bytes(b"{}")
    found = list(survey(tmp_path))
    assert [(one.shard, one.whole, one.path == str(torn)) for one in found] == [
        ("all", True, False),
        ("all", False, True),
        ("0003", False, False),
    ]
    assert found[0].body["meta"] == {"value": 1}
    assert "tensors are not as they were written" in found[1].why
    assert found[1].body["meta"] == {"value": 2}
    assert "manifest is unreadable" in found[2].why
    assert [one.name for one in survey(tmp_path, shard="0003")] == [blank.name]


def test_one_checkpoint_is_examined_and_read_by_its_path(place: str) -> None:
    name = put(store(place, shard="0003"), 5)
    path = f"{place}/shard-0003/{name}"
    assert is_checkpoint(path)
    found = examine(path)
    assert (found.shard, found.name, found.path, found.whole) == ("0003", name, path, True)
    arrays, body = content(f"{path}/")
    assert arrays.keys() == state(5).keys()
    assert body["meta"] == {"value": 5}
    for wrong in (f"{place}/shard-0003/checkpoint-000000000099", f"{place}/nothing"):
        for look in (examine, content):
            with pytest.raises(CheckpointError, match=r"there is no checkpoint|is no checkpoint"):
                look(wrong)
