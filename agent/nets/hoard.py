"""A memory of rows for one task: a ring of the latest ones, and a ring of old ones of rare classes.

Both rings lie in one array, the latest first. What the first ring drops goes into the second if
its class is rare. Each function reads and gives leaves of one task's state, without a task axis:
`x`, `y`, `count` (rows that came), `old` (rows that were kept when they were dropped).

Shapes: M rows of memory, B rows, F columns, C classes, N rows drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

RARE = 0.1  # share of a class whose old rows are kept


@dataclass(frozen=True, slots=True)
class Hoard:
    """How many rows there are for the latest, and for old ones of rare classes (0: none)."""

    latest: int
    rare: int

    def begin(self, tasks: int, columns: int, kind: torch.dtype) -> dict[str, Tensor]:
        """No rows, of all tasks; labels are of this kind."""
        rows = self.latest + self.rare
        return {
            "x": torch.zeros(tasks, rows, columns),
            "y": torch.zeros(tasks, rows, dtype=kind),
            "count": torch.zeros(tasks, dtype=torch.int64),
            "old": torch.zeros(tasks, dtype=torch.int64),
        }

    def kept(
        self, one: Mapping[str, Tensor], x_BF: Tensor, y_B: Tensor, share_C: Tensor | None
    ) -> dict[str, Tensor]:
        """Take rows in; `share_C`, the classes' shares, says who is rare (None: nobody)."""
        total = int(one["count"]) + len(y_B)
        done = {"count": one["count"] + len(y_B)}
        x_BF, y_B = x_BF[-self.latest :], y_B[-self.latest :]
        first = total - len(y_B)
        slot = torch.arange(first, total, device=x_BF.device) % self.latest
        x, y = one["x"].clone(), one["y"].clone()
        if share_C is not None and self.rare and total > self.latest:
            dropped = slot[max(self.latest - first, 0) :]
            dropped = dropped[share_C[y[dropped]] < RARE][-self.rare :]
            passed = one["old"] + torch.arange(len(dropped), device=dropped.device)
            to = self.latest + passed % self.rare
            x[to], y[to] = x[dropped], y[dropped]
            done["old"] = one["old"] + len(dropped)
        x[slot], y[slot] = x_BF, y_B
        return {**done, "x": x, "y": y}

    def sampled(
        self, one: Mapping[str, Tensor], most: int, draw: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw rows without replacement: seven in ten, at least 16 if there are, at most `most`."""
        held = min(int(one["count"]), self.latest)
        rows = held + min(int(one["old"]), self.rare)
        some = min(most, max(16, int(0.7 * rows)))
        at = torch.randperm(rows, generator=draw)[:some].to(one["x"].device)
        at = torch.where(at < held, at, at - held + self.latest)
        return one["x"][at], one["y"][at]
