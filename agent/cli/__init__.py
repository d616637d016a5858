"""The command line: what a person types, and what they are told when it cannot be.

Each command imports what it runs on when it is called: `--help` stays quick, and a process that
only holds a rival of `evaluate` does not load torch.
"""

from agent.cli import (
    dlq,
    doctor,
    evaluate,
    inspect,
    learners,
    pretrain,
    produce,
    replay,
    requeue,
    robot,
    run,
    train,
    validate,
)
from agent.cli.app import app

__all__ = [
    "app",
    "dlq",
    "doctor",
    "evaluate",
    "inspect",
    "learners",
    "main",
    "pretrain",
    "produce",
    "replay",
    "requeue",
    "robot",
    "run",
    "train",
    "validate",
]


def main() -> None:
    """Run the command that was typed."""
    app()
