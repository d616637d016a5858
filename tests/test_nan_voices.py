"""Experts that break: what they leave unsaid, who begins anew, and that the others never know."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual import blend as blending
from agent.continual.blend import Blend
from agent.continual.default import AgentSettings, default_agent
from agent.learners.base import Classes, Exact, Learner, Numbers, Said, Spec, State
from agent.learners.recency import Recency
from agent.learners.ridge import Ridge
from agent.learners.river import River, RiverSettings
from agent.nets import part

Fault: TypeAlias = Literal["words", "infinite", "state", "raise", "raise in learning"]
FAULTS: tuple[Fault, ...] = ("words", "infinite", "state", "raise", "raise in learning")
MARK = 77.0  # of the first column: the row that breaks the expert
LANES = 32


def marked(x_TBF: Tensor) -> Tensor:
    return x_TBF[..., 0] == MARK


class Breaking(Exact):
    """A regression that breaks in its own way at a marked row, and from then on.

    It is over its fault once it has begun anew.
    """

    def __init__(self, spec: Spec, fault: Fault) -> None:
        self.spec, self._fault, self._inner = spec, fault, Ridge(spec)
        self.voices = self._inner.voices

    def begin(self, tasks: int) -> State:
        """Also a leaf that says whether it broke."""
        return {**self._inner.begin(tasks), "broke": torch.zeros(tasks, 1)}

    def predict(self, state: State, x_TBF: Tensor) -> Said:
        """As the regression, unless it breaks."""
        if self._fault == "raise" and bool(marked(x_TBF).any()):
            raise ValueError("a marked row")
        return self._spoilt(self._inner.predict(part_of(state), x_TBF), x_TBF)

    @override
    def foresee(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> Said:
        if self._fault == "raise" and bool(marked(x_TBF).any()):
            raise ValueError("a marked row")
        return self._spoilt(self._inner.foresee(part_of(state), x_TBF, y_TB, seen_TB), x_TBF)

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        if self._fault.startswith("raise") and bool(marked(x_TBF).any()):
            raise ValueError("a marked row")
        said, after = self._inner.predict_then_learn(part_of(state), x_TBF, y_TB, seen_TB)
        broke = state["broke"]
        if self._fault == "state":
            broke = torch.where(marked(x_TBF).any(1, keepdim=True), torch.nan, broke)
        return self._spoilt(said, x_TBF), {**after, "broke": broke}

    def widen(self, state: State, classes: int) -> State:
        """As the regression."""
        return {**self._inner.widen(part_of(state), classes), "broke": state["broke"]}

    def _spoilt(self, said: Said, x_TBF: Tensor) -> Said:
        if self._fault not in {"words", "infinite"}:
            return said
        with_ = torch.nan if self._fault == "words" else torch.inf
        row = marked(x_TBF).unsqueeze(2)
        if isinstance(said, Classes):
            logp = torch.where(row.unsqueeze(3), with_, said.logp_TBVC)
            return Classes(said.voice_TBV, logp)
        mean = torch.where(row, with_, said.mean_TBV)
        return Numbers(said.voice_TBV, mean, said.scale_TBV)


def part_of(state: State) -> dict[str, Tensor]:
    return {name: leaf for name, leaf in state.items() if name != "broke"}


def table(classes: int, fault: Fault) -> Blend:
    spec = Spec(3, classes)
    experts: dict[str, Learner] = {
        "first": Ridge(spec),
        "broken": Breaking(spec, fault),
        "last": Recency(spec),
    }
    return Blend(spec, experts)


Block: TypeAlias = tuple[Tensor, Tensor, Tensor]


def blocks(classes: int, count: int, tasks: int = 1, seed: int = 0) -> list[Block]:
    draw = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        x = torch.randn(tasks, LANES, 3, generator=draw)
        y = x[..., 1] - 0.5 * x[..., 2]
        seen = torch.rand(tasks, LANES, generator=draw) < 0.8
        made.append((x, (y > 0).long() if classes else y, seen))
    return made


def told(blend: Blend, rows: list[Block]) -> tuple[list[Said], State]:
    state, said = blend.begin(len(rows[0][0])), []
    for block in rows:
        answer, state = blend.predict_then_learn(state, *block)
        said.append(answer)
    return said, state


def numbers_of(said: Said) -> tuple[Tensor, ...]:
    if isinstance(said, Classes):
        return (said.voice_TBV, said.logp_TBVC)
    return (said.voice_TBV, said.mean_TBV, said.scale_TBV)


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blending, "LOOK", 8)


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
@pytest.mark.parametrize("fault", FAULTS)
def test_an_expert_that_breaks_begins_anew_and_the_others_never_know(
    fault: Fault, classes: int
) -> None:
    rows = blocks(classes, 8)
    rows[4][0][0, 5, 0] = MARK
    said, state = told(table(classes, fault), rows)
    assert all(bool(leaf.isfinite().all()) for one in said for leaf in numbers_of(one))
    assert all(bool(leaf.isfinite().all()) for leaf in state.values())
    assert table(classes, fault).faults(state) == {"broken": 1}
    for name, learner in (("first", Ridge(Spec(3, classes))), ("last", Recency(Spec(3, classes)))):
        alone: State = learner.begin(1)
        for block in rows:
            alone = learner.learn(alone, *block)
        assert same(part(name, state), alone)
    inner, anew = Ridge(Spec(3, classes)), Ridge(Spec(3, classes)).begin(1)
    for block in rows[5:]:
        anew = inner.learn(anew, *block)
    assert same(part_of(part("broken", state)), anew)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_that_breaks_an_expert_leaves_the_other_tasks_as_they_are(fault: Fault) -> None:
    rows = blocks(2, 8, tasks=3)
    rows[4][0][1, 5, 0] = MARK
    blend = table(2, fault)
    said, state = told(blend, rows)
    assert [blend.faults(state, task) for task in range(3)] == [{}, {"broken": 1}, {}]
    for task in range(3):
        one = slice(task, task + 1)
        said_alone, alone = told(blend, [(x[one], y[one], seen[one]) for x, y, seen in rows])
        assert same(alone, {name: leaf[one] for name, leaf in state.items()})
        for many, single in zip(said, said_alone, strict=True):
            pairs = zip(numbers_of(many), numbers_of(single), strict=True)
            assert all(torch.equal(leaf[one], other) for leaf, other in pairs)


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_an_open_block_answers_is_what_the_whole_one_does(fault: Fault, classes: int) -> None:
    rows = blocks(classes, 5)
    rows[4][0][0, 5, 0] = MARK
    blend = table(classes, fault)
    _, state = told(blend, rows[:4])
    x, y, seen = rows[4]
    whole = blend.predict_then_learn(state, x, y, seen)[0]
    assert all(map(torch.equal, numbers_of(blend.foresee(state, x, y, seen)), numbers_of(whole)))
    early = x.clone()
    early[:, 5:] = 0.0
    head = slice(0, 5)
    if fault != "raise":  # who raises says nothing of any row in that call
        cut = numbers_of(blend.foresee(state, early, y, seen))
        pairs = zip(cut, numbers_of(whole), strict=True)
        assert all(torch.equal(one[:, head], other[:, head]) for one, other in pairs)


def test_if_all_experts_raise_the_error_goes_on() -> None:
    spec = Spec(3, 2)
    names = ("one", "other")
    blend = Blend(spec, {name: Breaking(spec, "raise") for name in names})
    (block,) = blocks(2, 1)
    block[0][0, 0, 0] = MARK
    with pytest.raises(ValueError, match="a marked row"):
        blend.predict_then_learn(blend.begin(1), *block)


def test_a_machine_out_of_memory_is_no_fault_of_an_expert(monkeypatch: pytest.MonkeyPatch) -> None:
    blend, (block,) = table(2, "words"), blocks(2, 1)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(blend.experts["last"], "predict_then_learn", full)
    with pytest.raises(MemoryError):
        blend.predict_then_learn(blend.begin(1), *block)


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
def test_an_expert_begins_anew_with_room_for_the_classes_met_since(classes: int) -> None:
    blend, rows = table(classes, "words"), blocks(classes, 6)
    rows[4][0][0, 5, 0] = MARK
    state = blend.begin(1)
    for at, block in enumerate(rows):
        if at == 2 and classes:
            state = blend.widen(state, 4)
        said, state = blend.predict_then_learn(state, *block)
        assert all(bool(leaf.isfinite().all()) for leaf in numbers_of(said))
    assert blend.faults(state) == {"broken": 1}


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
@pytest.mark.parametrize("leaf", ["weight", "trust", "loss", "mixer"])
def test_weights_that_are_no_numbers_begin_anew(leaf: str, classes: int) -> None:
    """As from a checkpoint that was written by a machine with a broken memory."""
    blend, rows = table(classes, "words"), blocks(classes, 4)
    said, state = told(blend, rows)
    state = {**state, leaf: torch.full_like(state[leaf], torch.nan)}
    for block in rows[:2]:
        said[0], state = blend.predict_then_learn(state, *block)
        assert all(bool(one.isfinite().all()) for one in numbers_of(said[0]))
    assert all(bool(one.isfinite().all()) for one in state.values())


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
def test_where_nothing_breaks_every_bit_is_that_of_the_bare_experts(classes: int) -> None:
    spec = Spec(5, classes, codes=1, dated=True)
    blend = default_agent(spec, AgentSettings())
    state, bare = blend.begin(1), dict(blend.begin(1))
    draw = torch.Generator().manual_seed(3)
    for _ in range(12):
        x = torch.randn(1, 32, 5, generator=draw)
        x[..., 3:] = 0.0
        y = x[..., 0] + 0.1 * torch.randn(1, 32, generator=draw)
        y, seen = (y > 0).long() if classes else y, torch.rand(1, 32, generator=draw) < 0.9
        answer, state = blend.predict_then_learn(state, x, y, seen)
        heard: list[Said] = []
        after: dict[str, Tensor] = {}
        for name, expert in blend.experts.items():
            shown = spec.shown(expert.spec, x)
            said, learned = expert.predict_then_learn(part(name, bare), shown, y, seen)
            heard.append(said)
            after |= {f"{name}.{leaf}": value for leaf, value in learned.items()}
        judge = blend._judge
        expected, own = judge.answer(bare, judge.hear(bare, heard, y, seen), y, seen)
        bare |= {**after, **own}
        assert all(map(torch.equal, numbers_of(answer), numbers_of(expected)))
    assert same(state, bare)


@pytest.mark.parametrize("classes", [2, 0], ids=["classes", "number"])
def test_a_river_model_that_raises_begins_anew(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, rows = Spec(3, classes), blocks(classes, 6)
    name = "tree.HoeffdingTreeRegressor" if not classes else "naive_bayes.GaussianNB"
    river = River(spec, RiverSettings(name))
    blend = Blend(spec, {"ridge": Ridge(spec), "river": river})
    teach = river._one

    def broken(model: object, row: list[float], y: float) -> None:
        if row[0] == MARK:
            raise TypeError("a model with a bug")
        teach(model, row, y)

    monkeypatch.setattr(river, "_one", broken)
    rows[3][0][0, 5, 0], rows[3][2][0, 5] = MARK, True
    _, state = told(blend, rows)
    assert blend.faults(state) == {"river": 1}
    anew: State = river.begin(1)
    for block in rows[4:]:
        anew = river.learn(anew, *block)
    assert same(part("river", state), anew)
