"""A model in a process of its own.

So the memory that each reports is its own, none warms another's caches, and one that fails lets the
others run. Nothing here imports torch: a rival's process must not hold it.
"""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

from agent.evaluate.plan import Entrant, Plan, Result
from agent.evaluate.run import run

Telling: TypeAlias = Callable[[str, float], None]
"""Called with a model's name and the share of the file that it has behind it, 0 to 1."""


def apart(plan: Plan, entrant: Entrant, telling: Telling) -> Result:
    """Run a model in a fresh process, and listen to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, plan, entrant), daemon=True)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child's, for good: we end it
    process.start()
    signal.signal(signal.SIGINT, interrupt)
    theirs.close()
    try:
        return _listen(ours, entrant.name, telling)
    except EOFError:
        process.join()
        return Result(entrant.name, error=f"its process ended with code {process.exitcode}")
    finally:
        process.terminate()  # it has said its last word, or is not wanted any more
        process.join()
        process.close()
        ours.close()


def _listen(pipe: Connection, name: str, telling: Telling) -> Result:
    while not isinstance(told := pipe.recv(), Result):
        telling(name, told)
    telling(name, 1.0)
    return told


def _child(pipe: Connection, plan: Plan, entrant: Entrant) -> None:
    try:
        pipe.send(run(plan, entrant, pipe.send))
    except Exception as error:  # noqa: BLE001 (a rival may raise anything; it is told, by name)
        said = f"{type(error).__name__}: {error}".replace("\n", " ")
        pipe.send(Result(entrant.name, error=said))
    finally:
        pipe.close()
