"""All checks that a daemon's settings ask for, in the order in which one builds on another."""

from collections.abc import Iterator
from pathlib import Path

from agent.doctor import here, keep
from agent.doctor.brokers import Brokers
from agent.doctor.finding import Check, Finding, good, run
from agent.service.clocks import Clocks
from agent.settings import Settings


def examined(
    settings: Settings, seconds: float = 30.0, clocks: Clocks | None = None
) -> Iterator[Finding]:
    """Run every check; each may take so many seconds."""
    brokers, clocks = Brokers(settings), clocks or Clocks()
    checks: list[tuple[str, Check]] = [
        *brokers.checks(),
        ("files", lambda: files(settings)),
        ("store", lambda: keep.store(settings.checkpoint)),
        ("checkpoints", lambda: keep.checkpoints(settings)),
        ("clock", lambda: here.clock(clocks, brokers.newest)),
        ("device", lambda: here.device(settings)),
        ("agent", lambda: here.agent(settings)),
        ("port", lambda: here.port(settings.web)),
    ]
    return run(checks, seconds)


def files(settings: Settings) -> Iterator[Finding]:
    """See that files that are read can be, and those that are written too."""
    source = settings.source.file if settings.source.kind == "file" else None
    for path in () if source is None else (source.path, source.labels):
        if path is not None:
            yield _opened(Path(path))
    sink = settings.sink.file if settings.sink.kind == "file" else None
    for there in () if sink is None else {sink.predictions.parent, sink.refused.parent}:
        try:
            keep.probed(keep.nearest(there))
        except OSError as error:
            remedy = "give this user the right to write there, or set sink.file elsewhere"
            yield Finding("files", "fail", f"{there}: {error.strerror or error}", remedy)
        else:
            yield good("files", f"{there} takes files")


def _opened(path: Path) -> Finding:
    try:
        with path.open("rb") as file:
            size = len(file.read(1))
    except OSError as error:
        said = f"{path}: {error.strerror}"
        return Finding("files", "fail", said, "see source.file and its permissions")
    if not size:
        return Finding("files", "warn", f"{path} is empty", "see source.file")
    return good("files", f"{path} can be read")
