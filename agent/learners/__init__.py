"""One family of learners a file; `base` has the protocol and the registry."""
