"""River models by name.

A model is named as in River's own documentation, without `river.`: `forest.ARFClassifier`,
`tree.HoeffdingTreeClassifier(grace_period=50)`,
`preprocessing.StandardScaler | linear_model.LogisticRegression`. The text is read, never run:
only classes of River, constants and `|` mean anything in it.
"""

import ast
import importlib
import inspect
import pkgutil
import random
from typing import Any

import river

from agent.faults import nearest


class RiverNameError(ValueError):
    """A text that names no River model; the message says what was probably meant."""


def river_model(name: str, seed: int) -> Any:
    """Make the model of that name; whatever takes a seed and was given none gets this one.

    Raises:
        RiverNameError: there is no such model, or it cannot be made so.
    """
    try:
        tree = ast.parse(name.strip(), mode="eval").body
    except SyntaxError:
        raise RiverNameError(f"{name!r} cannot be read; write it as forest.ARFClassifier") from None
    return _seeded(_value(tree, seed), seed)


def _seeded(model: Any, seed: int) -> Any:
    """Seed what River seeded by the system because its maker gave it no seed (KNN's engine)."""
    waiting, met = [model], set()
    while waiting:
        found = waiting.pop()
        if id(found) in met:
            continue
        met.add(id(found))
        if isinstance(found, list | tuple):
            waiting += found
        elif isinstance(found, dict):
            waiting += found.values()
        elif type(found).__module__.startswith("river."):
            inner = getattr(found, "__dict__", {})
            waiting += inner.values()
            if inner.get("seed", 0) is None and isinstance(inner.get("_rng"), random.Random):
                inner["_rng"].seed(seed)
    return model


def _value(node: ast.expr, seed: int) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _value(node.left, seed) | _value(node.right, seed)
    if isinstance(node, ast.Call):
        return _made(node, seed)
    if isinstance(node, ast.Attribute):
        return _made(ast.Call(node, [], []), seed)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise RiverNameError(
            f"{ast.unparse(node)!r} means nothing here; write module.Class, as forest.ARFClassifier"
        ) from None


def _made(node: ast.Call, seed: int) -> Any:
    kind, name = _class(node.func), ast.unparse(node.func)
    words = {word.arg: _value(word.value, seed) for word in node.keywords if word.arg}
    takes = inspect.signature(kind).parameters
    if "seed" in takes and not node.args:
        words.setdefault("seed", seed)
    try:
        return kind(*(_value(one, seed) for one in node.args), **words)
    except TypeError as error:
        said = str(error).rpartition("__init__() ")[2]
        raise RiverNameError(f"{name}: {said}; it takes {', '.join(takes)}") from None


def _class(node: ast.expr) -> Any:
    *inner, last = ast.unparse(node).split(".")
    module = ".".join(inner[1:] if inner[:1] == ["river"] else inner)
    known = [found.name for found in pkgutil.iter_modules(river.__path__) if found.name[0] != "_"]
    if module.split(".")[0] not in known:
        raise RiverNameError(f"river has no module {module!r}; {nearest(module, known)}")
    try:
        home = importlib.import_module(f"river.{module}")
    except ModuleNotFoundError:
        raise RiverNameError(f"river has no module {module!r}") from None
    kinds = [word for word, found in vars(home).items() if inspect.isclass(found)]
    if last not in kinds:
        low = {kind.lower(): kind for kind in kinds}
        meant = nearest(last, low)
        meant = next((meant.replace(a, b) for a, b in low.items() if f"mean {a}?" in meant), meant)
        raise RiverNameError(f"river.{module} has no {last!r}; {meant}")
    return getattr(home, last)
