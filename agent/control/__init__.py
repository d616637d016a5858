"""Acting through what is learned: planners, policies, self-models and trials."""
