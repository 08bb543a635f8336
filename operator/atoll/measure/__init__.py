"""Asking monitoring systems for the numbers that open gates."""
