"""Staged changes of a set: which member moves when, one hop at a time, and when to stop. Pure: no await, no clock."""
