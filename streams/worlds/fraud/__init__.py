"""Card transactions with known tasks: attacks that appear, fade and return; labels days late.

Written from the published idea of the simulator in the Fraud Detection Handbook (Le Borgne,
Siblini, Lebichot, Bontempi 2022): customers with a home and habits, terminals near it, scenarios
of attack.
"""

from streams.worlds.fraud.settings import SCHEDULE, TASKS, Attack, FraudSettings, Task
from streams.worlds.fraud.world import FIELDS, FraudWorld

__all__ = ["FIELDS", "SCHEDULE", "TASKS", "Attack", "FraudSettings", "FraudWorld", "Task"]
