"""Whether the loop lives and whether the daemon is ready: what probes and people ask."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["starting", "running", "draining", "ended"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes, or no with every reason."""

    ok: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Touch:
    age: Callable[[], float]
    limit: float
    lack: str


class Health:
    """Told by the loop, asked by other threads.

    Args:
        clock: monotonic seconds.
        stale: seconds without progress after which the loop counts as stuck.
        conditions: what must be marked true before the daemon is ready.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        stale: float = 30.0,
        conditions: Iterable[str] = ("assigned", "restored"),
    ) -> None:
        if not stale > 0:
            raise ValueError(f"stale is {stale}: give seconds above 0")
        self._clock = clock
        self._stale = stale
        self._lock = threading.Lock()
        self._conditions = dict.fromkeys(conditions, False)
        self._touches: dict[str, _Touch] = {}
        self._began = self._progressed = clock()
        self._phase: Phase = "starting"

    def progress(self, now: float) -> None:
        """Say that the loop came round at `now`, on this object's clock."""
        self._progressed = now

    def mark(self, condition: str, *, holds: bool = True) -> None:
        """Say that a condition holds, or no longer does."""
        with self._lock:
            if condition not in self._conditions:
                raise ValueError(f"no condition {condition!r}: one of {sorted(self._conditions)}")
            self._conditions[condition] = holds
            if self._phase == "starting" and all(self._conditions.values()):
                self._phase = "running"

    def touch(
        self,
        name: str,
        age: Callable[[], float],
        limit: float,
        lack: str = "not heard from",
    ) -> None:
        """Watch an age in seconds, by default that of the last contact; other threads ask it."""
        with self._lock:
            self._touches[name] = _Touch(age, limit, lack)

    def drain(self) -> None:
        """Say that nothing new is taken in: not ready from now on."""
        self._phase = "draining"

    def end(self) -> None:
        """Say that all is done."""
        self._phase = "ended"

    @property
    def phase(self) -> Phase:
        """Where the daemon stands."""
        return self._phase

    def uptime(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def age(self) -> float:
        """Seconds since the loop last came round."""
        return max(0.0, self._clock() - self._progressed)

    def alive(self) -> Verdict:
        """Give no when the loop has not come round for too long. An ended daemon is not stuck."""
        age = self.age()
        if self._phase == "ended" or age <= self._stale:
            return Verdict(ok=True)
        return Verdict(
            ok=False, reasons=(f"no progress for {age:.1f} s, the limit is {self._stale:g} s",)
        )

    def ready(self) -> Verdict:
        """Give no while starting, draining, stuck or out of touch, with every reason."""
        with self._lock:
            missing = [f"not yet {name}" for name, holds in self._conditions.items() if not holds]
            touches = dict(self._touches)
        leaving = [self._phase] if self._phase in {"draining", "ended"} else []
        distant = [word for name, touch in touches.items() for word in _distance(name, touch)]
        reasons = (*leaving, *missing, *distant, *self.alive().reasons)
        return Verdict(ok=not reasons, reasons=reasons)


def _distance(name: str, touch: _Touch) -> list[str]:
    """Say how long `name` has lacked it, when that is too long; a probe never fails."""
    try:
        age = touch.age()
    except Exception as error:  # noqa: BLE001 - whatever a client raises, the answer is "not ready"
        return [f"{name}: {type(error).__name__}"]
    if age <= touch.limit:
        return []
    return [f"{name} {touch.lack} for {age:.1f} s, the limit is {touch.limit:g} s"]
