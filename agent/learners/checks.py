"""What every learner promises, as functions that a test (ours or a user's) can run.

    for check in CHECKS:
        check(lambda spec: MyLearner(spec), Spec(features=5, classes=3))

Shapes: T tasks, B examples, F features.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from agent.learners.base import Classes, Learner, Numbers, Said, Spec, State
from agent.learners.registry import Make

Check = Callable[[Make, Spec], None]

ROWS = 32
CLOSE = 1e-3  # of probability, or of a log-probability
ALIKE = 0.02  # of probability: what a widened learner may move
APART = 4.0  # deviations, in every feature, between the classes known and a new one
MOST = 0.8  # of rows


class BrokenContractError(AssertionError):
    """A learner does not keep a promise of its protocol."""


def works_before_the_first_example(make: Make, spec: Spec) -> None:
    """A fresh state answers with a proper distribution."""
    learner = make(spec)
    _proper(learner, learner.predict(learner.begin(2), _rows(spec, 0, 2)), spec)


def is_pure(make: Make, spec: Spec) -> None:
    """Predicting twice gives the same bits; learning leaves the state that went in as it was."""
    learner = make(spec)
    state = _taught(learner, spec, 2)
    kept, x = _copy(state), _rows(spec, 9)
    first = learner.predict(state, x)
    _same(first, learner.predict(state, x), "predict is pure")
    one = learner.learn(state, x, _labels(spec, 9))
    _require(_equal(state, kept), "learn leaves its state alone")
    two = learner.learn(state, x, _labels(spec, 9))
    _same(learner.predict(one, x), learner.predict(two, x), "learning twice gives the same")


def a_state_is_a_photograph(make: Make, spec: Spec) -> None:
    """An old state answers as it did, however often one went on from it."""
    learner = make(spec)
    state, x = _taught(learner, spec, 2), _rows(spec, 7)
    said = learner.predict(state, x)
    for _ in range(2):
        later = state
        for block in range(3):
            later = learner.learn(later, _rows(spec, block), _labels(spec, block))
        _same(learner.predict(state, x), said, "a state shares no memory with its successors")


def resumes_from_a_copy(make: Make, spec: Spec) -> None:
    """A copy of the tensors is the whole state, also for a learner made anew."""
    learner = make(spec)
    state = _taught(learner, spec, 2)
    copied = _copy(state)
    x, y = _rows(spec, 5), _labels(spec, 5)
    whole = learner.predict(learner.learn(state, x, y), x)
    other = make(spec)
    _same(whole, other.predict(other.learn(copied, x, y), x), "the state is all there is")


def memory_is_bounded(make: Make, spec: Spec) -> None:
    """The state does not grow for ever."""
    learner = make(spec)
    state, sizes = learner.begin(1), []
    for block in range(96):
        state = learner.learn(state, _rows(spec, block % 8), _labels(spec, block % 8))
        sizes.append(sum(leaf.numel() * leaf.element_size() for leaf in state.values()))
    _require(max(sizes[48:]) <= 2 * max(sizes[:48]), "the state is bounded")


def the_same_seed_gives_the_same_bits(make: Make, spec: Spec) -> None:
    """Two learners made alike, taught alike, answer alike."""
    answers = []
    for _ in range(2):
        learner = make(spec)
        answers.append(learner.predict(_taught(learner, spec, 3), _rows(spec, 8)))
    _same(answers[0], answers[1], "the same seed gives the same bits")


def unseen_rows_teach_nothing(make: Make, spec: Spec) -> None:
    """A masked row changes no later answer, whatever stands in it."""
    learner = make(spec)
    state, x, y = _taught(learner, spec, 2), _rows(spec, 6), _labels(spec, 6)
    none = torch.zeros(y.shape[:2], dtype=torch.bool)
    after = learner.learn(state, x * 3 + 1, y, none)
    _same(learner.predict(after, x), learner.predict(state, x), "unseen rows teach nothing")


def foresees_what_it_will_say(make: Make, spec: Spec) -> None:
    """`foresee` says what `predict_then_learn` says, to the bit."""
    learner = make(spec)
    state, x, y = _taught(learner, spec, 2), _rows(spec, 4), _labels(spec, 4)
    seen = torch.arange(x.shape[1]).remainder(3).gt(0).unsqueeze(0)
    said, _ = learner.predict_then_learn(state, x, y, seen)
    _same(learner.foresee(state, x, y, seen), said, "foresee says what will be said")


def answers_do_not_see_their_own_label(make: Make, spec: Spec) -> None:
    """In `predict_then_learn`, what stands in a row's label or after it cannot move its answer."""
    learner = make(spec)
    state, x, y = _taught(learner, spec, 2), _rows(spec, 4), _labels(spec, 4)
    said, _ = learner.predict_then_learn(state, x, y)
    half = x.shape[1] // 2
    other_y = y.clone()
    other_y[:, half:] = y[:, half:].flip(1) if spec.regression else (y[:, half:] + 1) % spec.classes
    again, _ = learner.predict_then_learn(state, x, other_y)
    head = slice(0, half + 1)
    _same(_cut(said, head), _cut(again, head), "a row is answered before its label is read")


def copes_with_a_class_never_seen_before(make: Make, spec: Spec) -> None:
    """Widened, it says the same of the classes it knew, and learns the new one where it lives."""
    if spec.regression:
        return
    learner = make(spec)
    state, x = _taught(learner, spec, 3), _rows(spec, 5)
    before = _marginal(learner.predict(state, x)).exp()
    wide = learner.widen(state, 2 * spec.classes)
    after = _marginal(learner.predict(wide, x)).exp()
    _require(after.shape[2] == 2 * spec.classes, "widening makes room")
    _require(bool((after[..., : spec.classes] - before).abs().max() < ALIKE), "known ones stay")
    x, new = x + APART, torch.full(x.shape[:2], spec.classes)
    for _ in range(12):
        wide = learner.learn(wide, x, new)
    found = _marginal(learner.predict(wide, x)).argmax(2).eq(new).float().mean()
    _require(bool(found > MOST), "a new class is learned")


def copes_with_features_that_appear_and_vanish(make: Make, spec: Spec) -> None:
    """A feature that was 0 for long, then has values, then is 0 again."""
    learner = make(spec)
    state = learner.begin(1)
    for block in range(9):
        x = _rows(spec, block)
        if block // 3 != 1:
            x[..., 0] = 0
        said, state = learner.predict_then_learn(state, x, _labels(spec, block))
        _proper(learner, said, spec)


def survives_constant_huge_and_missing_inputs(make: Make, spec: Spec) -> None:
    """Whatever the encoder can hand over, in its extremes, leaves proper distributions."""
    learner = make(spec)
    state = learner.begin(1)
    extremes: Sequence[Tensor] = (
        *(torch.full((1, ROWS, spec.features), size) for size in (0.0, 10.0, -10.0, 1e6)),
        _rows(spec, 1),
    )
    for x in extremes:
        for block in range(2):
            said, state = learner.predict_then_learn(state, x, _labels(spec, block))
            _proper(learner, said, spec)
    _proper(learner, learner.predict(state, _rows(spec, 3)), spec)


def tasks_do_not_touch_each_other(make: Make, spec: Spec) -> None:
    """Two tasks side by side learn as each would alone, up to rounding."""
    learner = make(spec)
    both = learner.begin(2)
    alone = [learner.begin(1), learner.begin(1)]
    for block in range(3):
        x, y = _rows(spec, block, 2), _labels(spec, block, 2)
        both = learner.learn(both, x, y)
        alone = [learner.learn(state, x[t : t + 1], y[t : t + 1]) for t, state in enumerate(alone)]
    x = _rows(spec, 8, 2)
    together = _summary(learner.predict(both, x))
    apart = [_summary(learner.predict(s, x[t : t + 1])) for t, s in enumerate(alone)]
    close = torch.allclose(together, torch.cat(apart), rtol=CLOSE, atol=CLOSE)
    _require(close, "tasks do not touch each other")


def learns(make: Make, spec: Spec) -> None:
    """After a few hundred examples it says more of the truth than at the start."""
    learner = make(spec)
    state, gains = learner.begin(1), []
    for block in range(24):
        x = _rows(spec, 100 + block)
        y = _easy(spec, x)
        said, state = learner.predict_then_learn(state, x, y)
        gains.append(_log_score(said, y).mean().item())
    _require(gains[-1] > gains[0], f"it learns: {gains[0]:.2f} at first, {gains[-1]:.2f} at last")


CHECKS: tuple[Check, ...] = (
    works_before_the_first_example,
    is_pure,
    a_state_is_a_photograph,
    resumes_from_a_copy,
    memory_is_bounded,
    the_same_seed_gives_the_same_bits,
    unseen_rows_teach_nothing,
    foresees_what_it_will_say,
    answers_do_not_see_their_own_label,
    copes_with_a_class_never_seen_before,
    copes_with_features_that_appear_and_vanish,
    survives_constant_huge_and_missing_inputs,
    tasks_do_not_touch_each_other,
    learns,
)
"""Every promise of `Learner`."""


def _require(truth: bool, promise: str) -> None:  # noqa: FBT001 - the truth is what is asked
    if not truth:
        raise BrokenContractError(promise)


def _rows(spec: Spec, seed: int, tasks: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(tasks, ROWS, spec.features, generator=draw)


def _labels(spec: Spec, seed: int, tasks: int = 1) -> Tensor:
    draw = torch.Generator().manual_seed(1000 + seed)
    if spec.regression:
        shape = (tasks, ROWS) if spec.outputs == 1 else (tasks, ROWS, spec.outputs)
        return 50 + 20 * torch.randn(shape, generator=draw)
    return torch.randint(spec.classes, (tasks, ROWS), generator=draw)


def _easy(spec: Spec, x: Tensor) -> Tensor:
    """Labels that anyone should learn: always the same class, or the features themselves."""
    if not spec.regression:
        return torch.ones(x.shape[:2], dtype=torch.int64)
    return x[..., 0] if spec.outputs == 1 else x[..., : spec.outputs]


def _taught(learner: Learner, spec: Spec, blocks: int) -> State:
    state = learner.begin(1)
    for block in range(blocks):
        state = learner.learn(state, _rows(spec, block), _labels(spec, block))
    return state


def _copy(state: State) -> dict[str, Tensor]:
    return {name: leaf.clone() for name, leaf in state.items()}


def _equal(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(torch.equal(leaf, two[k]) for k, leaf in one.items())


def _leaves(said: Said) -> tuple[Tensor, ...]:
    if isinstance(said, Classes):
        return said.voice_TBV, said.logp_TBVC
    return said.voice_TBV, said.mean_TBV, said.scale_TBV


def _cut(said: Said, rows: slice) -> Said:
    leaves = (leaf[:, rows] for leaf in _leaves(said))
    return Classes(*leaves) if isinstance(said, Classes) else Numbers(*leaves)


def _same(one: Said, two: Said, promise: str) -> None:
    pairs = zip(_leaves(one), _leaves(two), strict=True)
    _require(all(torch.equal(a, b) for a, b in pairs), promise)


def _marginal(said: Said) -> Tensor:
    if not isinstance(said, Classes):
        raise BrokenContractError("a spec with classes is answered with classes")
    return said.marginal()


def _summary(said: Said) -> Tensor:
    return _marginal(said).exp() if isinstance(said, Classes) else torch.stack(said.moments(), 2)


def _log_score(said: Said, y_TB: Tensor) -> Tensor:
    if isinstance(said, Classes):
        return said.marginal().gather(2, y_TB.unsqueeze(2)).squeeze(2)
    mean, deviation = said.moments()
    each = -0.5 * ((y_TB - mean) / deviation) ** 2 - deviation.log()
    return each if each.ndim == said.voice_TBV.ndim - 1 else each.mean(2)


def _proper(learner: Learner, said: Said, spec: Spec) -> None:
    """Finite, of the right kind, one column a voice, adding up to one."""
    _require(isinstance(said, Numbers) == spec.regression, "the right kind of distribution")
    _require(all(bool(leaf.isfinite().all()) for leaf in _leaves(said)), "finite answers")
    _require(said.voice_TBV.shape[2] == len(learner.voices), "one column a voice")
    whole = torch.logsumexp(said.voice_TBV, 2).abs().max()
    _require(bool(whole < CLOSE), "the voices' weights sum to one")
    if isinstance(said, Classes):
        total = torch.logsumexp(said.marginal(), 2).abs().max()
        _require(bool(total < CLOSE), "probabilities sum to one")
    else:
        _require(bool((said.scale_TBV > 0).all()), "scales are positive")
