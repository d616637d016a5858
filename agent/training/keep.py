"""The checkpoint of a run: one file of tensors with JSON in its head, there whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from agent.training.settings import TrainingError

FILE = "checkpoint.safetensors"
FORMAT = 1


def write(
    folder: Path, parts: Mapping[str, Mapping[str, Tensor]], meta: Mapping[str, object]
) -> None:
    """Write parts, each under its name, over the checkpoint that is there."""
    flat = {
        f"{part}/{name}": leaf.detach().clone().contiguous()
        for part, leaves in parts.items()
        for name, leaf in leaves.items()
    }
    head = {"json": json.dumps({**meta, "format": FORMAT})}
    durable(folder / FILE, save(flat, head))


def read(
    folder: Path, fingerprint: Mapping[str, object]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:
    """Give parts and meta of the checkpoint; None where there is none.

    Raises:
        TrainingError: it is damaged, of another format, or of a run with other settings.
    """
    path = folder / FILE
    if not path.exists():
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            meta = json.loads(file.metadata()["json"])
            for key in file.keys():  # noqa: SIM118 - no mapping
                part, _, name = key.partition("/")
                # a clone, since products round differently where memory is not aligned
                parts.setdefault(part, {})[name] = file.get_tensor(key).clone()
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is damaged ({error}); take it away to start anew") from error
    if meta["format"] != FORMAT:
        raise TrainingError(f"{path} has format {meta['format']}; this version reads {FORMAT}")
    _same(path, meta["fingerprint"], fingerprint)
    return parts, meta


def _same(path: Path, then: Mapping[str, object], now: Mapping[str, object]) -> None:
    plain = json.loads(json.dumps(now))
    differing = [
        f"{key}: {then.get(key, 'absent')} then, {plain.get(key, 'absent')} now"
        for key in sorted(then.keys() | plain.keys())
        if then.get(key) != plain.get(key)
    ]
    if differing:
        raise TrainingError(
            f"{path} is of another run ({'; '.join(differing)});"
            " set them back, or give another folder"
        )


def durable(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whenever the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{path.name}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
