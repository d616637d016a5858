"""Who is in the field, by name, and how each is made in the process that it has for itself.

CapyMOA's learner where it is installed, River's of the same name else. Whatever loads torch or Java
is imported where it is made, so that no model's memory holds another's library.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from agent.evaluate.contest import Contest
from agent.evaluate.plan import Model, Plan
from agent.evaluate.rivals import RiverRival, rival
from benchmarks.field.columns import Columns, distinct
from benchmarks.field.fed import Fed
from benchmarks.field.moa import Moa, moa_name
from benchmarks.field.streams import Stream
from streams.schema import Goal, Schema

OURS: Final = "adaptd"
CODED: Final = "-codes"  # ends the name of one to whom words are plain numbers
SCALED: Final = "preprocessing.StandardScaler | "
CLASSES: Final[Mapping[str, str]] = {
    "nb": "naive_bayes.GaussianNB",
    "hat": "tree.HoeffdingAdaptiveTreeClassifier",
    "knn": SCALED + "neighbors.KNNClassifier",
    "arf": "forest.ARFClassifier(n_models=100)",
    "lb": "ensemble.LeveragingBaggingClassifier(model=tree.HoeffdingTreeClassifier(),n_models=100)",
    "srp": "ensemble.SRPClassifier(model=tree.HoeffdingTreeClassifier(),n_models=100)",
}
NUMBERS: Final[Mapping[str, str]] = {
    "linear": SCALED  # without the bound it diverges on three of the four
    + "preprocessing.TargetStandardScaler("
    "regressor=linear_model.LinearRegression(clip_gradient=1.0))",
    "hat": SCALED + "tree.HoeffdingAdaptiveTreeRegressor",  # linear in its leaves, as below
    "river-arf": SCALED + "forest.ARFRegressor",
    "river-knn": SCALED + "neighbors.KNNRegressor",
    "knn": SCALED + "neighbors.KNNRegressor",
    "arf": SCALED + "forest.ARFRegressor(n_models=100)",
}
FIELD: Final[Mapping[Goal, tuple[str, ...]]] = {
    "classes": (
        *("no-change", "majority", "nb", "hat", "knn", "arf", "lb", "srp", "mlp"),
        *("hat-codes", "arf-codes", "lb-codes", "srp-codes"),
    ),
    "number": (
        *("no-change", "mean", "linear", "hat", "river-arf", "river-knn"),
        *("knn", "arf", "soknl", "arf-codes", "soknl-codes"),
    ),
}


def library(peer: str, goal: Goal) -> str:
    """Say whose code runs, and which version of it."""
    if peer == OURS:
        return OURS
    if peer in {"no-change", "majority", "mean"}:
        return "none"
    peer = peer.removesuffix(CODED)
    name = "deep-river" if peer == "mlp" else "river"
    if moa_name(peer, goal) is not None and find_spec("capymoa") is not None:
        name = "capymoa"
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name}: not installed"


def made(peer: str, plan: Plan, stream: Stream, path: Path, seed: int) -> Model:
    """Make a model for a stream.

    Raises:
        ModuleNotFoundError: its library is not installed.
        RiverNameError: there is no such model.
    """
    schema = plan.guess.schema
    if peer == OURS:
        return _ours(plan, seed)
    if peer in {"no-change", "majority", "mean"}:
        return Contest(rival(peer, schema.goal, seed), schema)
    columns = Columns.of(schema, path, stream.tokens, coded=peer.endswith(CODED))
    peer = peer.removesuffix(CODED)
    name = moa_name(peer, schema.goal)
    if name is not None and find_spec("capymoa") is not None:
        moa = Moa(name, columns, _classes(schema, path), seed)
        return Fed(moa, schema, moa.encode)
    if peer == "mlp":
        return Fed(_mlp(columns, seed), schema, columns.wide)
    river = {"classes": CLASSES, "number": NUMBERS}[schema.goal].get(peer, peer)
    return Fed(RiverRival(river, schema.goal, seed), schema, columns.named)


def _classes(schema: Schema, path: Path) -> int:
    target = str(schema.target)
    return 0 if schema.goal == "number" else distinct(path, [target])[target]


def _ours(plan: Plan, seed: int) -> Model:
    from agent.continual.default import AgentSettings  # noqa: PLC0415 (see the head)
    from agent.evaluate.ours import Agent  # noqa: PLC0415 (as above)

    return Agent.of(plan, AgentSettings(seed=seed), threads=1).make()


def _mlp(columns: Columns, seed: int) -> RiverRival:
    """Make deep-river's perceptron, two layers of 64, over scaled numbers and words as ones."""
    import torch  # noqa: PLC0415 (see the head)

    torch.set_num_threads(1)
    mlp = import_module("deep_river.classification.zoo").MultiLayerPerceptron(
        n_features=len(columns.wide_names), n_width=64, n_layers=2, optimizer_fn="adam", seed=seed
    )
    return Piped(import_module("river.preprocessing").StandardScaler() | mlp)


class Piped(RiverRival):
    """A model with River's verbs that is there already."""

    def __init__(self, model: Any) -> None:  # it has no name to be made by
        self._model, self._wordless = model, True
        self.predict = self._class
