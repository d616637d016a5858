"""Families of streams with known tasks."""
