"""The default agent in other libraries' words: River's verbs here, CapyMOA's in `capymoa`."""

from agent.estimators.river import AdaptdClassifier, AdaptdRegressor

__all__ = ["AdaptdClassifier", "AdaptdRegressor"]
