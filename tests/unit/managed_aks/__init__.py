"""AKS without a cloud: plans, bodies, words."""
