"""Late labels: a row says how late it is, and is set against what was said when it was asked."""

import numpy as np
import pytest
import torch
from torch import Tensor
from typing_extensions import override

from agent.continual.share import Share
from agent.encode import Encoder, EncoderSettings
from agent.learners import recency as file
from agent.learners.base import Classes, Said, Spec, State
from agent.learners.checks import CHECKS, Check
from agent.learners.recency import Recency
from agent.learners.registry import every_learner
from agent.nets import all_seen
from agent.nets.trail import Past
from agent.service.prequential import Prequential
from streams.labels import PendingSettings
from streams.records import Event, Label, Record
from streams.schema import Schema

SPECS = [Spec(3, 3, dated=True), Spec(3, 0, dated=True)]
FULL = [Spec(6, 3, codes=2, dated=True), Spec(6, 0, codes=2, dated=True)]
IDS = ["classes", "number"]
LANES = 8


def said_of(said: Said, row: int) -> Tensor:
    if isinstance(said, Classes):
        return said.logp_TBVC[0, row]
    return torch.stack([said.mean_TBV[0, row], said.scale_TBV[0, row]])


def story(rows: int, delay: int, seed: int = 0) -> list[tuple[int, int]]:
    """Lanes in order, as (event, asked?); labels come shuffled, about `delay` events late."""
    draw = np.random.default_rng(seed)
    order = sorted(range(rows), key=lambda i: i + delay + draw.integers(0, delay + 1))
    lanes: list[tuple[int, int]] = []
    for event in range(rows + 2 * delay + 1):
        if event < rows:
            lanes.append((event, 1))
        while order and order[0] + delay <= event:
            lanes.append((order.pop(0), 0))
    return lanes


def hindcasts(learner: Recency, lanes: list[tuple[int, int]]) -> list[tuple[Tensor, Tensor]]:
    """Pairs of what was said at the question and at its late label."""
    draw = torch.Generator().manual_seed(1)
    events = max(event for event, _ in lanes) + 1
    truth = torch.randint(3, (events,), generator=draw)
    y_all = truth if learner.spec.classes else 50.0 + 20 * truth
    learned, asked_at = 0, dict[int, int]()
    spoken: dict[int, Tensor] = {}
    pairs: list[tuple[Tensor, Tensor]] = []
    state: State = learner.begin(1)
    for start in range(0, len(lanes), LANES):
        block = lanes[start : start + LANES]
        x, y = torch.zeros(1, LANES, 3), torch.zeros(1, LANES, dtype=y_all.dtype)
        seen = torch.zeros(1, LANES, dtype=torch.bool)
        for lane, (event, asked) in enumerate(block):
            if asked:
                asked_at[event] = learned
            else:
                x[0, lane, -1] = learned - asked_at[event]
                y[0, lane], seen[0, lane] = y_all[event], True
                learned += 1
        said, state = learner.predict_then_learn(state, x, y, seen)
        for lane, (event, asked) in enumerate(block):
            if asked:
                spoken[event] = said_of(said, lane)
            else:
                pairs.append((spoken[event], said_of(said, lane)))
    return pairs


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
@pytest.mark.parametrize("delay", [0, 3, 40])
def test_a_late_label_meets_what_recency_said_when_it_was_asked(spec: Spec, delay: int) -> None:
    pairs = hindcasts(Recency(spec), story(120, delay))
    assert len(pairs) == 120
    for then, now in pairs:
        assert torch.equal(then, now)


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
def test_a_row_later_than_the_trail_gets_its_oldest(
    spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "TRAIL", 16)
    learner = Recency(spec)
    y = (torch.arange(24) % 3).unsqueeze(0)
    y = y if spec.classes else y.float()
    said, state = learner.predict_then_learn(learner.begin(1), torch.zeros(1, 24, 3), y)
    late = torch.zeros(1, 3, 3)
    late[0, :, -1] = torch.tensor([16.0, 17.0, 1e6])
    found = learner.predict(state, late)
    for row in range(3):
        assert torch.allclose(said_of(found, row), said_of(said, 24 - 16))


@pytest.mark.parametrize("spec", SPECS, ids=IDS)
def test_rows_that_are_not_late_are_answered_with_the_bits_of_undated_ones(spec: Spec) -> None:
    dated, plain = Recency(spec), Recency(spec.sees())
    ours, theirs = dated.begin(2), plain.begin(2)
    draw = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.zeros(2, LANES, 3)
        y = torch.randint(3, (2, LANES), generator=draw)
        y = y if spec.classes else y.float()
        seen = torch.rand(2, LANES, generator=draw) > 0.3
        said, ours = dated.predict_then_learn(ours, x, y, seen)
        other, theirs = plain.predict_then_learn(theirs, x[..., :2], y, seen)
        for row in range(LANES):
            assert torch.equal(said_of(said, row), said_of(other, row))
        assert all(torch.equal(ours[name], leaf) for name, leaf in theirs.items())


def test_the_trail_against_a_list() -> None:
    draw = torch.Generator().manual_seed(2)
    trail = torch.zeros(2, 5, 1)
    lists = [[0.0] * 5, [0.0] * 5]
    for block in range(12):
        here = torch.rand(2, 4, 1, generator=draw)
        seen = torch.rand(2, 4, generator=draw) > (0.4 if block % 3 else 0.0)
        late = torch.randint(7, (2, 4), generator=draw)
        past = Past(seen, late)
        asked = past.asked(trail, here)
        trail = past.moved(trail, here)
        for task, line in enumerate(lists):
            oldest = len(line) - 5
            for row in range(4):
                d = int(late[task, row])
                now = float(here[task, row])
                expected = line[max(len(line) - d, oldest)] if d else now
                assert float(asked[task, row]) == expected
                if seen[task, row]:
                    line.append(now)
            assert trail[task, :, 0].tolist() == line[-5:]


@pytest.mark.parametrize("name", ["recency", "stack", "share"])
@pytest.mark.parametrize("spec", FULL, ids=IDS)
@pytest.mark.parametrize("check", CHECKS[:8], ids=lambda check: check.__name__)
def test_with_codes_and_lateness_promises_are_kept(name: str, spec: Spec, check: Check) -> None:
    check(every_learner()[name], spec)


class Looker(Recency):
    """Keeps the rows that it was shown, and their masks."""

    shown: list[tuple[Tensor, Tensor]]

    @override
    def predict_then_learn(
        self, state: State, x_TBF: Tensor, y_TB: Tensor, seen_TB: Tensor | None = None
    ) -> tuple[Said, State]:
        self.shown = [*getattr(self, "shown", ()), (x_TBF, all_seen(y_TB, seen_TB))]
        return super().predict_then_learn(state, x_TBF, y_TB, seen_TB)


def test_share_shows_each_expert_what_it_asked_for() -> None:
    spec = FULL[0]
    lookers = {
        "plain": Looker(spec.sees()),
        "words": Looker(spec.sees(codes=True)),
        "dated": Looker(spec.sees(dated=True)),
        "all": Looker(spec),
    }
    share = Share({**lookers}, spec=spec)
    x = torch.arange(6.0).expand(1, 2, 6)
    state, y = share.begin(1), torch.zeros(1, 2, dtype=torch.int64)
    for say in (share.predict_then_learn, share.foresee):
        say(state, x, y)
        columns = {name: one.shown[-1][0][0, 0].tolist() for name, one in lookers.items()}
        assert columns == {
            "plain": [0, 1, 2],
            "words": [0, 1, 2, 3, 4],
            "dated": [0, 1, 2, 5],
            "all": [0, 1, 2, 3, 4, 5],
        }


SCHEMA = Schema({"a": "numeric", "word": "categorical"})


def records() -> list[Record]:
    """Riding labels, early ones, late ones out of order, doubled ones, and many classes."""
    draw = np.random.default_rng(3)
    some: list[Record] = []
    late: list[Label] = []
    for i in range(90):
        truth = f"class {i // 12}"
        event = Event(f"e{i}", "", float(i), (float(i % 7), f"w{i % 5}"))
        if i % 4 == 0:
            event = Event(event.id, "", event.time, event.values, truth)
        elif i % 4 == 1:
            some.append(Label(event.id, event.time, truth))
        else:
            late.append(Label(event.id, event.time, truth))
        some.append(event)
        if draw.random() < 0.2:
            draw.shuffle(late)
            some += [*late[3:], *late[3:4]]
            late = late[:3]
        if i == 50:
            some.append(event)
    return some


def expected(some: list[Record]) -> list[int]:
    """Lateness of each label that is learned, in order, by walking the records."""
    asked, early, learned = dict[str, int](), set[str](), list[int]()
    known: set[str] = set()
    for one in some:
        if isinstance(one, Event) and one.id not in known:
            known.add(one.id)
            if one.label is not None or one.id in early:
                learned.append(0)
            else:
                asked[one.id] = len(learned)
        elif isinstance(one, Label) and one.id in asked:
            learned.append(len(learned) - asked.pop(one.id))
        elif isinstance(one, Label):
            early.add(one.id)
    return learned


def daemon(growth: float = 0.25) -> tuple[Prequential, Looker]:
    encoder = Encoder(SCHEMA.fields, EncoderSettings())
    learner = Looker(Spec(encoder.width + 1, 2, codes=encoder.codes, dated=True))
    some = (SCHEMA, learner, encoder, PendingSettings(), LANES)
    return Prequential(*some, growth=growth), learner


def test_a_label_is_learned_with_the_number_of_labels_since_its_question() -> None:
    one, learner = daemon(growth=0.0)  # shown once
    some = records()
    one.feed(some)
    found = [x[0, seen[0], -1] for x, seen in learner.shown]
    late = torch.cat(found).tolist()
    assert late == expected(some)
    assert max(late) > 2 * LANES
    for x, seen in learner.shown:
        assert not x[0, ~seen[0], -1].any()
        assert not x[..., -2].frac().any()
        assert x[..., -2].any()  # codes


def test_lateness_goes_on_after_a_restart_wherever_it_was() -> None:
    some = records()
    whole, _ = daemon()
    whole.feed(some)
    for cut in (5, 40, 77):
        first, second = daemon()[0], daemon()[0]
        first.feed(some[:cut])
        second.restore(*first.snapshot())
        second.feed(some[cut:])
        assert second.fingerprint() == whole.fingerprint()


def test_counts_of_labels_go_round_without_harm() -> None:
    one, learner = daemon(growth=0.0)  # shown once
    arrays, rest = one.snapshot()
    one.restore(arrays, {**rest, "learned": 2**24 - 20})
    one.feed(records())
    late = torch.cat([x[0, seen[0], -1] for x, seen in learner.shown]).tolist()
    assert late == expected(records())
