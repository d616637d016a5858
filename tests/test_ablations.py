"""The ablations' arithmetic, and that what is judged as the whole agent is the agent itself."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from agent.continual.blend import Blend
from agent.continual.default import AgentSettings, default_agent, stack_of, voices_of
from agent.continual.mixing import Stream, lanes_of
from agent.continual.recall import ToldClasses
from agent.continual.shipped import shipped
from agent.learners.base import Classes, Learner, Spec
from agent.pretrain import encoded
from benchmarks.ablations import __main__ as ablations
from benchmarks.ablations import figures
from benchmarks.ablations.__main__ import GOALS, LONGER, Kept, drawn, told
from benchmarks.ablations.played import Recalled, Table
from benchmarks.ablations.variants import AGENT, PARTS, TASKS, WHOLE, Variant, stack, whole
from streams.worlds.drift import KINDS, drifting

SEED = 77


def _stream(*, regression: bool = False) -> Stream:
    return encoded(drifting(5, 200, ("abrupt",), rules=("linear",), regression=regression))


def _losses(agent: Learner, stream: Stream) -> Tensor:
    state, found = agent.begin(1), []
    with torch.inference_mode():
        for x_TBF, y_TB, seen_TB, asked_B in lanes_of(stream):
            said, state = agent.predict_then_learn(state, x_TBF, y_TB, seen_TB)
            if isinstance(said, Classes):
                logp = said.marginal()[0]
                loss = -logp.gather(1, y_TB[0].unsqueeze(1))[:, 0].clamp(min=-10)
            else:
                loss = (said.moments()[0] - y_TB)[0].abs()
            found.append(loss[asked_B])
    return torch.cat(found).double()


@pytest.mark.parametrize("regression", [False, True])
def test_the_variant_that_lacks_nothing_is_the_agent_itself(*, regression: bool) -> None:
    stream = _stream(regression=regression)
    with torch.inference_mode():
        played = Table(stream, SEED).play(AGENT[0])
    assert played is not None
    loss = _losses(default_agent(stream.spec, AgentSettings(seed=SEED)), stream)
    if regression:
        unit = np.abs(stream.y_N - np.median(stream.y_N)).mean()
        loss = (loss / unit).clamp(max=20)
    torch.testing.assert_close(torch.from_numpy(played.loss_N), loss, rtol=1e-5, atol=1e-5)


class _Echo:
    """Stands for a Blend: a row's words are its own number."""

    spec = Spec(2, 2)

    def unsaid(self, classes: int) -> Tensor:
        return torch.full((classes,), torch.nan)


def _answer(words: list[float]) -> ToldClasses:
    said = torch.tensor(words)[None, :, None].expand(-1, -1, 2)
    return ToldClasses(said, said[..., None], lambda: said)


def test_late_rows_are_judged_by_what_was_said_of_them() -> None:
    row_L = torch.tensor([0, 1, 2, 0, 3, 2])
    recalled = Recalled(_Echo(), row_L, late=True)  # type: ignore[arg-type]  # all that it needs
    first = torch.tensor([[True, True, True, False], [False, True, False, False]])
    then = recalled.then(first[1], first[0])
    assert then is not None
    assert bool(then.isnan().all())
    recalled.keep(first[1], first[0], _answer([10.0, 11.0, 12.0, 99.0]))
    second = torch.tensor([[False, True, False, False], [True, True, True, False]])
    then = recalled.then(second[1], second[0])
    assert then is not None
    assert then[0, :, 0].nan_to_num(-1).tolist() == [10.0, -1.0, 12.0, -1.0]


def test_a_place_that_is_left_out_is_not_heard() -> None:
    stream = _stream()
    with torch.inference_mode():
        played = Table(stream, SEED).play(Variant("without ridge", {"ridge": None}))
    assert played is not None
    others = voices_of(stream.spec, AgentSettings(seed=SEED))
    del others["ridge"]
    loss = _losses(Blend(stream.spec, others, start=shipped(stream.spec)), stream)
    torch.testing.assert_close(torch.from_numpy(played.loss_N), loss, rtol=1e-5, atol=1e-5)


def test_the_stack_that_variants_change_is_the_agents_own() -> None:
    stream = _stream()
    settings = AgentSettings(seed=SEED)
    ours, its = stack(stream.spec, settings), stack_of(stream.spec, settings)
    assert torch.equal(_losses(ours, stream), _losses(its, stream))


@pytest.mark.parametrize("classes", [0, 3])
def test_every_part_that_a_variant_names_can_be_built(classes: int) -> None:
    spec = Spec(4, classes, dated=True)
    places = whole(spec, 0)
    for variant in (*AGENT, *TASKS):
        for part in variant.parts(dict.fromkeys(places, PARTS["recency"])).values():
            assert part in places or PARTS[part](spec, 1).voices


def test_names_of_variants_differ() -> None:
    names = [variant.what for variant in (*AGENT, *TASKS)]
    assert len(set(names)) == len(names)


def test_a_variant_without_what_is_not_there_is_not_told_of() -> None:
    with torch.inference_mode():
        seat = Table(_stream(regression=True), SEED)
        assert seat.play(Variant("without bayes", {"bayes": None})) is None


def test_every_kind_of_change_comes_as_often_and_no_stream_twice() -> None:
    streams = [drawn("classes", 0, at, 64) for at in range(GOALS["classes"])]
    assert sorted(one.kind for one in streams) == sorted(KINDS * (len(streams) // len(KINDS)))
    again = drawn("classes", 1, 0, 64)
    assert again.x_NF.shape != streams[0].x_NF.shape or (again.x_NF != streams[0].x_NF).any()


def test_old_concepts_return_in_long_streams() -> None:
    made = drawn("long", 0, 0, 200)
    changes = (np.diff(made.concept_N) != 0).sum()
    assert len(made.y_N) == LONGER * 200
    assert changes + 1 > len(set(made.concept_N.tolist()))


def test_differences_are_taken_on_the_same_streams_alone() -> None:
    base: Kept = {(0, 0): {"a": 1.0}, (0, 1): {"a": 5.0}, (1, 0): {"a": 2.0}, (1, 1): {"a": None}}
    runs: Kept = {(0, 0): {"a": 2.0}, (1, 0): {"a": 5.0}, (1, 1): {"a": 9.0}, (2, 0): {"a": 0.0}}
    apart = figures.paired(runs, base, "a")
    assert apart is not None
    assert apart[0] == 2.0
    assert apart[1] == pytest.approx(np.std([1, 3], ddof=1) / 2**0.5)
    assert apart[2] == 2
    assert figures.paired(runs, base, "b") is None


@pytest.mark.parametrize(
    ("gain", "said"), [(0.021, "earns"), (-0.021, "hurts"), (0.019, "neither"), (-0.019, "neither")]
)
def test_a_part_earns_its_place_by_two_standard_errors(gain: float, said: str) -> None:
    assert figures.verdict((gain, 0.01, 9)) == said
    turned = {"earns": "hurts", "hurts": "earns", "neither": "neither"}
    assert figures.verdict((gain, 0.01, 9), more=True) == turned[said]
    assert figures.verdict((gain / 1000, 1e-6, 9)) == "neither"


def test_kappa_is_what_goes_beyond_chance() -> None:
    truth, said = np.array([0.0, 0, 0, 1]), np.array([0.0, 0, 1, 1])
    assert figures.kappa(truth, said) == pytest.approx((0.75 - 0.5) / 0.5)
    assert figures.kappa(np.zeros(4), np.zeros(4)) == 0.0


def test_rows_after_a_change_are_marked_and_those_at_the_start_are_not() -> None:
    marked = figures.after_changes(np.repeat([0, 1, 0], [150, 120, 130]))
    assert np.flatnonzero(marked).tolist() == [*range(150, 250), *range(270, 370)]


def test_figures_are_means_over_rows() -> None:
    made = drawn("classes", 0, 1, 200)
    with torch.inference_mode():
        played = Table(encoded(made), 0).play(AGENT[0])
    assert played is not None
    found = told(made, played)
    assert found["loss"] == pytest.approx(float(played.loss_N.mean()))
    assert found["accuracy"] == pytest.approx(100 * float((played.truth_N == played.said_N).mean()))


def test_what_was_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "TASKS", ())
    monkeypatch.setattr(ablations, "AGENT", AGENT[:1])
    ablations.run(tmp_path, "classes", 0, 1, 100)
    first = ablations.gathered(tmp_path)[WHOLE][0, 0]
    monkeypatch.setattr(ablations, "AGENT", AGENT[:2])
    ablations.run(tmp_path, "classes", 0, 1, 100)
    runs = ablations.gathered(tmp_path)
    assert runs[WHOLE][0, 0] == first
    monkeypatch.setattr(ablations, "Table", None)
    ablations.run(tmp_path, "classes", 0, 1, 100)
    head, row = ablations.rows_of(runs, AGENT)
    apart = (runs[AGENT[1].what][0, 0]["loss"] or 0) - (first["loss"] or 0)
    assert head["loss"] == f"{first['loss']:.4g}"
    assert str(row["loss"]).startswith(f"{apart:+.4f}")
