"""Full-context embeddings of Matching networks (Vinyals et al. 2016, appendix A).

    g(x_i) = forward h_i + backward h_i + g'(x_i)                   appendix A.2
    h_k, c_k = LSTM(f'(x), [h_k-1, r_k-1], c_k-1) + f'(x)           equations 3 and 4
    r_k = sum_i softmax(h_k . g(x_i)) g(x_i)                        equations 5 and 6

Shapes: T tasks, B queries, K examples (right-aligned, `held` of them), E embedding.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from agent.nets.window import attend, rows


class FullContext(nn.Module):
    """Embeds examples by one another, and queries by the examples. Build it under `seeded`."""

    def __init__(self, size: int, looks: int) -> None:
        super().__init__()
        self.looks = looks
        self.support = nn.LSTM(size, size, batch_first=True, bidirectional=True)
        self.gates = nn.Linear(3 * size, 4 * size)

    @override
    def forward(self, f_TBE: Tensor, g_TKE: Tensor, held_T1: Tensor) -> tuple[Tensor, Tensor]:
        """Give the queries' and the examples' embeddings."""
        place = torch.arange(g_TKE.shape[1], device=g_TKE.device)
        filled = (place >= g_TKE.shape[1] - held_T1).unsqueeze(1)
        if g_TKE.shape[1]:
            g_TKE = g_TKE + self.among(g_TKE, held_T1)
        hidden, cell = f_TBE, torch.zeros_like(f_TBE)
        for _ in range(self.looks):
            read = attend(hidden @ g_TKE.mT, filled.expand(-1, f_TBE.shape[1], -1)) @ g_TKE
            gates = self.gates(torch.cat([f_TBE, hidden, read], 2))
            keep, write, show, new = gates.chunk(4, 2)
            cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh() + f_TBE
        return hidden, g_TKE

    def among(self, g_TKE: Tensor, held_T1: Tensor) -> Tensor:
        """What the LSTM adds to each example from those on either side."""
        width = g_TKE.shape[1]
        place = torch.arange(width, device=g_TKE.device)
        first = rows(g_TKE, (place + width - held_T1) % width)
        lengths = held_T1.squeeze(1).clamp(min=1).cpu()
        packed = pack_padded_sequence(first, lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.support(packed)[0], batch_first=True, total_length=width)
        forward, backward = rows(out, (place - width + held_T1) % width).chunk(2, 2)
        return forward + backward
