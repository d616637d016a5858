"""How large a block may get: small while a stream is young, so that a handful of labels counts.

Voices that stand still inside a block learn at its end only. Where few labels are known, waiting
for a whole block means answering many events from nothing; later it costs next to nothing.
"""

GROWTH = 0.25
"""A block closes at the latest when its labels are this share of all before it."""


def enough(learned: int, block: int, growth: float = GROWTH) -> int:
    """Labels that fill a block.

    Args:
        learned: labels learned before it.
        block: lanes that it has, its size on an old stream.
        growth: the share; 0 has whole blocks from the first row on.
    """
    return block if growth <= 0 else max(1, min(block, int(learned * growth)))
