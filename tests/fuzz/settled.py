"""What holds of settings, whatever they are read from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.faults import Fault, SettingsError
from agent.settings import Settings, flat, load
from agent.toml import Text


def check_settings(path: Path, environment: Mapping[str, str], flags: Mapping[str, Text]) -> None:
    """Load settings: they are whole, or every fault has a place and a remedy."""
    found, faults = _loaded(path, environment, flags)
    assert (found is None) == bool(faults)
    assert all(fault.path and fault.remedy for fault in faults)
    if found is not None:
        assert found.schema.fields
        assert json.loads(json.dumps(flat(found), allow_nan=False))


def _loaded(
    path: Path, environment: Mapping[str, str], flags: Mapping[str, Text]
) -> tuple[Settings | None, Sequence[Fault]]:
    try:
        return load(path, environment, flags), ()
    except SettingsError as error:
        return None, error.faults
