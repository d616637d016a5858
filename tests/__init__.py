"""Promises, kept one by one."""
