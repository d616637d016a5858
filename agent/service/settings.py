"""How the daemon's loop runs."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Delivery: TypeAlias = Literal["exactly-once", "at-least-once"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How the daemon's loop runs. What is learned depends on `threads` alone, by rounding.

    Args:
        delivery: from Kafka to Kafka, "exactly-once" commits answers, offsets and a journal in one
            transaction, and a crash answers nothing twice; "at-least-once" is cheaper. Files are
            cut back to the checkpoint either way.
        commit_seconds: seconds between two transactions: a reader of what is committed waits for
            an answer so long.
        log_level: the least important message that is logged.
        max_batch: records taken from the source at a time, at most, of all shards together.
        poll_wait: seconds that a poll waits for the first record.
        threads: threads for tensors; 0 leaves the choice to torch.
    """

    delivery: Delivery = "exactly-once"
    commit_seconds: float = 0.1
    log_level: Level = "info"
    max_batch: int = 1024
    poll_wait: float = 0.1
    threads: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.commit_seconds <= 60:  # noqa: PLR2004 (a minute: answers wait for it)
            raise ValueError(f"commit_seconds is {self.commit_seconds}; give 0 to 60 seconds")
        if not 1 <= self.max_batch <= 1_000_000:  # noqa: PLR2004 (a batch fits in memory)
            raise ValueError(f"max_batch is {self.max_batch}; give 1 to 1000000 records")
        if not 0 <= self.poll_wait <= 60:  # noqa: PLR2004 (a minute: a stop waits for it)
            raise ValueError(f"poll_wait is {self.poll_wait}; give 0 to 60 seconds")
        if not 0 <= self.threads <= 1024:  # noqa: PLR2004 (more is a slip of the hand)
            raise ValueError(f"threads is {self.threads}; give 0 (torch chooses) to 1024")
