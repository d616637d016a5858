"""The learner and the daemon around it."""

import os

# Matrix products that round alike wherever their operands lie in memory, and whatever else is
# computed in the same call; MKL reads it once, at its first product. Costs nothing that was seen.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

__version__ = "0.1.0"
