"""River models to and from bytes; nothing but models comes back."""

import functools
import io
import pickle
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from river import proba
from typing_extensions import override

_NO_CHANCE = random.Random(0)  # noqa: S311 (nothing draws from it)


def freeze(model: Any) -> bytes:
    """Give a model as bytes that only `thaw` reads; the same learning gives the same bytes."""
    held = io.BytesIO()
    _Freeze(held, protocol=5).dump(model)
    return held.getvalue()


def thaw(frozen: bytes) -> Any:
    """Give the model back.

    River has no other way to store a model than pickle, and a checkpoint may come from elsewhere;
    so nothing is admitted but what models are made of.

    Raises:
        pickle.UnpicklingError: the bytes name anything else.
    """
    return _Thaw(io.BytesIO(frozen)).load()


class _Freeze(pickle.Pickler):
    @override
    def reducer_override(self, found: Any) -> Any:
        """Leave out what a distribution would draw with: it was seeded by the system, unasked.

        No model draws from it, and it is 2.5 kB of chance in each of hundreds.
        """
        if isinstance(found, proba.base.Distribution) and getattr(found, "seed", 0) is None:
            whole: Any = found.__reduce_ex__(5)
            made, words, held, *rest = whole
            return (made, words, {**held, "_rng": _NO_CHANCE}, *rest)
        return NotImplemented


def _method(owner: Any, name: str) -> Any:
    """Stand in for `getattr`, by which bound methods are pickled."""
    if name.startswith("_") or not type(owner).__module__.startswith("river."):
        raise pickle.UnpicklingError(f"{type(owner).__name__}.{name} is no part of a River model")
    return getattr(owner, name)


_ADMITTED: dict[str, Callable[..., Any]] = {
    "builtins.getattr": _method,
    "copy.deepcopy": deepcopy,
    "functools.partial": functools.partial,
    "random.Random": random.Random,
}
_PLAIN = frozenset(
    {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list"}
    | {"object", "range", "set", "slice", "str", "tuple"}
)
_NUMPY = ("numpy._core.multiarray", "numpy._core.numeric", "numpy.random.")
_NUMPY_NAMES = frozenset({"_reconstruct", "scalar", "_frombuffer"})
_NO_MODELS = ("river.datasets", "river.stream")


class _Thaw(pickle.Unpickler):
    @override
    def find_class(self, module: str, name: str) -> Any:
        whole = f"{module}.{name}"
        if whole in _ADMITTED:
            return _ADMITTED[whole]
        owner, _, method = name.partition(".")
        if "__" in method or "." in method or not self._admits(module, owner):
            raise pickle.UnpicklingError(f"{whole} is no part of a River model")
        return super().find_class(module, name)

    def _admits(self, module: str, name: str) -> bool:
        if module.partition(".")[0] == "river":
            a_model = name[:1].isupper() or name.startswith(("_", "euclidean"))
            return a_model and not module.startswith(_NO_MODELS)
        if module == "numpy":
            return name in {"dtype", "ndarray"}
        if module in _NUMPY[:2]:
            return name in _NUMPY_NAMES
        return (
            (module == "builtins" and name in _PLAIN)
            or (module == "collections" and name[:1].isupper())
            or (module == "collections" and name in {"defaultdict", "deque"})
            or module.startswith(_NUMPY[2])
        )
