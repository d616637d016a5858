"""An agent out of a checkpoint alone: settings from its manifest, state from its tensors."""

from dataclasses import replace
from typing import Any, Literal, TypeAlias

from agent.build import build
from agent.faults import SettingsError
from agent.parts import fingerprint
from agent.service.prequential import Prequential
from agent.service.snapshot import Arrays, CheckpointError, Flat, Json
from agent.settings import Settings
from agent.toml import Table

FIELDS = "stream.fields."
Device: TypeAlias = Literal["cpu", "cuda"]
WEIGHTS = ".sha256"
ELSEWHERE = "source."
"""Settings of where records came from: they do not shape the state."""


def settings_of(then: Flat) -> Settings:
    """Build the settings that a manifest tells of; where records come from is left open.

    Raises:
        CheckpointError: they cannot be built, or not to the same fingerprint: the checkpoint is of
            another version, or trained weights that it was made with have changed.
    """
    try:
        settings = build(Settings, table_of(then))
    except SettingsError as error:
        raise CheckpointError(
            f"the settings in the manifest cannot be used here ({error}); give --settings"
        ) from error
    differing = differences(then, settings)
    if differing:
        raise CheckpointError(
            f"the manifest tells of settings that cannot be had here ({'; '.join(differing)});"
            " run the version that wrote it, or bring the weights back"
        )
    return settings


def table_of(then: Flat) -> Table:
    """Give the settings as a table, as TOML would.

    >>> table_of({"stream.fields.a.b": "numeric", "stream.classes.0": "no", "agent.seed": 3})
    {'stream': {'fields': {'a.b': 'numeric'}, 'classes': ['no']}, 'agent': {'seed': 3}, \
'source': {'kind': 'file', 'file': {'path': '-'}}}
    """
    table: Table = {}
    for path, value in then.items():
        if value is None or path.startswith(ELSEWHERE) or path.endswith(WEIGHTS):
            continue
        fields = path.startswith(FIELDS)
        parts = ["stream", "fields", path.removeprefix(FIELDS)] if fields else path.split(".")
        here = table
        for part in parts[:-1]:
            here = here.setdefault(part, {})
        here[parts[-1]] = value
    whole: Table = {
        name: value if name == "stream" else _listed(value) for name, value in table.items()
    }
    if "stream" in whole:
        rest = {name: _listed(value) for name, value in whole["stream"].items() if name != "fields"}
        whole["stream"] = {"fields": whole["stream"].get("fields", {}), **rest}
        whole["source"] = {"kind": "file", "file": {"path": "-"}}
    return whole


def _listed(value: Any) -> Any:
    """Make lists of tables whose keys count from 0."""
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(one) for name, one in value.items()}
    if inner and list(inner) == [str(at) for at in range(len(inner))]:
        return list(inner.values())
    return inner


def differences(then: Flat, settings: Settings) -> list[str]:
    """Say which settings that shape the state differ from the manifest's."""
    now = fingerprint(settings)
    return [
        f"{path}: {then.get(path)!r} in the checkpoint, {now.get(path)!r} here"
        for path in sorted(then.keys() | now.keys())
        if not path.startswith(ELSEWHERE) and then.get(path) != now.get(path)
    ]


def revived(
    body: Json,
    arrays: Arrays,
    settings: Settings | None = None,
    device: Device | None = None,
    kind: type[Prequential] = Prequential,
) -> tuple[Prequential, Settings]:
    """Give the agent as it stood, and its settings.

    Args:
        body: of the manifest.
        arrays: the unpacked tensors.
        settings: those to use; None for those of the manifest.
        device: where it runs, "cpu" or "cuda"; None for what the settings say.
        kind: of agent, such as one that does not learn.

    Raises:
        CheckpointError: the settings are not those of the checkpoint, or cannot be had.
    """
    then = body["settings"]
    if settings is None:
        settings = settings_of(then)
    elif differing := differences(then, settings):
        raise CheckpointError(
            f"it was made with other settings ({'; '.join(differing)}); give those, or leave"
            " --settings out"
        )
    agent = settings.agent if device is None else replace(settings.agent, device=device)
    learner = kind.build(
        settings.schema, agent, settings.encoder, settings.labels, probes=settings.probes
    )
    try:
        learner.restore(arrays, body["meta"]["learner"])
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"the state does not fit this version: {error!r}") from error
    return learner, settings
