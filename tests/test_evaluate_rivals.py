import math
from pathlib import Path

import pytest

from agent.evaluate.contest import Contest, Entry
from agent.evaluate.guess import Wishes, guess
from agent.evaluate.plan import Plan
from agent.evaluate.rivals import Features, Said, rival
from agent.evaluate.run import run
from agent.from_river import RiverNameError
from streams.records import Event, Label, Refused, Truth
from streams.schema import Schema
from tests.streamfiles import stream


class Remembers:
    """A rival that notes what it was asked and taught."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def predict(self, x: Features) -> Said:
        self.calls.append(("predict", x["x"]))
        return Said("a", {"a": 0.75, "b": 0.25})

    def learn(self, x: Features, y: Truth) -> None:
        self.calls.append(("learn", (x["x"], y)))


SCHEMA = Schema({"x": "numeric", "words": "tokens"}, target="y")


def test_a_rival_is_tested_then_trained_and_late_labels_score_what_was_said_then() -> None:
    of = Remembers()
    contest = Contest(of, SCHEMA)
    first = contest.feed(
        [Event("1", "", 10.0, (1.0, ("a", "b"))), Event("2", "", 11.0, (2.0, None), "a")]
    )
    later = contest.feed(
        [Refused("oversize", "", "", b""), Label("1", 15.0, "b"), Label("9", 15.0, "b")]
    )
    assert of.calls == [
        ("predict", 1.0),
        ("predict", 2.0),
        ("learn", (2.0, "a")),
        ("learn", (1.0, "b")),
    ]
    assert [list(column) for column in first.columns()] == [
        [0], [0], [pytest.approx(-math.log(0.75))], [0], [0]
    ]  # fmt: skip
    assert [list(column) for column in later.columns()] == [
        [1], [0], [pytest.approx(-math.log(0.25))], [5], [0.25]
    ]  # fmt: skip


def test_no_change_repeats_the_last_label_and_majority_says_the_most_frequent() -> None:
    events = [Event(str(i), "", i, (0.0, None), label) for i, label in enumerate("aabba")]
    no_change = Contest(rival("no-change", "classes", 0), SCHEMA).feed(events)
    majority = Contest(rival("majority", "classes", 0), SCHEMA).feed(events)
    assert list(no_change.guess) == [-1, 0, 0, 1, 1]
    assert list(majority.guess) == [-1, 0, 0, 0, 0]
    assert majority.loss[3] == pytest.approx(-math.log(1 / 3))
    numbers = [Event(str(i), "", i, (0.0, None), float(i)) for i in range(4)]
    mean = Contest(rival("mean", "number", 0), Schema(SCHEMA.fields, "number", "y")).feed(numbers)
    assert list(mean.guess) == [0, 0, 0.5, 1]


@pytest.mark.parametrize(
    ("name", "goal", "word"),
    [
        ("nobody", "classes", "no rival"),
        ("river:linear_model.LinearRegression", "classes", "no Classifier"),
        ("river:tree.HoeffdingTreeClassifier", "number", "no Regressor"),
        ("river:tree.HoeffdingTreClassifier", "classes", "did you mean HoeffdingTreeClassifier"),
    ],
)
def test_a_rival_that_is_none_is_told(name: str, goal: str, word: str) -> None:
    with pytest.raises(RiverNameError, match=word):
        rival(name, goal, 0)  # type: ignore[arg-type]  # a Goal, as a plain str from the table


@pytest.mark.parametrize(
    "name",
    [
        "preprocessing.StandardScaler | linear_model.LogisticRegression",
        "naive_bayes.GaussianNB",
        "tree.HoeffdingTreeClassifier",
        "neighbors.KNNClassifier",
    ],
)
def test_any_river_model_takes_raw_rows_with_words_and_gaps(tmp_path: Path, name: str) -> None:
    path = stream(tmp_path / "f.csv")
    path.write_text(path.read_text().replace(",fuel,", ",,", 1))
    plan = Plan(guess(path, Wishes("sold", drop=("time",))))
    result = run(plan, Entry(f"river:{name}", plan.guess.schema), lambda _: None)
    assert result.labels == 400
    assert result.figures["log_loss"] is not None
