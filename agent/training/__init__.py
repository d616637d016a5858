"""Meta-training: episodes, the loop over them, and what comes of it."""
