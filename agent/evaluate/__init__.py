"""Progressive validation of the default agent and its rivals on a person's own file."""
