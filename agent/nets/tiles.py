"""Which cells a row falls into: soft bins of single columns, hashed conjunctions of several.

A quantity may be a word in disguise: a number of a terminal, a price that comes again and again.
So single columns may have a fine table too, whose bins are too narrow to be told from one another
by the knots of the soft ones.

Shapes: T tasks, B rows, F quantities, K codes, S single tables, N conjunctions, L columns of one,
G fine tables, M = 2 S + N + K + G cells of a row in this order, R rows of the hashed array.
"""

import torch
from torch import Tensor

KNOTS = 32  # of a single column
REACH = 4.0  # of the stretched scale, on either side
FINEST = 256  # bins of a fine table at most,
GRAINS = 2048  # and of all of them together
LENGTHS = (2, 2, 2, 3, 3, 4)  # columns of a conjunction, in turn
PRIMES = (2_654_435_761, 805_459_861, 3_674_653_429, 2_097_192_037)


class Tiles:
    """A fixed, seeded division of space.

    Args:
        quantities: F, columns of z-scores.
        codes: K, columns of codes of words, after the quantities.
        singles: quantities that get a table of their own, at most.
        conjunctions: N.
        seed: of what is drawn.
        fine: G at most.
    """

    def __init__(
        self,
        quantities: int,
        codes: int,
        singles: int,
        conjunctions: int,
        seed: int,
        fine: int = 0,
    ) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.quantities, self.codes = quantities, codes
        self._single = torch.randperm(quantities, generator=draw)[:singles].sort().values
        columns = quantities + codes
        longest = max(LENGTHS)
        length = torch.tensor(LENGTHS)[torch.arange(conjunctions) % len(LENGTHS)]
        # Words are told apart by nothing but their codes: half of all columns drawn are words.
        word = torch.rand(conjunctions, longest, generator=draw) < (0.5 if codes else 0.0)
        if not quantities:
            word[:] = True
        one = torch.rand(conjunctions, longest, generator=draw)
        at_word = quantities + (one * max(codes, 1)).long().clamp(max=max(codes - 1, 0))
        at = (one * max(quantities, 1)).long().clamp(max=max(quantities - 1, 0))
        self._column = torch.where(word, at_word, at).clamp(max=columns - 1)
        self._used = torch.arange(longest) < length.unsqueeze(1)
        levels = torch.tensor([5.0, 3.0, 2.0])[(length - 2).clamp(0, 2)].unsqueeze(1)
        self._width = torch.where(word, torch.ones(()), 5.0 / levels)
        offset = torch.rand(conjunctions, longest, generator=draw) * self._width
        self._offset = torch.where(word, torch.zeros(()), offset + REACH)
        self._salt = torch.randint(2**31, (conjunctions + codes,), generator=draw)
        self.singles = len(self._single)
        self.fine = min(fine, self.singles)
        grains = min(FINEST, GRAINS // max(self.fine, 1))
        self._grain = grains / (2 * REACH)
        self._begin = torch.rand(self.fine, generator=draw)
        self._mark = torch.randint(2**31, (self.fine,), generator=draw)
        self.tables = self.singles + conjunctions + codes + self.fine
        self.cells = self.tables + self.singles
        self._memo: dict[torch.device, tuple[Tensor, ...]] = {}

    def find(self, x_TBF: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """Give the cells of each row and its share in each, both of shape TBM."""
        single, column, used, width, offset, salt, begin, mark, prime = self._at(x_TBF.device)
        quantity = x_TBF[..., : self.quantities]
        quantity = quantity * (REACH / (1 + quantity.abs()))  # finer where most rows are
        word = x_TBF[..., self.quantities : self.quantities + self.codes]
        alone = quantity[..., single]
        place = (alone + REACH) * ((KNOTS - 1) / (2 * REACH))
        low = place.floor().clamp(0, KNOTS - 2)
        high = (place - low).clamp(0, 1)
        first = low.long() + torch.arange(len(single), device=x_TBF.device) * KNOTS
        first = first % (rows // 2)
        both = torch.cat([quantity, word], -1)[..., column]
        level = ((both + offset) / width).floor().long() * prime
        mixed = (level * used).sum(-1) + salt[: len(column)]
        if self.codes:
            mixed = torch.cat([mixed, word.long() * prime[0] + salt[len(column) :]], -1)
        if self.fine:
            bin_TBG = ((alone[..., : self.fine] + REACH) * self._grain + begin).floor().long()
            mixed = torch.cat([mixed, bin_TBG * prime[0] + mark], -1)
        mixed = (mixed ^ (mixed >> 15)) * prime[1]
        hashed = rows // 2 + ((mixed ^ (mixed >> 13)) & (rows // 2 - 1))
        cell = torch.cat([first, (first + 1) % (rows // 2), hashed], -1)
        share = torch.cat([1 - high, high, torch.ones_like(hashed, dtype=high.dtype)], -1)
        return cell, share

    def _at(self, device: torch.device) -> tuple[Tensor, ...]:
        """What was drawn, on the device where it is wanted."""
        if device not in self._memo:
            conjunctions = (self._column, self._used, self._width, self._offset, self._salt)
            drawn = (self._single, *conjunctions, self._begin, self._mark, torch.tensor(PRIMES))
            self._memo[device] = tuple(one.to(device) for one in drawn)
        return self._memo[device]


def fold(array_TRZ: Tensor, rows: int, means: int) -> Tensor:
    """Halve the rows until there are so many; hashed cells that meet are added up.

    The first `means` columns are averaged instead: weights, where the others are counts.
    """
    while array_TRZ.shape[1] > rows:
        regions = [half.unflatten(1, (2, -1)).sum(1) for half in array_TRZ.chunk(2, 1)]
        array_TRZ = torch.cat(regions, 1)
        array_TRZ[..., :means] *= 0.5
    return array_TRZ
