"""A Transformer's layer (Vaswani et al. 2017) whose keys and values are handed in, as from a cache.

    h <- h + O softmax(q k' / sqrt(D / heads) + b same) v;  h <- h + MLP(h)     norms come first

One more key, learned, is always visible: there is something to attend to when nothing was seen.
`same` says of which pairs of examples the labels are equal; b, one a head, is how much that counts.

Shapes: T tasks, B rows, K places, D width.
"""

import torch
from torch import Tensor, nn

from agent.nets.window import attend


class CachedLayer(nn.Module):
    """Attention and a feed-forward network. Build it under `seeded`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.remember = nn.Linear(width, 2 * width, bias=False)
        self.rest = nn.Parameter(torch.zeros(2, width))
        self.same = nn.Parameter(torch.linspace(0.0, 4.0, heads))
        self.join = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def keys(self, h_TBD: Tensor) -> Tensor:
        """What is kept of these rows: keys beside values, twice as wide."""
        kept: Tensor = self.remember(self.before(h_TBD))
        return kept

    def read(
        self, h_TBD: Tensor, kept_TKD: Tensor, seen_TBK: Tensor, same_TBK: Tensor | None = None
    ) -> Tensor:
        """Read the visible places: the rows after the layer."""
        rest = self.rest.flatten().expand(kept_TKD.shape[0], 1, -1)
        key, value = (self._split(one) for one in torch.cat([rest, kept_TKD], 1).chunk(2, 2))
        query = self._split(self.query(self.before(h_TBD)))
        logit = query @ key.mT * query.shape[-1] ** -0.5
        pad = nn.functional.pad
        if same_TBK is not None:
            alike = pad(same_TBK.to(logit.dtype), (1, 0)).unsqueeze(1)
            logit = logit + self.same.view(-1, 1, 1) * alike
        weight = attend(logit, pad(seen_TBK, (1, 0), value=True).unsqueeze(1))
        h_TBD = h_TBD + self.join((weight @ value).transpose(1, 2).flatten(2))
        out: Tensor = h_TBD + self.think(h_TBD)
        return out

    def _split(self, rows: Tensor) -> Tensor:
        heads: Tensor = rows.unflatten(2, (self.heads, -1))
        return heads.transpose(1, 2)
