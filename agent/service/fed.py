"""What comes of handing records to the learner."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.service.report import Scores
from streams.records import Prediction, Refused


@dataclass(frozen=True, slots=True)
class Fed:
    """What came of one feed, in the order of the records.

    Args:
        predictions: one an event.
        refused: the records that could not be read.
        scores: one a label joined, by what had been said of its event.
        seconds: spent, by stage: encode, learn.
    """

    predictions: list[Prediction]
    refused: list[Refused]
    scores: Scores
    seconds: Mapping[str, float]
