"""A snapshot's two files as bytes: packed from a photograph of the state, checked when unpacked.

    state.safetensors     the tensors
    manifest.json         {"sha256": of the body, "body": {...}}

The manifest's body holds the tensors' checksum and size, the settings, and the meta.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

Arrays: TypeAlias = Mapping[str, Tensor | NDArray[Any]]
Flat: TypeAlias = Mapping[str, str | int | float | bool | None]
Json: TypeAlias = dict[str, Any]

FORMAT: Final = 2


class CheckpointError(Exception):
    """A checkpoint could not be written, or none can be used; the message says what to do."""


class DamagedError(Exception):
    """This one is not whole; the one before may be."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A copy of the state as it stood: what goes on changing does not reach it.

    `arrays` names those that were NumPy's, so that they come back as such.
    """

    tensors: dict[str, Tensor]
    arrays: list[str]
    meta: str

    @classmethod
    def take(cls, arrays: Arrays, meta: Json) -> "Photograph":
        """Copy them. Raises `CheckpointError` if the meta is not JSON (NaN is not)."""
        try:
            text = json.dumps(meta, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint's meta is not JSON: {error}") from error
        return cls(
            tensors={name: _copied(array) for name, array in arrays.items()},
            arrays=sorted(name for name, one in arrays.items() if not isinstance(one, Tensor)),
            meta=text,
        )


def _copied(array: Tensor | NDArray[Any]) -> Tensor:
    if isinstance(array, Tensor):
        return array.detach().to("cpu", copy=True).contiguous()
    return torch.from_numpy(array.copy(order="C"))


def pack(photograph: Photograph, settings: Flat, created: float) -> tuple[bytes, bytes]:
    """Give the bytes of the tensors and of the manifest."""
    state = safetensors.torch.save(photograph.tensors)
    body = {
        "format": FORMAT,
        "created": created,
        "sha256": hashlib.sha256(state).hexdigest(),
        "bytes": len(state),
        "arrays": photograph.arrays,
        "settings": dict(settings),
        "settings_sha256": _checksum(dict(settings)),
        "meta": json.loads(photograph.meta),
    }
    return state, json.dumps({"sha256": _checksum(body), "body": body}, indent=1).encode()


def opened(manifest: bytes, state: bytes) -> Json:
    """Give the manifest's body. Raises `DamagedError` if either is not as it was written."""
    body = body_of(manifest)
    check(body, state)
    return body


def body_of(manifest: bytes) -> Json:
    """Give the manifest's body. Raises `DamagedError` if it is not as it was written."""
    try:
        whole = json.loads(manifest)
        body: Json = whole["body"]
        sound = whole["sha256"] == _checksum(body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedError(f"the manifest is unreadable: {error!r}") from error
    if not sound:
        raise DamagedError("the manifest is not as it was written")
    return body


def check(body: Json, state: bytes) -> None:
    """Raise `DamagedError` if these are not the tensors that the manifest tells of."""
    if len(state) != body["bytes"] or hashlib.sha256(state).hexdigest() != body["sha256"]:
        raise DamagedError("the tensors are not as they were written")


def unpacked(body: Json, state: bytes) -> dict[str, Tensor | NDArray[Any]]:
    """Give the arrays in the kind in which they came."""
    tensors = safetensors.torch.load(state)
    arrays = set(body["arrays"])
    return {name: one.numpy() if name in arrays else one for name, one in tensors.items()}


def _checksum(value: Json) -> str:
    """SHA-256 of the one way of writing this JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
