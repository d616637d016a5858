"""Fuzzing guided by coverage, by atheris (`pip install -e '.[fuzz]'`)."""
