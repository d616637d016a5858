"""Gymnasium robots whose body changes. No torch."""
