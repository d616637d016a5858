"""Being asked to stop, by SIGTERM or SIGINT."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Watch for SIGTERM and SIGINT; the second of them ends the process where it stands."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del frame
        if asked:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h")  # the live table has hidden the cursor
            os._exit(128 + number)  # no clean-up: what is durable is whole at any time
        asked = True

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
