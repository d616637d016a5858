"""Metric learners against a brute-force computation of what they claim to be.

Shapes: T tasks, B rows, E embedding, C classes.
"""

from typing import Literal

import pytest
import torch
from torch import Tensor

from agent.learners.base import Classes, Numbers, Spec
from agent.learners.matching import Matching, MatchingFullContext, MatchingOptions
from agent.learners.prototypical import Prototypical, PrototypicalOptions
from agent.learners.relation import Relation, RelationOptions
from agent.nets.body import BodySettings, make_body, seeded
from agent.nets.context import FullContext
from tests.tiny_tasks import clusters, error, make, meta_train

PIXELS = 16 * 16


def random_rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cosines(query: Tensor, keys: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(query.unsqueeze(0), keys, dim=1)


def test_matching_is_attention_over_its_support() -> None:
    learner = Matching(Spec(4, 3), MatchingOptions())
    x, y, query = random_rows(0, 1, 6, 4), torch.tensor([[0, 1, 2, 0, 1, 2]]), random_rows(1, 4)
    said = learner.predict(learner.learn(learner.begin(1), x, y), query.view(1, 1, 4))
    near = cosines(learner.body(query.view(1, 1, 4))[0, 0], learner.body(x)[0])
    weight = torch.softmax(near * learner.temperature.exp(), 0)
    vote = torch.stack([weight[y[0] == label].sum() for label in range(3)])
    assert isinstance(said, Classes)
    assert torch.allclose(said.marginal()[0, 0].exp(), vote, atol=1e-3)


def test_matching_says_a_number_by_the_weighed_mean_of_those_it_remembers() -> None:
    learner = Matching(Spec(4, 0), MatchingOptions(slots=5))
    x, y, query = random_rows(2, 1, 9, 4), 50 + random_rows(3, 1, 9), random_rows(4, 4)
    said = learner.predict(learner.learn(learner.begin(1), x, y), query.view(1, 1, 4))
    near = cosines(learner.body(query.view(1, 1, 4))[0, 0], learner.body(x)[0, 4:])
    weight = torch.softmax(near * learner.temperature.exp(), 0)
    assert isinstance(said, Numbers)
    assert torch.allclose(said.mean_TBV[0, 0, 0], weight @ y[0, 4:], rtol=1e-4)


def test_full_context_moves_an_embedding_by_the_company_it_keeps() -> None:
    learner = MatchingFullContext(Spec(4, 3), MatchingOptions())
    one, query = random_rows(5, 1, 1, 8), random_rows(6, 1, 1, 8)
    with seeded(0):
        context = FullContext(8, looks=2)
    seen = []
    for seed in (7, 8):
        support = torch.cat([one, random_rows(seed, 1, 3, 8)], 1)
        f, g = context(query, support, torch.tensor([[4]]))
        seen.append((f, g[:, :1]))
    assert not torch.allclose(seen[0][0], seen[1][0])
    assert not torch.allclose(seen[0][1], seen[1][1])
    assert learner.context.looks == MatchingOptions().looks


def test_full_context_of_tasks_side_by_side_is_that_of_each_alone() -> None:
    with seeded(0):
        context = FullContext(6, looks=2)
    support, query = random_rows(9, 3, 5, 6), random_rows(10, 3, 2, 6)
    held = torch.tensor([[5], [2], [0]])
    f, g = context(query, support, held)
    for task, count in enumerate((5, 2, 0)):
        part = slice(task, task + 1)
        alone = context(query[part], support[part, 5 - count :], held[part])
        assert torch.allclose(f[part], alone[0], atol=1e-6)
        assert torch.allclose(g[part, 5 - count :], alone[1], atol=1e-6)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_prototypes_are_class_means_and_the_nearest_wins(distance: str) -> None:
    name = {"euclidean": "prototypical", "cosine": "prototypical-cosine"}[distance]
    learner = make(name, Spec(4, 2))
    assert isinstance(learner, Prototypical)
    x, y, query = random_rows(11, 1, 6, 4), torch.tensor([[0, 1, 0, 0, 1, 1]]), random_rows(12, 4)
    said = learner.predict(learner.learn(learner.begin(1), x, y), query.view(1, 1, 4))
    e, q = learner.body(x)[0], learner.body(query.view(1, 1, 4))[0, 0]
    means = torch.stack([e[y[0] == label].mean(0) for label in range(2)])
    apart = -((q - means) ** 2).sum(1) / learner.body.size**0.5
    near = cosines(q, means) if distance == "cosine" else apart
    assert isinstance(said, Classes)
    expected = torch.log_softmax(near * learner.temperature.exp(), 0)
    assert torch.allclose(said.marginal()[0, 0], expected, atol=1e-4)


def test_a_relation_is_scored_pair_by_pair() -> None:
    learner = Relation(Spec(4, 3), RelationOptions())
    x, y, query = random_rows(13, 1, 6, 4), torch.tensor([[0, 1, 2, 0, 1, 2]]), random_rows(14, 4)
    said = learner.predict(learner.learn(learner.begin(1), x, y), query.view(1, 1, 4))
    e, q = learner.body(x)[0], learner.body(query.view(1, 1, 4))[0, 0]
    scores = []
    for label in range(3):
        mean = e[y[0] == label].mean(0)
        pair = torch.cat([q, mean, (q - mean) ** 2])
        near = ((q - mean) ** 2).mean()
        scores.append(learner.score(learner.pair(pair)).squeeze() - learner.nearness * near)
    assert isinstance(said, Classes)
    expected = torch.log_softmax(torch.stack(scores), 0)
    assert torch.allclose(said.marginal()[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["matching", "matching-fce", "relation", "prototypical", "prototypical-cosine"]
)
def test_meta_training_finds_the_features_that_matter(name: str) -> None:
    learner = make(name, Spec(4, 2))
    before = error(learner, clusters)
    meta_train(learner, clusters, 60)
    assert before > 0.2
    assert error(learner, clusters) < 0.02


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_convolutional_body_judges_a_row_by_itself_once_it_is_trained(
    norm: Literal["batch", "group"],
) -> None:
    with seeded(0):
        body = make_body(PIXELS, BodySettings(kind="conv", width=8, norm=norm))
    x = random_rows(15, 1, 6, PIXELS)
    body.train()(x)  # moves the running statistics of batch norm
    body.eval()
    whole = body(x)
    assert torch.allclose(whole[:, :1], body(x[:, :1]), atol=1e-5)
    together = not torch.allclose(body.train()(x)[:, :3], body.train()(x[:, :3]), atol=1e-5)
    assert together == (norm == "batch")


def test_prototypes_serve_images() -> None:
    settings = BodySettings(kind="conv", width=8)
    learner = Prototypical(Spec(PIXELS, 2), PrototypicalOptions(body=settings)).eval()
    x, y = random_rows(16, 1, 2, PIXELS), torch.tensor([[1, 0]])
    said = learner.predict(learner.learn(learner.begin(1), x, y), x)
    assert isinstance(said, Classes)
    assert said.marginal().argmax(2).tolist() == [[1, 0]]
