"""Encoders, run over events."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from agent.encode import Encoder, EncoderState, Rows
from streams.records import Value

words = st.none() | st.text(max_size=3)


def run(
    encoder: Encoder, values: Sequence[tuple[Value, ...]], cuts: Sequence[int] = ()
) -> tuple[Rows, EncoderState]:
    edges = [0, *sorted(cuts), len(values)]
    rows, state = [], encoder.begin()
    for start, end in pairwise(edges):
        row, state = encoder.encode(state, values[start:end])
        rows.append(row)
    return np.concatenate(rows), state
