"""Functions that are random networks: y = V tanh(W x + b), of one number or several.

Shapes: T tasks, U uniform numbers that make a task, B rows, F features, H hidden, O outputs.
"""

from dataclasses import dataclass, field

import numpy as np

from streams.worlds.functions import Functions, check_family, evenly
from streams.worlds.hashed import normals
from streams.worlds.tasks import Floats, Ranges, Reals, within


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """A network a task, its weights normal and scaled so that targets are about one in size.

    Args:
        features: F.
        outputs: O.
        hidden: H.
        steep: how fast a target turns with x: the deviation of W's and b's entries, W's over
            the root of F.
        reach: every feature is even between minus and plus this.
        seed: of the family; the same seed has the same tasks.
        noise: standard deviation added to every target.
        splits: which tasks are in which split.
    """

    features: int = 2
    outputs: int = 1
    hidden: int = 32
    steep: float = 1.5
    reach: float = 2.0
    seed: int = 0
    noise: float = 0.0
    splits: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        check_family(self.seed, self.noise)
        for name in ("features", "outputs", "hidden"):
            within(name, getattr(self, name), 1, 4096)
        within("steep", self.steep, 0, 1000)
        within("reach", self.reach, 1e-6, 1e6)


def network(settings: NetworkSettings) -> Functions:
    """Make the world."""
    features, hidden, outputs = settings.features, settings.hidden, settings.outputs
    first, bias = features * hidden, (features + 1) * hidden
    weights = bias + hidden * outputs

    def function(made: Reals, x: Floats) -> Reals:
        drawn = normals(made)
        w_TFH = drawn[:, :first].reshape(-1, features, hidden) * (settings.steep / features**0.5)
        v_THO = drawn[:, bias:].reshape(-1, hidden, outputs) * (1.5 / hidden**0.5)
        hidden_TBH = np.tanh(x @ w_TFH + settings.steep * drawn[:, None, first:bias])
        y_TBO: Reals = hidden_TBH @ v_THO
        return y_TBO if outputs > 1 else y_TBO[..., 0]

    return Functions(
        function,
        evenly(-settings.reach, settings.reach, features),
        2 * weights,
        settings.seed,
        settings.splits,
        features=features,
        noise=settings.noise,
        outputs=outputs,
    )
