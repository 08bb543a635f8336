"""Atoll: a Kubernetes operator for clusters of clusters."""
