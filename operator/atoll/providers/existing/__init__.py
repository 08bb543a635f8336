"""Clusters that exist already: watched, and never changed."""
