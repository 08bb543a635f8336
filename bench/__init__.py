"""Benchmarks: each file measures one thing beside a peer or a physical bound of the same run."""
