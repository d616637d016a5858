"""`adaptd train`: train what was asked for, hold it against the baselines, tell."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

from rich.console import Console

from agent.training import ranks
from agent.training.baselines import pretrained
from agent.training.plan import Asked, Plan, plan
from agent.training.show import Bar, Board, History
from agent.training.tell import tell, tell_mismatch
from agent.training.trainer import Trained, train
from agent.training.watch import Several

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""


def run(
    asked: Asked, out: Console, err: Console, environment: Mapping[str, str], now: Callable[[], str]
) -> int:
    """Train and tell; give the exit code.

    Args:
        asked: by a person.
        out: where the table goes.
        err: where the progress goes.
        environment: in which `torchrun` says which process this is.
        now: the date.

    Raises:
        SettingsError: it cannot be run so; nothing has run then.
        ValueError: the learner cannot predict what the tasks ask for, or the tasks have too few
            rows; likewise.
        TrainingError: it broke off.
    """
    made = plan(asked)
    with ranks.ranks(environment, made.settings.device) as where, _stopped_by_signals() as stop:
        first = where.rank == 0
        if first:
            tell_mismatch(made.world, made.settings.seed, err)
        done = _watched(made, asked, err if first else None, ranks=where, stop=stop)
        if not done.finished:
            return _stopped(asked, done, err if first else None)
        held = pretrained(
            made.learner.spec, made.options, made.world, made.settings,
            folder=asked.out / "finetune", ranks=where, stop=stop,
            about=made.about("finetune", asked.tasks),
        )  # fmt: skip
    if first:
        tell(asked, made, done, held, out, now())
    return 0


def _stopped(asked: Asked, done: Trained, err: Console | None) -> int:
    if err is not None:
        said = f"{done.stopped}, with a checkpoint in {asked.out}: the same command with --resume"
        err.print(f"adaptd: {said} goes on from there", markup=False, highlight=False)
    return STOPPED


def _watched(made: Plan, asked: Asked, err: Console | None, **more: Any) -> Trained:
    """Train, with all that looks on where there is a console."""
    with ExitStack() as stack:
        watch = None
        if err is not None:
            bar = stack.enter_context(Bar(err, f"{asked.learner} on {asked.tasks}"))
            watch = Several(bar, History(asked.out), Board(asked.out))
        return train(
            made.learner, made.world, made.settings,
            folder=asked.out, watch=watch, outer=made.entry.outer, resume=asked.resume,
            about=made.about(asked.learner, asked.tasks), way=made.way, **more,
        )  # fmt: skip


@contextmanager
def _stopped_by_signals() -> Iterator[Callable[[], bool]]:
    """Say whether Ctrl-C or a termination came; a second one ends the process at once."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
