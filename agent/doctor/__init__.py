"""Looks whether a daemon could run with its settings, here and now, and says what to mend."""
