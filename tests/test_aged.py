"""The oldest name is found, whatever was added and removed, in bounded memory."""

from random import Random

from streams.aged import Aged


def test_the_oldest_is_the_least_time_then_the_first_added() -> None:
    aged, model, random = Aged(), dict[str, tuple[float, int]](), Random(7)  # noqa: S311  # no secret
    for i in range(2_000):
        name, time = f"n{i}", float(random.randrange(50))
        aged.add(name, time)
        model[name] = (time, i)
        while len(model) > 20 or (model and random.random() < 0.45):
            gone = random.choice(sorted(model))
            assert aged.remove(gone) == model.pop(gone)[0]
        oldest = min(model, key=lambda one: model[one], default=None)
        assert (aged.oldest() or (None,))[0] == oldest
        assert len(aged._heap) <= 2 * len(model) + 65


def test_where_nothing_is_left_there_is_no_oldest() -> None:
    aged = Aged()
    aged.add("a", 1.0)
    aged.remove("a")
    assert aged.oldest() is None
    assert "a" not in aged
    assert aged.columns() == ([], [])


def test_removals_alone_keep_the_order() -> None:
    aged = Aged()
    times = [float(i * 37 % 1000) for i in range(1000)]
    for i, time in enumerate(times):
        aged.add(f"n{i}", time)
    kept = [i for i in range(1000) if i % 10 == 3]
    for i in set(range(1000)) - set(kept):
        aged.remove(f"n{i}")
    while kept:
        first = min(kept, key=lambda i: times[i])
        assert aged.oldest() == (f"n{first}", times[first])
        aged.remove(f"n{first}")
        kept.remove(first)
