"""The table of all metrics, by section."""

from collections.abc import Mapping

from agent.service.measured import learning, memory, records, standing
from agent.service.measured.family import Family

SECTIONS: Mapping[str, tuple[Family, ...]] = {
    "Standing and durability": standing.FAMILIES,
    "Records and answers": records.FAMILIES,
    "Learning": learning.FAMILIES,
    "Tasks, memory, plasticity": memory.FAMILIES,
}
