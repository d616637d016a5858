"""How soon a young stream is learned: labels of an open block that count before it is full.

Voices that stand still inside a block learn at its end only. Where few labels are known, waiting
for a whole block means answering many events from nothing. So while a stream is young its open
block is learned provisionally, from where it began, again and again; the whole block is then
learned at once, as if that had not been. States at whole blocks are the same with and without.
"""

GROWTH = 0.25
"""The open block is learned provisionally when labels came that are this share of all before."""


def enough(learned: int, block: int, growth: float = GROWTH) -> int:
    """Labels after which the open block is learned.

    Args:
        learned: labels learned so far, provisionally or not.
        block: lanes of a whole block.
        growth: the share; 0 waits for whole blocks from the first row on.
    """
    return block if growth <= 0 else max(1, min(block, int(learned * growth)))
