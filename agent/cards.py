"""Weights that ship, each beside a card that says what they are and how they were made."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import agent


def ship(folder: Path, name: str, raw: bytes, told: Mapping[str, Any]) -> dict[str, Any]:
    """Write `name.safetensors` and its card `name.json`; give the card.

    Args:
        folder: where; it is made where it is missing.
        name: of both files.
        raw: the tensors, as `safetensors.torch.save` gives them.
        told: what the card says; day, versions and checksum are added.
    """
    card = {
        **told,
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "version": agent.__version__,
        "torch": torch.__version__,
        "sha256": hashlib.sha256(raw).hexdigest(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.safetensors").write_bytes(raw)
    text = json.dumps(card, indent=1, default=str) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8")
    return card
