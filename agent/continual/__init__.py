"""Combinators: learners in, a learner out."""
