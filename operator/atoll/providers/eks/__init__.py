"""Clusters of Amazon EKS: what Atoll makes there, changes and removes, in EKS's own vocabulary."""
